// Statuses of tasks on their way to their frameworks: made, written down, sent when that is
// durable, sent again until acknowledged, and gone when that is durable.
//
// Invariants: a status is sent only when it is durable and every earlier one of its task is durably
// acknowledged; an acknowledgement counts for the incarnation that it names.
#pragma once

#include <string>

#include "services/agent/core/agent_state.h"

namespace tessera::agent {

class StatusFlow {
 public:
  explicit StatusFlow(AgentState* state) : state_(*state) {}

  // With a uuid of its own. A kill while the agent is drained is told as such.
  model::v1::TaskStatus Make(const Task& task, model::v1::TaskState state,
                             model::v1::TaskStatusReason reason, const std::string& message) const;

  // Writes the status down. Nothing for a task that is silent.
  void Record(Task& task, model::v1::TaskStatus status);
  // Makes and writes a status without a reason.
  void Record(Task& task, model::v1::TaskState state);
  // Tells the master once, without a uuid: there is nobody to acknowledge it to.
  void TellOnce(const Task& task, model::v1::TaskStatus status);

  // The oldest status that was not durable is.
  void OnDurable(Task& task);
  // As OnDurable, while the log is read.
  static void NoteDurable(Task& task);
  void OnAcknowledge(const agentlink::v1::MasterMessage::AcknowledgeUpdate& message);
  // True when the task's last status is acknowledged: it is to be forgotten.
  bool OnAcknowledgementDurable(Task& task);
  // Nobody waits for the task's statuses.
  void Clear(Task& task);

  // Sends the status that is next, if there is one and the agent is registered.
  void SendHead(Task& task);
  // The agent has been registered: everything is sent as for the first time.
  void SendAllHeads();
  // The link is over: nothing is sent again on it.
  void StopRetries();

 private:
  AgentState& state_;
};

}  // namespace tessera::agent
