// The life of tasks after their admission: they start, are killed, end, and are forgotten.
//
// Invariants: every admitted task reaches exactly one terminal state; a kill waits for nothing (it
// may be what frees the disk that its record needs); the end of a task of a group that did not
// finish well ends the others of the group, but not those that had ended before; what concerns one
// incarnation never touches another one of the same name.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "services/agent/core/agent_state.h"
#include "services/agent/core/executor_flow.h"
#include "services/agent/core/pod_flow.h"
#include "services/agent/core/status_flow.h"
#include "services/agent/core/task_outcome.h"

namespace tessera::agent {

class TaskFlow {
 public:
  TaskFlow(AgentState* state, StatusFlow* statuses, PodFlow* pods, ExecutorFlow* executors)
      : state_(*state), statuses_(*statuses), pods_(*pods), executors_(*executors) {}

  void OnKillTask(const agentlink::v1::MasterMessage::KillTask& message);
  void OnShutdownFramework(const std::string& framework_id);
  void OnShutdownExecutor(const agentlink::v1::MasterMessage::ShutdownExecutor& message);
  // The master books these here, and the agent did not list them.
  void OnReconcile(const agentlink::v1::MasterMessage::ReconcileTasks& message);

  // A task that never gets a container: only its one status is delivered. `task` has its names, and
  // its description cut to what is to be kept of it.
  void Refuse(Task task, model::v1::TaskState state, model::v1::TaskStatusReason reason,
              const std::string& message);
  // Writes the framework's description down, unless the log has it. `only_with_tasks`: nothing of a
  // framework without tasks.
  void LogFramework(const std::string& framework_id, bool only_with_tasks);
  // Puts the task into table and log, and counts what it holds.
  Task& Admit(Task task);

  void OnContainer(const ContainerChange& change);

  // A later kill can only bring the end forward.
  void Kill(Task& task, KillCause cause, absl::Duration grace);
  void KillAll(KillCause cause);
  absl::Duration GraceOf(const Task& task) const;
  void OnCompletionDeadline(Task& task);
  void OnLaunchDeadline(model::Incarnation task);

  void OnForgotten(const after::Forget& forgotten);
  // The task's last status is acknowledged.
  void Forget(model::Incarnation task);

 private:
  void OnStarted(Task& task, const ContainerChange::Started& started);
  void End(Task& task, const Outcome& outcome, const ContainerChange& change);
  void EndGroup(uint64_t group);
  void WriteForgotten(const Task& task);
  // For a container that the runtime was told to kill, of which the log knows nothing.
  KillCause CauseOfForgottenKill(const Task& task, absl::Time when) const;

  AgentState& state_;
  StatusFlow& statuses_;
  PodFlow& pods_;
  ExecutorFlow& executors_;
};

// The record that stands for the task's acceptance.
checkpoint::Record RecordOf(const Task& task);
// As it was accepted; false when the record cannot be.
bool ReadTask(const checkpoint::Record::Task& record, const AgentConfig& config, Task* task);

}  // namespace tessera::agent
