#include "services/rpc/clock.h"

#include <chrono>

#include "absl/time/clock.h"

namespace tessera::rpc {

Clock MonotonicClock() {
  const absl::Time wall = absl::Now();
  const auto began = std::chrono::steady_clock::now();
  return
      [wall, began] { return wall + absl::FromChrono(std::chrono::steady_clock::now() - began); };
}

}  // namespace tessera::rpc
