// The maintenance schedule as people write it, and machines as they name them.
//
// A schedule is JSON:
//   {"windows": [{"machines": ["host-1", "10.0.0.7", "host-2,10.0.0.8"],
//                 "start": "2026-11-28T22:00:00Z", "duration": "2h"}]}
// A machine is a hostname, an ip, or both with a comma between. `start` is a time of RFC 3339. A
// window without `duration` is for ever. With `etag`, as the schedule is printed, the file replaces
// only the schedule that it was made from.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "protos/tessera/operators/v1/operator_service.pb.h"

namespace tessera::cli {

// INVALID_ARGUMENT names the place and what is wrong with it.
absl::StatusOr<operators::v1::UpdateMaintenanceScheduleRequest> ParseSchedule(
    std::string_view json);
// What ParseSchedule reads, for people and scripts.
std::string ScheduleJson(const operators::v1::GetMaintenanceScheduleResponse& schedule);

// Whether a machine of this name can be is for the master to say.
operators::v1::MachineId ParseMachine(std::string_view text);
std::string MachineText(const operators::v1::MachineId& machine);

// "2026-11-28T22:00:00Z".
std::string StartText(const model::v1::Unavailability& unavailability);
// "2h"; empty when it is for ever.
std::string DurationText(const model::v1::Unavailability& unavailability);

}  // namespace tessera::cli
