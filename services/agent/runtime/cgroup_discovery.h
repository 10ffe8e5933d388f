// Finds the machine's cgroup hierarchies and makes the runtime's root cgroup in each: through
// libcgroup, but for the root on v2. Done once at start: what it learns is the mount table, which
// is slow to read on machines with many mounts.
//
// Blocking; one thread at a time, as libcgroup keeps global state.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/agent/isolators/cgroup_layout.h"

namespace tessera::agent {

// The hierarchies that hold `controllers`: v1, v2, or of both kinds. FAILED_PRECONDITION naming a
// controller that is nowhere mounted.
absl::StatusOr<CgroupLayout> DiscoverCgroupLayout(const std::vector<CgroupController>& controllers);

// Makes `root` (such as `tessera/agent-1`) in each hierarchy and, on v2, hands the controllers
// down. Repeatable. FAILED_PRECONDITION when the kernel's OOM killer is switched off there,
// libcgroup's or the kernel's words otherwise.
absl::Status PrepareCgroupRoot(const CgroupLayout& layout, const std::string& root);

}  // namespace tessera::agent
