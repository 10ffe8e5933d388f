// How long to wait before the next try: grows by a factor up to a bound, with jitter.
//
// Pure: randomness comes from the generator handed in. For cores and shells alike. One caller at a
// time.
#pragma once

#include <algorithm>

#include "absl/time/time.h"
#include "services/base/rng.h"

namespace tessera::rpc {

struct BackoffOptions {
  absl::Duration initial = absl::Milliseconds(100);
  absl::Duration max = absl::Seconds(10);
  double factor = 2.0;
};

class Backoff {
 public:
  explicit Backoff(BackoffOptions options = {}) : options_(options) {}

  // The wait before the next try: uniform in [whole/2, whole), where whole is
  // initial * factor^tries, at most max. Half of it is fixed so that a server that refuses all is
  // never hammered, half is random so that many clients do not come back together.
  absl::Duration Next(base::Rng& random) {
    const absl::Duration whole =
        std::min(current_ == absl::ZeroDuration() ? options_.initial : current_, options_.max);
    current_ = std::min(whole * options_.factor, options_.max);
    return whole * (0.5 + 0.5 * random.Unit());
  }

  // After a success: the next wait is the first again.
  void Reset() { current_ = absl::ZeroDuration(); }

 private:
  BackoffOptions options_;
  absl::Duration current_ = absl::ZeroDuration();
};

}  // namespace tessera::rpc
