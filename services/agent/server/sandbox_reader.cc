#include "services/agent/server/sandbox_reader.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/openat2.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/base/file_io.h"
#include "services/base/status_macros.h"
#include "services/model/ids.h"
#include "services/rpc/error.h"

namespace tessera::agent {
namespace {

using model::v1::ErrorDetail;

constexpr size_t kEntriesMax = 100'000;

// Opens a path below the sandbox; no component, link or `..` of it may lead out.
absl::StatusOr<base::UniqueFd> OpenBelow(const std::string& sandbox, const std::string& path,
                                         uint64_t flags) {
  if (path.find('\0') != std::string::npos || (!path.empty() && path[0] == '/')) {
    return rpc::InvalidField("path", "must be relative to the sandbox");
  }
  base::UniqueFd root(::open(sandbox.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
  if (!root.valid()) {
    if (errno == ENOENT) {
      return rpc::Error(absl::StatusCode::kNotFound, ErrorDetail::UNKNOWN_CONTAINER,
                        "the sandbox is not there (any more)");
    }
    return base::ErrnoStatus(errno, "cannot open the sandbox", sandbox);
  }
  open_how how{};
  how.flags = flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  const std::string target = path.empty() ? "." : path;
  base::UniqueFd fd(
      static_cast<int>(::syscall(SYS_openat2, root.get(), target.c_str(), &how, sizeof how)));
  if (fd.valid()) return fd;
  if (errno == EXDEV || errno == ELOOP) {
    return rpc::InvalidField("path", "leads out of the sandbox");
  }
  if (errno == ENXIO) return rpc::InvalidField("path", "is no regular file");
  return base::ErrnoStatus(errno, "cannot open", path);
}

std::string UserName(uid_t uid) {
  passwd entry{};
  passwd* found = nullptr;
  char buffer[4096];
  if (::getpwuid_r(uid, &entry, buffer, sizeof buffer, &found) == 0 && found != nullptr) {
    return entry.pw_name;
  }
  return absl::StrCat(uid);
}

std::string GroupName(gid_t gid) {
  group entry{};
  group* found = nullptr;
  char buffer[4096];
  if (::getgrgid_r(gid, &entry, buffer, sizeof buffer, &found) == 0 && found != nullptr) {
    return entry.gr_name;
  }
  return absl::StrCat(gid);
}

// The newest of a task's sandboxes that lie on disk.
std::string NewestBelow(const std::string& folder) {
  DIR* directory = ::opendir(folder.c_str());
  if (directory == nullptr) return "";
  std::string newest;
  timespec newest_time{};
  while (const dirent* entry = ::readdir(directory)) {
    if (entry->d_name[0] == '.') continue;
    struct stat facts {};
    if (::fstatat(::dirfd(directory), entry->d_name, &facts, AT_SYMLINK_NOFOLLOW) != 0 ||
        !S_ISDIR(facts.st_mode)) {
      continue;
    }
    const auto key = std::make_pair(facts.st_mtim.tv_sec, facts.st_mtim.tv_nsec);
    if (newest.empty() || key > std::make_pair(newest_time.tv_sec, newest_time.tv_nsec)) {
      newest = entry->d_name;
      newest_time = facts.st_mtim;
    }
  }
  ::closedir(directory);
  return newest.empty() ? "" : absl::StrCat(folder, "/", newest);
}

}  // namespace

absl::StatusOr<std::string> FindSandbox(const AgentView& view, const std::string& sandbox_root,
                                        const std::string& container_id,
                                        const std::string& framework_id,
                                        const std::string& task_id) {
  if (!container_id.empty()) {
    std::string found;
    view.containers.ForEach([&](const auto& container) {
      if (container->container_id == container_id) found = container->sandbox;
    });
    if (!found.empty()) return found;
    return rpc::Error(absl::StatusCode::kNotFound, ErrorDetail::UNKNOWN_CONTAINER,
                      absl::StrCat("no container is known by the id ", container_id));
  }
  RETURN_IF_ERROR(model::ValidateId("framework id", framework_id));
  RETURN_IF_ERROR(model::ValidateId("task id", task_id));
  // Ids are used again: the newest one that lives, else the newest one that has ended.
  std::string known;
  bool lives = false;
  view.containers.ForEach([&](const auto& container) {
    if (container->task_id != task_id || container->framework_id != framework_id) return;
    const bool ended = container->state == ContainerView::State::kEnded;
    if (ended && lives) return;
    lives = lives || !ended;
    known = container->sandbox;
  });
  if (!known.empty()) return known;
  const std::string newest =
      NewestBelow(absl::StrCat(sandbox_root, "/", framework_id, "/", task_id));
  if (!newest.empty()) return newest;
  return rpc::Error(absl::StatusCode::kNotFound, ErrorDetail::UNKNOWN_TASK,
                    absl::StrCat("no sandbox of task ", task_id, " of framework ", framework_id,
                                 " is on this agent"));
}

absl::StatusOr<base::UniqueFd> OpenSandboxFile(const std::string& sandbox,
                                               const std::string& path) {
  if (path.empty()) return rpc::InvalidField("path", "is missing");
  ASSIGN_OR_RETURN(base::UniqueFd fd, OpenBelow(sandbox, path, O_RDONLY));
  struct stat facts {};
  if (::fstat(fd.get(), &facts) != 0) return base::ErrnoStatus(errno, "cannot look at", path);
  if (!S_ISREG(facts.st_mode)) return rpc::InvalidField("path", "is no regular file");
  return fd;
}

absl::StatusOr<std::vector<SandboxEntry>> ListSandboxFolder(const std::string& sandbox,
                                                            const std::string& path,
                                                            const std::string& after,
                                                            size_t limit) {
  ASSIGN_OR_RETURN(base::UniqueFd fd, OpenBelow(sandbox, path, O_RDONLY | O_DIRECTORY));
  DIR* directory = ::fdopendir(fd.get());
  if (directory == nullptr) return base::ErrnoStatus(errno, "cannot read", path);
  (void)fd.release();  // the directory's now
  const std::unique_ptr<DIR, int (*)(DIR*)> closer(directory, ::closedir);
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(directory)) {
    const std::string_view name = entry->d_name;
    if (name == "." || name == ".." || name <= std::string_view(after)) continue;
    if (names.size() >= kEntriesMax) {
      return absl::ResourceExhaustedError(
          absl::StrCat("the folder holds more than ", kEntriesMax, " entries"));
    }
    names.emplace_back(name);
  }
  const size_t shown = std::min(limit, names.size());
  std::partial_sort(names.begin(), names.begin() + static_cast<ptrdiff_t>(shown), names.end());
  std::vector<SandboxEntry> entries;
  for (size_t i = 0; i < shown; ++i) {
    struct stat facts {};
    if (::fstatat(::dirfd(directory), names[i].c_str(), &facts, AT_SYMLINK_NOFOLLOW) != 0) continue;
    SandboxEntry entry;
    entry.path = path.empty() ? names[i] : absl::StrCat(path, "/", names[i]);
    entry.size = static_cast<uint64_t>(facts.st_size);
    entry.mode = facts.st_mode;
    entry.user = UserName(facts.st_uid);
    entry.group = GroupName(facts.st_gid);
    entry.modified = absl::TimeFromTimespec(facts.st_mtim);
    entry.links = static_cast<uint32_t>(facts.st_nlink);
    entries.push_back(std::move(entry));
  }
  return entries;
}

}  // namespace tessera::agent
