// What the master asks to launch: accepted wholly, or refused wholly with the reason.
//
// A single task and a task group go the same way: validated, planned, fitted, admitted. What is
// planned here is what the runtime is asked for later.
//
// Invariants: resources are promised only when they fit; an executor is booked only by a launch
// that says so, and one that is refused is told as refused; a repeated launch of the same
// incarnation changes nothing.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "services/agent/core/agent_state.h"
#include "services/agent/core/executor_flow.h"
#include "services/agent/core/pod_flow.h"
#include "services/agent/core/status_flow.h"
#include "services/agent/core/task_flow.h"

namespace tessera::agent {

class AdmissionFlow {
 public:
  AdmissionFlow(AgentState* state, StatusFlow* statuses, PodFlow* pods, ExecutorFlow* executors,
                TaskFlow* tasks)
      : state_(*state),
        statuses_(*statuses),
        pods_(*pods),
        executors_(*executors),
        tasks_(*tasks) {}

  void OnDescribeFramework(const agentlink::v1::MasterMessage::DescribeFramework& message);
  void OnRunTask(const agentlink::v1::MasterMessage::RunTask& message);
  void OnRunTaskGroup(const agentlink::v1::MasterMessage::RunTaskGroup& message);

 private:
  // Tasks that start together or not at all.
  struct Launch {
    const std::string& framework_id;
    const agentlink::v1::ExecutorLaunch* executor;  // null: none
    std::vector<const agentlink::v1::TaskLaunch*> tasks;
    uint64_t resource_version;
    bool group;
  };
  struct Refusal {
    model::v1::TaskState state;
    model::v1::TaskStatusReason reason;
    std::string why;
    // Nothing can be kept of it: told once, not written down.
    bool once = false;
  };
  struct PlannedTask {
    Task task;
    model::v1::TaskInfo info;  // until the container is planned
    ContainerSpec spec;
  };
  struct Plan {
    std::optional<Executor> begins;
    // Of the executor that begins, or lives.
    PodSpec pod;
    std::vector<PlannedTask> tasks;
    model::Resources needs;
  };

  void Decide(const Launch& launch);
  // Fills `plan`, or says why not.
  std::optional<Refusal> Check(const Launch& launch, Plan* plan) const;
  absl::Status CheckExecutor(const Launch& launch, Plan* plan) const;
  absl::Status PlanTasks(const Launch& launch, const Framework& framework, Plan* plan) const;
  void Accept(const Launch& launch, Plan plan);
  void RefuseAll(const Launch& launch, const Refusal& refusal);
  // With its names only.
  Task NamedTask(const Launch& launch, const agentlink::v1::TaskLaunch& task) const;

  AgentState& state_;
  StatusFlow& statuses_;
  PodFlow& pods_;
  ExecutorFlow& executors_;
  TaskFlow& tasks_;
};

}  // namespace tessera::agent
