// The cgroups of one runtime: `<mount point>/<root>/<name>` in every hierarchy of the layout.
//
// Works below directory descriptors that are opened once, with plain mkdirat, openat and unlinkat:
// the mount table is never read. Blocking, a few tens of microseconds a call.
//
// Threads: any; calls for one name should not overlap removal.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/agent/isolators/cgroup_layout.h"
#include "services/base/unique_fd.h"

namespace tessera::agent {

class CgroupTree {
 public:
  // The root must exist (PrepareCgroupRoot).
  static absl::StatusOr<CgroupTree> Open(const CgroupLayout& layout, const std::string& root);

  // Makes the container's cgroups. On failure none is left.
  absl::Status Make(const std::string& name) const;

  // NOT_FOUND when the cgroup is gone; INTERNAL with the kernel's words.
  absl::Status Write(const std::string& name, CgroupController controller, const std::string& file,
                     const std::string& value) const;
  absl::StatusOr<std::string> Read(const std::string& name, CgroupController controller,
                                   const std::string& file) const;

  // Every process in any of the name's cgroups.
  std::vector<pid_t> Processes(const std::string& name) const;

  // Kills every process, new ones too, until none is left. DEADLINE_EXCEEDED after ten seconds.
  absl::Status KillAll(const std::string& name) const;

  // Removes the cgroups. UNAVAILABLE while processes are still leaving: try again. Repeatable.
  absl::Status Remove(const std::string& name) const;

  // Names of all cgroups below the root, in any hierarchy, sorted.
  std::vector<std::string> List() const;

  // An eventfd that becomes readable when the kernel's OOM killer enters the cgroup. Invalid where
  // that is not needed (v2: the kernel ends the whole cgroup) or not had.
  base::UniqueFd WatchOom(const std::string& name) const;

  // v1 files to join by writing 0, and the v2 directory to be cloned into ("" without).
  std::vector<std::string> TasksFiles(const std::string& name) const;
  std::string V2Directory(const std::string& name) const;

  std::vector<std::string> Paths(const std::string& name) const;

  // Removes the root itself and what is above it, as far as nothing else is below.
  void RemoveRoot() const;

 private:
  struct Hierarchy {
    std::string path;  // of the root cgroup
    bool v2 = false;
    base::UniqueFd directory;
  };

  absl::StatusOr<std::string> ReadIn(const Hierarchy& hierarchy, const std::string& name,
                                     const std::string& file) const;

  CgroupLayout layout_;
  std::vector<Hierarchy> hierarchies_;  // as in the layout
};

}  // namespace tessera::agent
