// Maintenance in tables for people.
#pragma once

#include <string>

#include "absl/time/time.h"
#include "protos/tessera/operators/v1/operator_service.pb.h"

namespace tessera::cli {

std::string ScheduleText(const operators::v1::GetMaintenanceScheduleResponse& schedule);

// `now` tells how long ago answers were given.
std::string StatusText(const operators::v1::GetMaintenanceStatusResponse& status, absl::Time now);

}  // namespace tessera::cli
