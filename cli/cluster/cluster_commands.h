// `tessera cluster up|down|status`: a whole cluster on this machine in one command.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace tessera::cli {

absl::StatusOr<int> ClusterUp(const std::vector<std::string>& arguments);
absl::StatusOr<int> ClusterDown(const std::vector<std::string>& arguments);
absl::StatusOr<int> ClusterStatus(const std::vector<std::string>& arguments);

}  // namespace tessera::cli
