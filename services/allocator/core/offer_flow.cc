#include "services/allocator/core/offer_flow.h"

namespace tessera::allocator {

void OfferFlow::On(const OffersEnded& event) {
  ClusterTables& tables = state_.tables;
  const Framework* framework = tables.FindFramework(event.framework);
  if (framework == nullptr) return;
  // Whoever takes something wants something else from now on.
  if (event.accepted > 0) {
    for (ClientNum client : framework->clients) tables.filters().ForgetHistory(client);
  }
  const absl::Time quiet_before = framework->quiet_until;
  if (tables.EndOffers(event, state_.now)) state_.WantRunOnAll();
  if (framework->quiet_until != quiet_before && framework->quiet_until > state_.now) {
    quiet_.emplace(framework->quiet_until, event.framework);
    ++state_.counters.silences;
  }
}

void OfferFlow::EndQuietTimes() {
  while (!quiet_.empty() && quiet_.begin()->first <= state_.now) {
    const FrameworkNum number = quiet_.begin()->second;
    quiet_.erase(quiet_.begin());
    const Framework* framework = state_.tables.FindFramework(number);
    // It may have been asked before, and have let offers lie again.
    if (framework == nullptr || framework->quiet_until > state_.now) continue;
    if (state_.tables.EndQuiet(number)) state_.WantRunOnAll();
  }
}

}  // namespace tessera::allocator
