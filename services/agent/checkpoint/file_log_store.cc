#include "services/agent/checkpoint/file_log_store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "services/base/file_io.h"
#include "services/base/status_macros.h"

namespace tessera::agent {
namespace {

// More than any log can be: the core replaces it long before.
constexpr base::Bytes kLargestLog = base::GiB(4);
constexpr size_t kZeros = 64 << 10;

std::string FolderOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

absl::Status SyncFile(const base::UniqueFd& fd, const std::string& path) {
  if (::fsync(fd.get()) != 0) return base::ErrnoStatus(errno, "cannot sync", path);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<FileLogStore::Region> FileLogStore::OpenRegion(const std::string& path) {
  Region region;
  region.fd.reset(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!region.fd.valid()) return base::ErrnoStatus(errno, "cannot open the log", path);
  struct stat info {};
  if (::fstat(region.fd.get(), &info) != 0) {
    return base::ErrnoStatus(errno, "cannot look at the log", path);
  }
  // What is zero in it is not known.
  region.size = region.zero_from = static_cast<uint64_t>(info.st_size);
  return region;
}

absl::StatusOr<std::unique_ptr<FileLogStore>> FileLogStore::Open(const std::string& path,
                                                                 bool exchange) {
  ASSIGN_OR_RETURN(Region log, OpenRegion(path));
  ASSIGN_OR_RETURN(Region spare, OpenRegion(path + ".spare"));
  RETURN_IF_ERROR(base::SyncDirectory(FolderOf(path)));
  return std::unique_ptr<FileLogStore>(
      new FileLogStore(path, exchange, std::move(log), std::move(spare)));
}

absl::StatusOr<std::string> FileLogStore::Read() { return base::ReadFile(path_, kLargestLog); }

absl::Status FileLogStore::Put(Region* region, uint64_t offset, std::string_view bytes) {
  region->zero_from = std::max(region->zero_from, offset + bytes.size());
  while (!bytes.empty()) {
    const ssize_t put =
        ::pwrite(region->fd.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (put < 0) {
      if (errno == EINTR) continue;
      return base::ErrnoStatus(errno, "write", path_);
    }
    offset += static_cast<uint64_t>(put);
    region->size = std::max(region->size, offset);
    bytes.remove_prefix(static_cast<size_t>(put));
  }
  return absl::OkStatus();
}

absl::Status FileLogStore::Extend(Region* region, uint64_t size) {
  const uint64_t zero_from = region->zero_from;
  const std::string zeros(kZeros, '\0');
  while (region->size < size) {
    const uint64_t piece = std::min<uint64_t>(kZeros, size - region->size);
    const absl::Status put = Put(region, region->size, std::string_view(zeros).substr(0, piece));
    region->zero_from = zero_from;
    RETURN_IF_ERROR(put);
  }
  // Not before this the blocks are the file's.
  return SyncFile(region->fd, path_);
}

absl::Status FileLogStore::Clear(Region* region, uint64_t from) {
  const std::string zeros(kZeros, '\0');
  for (uint64_t at = from; at < region->zero_from;) {
    const uint64_t piece = std::min<uint64_t>(kZeros, region->zero_from - at);
    RETURN_IF_ERROR(Put(region, at, std::string_view(zeros).substr(0, piece)));
    at += piece;
  }
  return absl::OkStatus();
}

absl::Status FileLogStore::Write(uint64_t offset, std::string_view bytes) {
  return Put(&log_, offset, bytes);
}

absl::Status FileLogStore::Sync() {
  if (::fdatasync(log_.fd.get()) != 0) return base::ErrnoStatus(errno, "cannot sync", path_);
  return absl::OkStatus();
}

absl::Status FileLogStore::Truncate(uint64_t size) {
  RETURN_IF_ERROR(Clear(&log_, size));
  RETURN_IF_ERROR(SyncFile(log_.fd, path_));
  log_.zero_from = std::min(log_.zero_from, size);
  return absl::OkStatus();
}

absl::Status FileLogStore::HaveSpare() {
  if (spare_.fd.valid()) return absl::OkStatus();
  ASSIGN_OR_RETURN(spare_, OpenRegion(SparePath()));
  return absl::OkStatus();
}

absl::Status FileLogStore::Replace(std::string_view bytes) {
  RETURN_IF_ERROR(HaveSpare());
  RETURN_IF_ERROR(Put(&spare_, 0, bytes));
  RETURN_IF_ERROR(Clear(&spare_, bytes.size()));
  RETURN_IF_ERROR(SyncFile(spare_.fd, SparePath()));
  spare_.zero_from = bytes.size();
  const std::string spare = SparePath();
  if (exchange_ &&
      ::renameat2(AT_FDCWD, spare.c_str(), AT_FDCWD, path_.c_str(), RENAME_EXCHANGE) == 0) {
    std::swap(log_, spare_);
  } else if (exchange_ && errno != EINVAL && errno != ENOSYS) {
    return base::ErrnoStatus(errno, "rename to", path_);
  } else {
    // A file system that cannot: the old log's space is given back, and the next spare got anew by
    // KeepSpace or the next Replace. The log is replaced, whether or not that can be had now.
    if (::rename(spare.c_str(), path_.c_str()) != 0) {
      return base::ErrnoStatus(errno, "rename to", path_);
    }
    log_ = std::exchange(spare_, Region());
  }
  return base::SyncDirectory(FolderOf(path_));
}

absl::Status FileLogStore::KeepSpace(uint64_t end) {
  if (log_.size < end + kSegment) RETURN_IF_ERROR(Extend(&log_, end + 2 * kSegment));
  RETURN_IF_ERROR(HaveSpare());
  if (spare_.size < end + kSegment) RETURN_IF_ERROR(Extend(&spare_, end + 2 * kSegment));
  return absl::OkStatus();
}

}  // namespace tessera::agent
