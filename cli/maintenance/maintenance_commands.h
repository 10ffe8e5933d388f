// `tessera maintenance …`: the schedule of machines, taking them down and bringing them back.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace tessera::cli {

absl::StatusOr<int> ShowMaintenanceSchedule(const std::vector<std::string>& arguments);
absl::StatusOr<int> ApplyMaintenanceSchedule(const std::vector<std::string>& arguments);
absl::StatusOr<int> StartMaintenanceOf(const std::vector<std::string>& machines);
absl::StatusOr<int> StopMaintenanceOf(const std::vector<std::string>& machines);
absl::StatusOr<int> ShowMaintenanceStatus(const std::vector<std::string>& arguments);

}  // namespace tessera::cli
