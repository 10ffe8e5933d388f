// Virtual time: one queue of what happens next, in one thread.
//
// Events at the same instant run in the order in which they were scheduled, so a run depends on its
// seed alone. `digest()` folds in everything that happened, contents of messages included (fold.h);
// two runs of one seed must agree on it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <queue>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "tests/sim/digest.h"

namespace tessera::sim {

class EventLoop {
 public:
  absl::Time now() const { return now_; }

  void At(absl::Time time, std::function<void()> action) {
    queue_.push({std::max(time, now_), next_++, std::move(action)});
  }
  void After(absl::Duration delay, std::function<void()> action) {
    At(now_ + delay, std::move(action));
  }

  // Runs what is due until `end`, or until `stop` says so after an event. True when stopped.
  template <typename Stop>
  bool RunUntil(absl::Time end, Stop stop) {
    while (!queue_.empty() && queue_.top().time <= end) {
      // The action is moved out of a const top: it is popped at once and not compared again.
      Item item = std::move(const_cast<Item&>(queue_.top()));
      queue_.pop();
      now_ = item.time;
      ++events_;
      item.action();
      if (stop()) return true;
    }
    now_ = std::max(now_, end);
    return false;
  }

  // Takes note of something that happened, for the comparison of runs.
  void Note(std::string_view what, uint64_t number = 0) {
    digest_.Add(what);
    digest_.Add(number);
    digest_.Add(static_cast<uint64_t>(absl::ToUnixNanos(now_)));
  }
  // What happened, for those who have more to tell of it.
  Digest* notes() { return &digest_; }
  uint64_t digest() const { return digest_.value(); }
  uint64_t events() const { return events_; }

 private:
  struct Item {
    absl::Time time;
    uint64_t order;
    std::function<void()> action;
    bool operator<(const Item& that) const {  // the earliest on top
      return std::pair(that.time, that.order) < std::pair(time, order);
    }
  };

  absl::Time now_ = absl::FromUnixSeconds(1'800'000'000);
  uint64_t next_ = 0;
  uint64_t events_ = 0;
  Digest digest_;
  std::priority_queue<Item> queue_;
};

}  // namespace tessera::sim
