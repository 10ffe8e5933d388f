// What kind of cluster a seed stands for.
#pragma once

#include <cstdint>

namespace tessera::sim {

enum class RunKind {
  // A small cluster with faults of all kinds.
  kOrdinary,
  // A hundred frameworks, few of them honest; fewer faults.
  kCrowd,
};

// Every 50th seed is a crowd where nobody says otherwise.
inline RunKind KindOf(uint64_t seed) {
  return seed % 50 == 0 ? RunKind::kCrowd : RunKind::kOrdinary;
}
}  // namespace tessera::sim
