// States of a task, who reported them and why.
#pragma once

#include <cstdint>
#include <ostream>
#include <string_view>

namespace tessera::model {

// Numbers are those of protos/tessera/model/v1/task.proto, and start at 1.
enum class TaskState : uint8_t {
  kStaging = 1,
  kStarting,
  kRunning,
  kKilling,
  kFinished,
  kFailed,
  kKilled,
  kError,
  kLost,
  kDropped,
  kUnreachable,
  kGone,
  kGoneByOperator,
  kUnknown,
};
inline constexpr int kTaskStateCount = 14;

// The task has ended for the books: FINISHED, FAILED, KILLED, ERROR, LOST, DROPPED, GONE,
// GONE_BY_OPERATOR. UNREACHABLE and UNKNOWN are not terminal.
bool IsTerminal(TaskState state);

// Only frameworks with the PARTITION_AWARE capability are told this state; others hear LOST.
bool NeedsPartitionAware(TaskState state);

// "TASK_RUNNING"
std::string_view TaskStateName(TaskState state);
// "running": the form used as a metric label.
std::string_view TaskStateLabel(TaskState state);
std::ostream& operator<<(std::ostream& out, TaskState state);

enum class StatusSource : uint8_t { kMaster = 1, kAgent, kExecutor };
inline constexpr int kStatusSourceCount = 3;
std::string_view StatusSourceName(StatusSource source);   // "SOURCE_MASTER"
std::string_view StatusSourceLabel(StatusSource source);  // "master"
std::ostream& operator<<(std::ostream& out, StatusSource source);

enum class StatusReason : uint8_t {
  kAgentDisconnected = 1,
  kAgentRemoved,
  kAgentRemovedByOperator,
  kAgentReregistered,
  kAgentRestarted,
  kAgentDraining,
  kContainerLaunchFailed,
  kContainerLimitation,
  kContainerLimitationDisk,
  kContainerLimitationMemory,
  kContainerPreempted,
  kContainerUpdateFailed,
  kCommandExecutorFailed,
  kExecutorRegistrationTimeout,
  kExecutorReregistrationTimeout,
  kExecutorTerminated,
  kFrameworkRemoved,
  kGcError,
  kInvalidOffers,
  kMaxCompletionTimeReached,
  kReconciliation,
  kResourcesUnknown,
  kTaskCheckStatusUpdated,
  kTaskGroupInvalid,
  kTaskGroupUnauthorized,
  kTaskHealthCheckStatusUpdated,
  kTaskInvalid,
  kTaskKilledDuringLaunch,
  kTaskUnauthorized,
  kTaskUnknown,
};
inline constexpr int kStatusReasonCount = 30;
std::string_view StatusReasonName(StatusReason reason);   // "REASON_INVALID_OFFERS"
std::string_view StatusReasonLabel(StatusReason reason);  // "invalid_offers"
std::ostream& operator<<(std::ostream& out, StatusReason reason);

}  // namespace tessera::model
