#include "services/agent/runtime/cgroup_discovery.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "libcgroup.h"
#include "services/base/file_io.h"
#include "services/base/status_macros.h"
#include "services/base/unique_fd.h"

namespace tessera::agent {
namespace {

struct FreeGroup {
  void operator()(cgroup* group) const { cgroup_free(&group); }
};
using Group = std::unique_ptr<cgroup, FreeGroup>;

std::string Words(int error) {
  return error == ECGOTHER ? std::string(strerror(cgroup_get_last_errno()))
                           : std::string(cgroup_strerror(error));
}

std::string Name(CgroupController controller) {
  return std::string(CgroupControllerName(controller));
}

bool IsV2(const std::string& mount_point) {
  struct statfs info;
  return statfs(mount_point.c_str(), &info) == 0 && info.f_type == CGROUP2_SUPER_MAGIC;
}

absl::StatusOr<std::vector<std::pair<std::string, std::string>>> MountedControllers() {
  int error = cgroup_init();
  if (error != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("no cgroup hierarchy is mounted: ", Words(error)));
  }
  std::vector<std::pair<std::string, std::string>> mounted;
  void* iterator = nullptr;
  cgroup_mount_point point;
  error = cgroup_get_controller_begin(&iterator, &point);
  while (error == 0) {
    mounted.emplace_back(point.name, point.path);
    error = cgroup_get_controller_next(&iterator, &point);
  }
  cgroup_get_controller_end(&iterator);
  if (error != ECGEOF) {
    return absl::InternalError(absl::StrCat("cannot list cgroup controllers: ", Words(error)));
  }
  return mounted;
}

absl::Status HandDown(const std::string& directory, const std::string& controllers) {
  if (controllers.empty()) return absl::OkStatus();
  const std::string file = directory + "/cgroup.subtree_control";
  const base::UniqueFd fd(open(file.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd.valid()) return base::ErrnoStatus(errno, "open", file);
  if (write(fd.get(), controllers.data(), controllers.size()) !=
      static_cast<ssize_t>(controllers.size())) {
    return base::ErrnoStatus(errno, absl::StrCat("write ", controllers, " to"), file);
  }
  return absl::OkStatus();
}

// A controller on v2 has to be handed down by each cgroup above the containers', from the top. Not
// by libcgroup: what it hands down to has to be there already, and it is only there when another
// (such as a unit of systemd with Delegate=) has asked for the same controllers.
absl::Status MakeV2Root(const CgroupHierarchy& hierarchy, const std::string& root) {
  std::vector<std::string> wanted;
  for (const CgroupController controller : hierarchy.controllers) {
    if (controller != CgroupController::kCpuacct) wanted.push_back("+" + Name(controller));
  }
  const std::string controllers = absl::StrJoin(wanted, " ");
  std::string directory = hierarchy.mount_point;
  RETURN_IF_ERROR(HandDown(directory, controllers));
  for (const absl::string_view name : absl::StrSplit(root, '/', absl::SkipEmpty())) {
    absl::StrAppend(&directory, "/", name);
    if (mkdir(directory.c_str(), 0755) != 0 && errno != EEXIST) {
      return base::ErrnoStatus(errno, "mkdir", directory);
    }
    RETURN_IF_ERROR(HandDown(directory, controllers));
  }
  return absl::OkStatus();
}

absl::Status MakeV1Roots(const CgroupLayout& layout, const std::string& root) {
  Group group(cgroup_new_cgroup(root.c_str()));
  if (group == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("no name of a cgroup: \"", root, "\""));
  }
  bool any = false;
  for (const CgroupHierarchy& hierarchy : layout.hierarchies) {
    if (hierarchy.v2) continue;
    for (const CgroupController controller : hierarchy.controllers) {
      any |= cgroup_add_controller(group.get(), Name(controller).c_str()) != nullptr;
    }
  }
  if (!any) return absl::OkStatus();
  const int error = cgroup_create_cgroup(group.get(), /*ignore_ownership=*/1);
  if (error == 0) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("cannot make cgroup ", root, ": ", Words(error),
                                          "; agent-svc needs root and a writable cgroup tree"));
}

// The runtime tells OOM from other ends by the kernel's own kills.
absl::Status CheckOomKiller(const CgroupLayout& layout, const std::string& root) {
  const std::optional<size_t> memory = layout.HierarchyOf(CgroupController::kMemory);
  if (!memory.has_value() || layout.hierarchies[*memory].v2) return absl::OkStatus();
  Group group(cgroup_new_cgroup(root.c_str()));
  const int error = cgroup_get_cgroup(group.get());
  if (error != 0) {
    return absl::InternalError(absl::StrCat("cannot read cgroup ", root, ": ", Words(error)));
  }
  cgroup_controller* controller = cgroup_get_controller(group.get(), "memory");
  char* value = nullptr;
  if (controller == nullptr ||
      cgroup_get_value_string(controller, "memory.oom_control", &value) != 0 || value == nullptr) {
    return absl::OkStatus();
  }
  const bool disabled = absl::StartsWith(value, "oom_kill_disable 1");
  free(value);
  if (!disabled) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "the kernel's OOM killer is off for cgroup ", root,
      "; write 0 to its memory.oom_control, or containers out of memory hang for ever"));
}

}  // namespace

absl::StatusOr<CgroupLayout> DiscoverCgroupLayout(
    const std::vector<CgroupController>& controllers) {
  CgroupLayout layout;
  if (controllers.empty()) return layout;
  ASSIGN_OR_RETURN(const auto mounted, MountedControllers());
  for (const CgroupController controller : controllers) {
    if (layout.HierarchyOf(controller).has_value()) continue;
    const auto path_of = [&mounted](const std::string& name) {
      const auto found = std::find_if(mounted.begin(), mounted.end(),
                                      [&name](const auto& entry) { return entry.first == name; });
      return found == mounted.end() ? std::string() : found->second;
    };
    std::string path = path_of(Name(controller));
    // v2 has no controller cpuacct: cpu accounts itself.
    if (path.empty() && controller == CgroupController::kCpuacct && IsV2(path_of("cpu"))) {
      path = path_of("cpu");
    }
    if (path.empty()) {
      return absl::FailedPreconditionError(absl::StrCat(
          "the cgroup controller ", Name(controller),
          " is not mounted; mount it below /sys/fs/cgroup, or leave its isolator out"));
    }
    const auto same = std::find_if(
        layout.hierarchies.begin(), layout.hierarchies.end(),
        [&path](const CgroupHierarchy& hierarchy) { return hierarchy.mount_point == path; });
    if (same != layout.hierarchies.end()) {
      same->controllers.push_back(controller);
    } else {
      layout.hierarchies.push_back({path, IsV2(path), {controller}});
    }
  }
  return layout;
}

absl::Status PrepareCgroupRoot(const CgroupLayout& layout, const std::string& root) {
  if (layout.hierarchies.empty()) return absl::OkStatus();
  RETURN_IF_ERROR(MakeV1Roots(layout, root));
  for (const CgroupHierarchy& hierarchy : layout.hierarchies) {
    if (hierarchy.v2) RETURN_IF_ERROR(MakeV2Root(hierarchy, root));
  }
  return CheckOomKiller(layout, root);
}

}  // namespace tessera::agent
