// Writes the start request that a container's init reads (launcher/start_request.h). Pure.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "services/agent/isolators/isolator.h"

namespace tessera::agent {

// The whole frame. INVALID_ARGUMENT when command and environment are larger than the kernel takes.
absl::StatusOr<std::string> StartFrame(const ContainerSpec& spec, const HostUser& user,
                                       const IsolationPlan& plan);

}  // namespace tessera::agent
