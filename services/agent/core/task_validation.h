// Whether a task may run on this agent at all, and what its container is asked to be.
//
// The master has validated tasks before; the agent does so again, because what it accepts becomes
// paths, processes and cgroups. What this agent cannot do is refused by name, never left out.
//
// Threads: pure functions.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "protos/tessera/model/v1/framework.pb.h"
#include "protos/tessera/model/v1/task.pb.h"
#include "services/agent/container/container_spec.h"
#include "services/agent/core/agent_config.h"
#include "services/agent/core/task_table.h"
#include "services/model/resources.h"

namespace tessera::agent {

// INVALID_ARGUMENT or UNIMPLEMENTED, naming the field of the task.
absl::Status ValidateTask(const std::string& framework_id, const model::v1::TaskInfo& task,
                          const AgentConfig& config);

// The executor of a task group. INVALID_ARGUMENT or UNIMPLEMENTED as above.
absl::Status ValidateGroupExecutor(const model::v1::ExecutorInfo& executor);

// The resources of a message as they count against the total: valid and unallocated.
absl::StatusOr<model::Resources> ResourcesOf(
    const google::protobuf::RepeatedPtrField<model::v1::Resource>& messages);

// The container of an accepted task. INVALID_ARGUMENT when the runtime would refuse it.
absl::StatusOr<ContainerSpec> PlanContainer(const Task& task,
                                            const model::v1::FrameworkInfo& framework,
                                            const std::string& agent_id, const AgentConfig& config);

}  // namespace tessera::agent
