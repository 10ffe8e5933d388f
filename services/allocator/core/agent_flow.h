// Agents come, change and go, and the whitelist says which of them take part.
#pragma once

#include "services/allocator/core/allocator_events.h"
#include "services/allocator/core/allocator_state.h"

namespace tessera::allocator {

class AgentFlow {
 public:
  explicit AgentFlow(AllocatorState* state) : state_(*state) {}

  void On(const AgentAdded& event);
  void On(const AgentUpdated& event);
  void On(const AgentRemoved& event);
  void On(const AgentActivated& event);
  void On(const AgentDeactivated& event);
  void On(const WhitelistSet& event);

 private:
  AllocatorState& state_;
};

}  // namespace tessera::allocator
