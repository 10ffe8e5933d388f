#include "cli/read/read_commands.h"

#include <google/protobuf/util/json_util.h>

#include <cmath>
#include <iostream>
#include <map>

#include "absl/flags/flag.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "cli/calls.h"
#include "cli/endpoints.h"
#include "cli/run/sandbox_reader.h"
#include "cli/table.h"
#include "services/base/status_macros.h"

ABSL_FLAG(bool, all, false, "show ended ones, too");
ABSL_FLAG(std::string, framework, "", "id of the framework");
ABSL_FLAG(bool, stderr, false, "the standard error instead of the standard output");
ABSL_FLAG(bool, f, false,
          "logs: go on until the task has ended; maintenance schedule apply: the file follows");
ABSL_FLAG(int64_t, tail, -1,
          "number of bytes before the end at which to start; -1: at the beginning");
ABSL_FLAG(absl::Duration, grace, absl::InfiniteDuration(),
          "duration (e.g. 10s) between the polite and the forced kill; inf: the task's own policy");

namespace tessera::cli {

namespace {

absl::Status ExpectArguments(const std::vector<std::string>& arguments, size_t count,
                             const char* what) {
  if (arguments.size() == count) return absl::OkStatus();
  if (arguments.size() < count) return absl::InvalidArgumentError(absl::StrCat("name ", what));
  return absl::InvalidArgumentError(absl::StrCat("unexpected argument \"", arguments[count], "\""));
}

// One JSON array of messages, with the field names of the contracts.
template <typename Message>
absl::Status PrintJson(const std::vector<Message>& messages) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  std::cout << "[";
  for (size_t i = 0; i < messages.size(); ++i) {
    std::string json;
    const auto status = google::protobuf::util::MessageToJsonString(messages[i], &json, options);
    if (!status.ok()) return absl::InternalError(std::string(status.message()));
    std::cout << (i > 0 ? ",\n " : "") << json;
  }
  std::cout << "]\n";
  return absl::OkStatus();
}

template <typename Resources>
std::map<std::string, int64_t> Scalars(const Resources& resources) {
  std::map<std::string, int64_t> sums;
  for (const auto& resource : resources) {
    if (resource.has_scalar()) sums[resource.name()] += resource.scalar().milli();
  }
  return sums;
}

// "used/total" of one resource.
template <typename Used, typename Total>
std::string Share(const Used& used, const Total& total, const std::string& name) {
  auto used_sums = Scalars(used);
  auto total_sums = Scalars(total);
  return absl::StrCat(FormatMilli(used_sums[name]), "/", FormatMilli(total_sums[name]));
}

// "cpus:0.5 mem:64".
template <typename Resources>
std::string Amounts(const Resources& resources) {
  std::vector<std::string> parts;
  for (const auto& [name, milli] : Scalars(resources)) {
    parts.push_back(absl::StrCat(name, ":", FormatMilli(milli)));
  }
  return absl::StrJoin(parts, " ");
}

// "connected" for AGENT_STATE_CONNECTED.
std::string Word(const std::string& enum_name, const std::string& prefix) {
  return absl::AsciiStrToLower(absl::StripPrefix(enum_name, prefix));
}

std::string AgeOf(const google::protobuf::Timestamp& time) {
  if (time.seconds() == 0) return "-";
  return FormatAge(absl::ToDoubleSeconds(absl::Now() - absl::FromUnixSeconds(time.seconds())));
}

}  // namespace

absl::StatusOr<int> ShowAgents(const std::vector<std::string>& arguments) {
  RETURN_IF_ERROR(ExpectArguments(arguments, 0, ""));
  ASSIGN_OR_RETURN(const bool json, WantsJson());
  ASSIGN_OR_RETURN(const auto agents, ListAgents());
  if (json) {
    RETURN_IF_ERROR(PrintJson(agents));
    return 0;
  }
  Table table({"ID", "HOSTNAME", "ADDRESS", "STATE", "TASKS", "CPUS", "MEM", "DISK", "SINCE"});
  for (const auto& view : agents) {
    const auto& record = view.agent();
    std::string agent_state = Word(model::v1::AgentState_Name(record.state()), "AGENT_STATE_");
    if (record.has_drain()) {
      agent_state += absl::StrCat(
          " ", Word(model::v1::DrainState_Name(record.drain().state()), "DRAIN_STATE_"));
    } else if (record.deactivated()) {
      agent_state += " deactivated";
    }
    table.Add({record.info().id(), record.info().hostname(), record.info().address(), agent_state,
               absl::StrCat(view.tasks()), Share(view.used(), record.total_resources(), "cpus"),
               Share(view.used(), record.total_resources(), "mem"),
               Share(view.used(), record.total_resources(), "disk"),
               AgeOf(record.registered_time())});
  }
  std::cout << table.Format();
  return 0;
}

