// How long to wait before the next try: grows by a factor up to a bound.
//
// Pure: randomness comes from the generator handed in, so the same seed gives the same waits
// everywhere. For cores and shells alike. One caller at a time.
#pragma once

#include <algorithm>

#include "absl/time/time.h"
#include "services/base/rng.h"

namespace tessera::base {

struct BackoffOptions {
  absl::Duration initial = absl::Milliseconds(100);
  absl::Duration max = absl::Seconds(10);
  double factor = 2.0;
};

class Backoff {
 public:
  explicit Backoff(BackoffOptions options = {}) : options_(options) {}

  // The wait before the next try, for one who tries where nobody else does (a disk of its own):
  // initial * factor^tries, at most max.
  absl::Duration Next() {
    const absl::Duration whole =
        std::min(next_ == absl::ZeroDuration() ? options_.initial : next_, options_.max);
    next_ = std::min(whole * options_.factor, options_.max);
    return whole;
  }

  // The same for one of many: uniform in [whole/2, whole). Half of it is fixed so that a server
  // that refuses all is never hammered, half is random so that many clients do not come back
  // together.
  absl::Duration Next(Rng& random) { return Next() * (0.5 + 0.5 * random.Unit()); }

  // After a success: the next wait is the first again.
  void Reset() { next_ = absl::ZeroDuration(); }

 private:
  BackoffOptions options_;
  // Zero before the first try.
  absl::Duration next_ = absl::ZeroDuration();
};

}  // namespace tessera::base
