// What becomes of offers, and what follows for the framework: one that lets them lie without an
// answer is not asked for a while, twice as long the next time.
//
// Invariant: a framework that is quiet is in the list of quiet times, and is asked again in the
// first Wake at or after its own.
#pragma once

#include <set>
#include <utility>

#include "absl/time/time.h"
#include "services/allocator/core/allocator_events.h"
#include "services/allocator/core/allocator_state.h"

namespace tessera::allocator {

class OfferFlow {
 public:
  explicit OfferFlow(AllocatorState* state) : state_(*state) {}

  void On(const OffersEnded& event);

  // Asks the framework again, whatever it let lie. Returns whether that changes anything.
  bool EndQuiet(FrameworkNum framework);
  // Frameworks whose time is over may be asked again.
  void EndQuietTimes();
  // InfiniteFuture when no framework is quiet.
  absl::Time NextDeadline() const {
    return quiet_.empty() ? absl::InfiniteFuture() : quiet_.begin()->first;
  }

 private:
  // Whether the framework is to be quiet now, and for how long, or not any longer.
  void Judge(const OffersEnded& event, Framework* framework) const;

  AllocatorState& state_;
  // Frameworks that let offers lie, by the time when they may be asked again; some may be asked
  // already.
  std::set<std::pair<absl::Time, FrameworkNum>> quiet_;
};

}  // namespace tessera::allocator
