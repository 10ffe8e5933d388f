#include "services/allocator/core/offer_flow.h"

#include <algorithm>

namespace tessera::allocator {

void OfferFlow::Judge(const OffersEnded& ended, Framework* framework) const {
  // As long as anybody may think about an offer.
  constexpr absl::Duration kProperAnswer = absl::Seconds(5);
  const absl::Duration most = state_.tables.config.silence_growth_max;
  if (ended.accepted > 0) {
    framework->silences = 0;
    framework->quiet_until = absl::InfinitePast();
  } else if (ended.withdrawn < ended.offers && !framework->IsQuiet()) {
    if (ended.lay < kProperAnswer) {
      framework->silences = 0;
    } else if (most > absl::ZeroDuration()) {
      absl::Duration quiet = std::min(ended.lay, most);
      for (int i = 0; i < framework->silences && quiet < most; ++i) quiet *= 2;
      framework->quiet_until = state_.now + std::min(quiet, most);
      ++framework->silences;
      ++framework->silences_total;
    }
  }
}

void OfferFlow::On(const OffersEnded& event) {
  ClusterTables& tables = state_.tables;
  if (tables.frameworks.Find(event.framework) == nullptr) return;
  Framework& framework = tables.frameworks.at(event.framework);
  // Whoever takes something wants something else from now on.
  if (event.accepted > 0) {
    for (ClientNum client : framework.clients) tables.filters.ForgetHistory(client);
  }
  const absl::Time quiet_before = framework.quiet_until;
  const bool was_kept = framework.IsKeptFromOffers(tables.config);
  framework.outstanding_offers -= std::min(event.offers, framework.outstanding_offers);
  Judge(event, &framework);
  const bool is_kept = framework.IsKeptFromOffers(tables.config);
  if (was_kept != is_kept) state_.subscriptions.UpdateActivityOf(event.framework);
  if (was_kept && !is_kept) state_.WantRunOnAll();
  if (framework.quiet_until != quiet_before && framework.quiet_until > state_.now) {
    quiet_.emplace(framework.quiet_until, event.framework);
    ++state_.counters.silences;
  }
}

bool OfferFlow::EndQuiet(FrameworkNum number) {
  Framework& framework = state_.tables.frameworks.at(number);
  if (!framework.IsQuiet()) return false;
  framework.quiet_until = absl::InfinitePast();
  state_.subscriptions.UpdateActivityOf(number);
  return true;
}

void OfferFlow::EndQuietTimes() {
  while (!quiet_.empty() && quiet_.begin()->first <= state_.now) {
    const FrameworkNum number = quiet_.begin()->second;
    quiet_.erase(quiet_.begin());
    const Framework* framework = state_.tables.frameworks.Find(number);
    // It may have been asked before, and have let offers lie again.
    if (framework == nullptr || framework->quiet_until > state_.now) continue;
    if (EndQuiet(number)) state_.WantRunOnAll();
  }
}

}  // namespace tessera::allocator
