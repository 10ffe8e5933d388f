// Task states, sources and reasons from and to the enums of protos/tessera/model/v1/task.proto.
#pragma once

#include <optional>

#include "absl/status/statusor.h"
#include "protos/tessera/model/v1/task.pb.h"
#include "services/model/task_state.h"

namespace tessera::model::wire {

// InvalidArgument for the unspecified value and for numbers that this version does not know.
absl::StatusOr<TaskState> FromProto(v1::TaskState state);
absl::StatusOr<StatusSource> FromProto(v1::TaskStatusSource source);

// A status may have no reason: nullopt for the unspecified value, and for reasons of newer
// versions, which are only of information.
std::optional<StatusReason> FromProto(v1::TaskStatusReason reason);

// As model::IsTerminal; numbers that this version does not know are not terminal.
bool IsTerminal(v1::TaskState state);

v1::TaskState ToProto(TaskState state);
v1::TaskStatusSource ToProto(StatusSource source);
v1::TaskStatusReason ToProto(StatusReason reason);
v1::TaskStatusReason ToProto(std::optional<StatusReason> reason);

}  // namespace tessera::model::wire
