#include "cli/run/job.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "absl/strings/str_cat.h"
#include "services/base/status_macros.h"
#include "services/model/ids.h"
#include "services/model/role.h"

namespace tessera::cli {

namespace {

using nlohmann::json;

constexpr size_t kTasksMax = 1'000'000;
constexpr double kQuantityMax = 1e12;

absl::Status Bad(const std::string& where, const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat("job file: ", where, " ", what));
}

absl::Status ReadString(const json& object, const char* key, const std::string& where,
                        std::string* out) {
  if (!object.contains(key)) return absl::OkStatus();
  if (!object[key].is_string()) return Bad(where + "." + key, "must be a string");
  *out = object[key].get<std::string>();
  return absl::OkStatus();
}

absl::Status ReadQuantity(const json& object, const char* key, const std::string& where,
                          int64_t* out_milli) {
  if (!object.contains(key)) return absl::OkStatus();
  if (!object[key].is_number()) return Bad(where + "." + key, "must be a number");
  const double value = object[key].get<double>();
  if (!(value >= 0) || value > kQuantityMax) {
    return Bad(where + "." + key, "must be at least 0 and at most 1e12");
  }
  *out_milli = std::llround(value * 1000);
  return absl::OkStatus();
}

absl::Status RefuseUnknown(const json& object, const std::string& where,
                           const std::set<std::string>& known) {
  for (const auto& [key, value] : object.items()) {
    if (!known.contains(key)) return Bad(where, absl::StrCat("has an unknown field \"", key, "\""));
  }
  return absl::OkStatus();
}

// What a task and the defaults have in common.
absl::Status ReadTaskFields(const json& object, const std::string& where, JobTask* task) {
  RETURN_IF_ERROR(ReadQuantity(object, "cpus", where, &task->cpus_milli));
  RETURN_IF_ERROR(ReadQuantity(object, "mem", where, &task->mem_milli));
  RETURN_IF_ERROR(ReadQuantity(object, "disk", where, &task->disk_milli));
  RETURN_IF_ERROR(ReadString(object, "user", where, &task->user));
  if (!object.contains("environment")) return absl::OkStatus();
  const json& environment = object["environment"];
  if (!environment.is_object()) return Bad(where + ".environment", "must be an object");
  for (const auto& [name, value] : environment.items()) {
    if (!value.is_string()) return Bad(where + ".environment." + name, "must be a string");
    task->environment[name] = value.get<std::string>();
  }
  return absl::OkStatus();
}

absl::Status ReadCommand(const json& object, const std::string& where, JobTask* task) {
  if (!object.contains("command")) return Bad(where, "has no command");
  const json& command = object["command"];
  if (command.is_string()) {
    task->shell = command.get<std::string>();
    return absl::OkStatus();
  }
  if (!command.is_array()) {
    return Bad(where + ".command", "must be a shell line or an array of arguments");
  }
  for (const json& argument : command) {
    if (!argument.is_string()) return Bad(where + ".command", "must hold strings");
    task->argv.push_back(argument.get<std::string>());
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Job> ParseJob(std::string_view text) {
  const json root = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (root.is_discarded()) return absl::InvalidArgumentError("the job file is not valid JSON");
  if (!root.is_object()) return Bad("the file", "must hold an object");
  RETURN_IF_ERROR(RefuseUnknown(root, "the file", {"name", "role", "user", "defaults", "tasks"}));
  Job job;
  RETURN_IF_ERROR(ReadString(root, "name", "the file", &job.name));
  RETURN_IF_ERROR(ReadString(root, "role", "the file", &job.role));
  RETURN_IF_ERROR(ReadString(root, "user", "the file", &job.user));
  JobTask defaults;
  if (root.contains("defaults")) {
    const json& given = root["defaults"];
    if (!given.is_object()) return Bad("defaults", "must be an object");
    RETURN_IF_ERROR(
        RefuseUnknown(given, "defaults", {"cpus", "mem", "disk", "user", "environment"}));
    RETURN_IF_ERROR(ReadTaskFields(given, "defaults", &defaults));
  }
  if (!root.contains("tasks") || !root["tasks"].is_array()) {
    return Bad("the file", "has no array \"tasks\"");
  }
  for (const json& entry : root["tasks"]) {
    const std::string where = absl::StrCat("tasks[", job.tasks.size(), "]");
    if (!entry.is_object()) return Bad(where, "must be an object");
    RETURN_IF_ERROR(RefuseUnknown(
        entry, where, {"name", "command", "cpus", "mem", "disk", "user", "environment"}));
    JobTask task = defaults;
    task.name = absl::StrCat("task-", job.tasks.size() + 1);
    RETURN_IF_ERROR(ReadString(entry, "name", where, &task.name));
    RETURN_IF_ERROR(ReadTaskFields(entry, where, &task));
    RETURN_IF_ERROR(ReadCommand(entry, where, &task));
    job.tasks.push_back(std::move(task));
    if (job.tasks.size() > kTasksMax) return Bad("tasks", "has more than 1,000,000 entries");
  }
  return job;
}

absl::Status ValidateJob(const Job& job) {
  if (job.name.empty()) return absl::InvalidArgumentError("the job has no name");
  RETURN_IF_ERROR(model::ValidateRole(job.role));
  if (job.tasks.empty()) return absl::InvalidArgumentError("the job has no tasks");
  std::set<std::string> names;
  for (const JobTask& task : job.tasks) {
    RETURN_IF_ERROR(model::ValidateId("task name", task.name));
    if (!names.insert(task.name).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("the job has two tasks named \"", task.name, "\""));
    }
    if (task.cpus_milli <= 0 || task.mem_milli <= 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("task \"", task.name, "\" needs cpus and mem above 0"));
    }
    if (task.shell.empty() && task.argv.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("task \"", task.name, "\" has nothing to run"));
    }
  }
  return absl::OkStatus();
}

}  // namespace tessera::cli
