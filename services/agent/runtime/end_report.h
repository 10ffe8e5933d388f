// What is told of a container that has ended.
//
// Blocking: reads its state file and cgroup. Thread-safe.
#pragma once

#include <optional>

#include "services/agent/runtime/linux_containers.h"
#include "services/agent/runtime/runtime_parts.h"

namespace tessera::agent {

// The limits that hold for the container; under the runtime's mutex.
Limits LimitsOf(const LinuxContainer& container);

// The limit that the container has reached, if it has.
std::optional<ContainerLimitation> JudgeLimits(const RuntimeParts& parts,
                                               const LinuxContainer& container,
                                               const Limits& limits, bool told);

// The end of a container whose processes are gone; a limitation is noted in its state file.
// `killed`, `told`: as in LinuxContainer, read under the mutex.
ContainerTermination ReportEnd(const RuntimeParts& parts, const LinuxContainer& container,
                               const Limits& limits, bool killed, bool told);

}  // namespace tessera::agent
