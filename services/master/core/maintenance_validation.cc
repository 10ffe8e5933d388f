#include "services/master/core/maintenance_validation.h"

#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/base/status_macros.h"
#include "services/master/core/times.h"
#include "services/rpc/error.h"

namespace tessera::master {
namespace {

absl::Status CheckUnavailability(const pb::Unavailability& unavailability,
                                 const std::string& field) {
  if (!unavailability.has_start()) {
    return rpc::InvalidField(absl::StrCat(field, ".start"), "is missing");
  }
  if (!IsValid(unavailability.start())) {
    return rpc::InvalidField(absl::StrCat(field, ".start"), "is not a time");
  }
  if (unavailability.has_duration() &&
      (!IsValid(unavailability.duration()) ||
       DurationOf(unavailability.duration()) < absl::ZeroDuration())) {
    return rpc::InvalidField(absl::StrCat(field, ".duration"), "must not be negative");
  }
  return absl::OkStatus();
}

absl::StatusOr<MachineName> ReadMachine(const ops::MachineId& id, const std::string& field) {
  auto name = ReadMachineName(id);
  if (!name.ok()) return rpc::InvalidField(field, std::string(name.status().message()));
  return name;
}

}  // namespace

absl::StatusOr<MachineRows> CheckSchedule(const MasterConfig& config, const MachineRows& current,
                                          const ops::UpdateMaintenanceScheduleRequest& request) {
  MachineRows rows;
  for (int i = 0; i < request.windows_size(); ++i) {
    const ops::MaintenanceWindow& window = request.windows(i);
    const std::string field = absl::StrCat("windows[", i, "]");
    if (window.machines().empty()) {
      return rpc::InvalidField(field + ".machines", "a window has a machine at least");
    }
    RETURN_IF_ERROR(CheckUnavailability(window.unavailability(), field + ".unavailability"));
    for (int j = 0; j < window.machines_size(); ++j) {
      const std::string place = absl::StrCat(field, ".machines[", j, "]");
      ASSIGN_OR_RETURN(MachineName name, ReadMachine(window.machines(j), place));
      Machine machine;
      machine.unavailability = window.unavailability();
      auto before = current.find(name);
      machine.down = before != current.end() && before->second.down;
      const auto [row, fresh] = rows.try_emplace(std::move(name), std::move(machine));
      if (!fresh) {
        return rpc::InvalidField(place,
                                 absl::StrCat("machine ", ToString(row->first), " is there twice"));
      }
      if (rows.size() > config.maintenance_machines_max) {
        return rpc::Error(
            absl::StatusCode::kResourceExhausted, pb::ErrorDetail::MESSAGE_TOO_LARGE,
            absl::StrCat("a schedule has at most ", config.maintenance_machines_max, " machines"));
      }
    }
  }
  for (const auto& [name, machine] : current) {
    if (machine.down && !rows.contains(name)) {
      return rpc::InvalidField("windows", absl::StrCat("machine ", ToString(name),
                                                       " is down: it stays in the schedule until "
                                                       "its maintenance is stopped"));
    }
  }
  return rows;
}

absl::StatusOr<std::vector<MachineName>> CheckMachines(
    const google::protobuf::RepeatedPtrField<ops::MachineId>& machines) {
  if (machines.empty()) return rpc::InvalidField("machines", "name one machine at least");
  std::vector<MachineName> names;
  std::set<MachineName> seen;
  for (int i = 0; i < machines.size(); ++i) {
    const std::string field = absl::StrCat("machines[", i, "]");
    ASSIGN_OR_RETURN(const MachineName name, ReadMachine(machines.Get(i), field));
    if (!seen.insert(name).second) {
      return rpc::InvalidField(field, absl::StrCat("machine ", ToString(name), " is there twice"));
    }
    names.push_back(name);
  }
  return names;
}

}  // namespace tessera::master
