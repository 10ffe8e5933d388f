// Makes a container's sandbox and opens where its output goes.
#pragma once

#include "absl/status/statusor.h"
#include "services/agent/isolators/isolator.h"
#include "services/base/unique_fd.h"

namespace tessera::agent {

struct SandboxFiles {
  base::UniqueFd standard_output;
  base::UniqueFd standard_error;
};

// `<sandbox>` (0750) and in it `stdout` and `stderr` (0644, appended to), all of the user's. What
// is there already stays. Blocking; thread-safe.
absl::StatusOr<SandboxFiles> PrepareSandbox(const std::string& sandbox, const HostUser& user);

}  // namespace tessera::agent
