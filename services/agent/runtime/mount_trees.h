// Takes copies of the host's mount trees, for a container's root and mounts.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "services/agent/isolators/step.h"
#include "services/base/unique_fd.h"

namespace tessera::agent {

// The plan's root and then its trees, each detached: mounts of the host come into them, theirs do
// not go out. The status says `take <source>: <why>`. Blocking; thread-safe.
absl::StatusOr<std::vector<base::UniqueFd>> TakeMountTrees(const IsolationPlan& plan);

}  // namespace tessera::agent
