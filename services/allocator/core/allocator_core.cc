#include "services/allocator/core/allocator_core.h"

#include <algorithm>
#include <variant>

namespace tessera::allocator {

AllocatorCore::AllocatorCore(const AllocatorConfig& config, const Vocabulary* words, uint64_t seed)
    : state_(config, words),
      offers_(&state_),
      inverse_offers_(&state_),
      frameworks_(&state_, &offers_),
      agents_(&state_),
      resources_(&state_),
      roles_(&state_),
      runs_(&state_, &offers_, &inverse_offers_, seed) {}

void AllocatorCore::Step(absl::Time now, const Event& event, Effects* effects) {
  state_.now = now;
  state_.effects = effects;
  ++state_.counters.events;
  std::visit([this](const auto& one) { On(one); }, event);
  ReportForgotten();
  next_filter_deadline_ = state_.tables.filters.NextDeadline();
  state_.effects = nullptr;
}

absl::Time AllocatorCore::NextDeadline() const {
  if (!state_.runs.begun()) return absl::InfiniteFuture();
  const absl::Time next = std::min(state_.runs.NextDeadline(), next_filter_deadline_);
  return paused() ? next : std::min(next, offers_.NextDeadline());
}

void AllocatorCore::ReportForgotten() {
  std::vector<FrameworkNum>& forgotten = state_.tables.frameworks.forgotten;
  for (FrameworkNum number : forgotten) state_.effects->push_back(FrameworkForgotten{number});
  forgotten.clear();
}

}  // namespace tessera::allocator
