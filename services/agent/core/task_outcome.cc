#include "services/agent/core/task_outcome.h"

#include <sys/wait.h>

#include "absl/strings/str_cat.h"

namespace tessera::agent {
namespace {

using checkpoint::Record;

std::string WhyKilled(KillCause cause) {
  switch (cause) {
    case Record::KILL_GROUP:
      return "Killed because another task of its group failed or was killed";
    case Record::KILL_DRAINING:
      return "Killed because the agent is drained";
    case Record::KILL_FRAMEWORK_SHUTDOWN:
      return "Killed because its framework was shut down";
    case Record::KILL_AGENT_SHUTDOWN:
      return "Killed because the agent was shut down";
    case Record::KILL_OPERATOR:
      return "Killed by an operator on the agent";
    case Record::KILL_LAUNCH_DEADLINE:
      return "Given up because its container was not started in time";
    case Record::KILL_REQUESTED:
    case Record::KILL_COMPLETION_TIME:
    case Record::KILL_CAUSE_UNSPECIFIED:
    default:  // of a log that a newer agent wrote
      break;
  }
  return "Killed on request";
}

// A kill that the task is told of as a kill; the others are failures of their own.
bool IsKill(const Task& task) {
  return task.kill.has_value() && task.kill->cause != Record::KILL_COMPLETION_TIME &&
         task.kill->cause != Record::KILL_LAUNCH_DEADLINE;
}

Outcome OutcomeOfLateLaunch(const Task& task) {
  Outcome outcome;
  outcome.state = model::v1::TASK_FAILED;
  outcome.reason = model::v1::REASON_CONTAINER_LAUNCH_FAILED;
  outcome.message = WhyKilled(task.kill->cause);
  return outcome;
}

}  // namespace

std::string DescribeExit(int wait_status) {
  return absl::StrCat("Command ", DescribeWaitStatus(wait_status));
}

model::v1::TaskStatusReason ReasonOf(const ContainerLimitation& limitation) {
  switch (limitation.resource) {
    case ContainerLimitation::Resource::kMemory:
      return model::v1::REASON_CONTAINER_LIMITATION_MEMORY;
    case ContainerLimitation::Resource::kDisk:
      return model::v1::REASON_CONTAINER_LIMITATION_DISK;
    case ContainerLimitation::Resource::kPorts:
      break;
  }
  return model::v1::REASON_CONTAINER_LIMITATION;
}

model::v1::Resource MaximumUsed(const ContainerLimitation& limitation) {
  const std::string_view name = LimitedResourceName(limitation.resource);
  model::v1::Resource used;
  used.set_name(name.data(), name.size());
  used.mutable_scalar()->set_milli(limitation.maximum_used_bytes / 1024 * 1000 / 1024);
  return used;
}

Outcome OutcomeOf(const Task& task, const ContainerTermination& termination) {
  if (task.kill.has_value() && task.kill->cause == Record::KILL_LAUNCH_DEADLINE) {
    return OutcomeOfLateLaunch(task);
  }
  Outcome outcome;
  outcome.wait_status = termination.wait_status;
  outcome.message = DescribeExit(termination.wait_status);
  if (task.kill.has_value() && task.kill->cause == Record::KILL_COMPLETION_TIME) {
    outcome.state = model::v1::TASK_FAILED;
    outcome.reason = model::v1::REASON_MAX_COMPLETION_TIME_REACHED;
    outcome.message = absl::StrCat("Ran longer than its max_completion_time: ", outcome.message);
  } else if (task.kill.has_value()) {
    outcome.state = model::v1::TASK_KILLED;
    if (task.kill->cause == Record::KILL_DRAINING) {
      outcome.reason = model::v1::REASON_AGENT_DRAINING;
    }
    outcome.message = absl::StrCat(WhyKilled(task.kill->cause), ": ", outcome.message);
  } else if (termination.limitation.has_value()) {
    outcome.state = model::v1::TASK_FAILED;
    outcome.reason = ReasonOf(*termination.limitation);
    outcome.message = termination.limitation->message;
    outcome.limitation.push_back(MaximumUsed(*termination.limitation));
  } else if (WIFEXITED(termination.wait_status) && WEXITSTATUS(termination.wait_status) == 0) {
    outcome.state = model::v1::TASK_FINISHED;
  } else {
    outcome.state = model::v1::TASK_FAILED;
  }
  return outcome;
}

Outcome OutcomeOf(const Task& task, const LaunchFailure& failure) {
  if (task.kill.has_value() && task.kill->cause == Record::KILL_LAUNCH_DEADLINE) {
    return OutcomeOfLateLaunch(task);
  }
  Outcome outcome;
  if (IsKill(task)) {
    outcome.state = model::v1::TASK_KILLED;
    outcome.reason = task.kill->cause == Record::KILL_DRAINING
                         ? model::v1::REASON_AGENT_DRAINING
                         : model::v1::REASON_TASK_KILLED_DURING_LAUNCH;
    outcome.message = absl::StrCat(WhyKilled(task.kill->cause), " before it was started");
    return outcome;
  }
  const std::string_view step = LaunchStepName(failure.step);
  outcome.state = model::v1::TASK_FAILED;
  outcome.reason = model::v1::REASON_CONTAINER_LAUNCH_FAILED;
  outcome.message =
      absl::StrCat("Failed to launch container (", absl::string_view(step.data(), step.size()),
                   "): ", failure.message);
  return outcome;
}

Outcome OutcomeOfLost(const Task& task, const std::string& why, bool rebooted) {
  Outcome outcome;
  if (IsKill(task)) {
    outcome.state = model::v1::TASK_KILLED;
    outcome.message = absl::StrCat(WhyKilled(task.kill->cause), "; its exit is not known: ", why);
    return outcome;
  }
  const bool started = rebooted || task.started != absl::InfinitePast();
  outcome.state = started ? model::v1::TASK_GONE : model::v1::TASK_DROPPED;
  outcome.reason = model::v1::REASON_AGENT_RESTARTED;
  outcome.message = absl::StrCat("The container was not found after a restart of the ",
                                 rebooted ? "machine" : "agent", ": ", why);
  return outcome;
}

}  // namespace tessera::agent
