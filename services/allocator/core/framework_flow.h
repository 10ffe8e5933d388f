// Frameworks come, change and go, and say what they want of offers: revival, suppression, demand.
#pragma once

#include <optional>
#include <vector>

#include "services/allocator/core/allocator_events.h"
#include "services/allocator/core/allocator_state.h"
#include "services/allocator/core/offer_flow.h"

namespace tessera::allocator {

class FrameworkFlow {
 public:
  FrameworkFlow(AllocatorState* state, OfferFlow* offers) : state_(*state), offers_(*offers) {}

  void On(const FrameworkAdded& event);
  void On(const FrameworkUpdated& event);
  void On(const FrameworkRemoved& event);
  void On(const FrameworkActivated& event);
  void On(const FrameworkDeactivated& event);
  void On(const Revived& event);
  void On(const Suppressed& event);
  void On(const Unsuppressed& event);
  void On(const FiltersCleared& event);
  void On(const DemandStated& event);

 private:
  // Refuses and returns false when a role is named twice.
  bool CheckSpec(FrameworkNum number, const FrameworkSpec& spec);
  // The clients that `roles` names, all subscribed ones when it is empty; nullopt after a refusal.
  std::optional<std::vector<ClientNum>> ClientsOf(FrameworkNum number,
                                                  const std::vector<RoleNum>& roles);
  void SetActive(FrameworkNum number, bool active);

  AllocatorState& state_;
  OfferFlow& offers_;
};

}  // namespace tessera::allocator
