#include "services/model/task_state.h"

#include <cstddef>
#include <iterator>

namespace tessera::model {
namespace {

struct NamePair {
  std::string_view name;
  std::string_view label;
};

// In the order of the enums, whose first value is 1.
constexpr NamePair kStates[] = {
    {"TASK_STAGING", "staging"},
    {"TASK_STARTING", "starting"},
    {"TASK_RUNNING", "running"},
    {"TASK_KILLING", "killing"},
    {"TASK_FINISHED", "finished"},
    {"TASK_FAILED", "failed"},
    {"TASK_KILLED", "killed"},
    {"TASK_ERROR", "error"},
    {"TASK_LOST", "lost"},
    {"TASK_DROPPED", "dropped"},
    {"TASK_UNREACHABLE", "unreachable"},
    {"TASK_GONE", "gone"},
    {"TASK_GONE_BY_OPERATOR", "gone_by_operator"},
    {"TASK_UNKNOWN", "unknown"},
};
static_assert(std::size(kStates) == kTaskStateCount);

constexpr NamePair kSources[] = {
    {"SOURCE_MASTER", "master"},
    {"SOURCE_AGENT", "agent"},
    {"SOURCE_EXECUTOR", "executor"},
};
static_assert(std::size(kSources) == kStatusSourceCount);

constexpr NamePair kReasons[] = {
    {"REASON_AGENT_DISCONNECTED", "agent_disconnected"},
    {"REASON_AGENT_REMOVED", "agent_removed"},
    {"REASON_AGENT_REMOVED_BY_OPERATOR", "agent_removed_by_operator"},
    {"REASON_AGENT_REREGISTERED", "agent_reregistered"},
    {"REASON_AGENT_RESTARTED", "agent_restarted"},
    {"REASON_AGENT_DRAINING", "agent_draining"},
    {"REASON_CONTAINER_LAUNCH_FAILED", "container_launch_failed"},
    {"REASON_CONTAINER_LIMITATION", "container_limitation"},
    {"REASON_CONTAINER_LIMITATION_DISK", "container_limitation_disk"},
    {"REASON_CONTAINER_LIMITATION_MEMORY", "container_limitation_memory"},
    {"REASON_CONTAINER_PREEMPTED", "container_preempted"},
    {"REASON_CONTAINER_UPDATE_FAILED", "container_update_failed"},
    {"REASON_COMMAND_EXECUTOR_FAILED", "command_executor_failed"},
    {"REASON_EXECUTOR_REGISTRATION_TIMEOUT", "executor_registration_timeout"},
    {"REASON_EXECUTOR_REREGISTRATION_TIMEOUT", "executor_reregistration_timeout"},
    {"REASON_EXECUTOR_TERMINATED", "executor_terminated"},
    {"REASON_FRAMEWORK_REMOVED", "framework_removed"},
    {"REASON_GC_ERROR", "gc_error"},
    {"REASON_INVALID_OFFERS", "invalid_offers"},
    {"REASON_MAX_COMPLETION_TIME_REACHED", "max_completion_time_reached"},
    {"REASON_RECONCILIATION", "reconciliation"},
    {"REASON_RESOURCES_UNKNOWN", "resources_unknown"},
    {"REASON_TASK_CHECK_STATUS_UPDATED", "task_check_status_updated"},
    {"REASON_TASK_GROUP_INVALID", "task_group_invalid"},
    {"REASON_TASK_GROUP_UNAUTHORIZED", "task_group_unauthorized"},
    {"REASON_TASK_HEALTH_CHECK_STATUS_UPDATED", "task_health_check_status_updated"},
    {"REASON_TASK_INVALID", "task_invalid"},
    {"REASON_TASK_KILLED_DURING_LAUNCH", "task_killed_during_launch"},
    {"REASON_TASK_UNAUTHORIZED", "task_unauthorized"},
    {"REASON_TASK_UNKNOWN", "task_unknown"},
};
static_assert(std::size(kReasons) == kStatusReasonCount);

constexpr NamePair kNoName = {"UNSPECIFIED", "unspecified"};

template <typename Enum, size_t kCount>
const NamePair& Find(const NamePair (&table)[kCount], Enum value) {
  const size_t number = static_cast<size_t>(value);
  return number >= 1 && number <= kCount ? table[number - 1] : kNoName;
}

}  // namespace

bool IsTerminal(TaskState state) {
  switch (state) {
    case TaskState::kFinished:
    case TaskState::kFailed:
    case TaskState::kKilled:
    case TaskState::kError:
    case TaskState::kLost:
    case TaskState::kDropped:
    case TaskState::kGone:
    case TaskState::kGoneByOperator:
      return true;
    case TaskState::kStaging:
    case TaskState::kStarting:
    case TaskState::kRunning:
    case TaskState::kKilling:
    case TaskState::kUnreachable:
    case TaskState::kUnknown:
      return false;
  }
  return false;
}

bool NeedsPartitionAware(TaskState state) {
  switch (state) {
    case TaskState::kDropped:
    case TaskState::kUnreachable:
    case TaskState::kGone:
    case TaskState::kGoneByOperator:
    case TaskState::kUnknown:
      return true;
    case TaskState::kStaging:
    case TaskState::kStarting:
    case TaskState::kRunning:
    case TaskState::kKilling:
    case TaskState::kFinished:
    case TaskState::kFailed:
    case TaskState::kKilled:
    case TaskState::kError:
    case TaskState::kLost:
      return false;
  }
  return false;
}

std::string_view TaskStateName(TaskState state) { return Find(kStates, state).name; }
std::string_view TaskStateLabel(TaskState state) { return Find(kStates, state).label; }
std::ostream& operator<<(std::ostream& out, TaskState state) { return out << TaskStateName(state); }

std::string_view StatusSourceName(StatusSource source) { return Find(kSources, source).name; }
std::string_view StatusSourceLabel(StatusSource source) { return Find(kSources, source).label; }
std::ostream& operator<<(std::ostream& out, StatusSource source) {
  return out << StatusSourceName(source);
}

std::string_view StatusReasonName(StatusReason reason) { return Find(kReasons, reason).name; }
std::string_view StatusReasonLabel(StatusReason reason) { return Find(kReasons, reason).label; }
std::ostream& operator<<(std::ostream& out, StatusReason reason) {
  return out << StatusReasonName(reason);
}

}  // namespace tessera::model
