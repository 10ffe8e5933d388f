// What Mesos's own allocator takes for the same workloads.
//
// Measured on a machine of this kind (Debian 12, two virtual processors): Mesos's development head
// of August 2024, g++ 12 -O2, its own allocator benchmarks, one allocator actor, no network; the
// best round of each. Cells that Mesos did not finish are left out.
#pragma once

#include <string_view>

#include "bench/allocator/size.h"

namespace tessera::allocator::bench {

struct MesosFigure {
  // As in the name of our figure.
  std::string_view what;
  Size size;
  double min_ms;
};

// Null when Mesos's time is not known.
const MesosFigure* FindMesosFigure(std::string_view what, Size size);

}  // namespace tessera::allocator::bench