absl::StatusOr<int> ShowFrameworks(const std::vector<std::string>& arguments) {
  RETURN_IF_ERROR(ExpectArguments(arguments, 0, ""));
  ASSIGN_OR_RETURN(const bool json, WantsJson());
  ASSIGN_OR_RETURN(const auto frameworks, ListFrameworks(absl::GetFlag(FLAGS_all)));
  if (json) {
    RETURN_IF_ERROR(PrintJson(frameworks));
    return 0;
  }
  Table table({"ID", "NAME", "STATE", "ROLES", "TASKS", "ENDED", "USED", "OFFERED", "SINCE"});
  for (const auto& view : frameworks) {
    const auto& record = view.framework();
    table.Add({record.info().id(), record.info().name(),
               Word(model::v1::FrameworkState_Name(record.state()), "FRAMEWORK_STATE_"),
               absl::StrJoin(record.info().roles(), ","), absl::StrCat(view.active_tasks()),
               absl::StrCat(view.completed_tasks()), Amounts(view.used()), Amounts(view.offered()),
               AgeOf(record.registered_time())});
  }
  std::cout << table.Format();
  return 0;
}

absl::StatusOr<int> ShowTasks(const std::vector<std::string>& arguments) {
  RETURN_IF_ERROR(ExpectArguments(arguments, 0, ""));
  ASSIGN_OR_RETURN(const bool json, WantsJson());
  state::v1::ListTasksRequest filter;
  filter.set_framework_id(absl::GetFlag(FLAGS_framework));
  filter.set_with_completed(absl::GetFlag(FLAGS_all));
  ASSIGN_OR_RETURN(const auto tasks, ListTasks(std::move(filter)));
  if (json) {
    RETURN_IF_ERROR(PrintJson(tasks));
    return 0;
  }
  Table table({"ID", "FRAMEWORK", "AGENT", "STATE", "RESOURCES", "MESSAGE"});
  for (const auto& view : tasks) {
    const auto& task = view.task();
    table.Add({task.info().id(), task.framework_id(), task.info().agent_id(),
               Word(model::v1::TaskState_Name(task.state()), "TASK_"),
               Amounts(task.info().resources()),
               task.statuses().empty() ? "" : task.statuses().rbegin()->message()});
  }
  std::cout << table.Format();
  return 0;
}

absl::StatusOr<int> ShowOffers(const std::vector<std::string>& arguments) {
  RETURN_IF_ERROR(ExpectArguments(arguments, 0, ""));
  ASSIGN_OR_RETURN(const bool json, WantsJson());
  ASSIGN_OR_RETURN(const auto offers, ListOffers(absl::GetFlag(FLAGS_framework)));
  if (json) {
    RETURN_IF_ERROR(PrintJson(offers));
    return 0;
  }
  Table table({"ID", "FRAMEWORK", "ROLE", "AGENT", "HOSTNAME", "RESOURCES"});
  for (const auto& offer : offers) {
    table.Add({offer.id(), offer.framework_id(), offer.role(), offer.agent_id(), offer.hostname(),
               Amounts(offer.resources())});
  }
  std::cout << table.Format();
  return 0;
}

