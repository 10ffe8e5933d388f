#include "cli/maintenance/maintenance_commands.h"

#include <google/protobuf/util/json_util.h>

#include <iostream>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "cli/calls.h"
#include "cli/endpoints.h"
#include "cli/maintenance/maintenance_text.h"
#include "cli/maintenance/schedule_file.h"
#include "services/base/file_io.h"
#include "services/base/status_macros.h"

namespace tessera::cli {

namespace {

absl::Status ExpectNothing(const std::vector<std::string>& arguments) {
  if (arguments.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("unexpected argument \"", arguments[0], "\""));
}

// `Request` has machines.
template <typename Request>
absl::StatusOr<Request> Naming(const std::vector<std::string>& machines) {
  if (machines.empty()) {
    return absl::InvalidArgumentError(
        "name the machines, each a hostname, an ip, or both with a comma between");
  }
  Request request;
  for (const std::string& machine : machines) *request.add_machines() = ParseMachine(machine);
  return request;
}

}  // namespace

absl::StatusOr<int> ShowMaintenanceSchedule(const std::vector<std::string>& arguments) {
  RETURN_IF_ERROR(ExpectNothing(arguments));
  ASSIGN_OR_RETURN(const bool json, WantsJson());
  ASSIGN_OR_RETURN(const auto schedule, GetMaintenanceSchedule());
  std::cout << (json ? ScheduleJson(schedule) : ScheduleText(schedule));
  return 0;
}

absl::StatusOr<int> ApplyMaintenanceSchedule(const std::vector<std::string>& arguments) {
  if (arguments.size() != 1) {
    return absl::InvalidArgumentError(
        "name one file: `tessera maintenance schedule apply -f FILE`");
  }
  ASSIGN_OR_RETURN(const std::string text, base::ReadFile(arguments[0]));
  ASSIGN_OR_RETURN(const auto request, ParseSchedule(text));
  RETURN_IF_ERROR(UpdateMaintenanceSchedule(request));
  return 0;
}

absl::StatusOr<int> StartMaintenanceOf(const std::vector<std::string>& machines) {
  ASSIGN_OR_RETURN(const auto request, Naming<operators::v1::StartMaintenanceRequest>(machines));
  RETURN_IF_ERROR(StartMaintenance(request));
  return 0;
}

absl::StatusOr<int> StopMaintenanceOf(const std::vector<std::string>& machines) {
  ASSIGN_OR_RETURN(const auto request, Naming<operators::v1::StopMaintenanceRequest>(machines));
  RETURN_IF_ERROR(StopMaintenance(request));
  return 0;
}

absl::StatusOr<int> ShowMaintenanceStatus(const std::vector<std::string>& arguments) {
  RETURN_IF_ERROR(ExpectNothing(arguments));
  ASSIGN_OR_RETURN(const bool json, WantsJson());
  ASSIGN_OR_RETURN(const auto status, GetMaintenanceStatus());
  if (!json) {
    std::cout << StatusText(status, absl::Now());
    return 0;
  }
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  std::string out;
  if (const auto printed = google::protobuf::util::MessageToJsonString(status, &out, options);
      !printed.ok()) {
    return absl::InternalError(std::string(printed.message()));
  }
  std::cout << out << "\n";
  return 0;
}

}  // namespace tessera::cli
