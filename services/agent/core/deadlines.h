// The points in time at which the core has something to do, so that NextDeadline() is one look.
//
// Invariant: at most one time for each key; due ones come in the order of their time.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "services/model/incarnation.h"

namespace tessera::agent {

enum class DeadlineKind : uint8_t {
  kDial,          // of the agent
  kRegistration,  // of the agent
  kPing,          // of the agent
  kSandboxes,     // of the agent
  kStatusRetry,   // of a task
  kCompletion,    // of a task: max_completion_time
  kLaunch,        // of a container: the stage of its launch should be over by now
  kKill,          // of a container: it should be dead by now
  kPod,           // of a pod: it should be gone by now
};

struct DeadlineKey {
  DeadlineKind kind = DeadlineKind::kDial;
  model::Incarnation task;
  uint64_t serial = 0;  // of a container or a pod

  static DeadlineKey OfAgent(DeadlineKind kind) { return {kind, {}, 0}; }
  static DeadlineKey OfTask(DeadlineKind kind, model::Incarnation task) { return {kind, task, 0}; }
  static DeadlineKey OfContainer(DeadlineKind kind, uint64_t serial) { return {kind, {}, serial}; }
  static DeadlineKey OfPod(DeadlineKind kind, uint64_t serial) { return {kind, {}, serial}; }

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
