// How long a disk takes to make bytes durable: drawn for a run, then for each sync.
//
// Real disks answer in a millisecond or in fractions of a second, and any of them stalls now and
// then for as long as half a minute. What is interesting happens in a stall: the process dies, its
// peers give up and dial again, leases end.
#pragma once

#include <algorithm>
#include <cmath>

#include "absl/time/time.h"
#include "services/base/rng.h"

namespace tessera::sim {

inline constexpr absl::Duration kLongestSync = absl::Seconds(30);

struct DiskShape {
  // Most syncs take about this long: what they take is spread exponentially around it.
  absl::Duration usual = absl::Milliseconds(1);
  // Of the syncs, this part stalls: for a time above `stall`, with a heavy tail, up to 30 s.
  double stalls = 0;
  absl::Duration stall = absl::Milliseconds(100);

  absl::Duration Draw(base::Rng* rng) const {
    const absl::Duration plain = absl::Seconds(rng->Exponential(absl::ToDoubleSeconds(usual)));
    if (stalls <= 0 || !rng->Chance(stalls)) return std::min(plain, kLongestSync);
    // Pareto with exponent 1: each tenfold stall is a tenth as frequent.
    return std::min(kLongestSync, stall / std::max(1e-6, 1.0 - rng->Unit()));
  }
};

// A disk for a run: fast ones, slow ones, and those that stall.
inline DiskShape DrawDisk(base::Rng* draws) {
  DiskShape shape;
  if (draws->Chance(0.4)) shape.usual = absl::Milliseconds(20 + draws->Exponential(150));
  if (draws->Chance(0.5)) {
    shape.stalls = 0.002 + 0.03 * draws->Unit();
    shape.stall = absl::Milliseconds(50 + draws->Exponential(500));
  }
  return shape;
}

// What every disk is after the faults are over.
inline DiskShape HealthyDisk() { return DiskShape(); }

}  // namespace tessera::sim
