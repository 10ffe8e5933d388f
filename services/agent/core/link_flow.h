// The session with the master: dialling, registration, epochs, pings.
//
// Invariants: nothing that a master of a lower epoch says is done, and nothing of a higher one
// before that epoch is durable; what a master sent on a link that has ended before it was done is
// not done later; every registration is followed by all that waits for an acknowledgement.
#pragma once

#include <cstdint>
#include <deque>

#include "absl/functional/function_ref.h"
#include "services/agent/core/agent_state.h"
#include "services/agent/core/status_flow.h"

namespace tessera::agent {

class LinkFlow {
 public:
  using MasterMessage = agentlink::v1::MasterMessage;
  using Obey = absl::FunctionRef<void(const MasterMessage&)>;

  LinkFlow(AgentState* state, StatusFlow* statuses) : state_(*state), statuses_(*statuses) {}

  // Dials after a short while, so that agents that start together do not come together.
  void DialSoon();
  void Dial();
  // Ends the current link from this side and dials again later.
  void End(const absl::Status& reason);

  // True when the master says that this agent is gone for good.
  bool On(const LinkClosed& event);
  // Hands over what may be done at once, and keeps the rest until the epoch is durable.
  void On(const LinkReceived& event, Obey obey);
  // Hands over what was kept, as far as it may be done now. True when there was anything.
  bool ObeyKept(Obey obey);

  void OnRegistered(const MasterMessage::Registered& message);
  // What the registration brought is durable.
  void CompleteRegistration(uint64_t link);
  void OnPing(const MasterMessage::Ping& message);
  void OnRegistrationDeadline();
  void OnPingDeadline();

 private:
  bool Gated() const { return !state_.journal.IsDurable(gate_); }
  void Lost(const absl::Status& status);

  AgentState& state_;
  StatusFlow& statuses_;
  std::deque<MasterMessage> kept_;
  // Messages wait while what was written up to this mark is not durable.
  uint64_t gate_ = 0;
};

}  // namespace tessera::agent
