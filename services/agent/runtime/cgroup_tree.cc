#include "services/agent/runtime/cgroup_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "services/base/file_io.h"
#include "services/base/status_macros.h"

namespace tessera::agent {
namespace {

constexpr absl::Duration kKillTimeout = absl::Seconds(10);

absl::StatusOr<std::string> ReadToEnd(int file, const std::string& path) {
  std::string contents;
  char buffer[4096];
  for (;;) {
    const ssize_t size = read(file, buffer, sizeof(buffer));
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return base::ErrnoStatus(errno, "read", path);
    if (size == 0) return contents;
    contents.append(buffer, static_cast<size_t>(size));
  }
}

// Names of the directories in it.
std::vector<std::string> Inner(int directory) {
  std::vector<std::string> names;
  const int again = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* entries = again < 0 ? nullptr : fdopendir(again);
  if (entries == nullptr) {
    if (again >= 0) close(again);
    return names;
  }
  while (const dirent* entry = readdir(entries)) {
    if (entry->d_type == DT_DIR && entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  }
  closedir(entries);
  return names;
}

}  // namespace

absl::StatusOr<CgroupTree> CgroupTree::Open(const CgroupLayout& layout, const std::string& root) {
  CgroupTree tree;
  tree.layout_ = layout;
  for (const CgroupHierarchy& hierarchy : layout.hierarchies) {
    const std::string path = absl::StrCat(hierarchy.mount_point, "/", root);
    base::UniqueFd directory(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory.valid()) return base::ErrnoStatus(errno, "open cgroup", path);
    tree.hierarchies_.push_back({path, hierarchy.v2, std::move(directory)});
  }
  return tree;
}

absl::Status CgroupTree::Make(const std::string& name) const {
  for (const Hierarchy& hierarchy : hierarchies_) {
    if (mkdirat(hierarchy.directory.get(), name.c_str(), 0755) == 0) continue;
    const int error = errno;
    for (const Hierarchy& made : hierarchies_) {
      if (&made == &hierarchy) break;
      unlinkat(made.directory.get(), name.c_str(), AT_REMOVEDIR);
    }
    return base::ErrnoStatus(error, "mkdir", absl::StrCat(hierarchy.path, "/", name));
  }
  return absl::OkStatus();
}

absl::Status CgroupTree::MakePod(const std::string& name) const {
  RETURN_IF_ERROR(Make(name));
  for (size_t i = 0; i < hierarchies_.size(); ++i) {
    if (!hierarchies_[i].v2) continue;
    for (const CgroupController controller : layout_.hierarchies[i].controllers) {
      if (controller == CgroupController::kCpuacct) continue;  // part of cpu
      const std::string hand_down = "+" + std::string(CgroupControllerName(controller));
      const absl::Status handed = Write(name, controller, "cgroup.subtree_control", hand_down);
      if (handed.ok()) continue;
      Remove(name).IgnoreError();
      return handed;
    }
  }
  // What kernels before 5.11 do on v1 only when they are asked to.
  if (!layout_.IsV2(CgroupController::kMemory)) {
    Write(name, CgroupController::kMemory, "memory.use_hierarchy", "1").IgnoreError();
  }
  return absl::OkStatus();
}

absl::Status CgroupTree::Write(const std::string& name, CgroupController controller,
                               const std::string& file, const std::string& value) const {
  const std::optional<size_t> index = layout_.HierarchyOf(controller);
  if (!index.has_value()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "no hierarchy for the controller ", std::string(CgroupControllerName(controller))));
  }
  const Hierarchy& hierarchy = hierarchies_[*index];
  const std::string path = absl::StrCat(name, "/", file);
  base::UniqueFd fd(openat(hierarchy.directory.get(), path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd.valid()) return base::ErrnoStatus(errno, "open", absl::StrCat(hierarchy.path, "/", path));
  if (write(fd.get(), value.data(), value.size()) != static_cast<ssize_t>(value.size())) {
    return base::ErrnoStatus(errno, absl::StrCat("write ", value, " to"),
                             absl::StrCat(hierarchy.path, "/", path));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> CgroupTree::Read(const std::string& name, CgroupController controller,
                                             const std::string& file) const {
  const std::optional<size_t> index = layout_.HierarchyOf(controller);
  if (!index.has_value()) return absl::NotFoundError(file);
  return ReadIn(hierarchies_[*index], name, file);
}

absl::StatusOr<std::string> CgroupTree::ReadIn(const Hierarchy& hierarchy, const std::string& name,
                                               const std::string& file) const {
  const std::string path = absl::StrCat(name, "/", file);
  base::UniqueFd fd(openat(hierarchy.directory.get(), path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return base::ErrnoStatus(errno, "open", absl::StrCat(hierarchy.path, "/", path));
  return ReadToEnd(fd.get(), absl::StrCat(hierarchy.path, "/", path));
}

void CgroupTree::AddProcesses(int parent, const std::string& name, std::set<pid_t>* pids) {
  base::UniqueFd directory(openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory.valid()) return;
  const base::UniqueFd file(openat(directory.get(), "cgroup.procs", O_RDONLY | O_CLOEXEC));
  const absl::StatusOr<std::string> procs = ReadToEnd(file.get(), name);
  if (procs.ok()) {
    for (const absl::string_view line : absl::StrSplit(*procs, '\n', absl::SkipEmpty())) {
      pid_t pid = 0;
      if (absl::SimpleAtoi(line, &pid) && pid > 0) pids->insert(pid);
    }
  }
  for (const std::string& inner : Inner(directory.get())) {
    AddProcesses(directory.get(), inner, pids);
  }
}

std::vector<pid_t> CgroupTree::Processes(const std::string& name) const {
  std::set<pid_t> pids;
  for (const Hierarchy& hierarchy : hierarchies_) {
    AddProcesses(hierarchy.directory.get(), name, &pids);
  }
  return {pids.begin(), pids.end()};
}

absl::Status CgroupTree::KillAll(const std::string& name) const {
  const absl::Time deadline = absl::Now() + kKillTimeout;
  for (const Hierarchy& hierarchy : hierarchies_) {
    if (!hierarchy.v2) continue;
    base::UniqueFd kill(openat(hierarchy.directory.get(),
                               absl::StrCat(name, "/cgroup.kill").c_str(), O_WRONLY | O_CLOEXEC));
    if (kill.valid() && write(kill.get(), "1", 1) != 1) continue;
  }
  // No process can multiply while its cgroup is being swept.
  Write(name, CgroupController::kPids, "pids.max", "0").IgnoreError();
  absl::Duration pause = absl::Microseconds(200);
  for (;;) {
    const std::vector<pid_t> pids = Processes(name);
    if (pids.empty()) return absl::OkStatus();
    for (const pid_t pid : pids) kill(pid, SIGKILL);
    if (absl::Now() > deadline) {
      return absl::DeadlineExceededError(
          absl::StrCat(pids.size(), " processes in cgroup ", name, " do not die, e.g. ", pids[0]));
    }
    absl::SleepFor(pause);
    pause = std::min(pause * 2, absl::Milliseconds(50));
  }
}

absl::Status CgroupTree::RemoveIn(int parent, const std::string& name) {
  if (unlinkat(parent, name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) return absl::OkStatus();
  if (errno != EBUSY && errno != ENOTEMPTY) return base::ErrnoStatus(errno, "rmdir cgroup", name);
  // A pod's containers; and a command that runs as root may have made cgroups inside its own.
  const base::UniqueFd directory(openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.valid()) {
    for (const std::string& inner : Inner(directory.get())) {
      RemoveIn(directory.get(), inner).IgnoreError();
    }
  }
  if (unlinkat(parent, name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat("cgroup ", name, " is busy"));
}

absl::Status CgroupTree::Remove(const std::string& name) const {
  absl::Status result;
  for (const Hierarchy& hierarchy : hierarchies_) {
    const absl::Status removed = RemoveIn(hierarchy.directory.get(), name);
    if (!removed.ok()) result = base::Annotate(removed, hierarchy.path);
  }
  return result;
}

std::vector<std::string> CgroupTree::List() const {
  std::set<std::string> names;
  for (const Hierarchy& hierarchy : hierarchies_) {
    for (const std::string& name : Inner(hierarchy.directory.get())) {
      names.insert(name);
      if (name[0] != 'p') continue;
      const base::UniqueFd pod(
          openat(hierarchy.directory.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
      for (const std::string& inner : Inner(pod.get()))
        names.insert(absl::StrCat(name, "/", inner));
    }
  }
  return {names.begin(), names.end()};
}

base::UniqueFd CgroupTree::Watch(const std::string& name,
                                 const std::vector<CgroupEvent>& events) const {
  if (events.empty()) return {};
  base::UniqueFd event(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  for (const CgroupEvent& wanted : events) {
    const std::optional<size_t> index = layout_.HierarchyOf(wanted.controller);
    if (!index.has_value() || !event.valid()) return {};
    const base::UniqueFd file(openat(hierarchies_[*index].directory.get(),
                                     absl::StrCat(name, "/", wanted.file).c_str(),
                                     O_RDONLY | O_CLOEXEC));
    if (!file.valid()) return {};
    const absl::Status written = Write(name, wanted.controller, "cgroup.event_control",
                                       absl::StrCat(event.get(), " ", file.get()));
    if (!written.ok()) return {};
  }
  return event;
}

std::vector<std::string> CgroupTree::TasksFiles(const std::string& name) const {
  std::vector<std::string> files;
  for (const Hierarchy& hierarchy : hierarchies_) {
    if (!hierarchy.v2) files.push_back(absl::StrCat(hierarchy.path, "/", name, "/tasks"));
  }
  return files;
}

std::string CgroupTree::V2Directory(const std::string& name) const {
  for (const Hierarchy& hierarchy : hierarchies_) {
    if (hierarchy.v2) return absl::StrCat(hierarchy.path, "/", name);
  }
  return "";
}

std::vector<std::string> CgroupTree::Paths(const std::string& name) const {
  std::vector<std::string> paths;
  for (const Hierarchy& hierarchy : hierarchies_) {
    paths.push_back(absl::StrCat(hierarchy.path, "/", name));
  }
  return paths;
}

void CgroupTree::RemoveRoot() const {
  for (size_t i = 0; i < hierarchies_.size(); ++i) {
    const std::string& mount_point = layout_.hierarchies[i].mount_point;
    std::string path = hierarchies_[i].path;
    // rmdir stops at the first that somebody else still uses.
    while (path.size() > mount_point.size() + 1 && rmdir(path.c_str()) == 0) {
      path.resize(path.rfind('/'));
    }
  }
}

}  // namespace tessera::agent
