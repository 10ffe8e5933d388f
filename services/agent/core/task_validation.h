// Whether a task may run on this agent at all, and what its container is asked to be.
//
// The master has validated tasks before; the agent does so again, because what it accepts becomes
// paths, processes and cgroups. What this agent cannot do is refused by name, never left out.
//
// Threads: pure functions.
#pragma once

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "protos/tessera/model/v1/framework.pb.h"
#include "protos/tessera/model/v1/task.pb.h"
#include "services/agent/container/container_spec.h"
#include "services/agent/core/agent_config.h"
#include "services/agent/core/framework_table.h"
#include "services/agent/core/task_table.h"
#include "services/model/resources.h"

namespace tessera::agent {

// INVALID_ARGUMENT or UNIMPLEMENTED, naming the field of the task. `resources`: what the task
// holds, which counts instead of what its description says. `in_group`: it shares a pod.
absl::Status ValidateTask(const std::string& framework_id, const model::v1::TaskInfo& task,
                          const model::Resources& resources, bool in_group,
                          const AgentConfig& config);

// The executor of a task group. INVALID_ARGUMENT or UNIMPLEMENTED as above.
absl::Status ValidateGroupExecutor(const model::v1::ExecutorInfo& executor);

// The resources of a message as they count against the total: valid and unallocated.
absl::StatusOr<model::Resources> ResourcesOf(
    const google::protobuf::RepeatedPtrField<model::v1::Resource>& messages);

// What the agent acts on of a description.
Framework FrameworkOf(const model::v1::FrameworkInfo& info, model::Description description);
void NoteTaskInfo(const model::v1::TaskInfo& info, Task* task);
std::optional<absl::Duration> ShutdownGraceOf(const model::v1::ExecutorInfo& info);

// What a task with these resources may use: its own limits where it names some, else what it asked
// for; and what an executor may use besides its tasks.
ContainerResources LimitsOf(const model::Resources& resources, const model::v1::TaskInfo& info,
                            const AgentConfig& config);
ContainerResources LimitsOfExecutor(const model::Resources& resources, const AgentConfig& config);

// The pod of an executor: its containers share ipc and, if they want to, pids; the network is the
// machine's. Without ids, sandbox and limits, which are given later.
PodSpec PlanPod(const model::v1::ExecutorInfo& executor, const Framework& framework,
                const AgentConfig& config);

// Where a container is to be.
struct ContainerPlace {
  std::string container_id;
  std::string sandbox;
  // What the containers of its pod share; null: it is in none.
  const PodSpec* pod = nullptr;
};

// The container of a task. In a pod it has no memory limit of its own unless it wants cgroups of
// its own. INVALID_ARGUMENT when the runtime would refuse it.
absl::StatusOr<ContainerSpec> PlanContainer(const Task& task, const model::v1::TaskInfo& info,
                                            const ContainerPlace& place, const Framework& framework,
                                            const std::string& agent_id, const AgentConfig& config);

}  // namespace tessera::agent
