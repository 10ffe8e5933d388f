// Agents come, change and go, and the whitelist says which of them take part.
#pragma once

#include <vector>

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
  void Add(const AgentAdded& event);
  // Takes an agent out of all sums, with what is held on it; its row is empty afterwards.
  void TakeOut(AgentNum number);
  void SetActive(AgentNum number, bool active);

  AllocatorState& state_;
};

}  // namespace tessera::allocator
