#include "services/model/wire/task_state.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace tessera::model::wire {

// The numbers agree by design; the names are compared one by one in the test.
static_assert(v1::TaskState_MAX == kTaskStateCount);
static_assert(v1::TaskStatusSource_MAX == kStatusSourceCount);
static_assert(v1::TaskStatusReason_MAX == kStatusReasonCount);

namespace {

bool IsKnown(v1::TaskState state) { return state >= 1 && state <= kTaskStateCount; }

}  // namespace

absl::StatusOr<TaskState> FromProto(v1::TaskState state) {
  if (!IsKnown(state)) {
    return absl::InvalidArgumentError(absl::StrCat("state: ", int{state}, " is no task state"));
  }
  return static_cast<TaskState>(state);
}

absl::StatusOr<StatusSource> FromProto(v1::TaskStatusSource source) {
  if (source < 1 || source > kStatusSourceCount) {
    return absl::InvalidArgumentError(
        absl::StrCat("source: ", int{source}, " is no source of a status"));
  }
  return static_cast<StatusSource>(source);
}

std::optional<StatusReason> FromProto(v1::TaskStatusReason reason) {
  if (reason < 1 || reason > kStatusReasonCount) return std::nullopt;
  return static_cast<StatusReason>(reason);
}

bool IsTerminal(v1::TaskState state) {
  return IsKnown(state) && model::IsTerminal(static_cast<TaskState>(state));
}

v1::TaskState ToProto(TaskState state) { return static_cast<v1::TaskState>(state); }

v1::TaskStatusSource ToProto(StatusSource source) {
  return static_cast<v1::TaskStatusSource>(source);
}

v1::TaskStatusReason ToProto(StatusReason reason) {
  return static_cast<v1::TaskStatusReason>(reason);
}

v1::TaskStatusReason ToProto(std::optional<StatusReason> reason) {
  return reason ? ToProto(*reason) : v1::TASK_STATUS_REASON_UNSPECIFIED;
}

}  // namespace tessera::model::wire