absl::StatusOr<int> ShowState(const std::vector<std::string>& arguments) {
  RETURN_IF_ERROR(ExpectArguments(arguments, 0, ""));
  ASSIGN_OR_RETURN(const bool json, WantsJson());
  if (json) {
    ASSIGN_OR_RETURN(const std::string address, StateHttpAddress());
    ASSIGN_OR_RETURN(const std::string body, HttpGet(address, "/state"));
    std::cout << body << "\n";
    return 0;
  }
  ASSIGN_OR_RETURN(const auto answer, GetCluster());
  Table table({"CLUSTER", ""});
  table.Add({"name", answer.cluster().cluster_name()});
  table.Add({"master", answer.cluster().address()});
  table.Add({"version", answer.cluster().version()});
  table.Add({"epoch", absl::StrCat(answer.epoch())});
  table.Add({"agents", absl::StrCat(answer.agents_active(), " active, ", answer.agents_inactive(),
                                    " inactive, ", answer.agents_unreachable(), " unreachable")});
  table.Add({"frameworks", absl::StrCat(answer.frameworks_active(), " active, ",
                                        answer.frameworks_inactive(), " inactive")});
  table.Add({"offers", absl::StrCat(answer.offers())});
  const std::map<std::string, uint64_t> tasks(answer.tasks_by_state().begin(),
                                              answer.tasks_by_state().end());
  for (const auto& [task_state, count] : tasks) {
    table.Add({absl::StrCat("tasks ", Word(task_state, "TASK_")), absl::StrCat(count)});
  }
  table.Add({"age of this view", FormatAge(answer.feed_age_seconds())});
  std::cout << table.Format();
  return 0;
}

absl::StatusOr<int> ShowLogs(const std::vector<std::string>& arguments) {
  RETURN_IF_ERROR(ExpectArguments(arguments, 1, "a task: `tessera logs TASK`"));
  ASSIGN_OR_RETURN(const auto view, FindTask(absl::GetFlag(FLAGS_framework), arguments[0]));
  const auto& task = view.task();
  ASSIGN_OR_RETURN(const auto agents, ListAgents({task.info().agent_id()}));
  if (agents.empty()) {
    return absl::NotFoundError(absl::StrCat("agent ", task.info().agent_id(), " of task \"",
                                            arguments[0], "\" is not part of the cluster now"));
  }
  const int64_t tail = absl::GetFlag(FLAGS_tail);
  SandboxReader reader;
  RETURN_IF_ERROR(reader.Read({agents[0].agent().info().address(), task.framework_id(),
                               task.info().id(), absl::GetFlag(FLAGS_stderr) ? "stderr" : "stdout"},
                              tail < 0 ? 0 : -tail, absl::GetFlag(FLAGS_f), CommandTimeout(),
                              [](const std::string& bytes) { std::cout << bytes << std::flush; }));
  return 0;
}

absl::StatusOr<int> Weights(const std::vector<std::string>& arguments) {
  ASSIGN_OR_RETURN(const bool json, WantsJson());
  std::map<std::string, int64_t> weights_milli;
  for (const std::string& argument : arguments) {
    const size_t equals = argument.rfind('=');
    double weight = 0;
    if (equals == std::string::npos || !absl::SimpleAtod(argument.substr(equals + 1), &weight) ||
        !(weight >= 0.001) || weight > 1e9) {
      return absl::InvalidArgumentError(absl::StrCat(
          "\"", argument, "\" is malformed: write ROLE=WEIGHT with a weight of at least 0.001"));
    }
    weights_milli[argument.substr(0, equals)] = std::llround(weight * 1000);
  }
  if (!weights_milli.empty()) RETURN_IF_ERROR(UpdateWeights(weights_milli));
  ASSIGN_OR_RETURN(const auto roles, ListRoles());
  if (json) {
    RETURN_IF_ERROR(PrintJson(roles));
    return 0;
  }
  Table table({"ROLE", "WEIGHT", "FRAMEWORKS", "ALLOCATED"});
  for (const auto& view : roles) {
    table.Add({view.role().name(), FormatMilli(view.role().weight_milli()),
               absl::StrCat(view.framework_ids_size()), Amounts(view.allocated())});
  }
  std::cout << table.Format();
  return 0;
}

absl::StatusOr<int> Kill(const std::vector<std::string>& arguments) {
  RETURN_IF_ERROR(ExpectArguments(arguments, 1, "a task: `tessera kill TASK`"));
  ASSIGN_OR_RETURN(const auto view, FindTask(absl::GetFlag(FLAGS_framework), arguments[0]));
  std::optional<absl::Duration> grace;
  if (absl::GetFlag(FLAGS_grace) != absl::InfiniteDuration()) grace = absl::GetFlag(FLAGS_grace);
  if (grace && *grace < absl::ZeroDuration()) {
    return absl::InvalidArgumentError("--grace must not be negative");
  }
  RETURN_IF_ERROR(KillTask(view.task().framework_id(), view.task().info().id(), grace));
  std::cout << "killing " << view.task().info().id() << "\n";
  return 0;
}

}  // namespace tessera::cli
