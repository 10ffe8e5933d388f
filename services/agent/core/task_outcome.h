// What the end of a container means for its task.
//
// Threads: pure functions.
#pragma once

#include <string>
#include <vector>

#include "protos/tessera/model/v1/resources.pb.h"
#include "protos/tessera/model/v1/task.pb.h"
#include "services/agent/container/container_runtime.h"
#include "services/agent/core/task_table.h"
#include "services/model/wire/task_state.h"

namespace tessera::agent {

using model::wire::IsTerminal;

struct Outcome {
  model::v1::TaskState state = model::v1::TASK_FAILED;
  model::v1::TaskStatusReason reason = model::v1::TASK_STATUS_REASON_UNSPECIFIED;
  std::string message;
  std::vector<model::v1::Resource> limitation;
  std::optional<int32_t> wait_status;
};

// The container's command has ended, for what reason ever.
Outcome OutcomeOf(const Task& task, const ContainerTermination& termination);

// The container could not be started.
Outcome OutcomeOf(const Task& task, const LaunchFailure& failure);

// The container was not found any more after a restart of the agent (or of the machine).
Outcome OutcomeOfLost(const Task& task, const std::string& why, bool rebooted);

// `Command exited with status 3`, `Command terminated with signal SIGKILL (core dumped)`.
std::string DescribeExit(int wait_status);

// How the limit that ended a container is told to frameworks and operators.
model::v1::TaskStatusReason ReasonOf(const ContainerLimitation& limitation);
model::v1::Resource MaximumUsed(const ContainerLimitation& limitation);

}  // namespace tessera::agent
