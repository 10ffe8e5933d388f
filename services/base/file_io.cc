#include "services/base/file_io.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "services/base/status_macros.h"
#include "services/base/unique_fd.h"

namespace tessera::base {
namespace {

constexpr size_t kReadChunk = 64 << 10;

absl::StatusCode CodeOf(int error_number) {
  switch (error_number) {
    case ENOENT:
      return absl::StatusCode::kNotFound;
    case EACCES:
    case EPERM:
    case EROFS:
      return absl::StatusCode::kPermissionDenied;
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case EFBIG:
      return absl::StatusCode::kResourceExhausted;
    case EEXIST:
      return absl::StatusCode::kAlreadyExists;
    case ENOTDIR:
    case EISDIR:
    case ENOTEMPTY:
    case EBUSY:
    case ENAMETOOLONG:
    case ELOOP:
      return absl::StatusCode::kFailedPrecondition;
    default:
      return absl::StatusCode::kInternal;
  }
}

std::string ParentOf(const std::string& path) {
  const size_t slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// A name that no other writer of this machine uses at the same time.
std::string TemporaryNameFor(const std::string& path) {
  static std::atomic<uint64_t> counter{0};
  return absl::StrCat(path, ".new-", getpid(), "-", counter.fetch_add(1));
}

absl::Status WriteAndSync(const std::string& path, std::string_view contents, mode_t mode) {
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
  if (!fd.valid()) return ErrnoStatus(errno, "make", path);
  RETURN_IF_ERROR(WriteAll(fd.get(), contents, path));
  if (::fsync(fd.get()) != 0) return ErrnoStatus(errno, "sync", path);
  // Some file systems report a failed write only here.
  if (::close(fd.release()) != 0) return ErrnoStatus(errno, "close", path);
  return absl::OkStatus();
}

}  // namespace

absl::Status ErrnoStatus(int error_number, std::string_view what, std::string_view path) {
  char buffer[128];
  const char* const words = ::strerror_r(error_number, buffer, sizeof(buffer));
  return absl::Status(CodeOf(error_number),
                      absl::StrCat(std::string(what), " ", std::string(path), ": ", words));
}

absl::StatusOr<std::string> ReadFile(const std::string& path, Bytes limit) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return ErrnoStatus(errno, "open", path);
  const size_t most = static_cast<size_t>(limit.count());
  std::string contents;
  while (true) {
    const size_t before = contents.size();
    contents.resize(before + kReadChunk);
    const ssize_t got = ::read(fd.get(), contents.data() + before, kReadChunk);
    if (got < 0 && errno == EINTR) {
      contents.resize(before);
      continue;
    }
    if (got < 0) return ErrnoStatus(errno, "read", path);
    contents.resize(before + static_cast<size_t>(got));
    if (contents.size() > most) {
      return absl::ResourceExhaustedError(
          absl::StrCat("read ", path, ": it holds more than ", limit.ToString()));
    }
    if (got == 0) return contents;
  }
}

absl::Status WriteFileDurably(const std::string& path, std::string_view contents, mode_t mode) {
  const std::string temporary = TemporaryNameFor(path);
  absl::Status written = WriteAndSync(temporary, contents, mode);
  if (written.ok() && ::rename(temporary.c_str(), path.c_str()) != 0) {
    written = ErrnoStatus(errno, "rename to", path);
  }
  if (!written.ok()) {
    ::unlink(temporary.c_str());
    return written;
  }
  return SyncDirectory(ParentOf(path));
}

absl::Status WriteAll(int fd, std::string_view data, std::string_view path) {
  while (!data.empty()) {
    const ssize_t put = ::write(fd, data.data(), data.size());
    if (put < 0) {
      if (errno == EINTR) continue;
      return ErrnoStatus(errno, "write", path);
    }
    data.remove_prefix(static_cast<size_t>(put));
  }
  return absl::OkStatus();
}

absl::Status SyncDirectory(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) return ErrnoStatus(errno, "open folder", path);
  if (::fsync(fd.get()) != 0) return ErrnoStatus(errno, "sync folder", path);
  return absl::OkStatus();
}

absl::Status MakeDirectories(const std::string& path, mode_t mode) {
  if (path.empty()) return absl::InvalidArgumentError("the path of a folder is empty");
  for (size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    const std::string part = path.substr(0, end);
    if (::mkdir(part.c_str(), mode) != 0) {
      const int error_number = errno;
      struct stat info {};
      if (::stat(part.c_str(), &info) != 0) return ErrnoStatus(error_number, "make folder", part);
      if (!S_ISDIR(info.st_mode)) return ErrnoStatus(ENOTDIR, "make folder", part);
    }
    if (end == std::string::npos) return absl::OkStatus();
  }
}

absl::Status CheckWritableDirectory(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return ErrnoStatus(errno, "look at folder", path);
  if (!S_ISDIR(info.st_mode)) return ErrnoStatus(ENOTDIR, "use folder", path);
  // access() would say yes to root on a read-only mount's entry; making a file is the proof.
  const std::string probe = TemporaryNameFor(path + "/.probe");
  UniqueFd fd(::open(probe.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd.valid()) {
    return Annotate(ErrnoStatus(errno, "make a file in", path),
                    "the folder must be writable by the user who runs this");
  }
  ::unlink(probe.c_str());
  return absl::OkStatus();
}

}  // namespace tessera::base
