#include "cli/read/read_commands.h"

#include <iostream>
#include <optional>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "cli/calls.h"
#include "cli/endpoints.h"
#include "cli/message_json.h"
#include "cli/read/read_tables.h"
#include "cli/run/sandbox_reader.h"
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

}  // namespace

absl::StatusOr<int> ShowAgents(const std::vector<std::string>& arguments) {
  RETURN_IF_ERROR(ExpectArguments(arguments, 0, ""));
  ASSIGN_OR_RETURN(const bool json, WantsJson());
  ASSIGN_OR_RETURN(const auto agents, ListAgents());
  if (json) {
    RETURN_IF_ERROR(PrintJson(agents));
    return 0;
  }
  std::cout << AgentsTable(agents, absl::Now());
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
  std::cout << FrameworksTable(frameworks, absl::Now());
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
  std::cout << TasksTable(tasks);
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
  std::cout << OffersTable(offers);
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
  std::cout << ClusterTable(answer);
  return 0;
}

absl::StatusOr<int> ShowLogs(const std::vector<std::string>& arguments) {
  RETURN_IF_ERROR(ExpectArguments(arguments, 1, "a task: `tessera logs TASK`"));
  ASSIGN_OR_RETURN(const auto view, FindTask(absl::GetFlag(FLAGS_framework), arguments[0]));
  const auto& task = view.task();
  ASSIGN_OR_RETURN(const auto agents, ListAgents({task.agent_id()}));
  if (agents.empty()) {
    return absl::NotFoundError(absl::StrCat("agent ", task.agent_id(), " of task \"", arguments[0],
                                            "\" is not part of the cluster now"));
  }
  const int64_t tail = absl::GetFlag(FLAGS_tail);
  SandboxReader reader;
  const SandboxFile file{agents[0].agent().info().address(), task.framework_id(), task.info().id(),
                         absl::GetFlag(FLAGS_stderr) ? "stderr" : "stdout"};
  int64_t offset = tail < 0 ? 0 : -tail;
  if (tail == 0) {
    // There is no negative zero that would stand for the end.
    ASSIGN_OR_RETURN(offset, reader.Size(file, CommandTimeout()));
  }
  RETURN_IF_ERROR(reader.Read(file, offset, absl::GetFlag(FLAGS_f), CommandTimeout(),
                              [](const std::string& bytes) { std::cout << bytes << std::flush; }));
  return 0;
}

absl::StatusOr<int> Weights(const std::vector<std::string>& arguments) {
  ASSIGN_OR_RETURN(const bool json, WantsJson());
  ASSIGN_OR_RETURN(const auto weights_milli, ParseWeights(arguments));
  if (!weights_milli.empty()) RETURN_IF_ERROR(UpdateWeights(weights_milli));
  ASSIGN_OR_RETURN(const auto roles, ListRoles());
  if (json) {
    RETURN_IF_ERROR(PrintJson(roles));
    return 0;
  }
  std::cout << RolesTable(roles);
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
