#include "cli/maintenance/schedule_file.h"

#include <arpa/inet.h>

#include <nlohmann/json.hpp>
#include <set>

#include "absl/strings/str_cat.h"
#include "services/base/status_macros.h"

namespace tessera::cli {

namespace {

using nlohmann::json;
using operators::v1::MachineId;
using operators::v1::MaintenanceWindow;

absl::Status Bad(const std::string& where, const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat("schedule file: ", where, " ", what));
}

absl::Status RefuseUnknown(const json& object, const std::string& where,
                           const std::set<std::string>& known) {
  for (const auto& [key, value] : object.items()) {
    if (!known.contains(key)) return Bad(where, absl::StrCat("has an unknown field \"", key, "\""));
  }
  return absl::OkStatus();
}

bool IsIp(const std::string& text) {
  unsigned char bytes[sizeof(in6_addr)];
  return inet_pton(AF_INET, text.c_str(), bytes) == 1 ||
         inet_pton(AF_INET6, text.c_str(), bytes) == 1;
}

absl::Status ReadMachines(const json& window, const std::string& where, MaintenanceWindow* out) {
  if (!window.contains("machines") || !window["machines"].is_array() ||
      window["machines"].empty()) {
    return Bad(where, "has no machines: list one at least, as in \"machines\": [\"host-1\"]");
  }
  for (const json& machine : window["machines"]) {
    if (!machine.is_string() || machine.get<std::string>().empty()) {
      return Bad(absl::StrCat(where, ".machines[", out->machines_size(), "]"),
                 "must be a string: a hostname, an ip, or both with a comma between");
    }
    *out->add_machines() = ParseMachine(machine.get<std::string>());
  }
  return absl::OkStatus();
}

absl::Status ReadTimes(const json& window, const std::string& where, MaintenanceWindow* out) {
  absl::Time start;
  std::string error;
  if (!window.contains("start") || !window["start"].is_string() ||
      !absl::ParseTime(absl::RFC3339_full, window["start"].get<std::string>(), &start, &error)) {
    return Bad(where + ".start", "must be a time such as \"2026-11-28T22:00:00Z\"");
  }
  auto* unavailability = out->mutable_unavailability();
  const int64_t seconds = absl::ToUnixSeconds(start);
  unavailability->mutable_start()->set_seconds(seconds);
  unavailability->mutable_start()->set_nanos(
      static_cast<int32_t>(absl::ToInt64Nanoseconds(start - absl::FromUnixSeconds(seconds))));
  if (!window.contains("duration")) return absl::OkStatus();
  absl::Duration duration;
  if (!window["duration"].is_string() ||
      !absl::ParseDuration(window["duration"].get<std::string>(), &duration) ||
      duration < absl::ZeroDuration() || duration == absl::InfiniteDuration()) {
    return Bad(where + ".duration",
               "must be a duration such as \"2h\" or \"1h30m\"; leave it out for ever");
  }
  absl::Duration rest;
  unavailability->mutable_duration()->set_seconds(
      absl::IDivDuration(duration, absl::Seconds(1), &rest));
  unavailability->mutable_duration()->set_nanos(
      static_cast<int32_t>(absl::ToInt64Nanoseconds(rest)));
  return absl::OkStatus();
}

}  // namespace

MachineId ParseMachine(std::string_view text) {
  MachineId machine;
  const size_t comma = text.find(',');
  if (comma != std::string_view::npos) {
    machine.set_hostname(std::string(text.substr(0, comma)));
    machine.set_ip(std::string(text.substr(comma + 1)));
  } else if (IsIp(std::string(text))) {
    machine.set_ip(std::string(text));
  } else {
    machine.set_hostname(std::string(text));
  }
  return machine;
}

std::string MachineText(const MachineId& machine) {
  const bool both = !machine.hostname().empty() && !machine.ip().empty();
  return absl::StrCat(machine.hostname(), both ? "," : "", machine.ip());
}

std::string StartText(const model::v1::Unavailability& unavailability) {
  const absl::Time start = absl::FromUnixSeconds(unavailability.start().seconds()) +
                           absl::Nanoseconds(unavailability.start().nanos());
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E*SZ", start, absl::UTCTimeZone());
}

std::string DurationText(const model::v1::Unavailability& unavailability) {
  if (!unavailability.has_duration()) return "";
  return absl::FormatDuration(absl::Seconds(unavailability.duration().seconds()) +
                              absl::Nanoseconds(unavailability.duration().nanos()));
}

absl::StatusOr<operators::v1::UpdateMaintenanceScheduleRequest> ParseSchedule(
    std::string_view text) {
  const json root = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (root.is_discarded()) return Bad("the file", "is not valid JSON");
  if (!root.is_object() || !root.contains("windows") || !root["windows"].is_array()) {
    return Bad("the file", "must hold an object with an array \"windows\"");
  }
  RETURN_IF_ERROR(RefuseUnknown(root, "the file", {"windows", "etag"}));
  operators::v1::UpdateMaintenanceScheduleRequest request;
  if (root.contains("etag")) {
    if (!root["etag"].is_string()) return Bad("etag", "must be a string");
    request.set_expected_etag(root["etag"].get<std::string>());
  }
  for (const json& window : root["windows"]) {
    const std::string where = absl::StrCat("windows[", request.windows_size(), "]");
    if (!window.is_object()) return Bad(where, "must be an object");
    RETURN_IF_ERROR(RefuseUnknown(window, where, {"machines", "start", "duration"}));
    MaintenanceWindow* out = request.add_windows();
    RETURN_IF_ERROR(ReadMachines(window, where, out));
    RETURN_IF_ERROR(ReadTimes(window, where, out));
  }
  return request;
}

std::string ScheduleJson(const operators::v1::GetMaintenanceScheduleResponse& schedule) {
  nlohmann::ordered_json root;
  root["etag"] = schedule.etag();
  root["windows"] = nlohmann::ordered_json::array();
  for (const MaintenanceWindow& window : schedule.windows()) {
    nlohmann::ordered_json out;
    for (const MachineId& machine : window.machines()) {
      out["machines"].push_back(MachineText(machine));
    }
    out["start"] = StartText(window.unavailability());
    if (window.unavailability().has_duration()) {
      out["duration"] = DurationText(window.unavailability());
    }
    root["windows"].push_back(std::move(out));
  }
  return root.dump(2) + "\n";
}

}  // namespace tessera::cli
