// What operators ask of this agent itself: signals to containers, and waits for their ends.
//
// Invariant: every call is answered once, or its caller has gone.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "services/agent/core/agent_state.h"
#include "services/agent/core/pod_flow.h"
#include "services/agent/core/task_flow.h"

namespace tessera::agent {

class OperatorFlow {
 public:
  OperatorFlow(AgentState* state, TaskFlow* tasks) : state_(*state), tasks_(*tasks) {}

  void On(const OperatorSignal& event);
  void On(const OperatorWait& event);
  void On(const OperatorGone& event);
  // Answers those who wait, if it is an end.
  void OnContainer(const ContainerChange& change);

 private:
  AgentState& state_;
  TaskFlow& tasks_;
  // By container.
  std::map<std::string, std::vector<uint64_t>> waits_;
  std::map<uint64_t, std::string> wait_of_call_;
};

}  // namespace tessera::agent
