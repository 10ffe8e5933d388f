// How long to wait before the next try: grows by a factor up to a bound, with jitter.
//
// Pure: randomness comes from the generator handed in. For cores and shells alike.
#pragma once

#include <algorithm>
#include <random>

#include "absl/time/time.h"

namespace tessera::rpc {

struct BackoffOptions {
  absl::Duration initial = absl::Milliseconds(100);
  absl::Duration max = absl::Seconds(10);
  double factor = 2.0;
};

class Backoff {
 public:
  explicit Backoff(BackoffOptions options = {}) : options_(options) {}

  // The wait before the next try: uniform in [base/2, base], where base is initial * factor^tries,
  // at most max. Half of it is fixed so that a server that refuses all is never hammered, half is
  // random so that many clients do not come back together.
  template <typename Generator>
  absl::Duration Next(Generator& random) {
    const absl::Duration base =
        std::min(current_ == absl::ZeroDuration() ? options_.initial : current_, options_.max);
    current_ = std::min(base * options_.factor, options_.max);
    ++tries_;
    return base * std::uniform_real_distribution<double>(0.5, 1.0)(random);
  }

  // After a success: the next wait is the first again.
  void Reset() {
    current_ = absl::ZeroDuration();
    tries_ = 0;
  }

  int tries() const { return tries_; }

 private:
  BackoffOptions options_;
  absl::Duration current_ = absl::ZeroDuration();
  int tries_ = 0;
};

}  // namespace tessera::rpc
