// The deadlines of a connection, on one timer that is only ever moved forward in time: it looks
// when it fires, and waits again. Most deadlines are put off long before.
//
// Threads: the connection's strand.
#pragma once

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <utility>

#include "absl/time/time.h"

namespace tessera::http {

class Deadlines {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr Clock::time_point kNever = Clock::time_point::max();

  template <typename Executor>
  explicit Deadlines(const Executor& executor) : timer_(executor) {}

  static Clock::time_point After(absl::Duration duration) {
    if (duration == absl::InfiniteDuration()) return kNever;
    return Clock::now() + absl::ToChronoNanoseconds(duration);
  }

  // Has `on_time` called when the first of them has passed, or before. What was armed for a time
  // that is as early stays.
  template <typename OnTime>
  void Arm(OnTime on_time) {
    const auto next = std::min({read, write, answer});
    if (next >= armed_for_) return;
    armed_for_ = next;
    timer_.expires_at(next);
    timer_.async_wait([this, on_time = std::move(on_time)](boost::system::error_code error) {
      if (error) return;
      armed_for_ = kNever;
      on_time();
    });
  }

  void Cancel() {
    read = write = answer = kNever;
    timer_.cancel();
  }

  // The client sends what it is waited for; takes what is written; has an answer.
  Clock::time_point read = kNever;
  Clock::time_point write = kNever;
  Clock::time_point answer = kNever;

 private:
  boost::asio::steady_timer timer_;
  Clock::time_point armed_for_ = kNever;
};

}  // namespace tessera::http
