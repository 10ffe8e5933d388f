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

constexpr int kMostAttempts = 100;

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

absl::StatusOr<base::UniqueFd> MakeSandboxDirectory(const std::string& sandbox,
                                                    const HostUser& user) {
  const std::string parent = sandbox.substr(0, sandbox.rfind('/'));
  for (int attempt = 0; mkdir(sandbox.c_str(), 0750) != 0 && errno != EEXIST; ++attempt) {
    if (errno != ENOENT || parent.empty() || attempt == kMostAttempts) {
      return base::ErrnoStatus(errno, "mkdir", sandbox);
    }
    // Who clears old sandboxes away removes their empty parents: one may go just when it is there.
    const absl::Status made = base::MakeDirectories(parent, 0755);
    if (!made.ok() && !absl::IsNotFound(made) && !absl::IsAlreadyExists(made)) return made;
  }
  base::UniqueFd directory(open(sandbox.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory.valid()) return base::ErrnoStatus(errno, "open", sandbox);
  if (user.switches && fchown(directory.get(), user.uid, user.gid) != 0) {
    return base::ErrnoStatus(errno, "chown", sandbox);
  }
  return directory;
}

absl::StatusOr<SandboxFiles> OpenSandboxFiles(const std::string& sandbox, const HostUser& user) {
  ASSIGN_OR_RETURN(const base::UniqueFd directory, MakeSandboxDirectory(sandbox, user));
  SandboxFiles files;
  ASSIGN_OR_RETURN(files.standard_output, OpenOutput(directory.get(), sandbox, "stdout", user));
  ASSIGN_OR_RETURN(files.standard_error, OpenOutput(directory.get(), sandbox, "stderr", user));
  return files;
}

}  // namespace tessera::agent
