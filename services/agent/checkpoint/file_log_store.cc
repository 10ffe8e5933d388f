#include "services/agent/checkpoint/file_log_store.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <utility>

#include "services/base/file_io.h"
#include "services/base/status_macros.h"

namespace tessera::agent {
namespace {

// More than any log can be: the core replaces it long before.
constexpr base::Bytes kLargestLog = base::GiB(4);

absl::StatusOr<base::UniqueFd> OpenForAppending(const std::string& path) {
  base::UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (!fd.valid()) return base::ErrnoStatus(errno, "cannot open the log", path);
  return fd;
}

std::string FolderOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

absl::StatusOr<std::unique_ptr<FileLogStore>> FileLogStore::Open(const std::string& path) {
  const bool existed = ::access(path.c_str(), F_OK) == 0;
  ASSIGN_OR_RETURN(base::UniqueFd fd, OpenForAppending(path));
  if (!existed) RETURN_IF_ERROR(base::SyncDirectory(FolderOf(path)));
  return std::unique_ptr<FileLogStore>(new FileLogStore(path, std::move(fd)));
}

absl::StatusOr<std::string> FileLogStore::Read() { return base::ReadFile(path_, kLargestLog); }

absl::Status FileLogStore::Append(std::string_view bytes) {
  return base::WriteAll(fd_.get(), bytes, path_);
}

absl::Status FileLogStore::Sync() {
  if (::fdatasync(fd_.get()) != 0) return base::ErrnoStatus(errno, "cannot sync", path_);
  return absl::OkStatus();
}

absl::Status FileLogStore::Truncate(uint64_t size) {
  if (::ftruncate(fd_.get(), static_cast<off_t>(size)) != 0) {
    return base::ErrnoStatus(errno, "cannot truncate", path_);
  }
  if (::fsync(fd_.get()) != 0) return base::ErrnoStatus(errno, "cannot sync", path_);
  return absl::OkStatus();
}

absl::Status FileLogStore::Replace(std::string_view bytes) {
  RETURN_IF_ERROR(base::WriteFileDurably(path_, bytes, 0600));
  ASSIGN_OR_RETURN(fd_, OpenForAppending(path_));
  return absl::OkStatus();
}

}  // namespace tessera::agent
