// Makes a container's sandbox and opens where its output goes.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "services/agent/isolators/isolator.h"
#include "services/base/unique_fd.h"

namespace tessera::agent {

struct SandboxFiles {
  base::UniqueFd standard_output;
  base::UniqueFd standard_error;
};

// `<sandbox>` (0750) of the user's, open, with its parents (0755) where they are missing. What is
// there already stays. Others may remove empty parents meanwhile. Blocking; thread-safe.
absl::StatusOr<base::UniqueFd> MakeSandboxDirectory(const std::string& sandbox,
                                                    const HostUser& user);

// The same, and in it `stdout` and `stderr` (0644, appended to), the user's, too.
absl::StatusOr<SandboxFiles> OpenSandboxFiles(const std::string& sandbox, const HostUser& user);

}  // namespace tessera::agent
