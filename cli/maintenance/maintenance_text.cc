#include "cli/maintenance/maintenance_text.h"

#include "cli/maintenance/schedule_file.h"
#include "cli/table.h"

namespace tessera::cli {

std::string ScheduleText(const operators::v1::GetMaintenanceScheduleResponse& schedule) {
  Table table({"MACHINE", "START", "DURATION"});
  for (const auto& window : schedule.windows()) {
    const std::string duration = DurationText(window.unavailability());
    for (const auto& machine : window.machines()) {
      table.Add({MachineText(machine), StartText(window.unavailability()),
                 duration.empty() ? "for ever" : duration});
    }
  }
  return table.Format();
}

std::string StatusText(const operators::v1::GetMaintenanceStatusResponse& status, absl::Time now) {
  Table table({"MACHINE", "MODE", "FRAMEWORK", "ANSWER", "AGO"});
  for (const auto& machine : status.down()) table.Add({MachineText(machine), "down"});
  for (const auto& draining : status.draining()) {
    const std::string machine = MachineText(draining.machine());
    if (draining.answers().empty()) table.Add({machine, "draining"});
    for (const auto& answer : draining.answers()) {
      table.Add({machine, "draining", answer.framework_id(),
                 answer.accepted() ? "accepted" : "declined",
                 FormatAge(absl::ToDoubleSeconds(now - absl::UnixEpoch()) - answer.time())});
    }
  }
  return table.Format();
}

}  // namespace tessera::cli
