// What operators may ask for in the maintenance schedule. Pure; the first broken rule is told.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "services/master/core/machine_table.h"
#include "services/master/core/master_config.h"

namespace tessera::master {

// The schedule as `request` wants it in place of `current`; machines that are down stay down.
// INVALID_ARGUMENT (INVALID_FIELD), or RESOURCE_EXHAUSTED (MESSAGE_TOO_LARGE) when it has more
// machines than the config allows.
absl::StatusOr<MachineRows> CheckSchedule(const MasterConfig& config, const MachineRows& current,
                                          const ops::UpdateMaintenanceScheduleRequest& request);

// The machines that a request names: one at least, none twice. INVALID_ARGUMENT (INVALID_FIELD).
absl::StatusOr<std::vector<MachineName>> CheckMachines(
    const google::protobuf::RepeatedPtrField<ops::MachineId>& machines);

}  // namespace tessera::master
