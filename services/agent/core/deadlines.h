// The points in time at which the core has something to do, so that NextDeadline() is one look.
//
// Invariant: at most one time for each (kind, subject); due ones come in the order of their time.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "absl/time/time.h"

namespace tessera::agent {

enum class DeadlineKind : uint8_t {
  kDial,          // subject 0
  kRegistration,  // subject 0
  kPing,          // subject 0
  kSandboxes,     // subject 0
  kStatusRetry,   // a task's serial number
  kKill,          // a task's serial number: the container should be dead by now
  kCompletion,    // a task's serial number: max_completion_time
};

struct DeadlineKey {
  DeadlineKind kind = DeadlineKind::kDial;
  uint64_t subject = 0;
  friend auto operator<=>(const DeadlineKey&, const DeadlineKey&) = default;
};

class Deadlines {
 public:
  void Set(DeadlineKey key, absl::Time time) {
    Clear(key);
    if (time == absl::InfiniteFuture()) return;
    times_[key] = time;
    order_.emplace(time, key);
  }

  void Clear(DeadlineKey key) {
    auto found = times_.find(key);
    if (found == times_.end()) return;
    order_.erase({found->second, key});
    times_.erase(found);
  }

  absl::Time Next() const {
    return order_.empty() ? absl::InfiniteFuture() : order_.begin()->first;
  }

  // Removes and returns those that are due.
  std::vector<DeadlineKey> TakeDue(absl::Time now) {
    std::vector<DeadlineKey> due;
    while (!order_.empty() && order_.begin()->first <= now) {
      due.push_back(order_.begin()->second);
      times_.erase(due.back());
      order_.erase(order_.begin());
    }
    return due;
  }

 private:
  std::map<DeadlineKey, absl::Time> times_;
  std::set<std::pair<absl::Time, DeadlineKey>> order_;
};

}  // namespace tessera::agent
