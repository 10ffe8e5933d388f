// Agents that are to be unavailable, and the frameworks that are asked to leave them.
#pragma once

#include <vector>

#include "services/allocator/core/allocator_events.h"
#include "services/allocator/core/allocator_state.h"

namespace tessera::allocator {

class InverseOfferFlow {
 public:
  explicit InverseOfferFlow(AllocatorState* state) : state_(*state) {}

  void On(const UnavailabilitySet& event);
  void On(const InverseOfferAnswered& event);
  void On(const InverseOfferEnded& event);

  // Inverse offers for those of the agents that are to be unavailable.
  void AskToLeave(const std::vector<AgentNum>& agents, AllocationBatch* batch);

 private:
  AllocatorState& state_;
};

}  // namespace tessera::allocator
