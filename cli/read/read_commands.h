// Commands that show the cluster: agents, frameworks, tasks, offers, state, logs; and the small
// ones that change it: weights, kill.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace tessera::cli {

absl::StatusOr<int> ShowAgents(const std::vector<std::string>& arguments);
absl::StatusOr<int> ShowFrameworks(const std::vector<std::string>& arguments);
absl::StatusOr<int> ShowTasks(const std::vector<std::string>& arguments);
absl::StatusOr<int> ShowOffers(const std::vector<std::string>& arguments);
absl::StatusOr<int> ShowState(const std::vector<std::string>& arguments);
absl::StatusOr<int> ShowLogs(const std::vector<std::string>& arguments);
// Sets the weights given as ROLE=WEIGHT, then lists all roles.
absl::StatusOr<int> Weights(const std::vector<std::string>& arguments);
absl::StatusOr<int> Kill(const std::vector<std::string>& arguments);

}  // namespace tessera::cli
