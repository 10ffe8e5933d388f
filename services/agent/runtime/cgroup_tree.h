// The cgroups of one runtime: `<mount point>/<root>/<name>` in every hierarchy of the layout.
//
// A name is a container's (`c7`), a pod's (`p3`), or a container's inside its pod (`p3/c7`). The
// containers of a pod are within its limits. On v2 a pod's cgroup holds no process itself.
//
// Works below directory descriptors that are opened once, with plain mkdirat, openat and unlinkat:
// the mount table is never read. Blocking, a few tens of microseconds a call.
//
// Threads: any; calls for one name should not overlap removal.
#pragma once

#include <sys/types.h>

#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/agent/isolators/isolator.h"
#include "services/base/unique_fd.h"

namespace tessera::agent {

class CgroupTree {
 public:
  // The root must exist (PrepareCgroupRoot).
  static absl::StatusOr<CgroupTree> Open(const CgroupLayout& layout, const std::string& root);

  // Makes the cgroups. On failure none is left. MakePod's can have others inside, with limits.
  absl::Status Make(const std::string& name) const;
  absl::Status MakePod(const std::string& name) const;

  // NOT_FOUND when the cgroup is gone; INTERNAL with the kernel's words.
  absl::Status Write(const std::string& name, CgroupController controller, const std::string& file,
                     const std::string& value) const;
  absl::StatusOr<std::string> Read(const std::string& name, CgroupController controller,
                                   const std::string& file) const;

  // Every process in any of the name's cgroups, and in those inside them.
  std::vector<pid_t> Processes(const std::string& name) const;

  // Kills every process, new ones too, until none is left. DEADLINE_EXCEEDED after ten seconds.
  absl::Status KillAll(const std::string& name) const;

  // Removes the cgroups and those inside them. UNAVAILABLE while processes are still leaving: try
  // again. Repeatable.
  absl::Status Remove(const std::string& name) const;

  // Names of all cgroups of containers and pods, in any hierarchy, sorted.
  std::vector<std::string> List() const;

  // An eventfd that becomes readable when the kernel tells of any of the events (v1), in the cgroup
  // or in one above it. Invalid without events, or where it cannot be had.
  base::UniqueFd Watch(const std::string& name, const std::vector<CgroupEvent>& events) const;

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

  // Of a directory below `parent`, with those inside it.
  static void AddProcesses(int parent, const std::string& name, std::set<pid_t>* pids);
  static absl::Status RemoveIn(int parent, const std::string& name);
  absl::StatusOr<std::string> ReadIn(const Hierarchy& hierarchy, const std::string& name,
                                     const std::string& file) const;

  CgroupLayout layout_;
  std::vector<Hierarchy> hierarchies_;  // as in the layout
};

}  // namespace tessera::agent
