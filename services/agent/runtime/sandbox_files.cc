#include "services/agent/runtime/sandbox_files.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "services/base/file_io.h"
#include "services/base/status_macros.h"

namespace tessera::agent {
namespace {

absl::StatusOr<base::UniqueFd> OpenOutput(int directory, const std::string& sandbox,
                                          const char* name, const HostUser& user) {
  // The sandbox belongs to the user: a link in it must not lead the agent elsewhere.
  base::UniqueFd file(
      openat(directory, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0644));
  const std::string path = absl::StrCat(sandbox, "/", name);
  if (!file.valid()) return base::ErrnoStatus(errno, "open", path);
  if (user.switches && fchown(file.get(), user.uid, user.gid) != 0) {
    return base::ErrnoStatus(errno, "chown", path);
  }
  return file;
}

}  // namespace

absl::StatusOr<SandboxFiles> PrepareSandbox(const std::string& sandbox, const HostUser& user) {
  const bool made = mkdir(sandbox.c_str(), 0750) == 0;
  if (!made && errno == ENOENT) {
    RETURN_IF_ERROR(base::MakeDirectories(sandbox, 0755));
    if (chmod(sandbox.c_str(), 0750) != 0) return base::ErrnoStatus(errno, "chmod", sandbox);
  } else if (!made && errno != EEXIST) {
    return base::ErrnoStatus(errno, "mkdir", sandbox);
  }
  base::UniqueFd directory(open(sandbox.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory.valid()) return base::ErrnoStatus(errno, "open", sandbox);
  if (user.switches && fchown(directory.get(), user.uid, user.gid) != 0) {
    return base::ErrnoStatus(errno, "chown", sandbox);
  }
  SandboxFiles files;
  ASSIGN_OR_RETURN(files.standard_output, OpenOutput(directory.get(), sandbox, "stdout", user));
  ASSIGN_OR_RETURN(files.standard_error, OpenOutput(directory.get(), sandbox, "stderr", user));
  return files;
}

}  // namespace tessera::agent
