// Executors from the launch that begins them to the exit that the master is told of.
//
// An executor ends with the last of its tasks: its pod is taken away, then its resources are free.
//
// Invariants: the resources of an executor are booked from Begin to its end, once; its end and its
// refusal are told by incarnation, after what they follow from is durable.
#pragma once

#include <string>

#include "services/agent/core/agent_state.h"
#include "services/agent/core/pod_flow.h"

namespace tessera::agent {

class ExecutorFlow {
 public:
  ExecutorFlow(AgentState* state, PodFlow* pods) : state_(*state), pods_(*pods) {}

  // Books the executor and plans its pod, whose spec lacks the limits.
  Executor& Begin(Executor executor, PodSpec pod);
  // It never began: the master is to free what it booked.
  void Refuse(const std::string& framework_id, const std::string& executor_id,
              model::Incarnation executor);

  // One of its tasks was admitted, or has ended.
  void OnTaskBegins(const Task& task);
  void OnTaskEnded(const Task& task);
  // Nothing of its pod is left.
  void OnPodEnded(model::Incarnation executor);
  // Its framework was shut down: what it holds is free, as the master sees it.
  void Withdraw(const std::string& framework_id);

  // After a restart: those whose last task has ended are over, and what those hold whose framework
  // was shut down is free.
  void Recover();

  void TellExit(const after::ExecutorExit& exit);

 private:
  void End(Executor& executor);

  AgentState& state_;
  PodFlow& pods_;
};

// The record that stands for the executor's beginning.
checkpoint::Record RecordOf(const Executor& executor);

}  // namespace tessera::agent
