// Deadlines of the core, as data. A timer is not cancelled: when it fires, its flow looks whether
// it still means something (the generation tells).
//
// Invariant: timers fire in the order of their times, and of their arming where these are equal.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/time/time.h"

namespace tessera::master {

enum class TimerKind : uint8_t {
  kFrameworkHeartbeat,   // subject: FrameworkIndex
  kFrameworkFailover,    // subject: FrameworkIndex
  kOfferTimeout,         // subject: OfferNumber
  kInverseOfferTimeout,  // subject: InverseOfferNumber
  kAgentPing,            // subject: AgentIndex
  kInventory,            // subject: AgentStreamId
  kUnreachableMarking,   // the next agent in the queue may be marked
  kRecoveryTimeout,      // agents that are not back after a fail-over
  kRegistryRetry,
  kFeedHeartbeat,
  kAllocatorRetry,
  kAllocatorPing,  // generation: LinkId
};

struct Timer {
  absl::Time at;
  uint64_t order = 0;
  TimerKind kind;
  uint64_t subject = 0;
  uint64_t generation = 0;
};

class Timers {
 public:
  void Arm(absl::Time at, TimerKind kind, uint64_t subject = 0, uint64_t generation = 0) {
    heap_.push_back({at, ++order_, kind, subject, generation});
    std::push_heap(heap_.begin(), heap_.end(), Later);
  }

  absl::Time NextDeadline() const {
    return heap_.empty() ? absl::InfiniteFuture() : heap_.front().at;
  }

  // The first timer that is due, taken out.
  std::optional<Timer> PopDue(absl::Time now) {
    if (heap_.empty() || heap_.front().at > now) return std::nullopt;
    std::pop_heap(heap_.begin(), heap_.end(), Later);
    Timer timer = heap_.back();
    heap_.pop_back();
    return timer;
  }

  size_t size() const { return heap_.size(); }

 private:
  static bool Later(const Timer& a, const Timer& b) {
    return a.at != b.at ? a.at > b.at : a.order > b.order;
  }

  std::vector<Timer> heap_;
  uint64_t order_ = 0;
};

}  // namespace tessera::master
