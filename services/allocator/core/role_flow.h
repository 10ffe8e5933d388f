// What an operator sets about roles: weights and quota.
#pragma once

#include "services/allocator/core/allocator_events.h"
#include "services/allocator/core/allocator_state.h"

namespace tessera::allocator {

class RoleFlow {
 public:
  explicit RoleFlow(AllocatorState* state) : state_(*state) {}

  void On(const WeightSet& event);
  void On(const QuotaSet& event);

 private:
  AllocatorState& state_;
};

}  // namespace tessera::allocator
