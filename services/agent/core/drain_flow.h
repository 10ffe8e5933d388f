// The agent's own ends: it is drained and goes on when nothing is left, or it leaves the cluster
// and comes back as a new agent when nothing is left.
//
// Invariant: while the agent leaves it dials nobody.
#pragma once

#include <string>

#include "services/agent/core/agent_state.h"
#include "services/agent/core/link_flow.h"
#include "services/agent/core/task_flow.h"

namespace tessera::agent {

class DrainFlow {
 public:
  DrainFlow(AgentState* state, TaskFlow* tasks, LinkFlow* link)
      : state_(*state), tasks_(*tasks), link_(*link) {}

  void OnDrain(const model::v1::DrainConfig& config);
  // Kills everything; nobody waits for its statuses.
  void Leave(const std::string& why);
  // After a restart: goes on with what was going on.
  void Resume();
  // Whatever was waited for may have come.
  void FinishIfDone();

 private:
  AgentState& state_;
  TaskFlow& tasks_;
  LinkFlow& link_;
};

}  // namespace tessera::agent
