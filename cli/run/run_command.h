// `tessera run`: runs a command, or the tasks of a job file, on the cluster.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace tessera::cli {

// Returns the exit status: that of the command for a single task (128 + n when signal n ended it),
// for several 0 when all finished and 1 otherwise; 130 when interrupted.
absl::StatusOr<int> Run(const std::vector<std::string>& arguments);

}  // namespace tessera::cli
