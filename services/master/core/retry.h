// How long to wait before the next try: doubles up to a bound, half of it random. Deterministic for
// a given generator.
#pragma once

#include <algorithm>

#include "absl/time/time.h"
#include "services/base/rng.h"

namespace tessera::master {

class Retry {
 public:
  Retry(absl::Duration initial, absl::Duration max, base::Rng rng)
      : initial_(initial), max_(max), next_(initial), rng_(rng) {}

  absl::Duration Next() {
    const absl::Duration base = next_;
    next_ = std::min(next_ * 2, max_);
    return base * (0.5 + 0.5 * rng_.Unit());
  }
  void Reset() { next_ = initial_; }

 private:
  absl::Duration initial_;
  absl::Duration max_;
  absl::Duration next_;
  base::Rng rng_;
};

}  // namespace tessera::master
