// The runtime's end of the socket to an init: sends the start request, awaits the report.
//
// Blocking; thread-safe.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "services/agent/container/container_runtime.h"

namespace tessera::agent {

// Sends `frame` with `descriptors` and waits for init's word. Nothing when it has started what it
// was asked for, at `*started`; otherwise the step that failed and why. `user` is for the message.
std::optional<LaunchFailure> StartInit(int control, const std::string& frame,
                                       const std::vector<int>& descriptors, absl::Duration timeout,
                                       const std::string& user, absl::Time* started);

}  // namespace tessera::agent
