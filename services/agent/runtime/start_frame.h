// Writes the start request that a container's init reads (launcher/start_request.h). Pure.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "services/agent/isolators/isolator.h"

namespace tessera::agent {

// The whole frame: with the four files of wire::StartFile, in order, and then the plan's root, if
// it has one, and trees. INVALID_ARGUMENT when command and environment are larger than the kernel
// takes.
absl::StatusOr<std::string> StartFrame(const ContainerSpec& spec, const HostUser& user,
                                       const IsolationPlan& plan);

// That of a pod's keeper, which carries the plan's steps out and then only keeps.
std::string KeeperFrame(const IsolationPlan& plan);

}  // namespace tessera::agent
