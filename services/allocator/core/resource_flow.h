// Resources come back from frameworks, with a refusal or without, and become others in their hands.
#pragma once

#include "services/allocator/core/allocator_events.h"
#include "services/allocator/core/allocator_state.h"

namespace tessera::allocator {

class ResourceFlow {
 public:
  explicit ResourceFlow(AllocatorState* state) : state_(*state) {}

  void On(const Recovered& event);
  void On(const Converted& event);

 private:
  // Whether the refusal of what is given back is kept.
  bool KeepRefusal(const Recovered& event, ClientNum client);

  AllocatorState& state_;
};

}  // namespace tessera::allocator
