// Takes away what an earlier agent has left and nobody wants any more: processes, cgroups, undo,
// state files.
//
// Blocking, up to ten seconds for each process that does not end. Used at start, before containers
// are launched.
#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "services/agent/runtime/runtime_parts.h"

namespace tessera::agent {

// Ends what is left of the container and forgets it. True when it ran.
bool DestroyOrphan(RuntimeParts* parts, const ContainerId& id);

// The same for a pod, with all that is in its cgroup.
void DestroyOrphanedPod(RuntimeParts* parts, const ContainerId& id);

// Carries out what the journal holds of owners that are not `known`.
void TakeBackOrphanedSteps(RuntimeParts* parts, const std::set<ContainerId>& known);

// Empties and removes every cgroup that is not `owned`. What is inside an owned one stays. Returns
// the highest number of a cgroup.
uint64_t SweepCgroups(RuntimeParts* parts, const std::set<std::string>& owned);

}  // namespace tessera::agent
