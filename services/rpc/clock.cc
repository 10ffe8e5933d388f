#include "services/rpc/clock.h"

#include <time.h>

#include <chrono>

#include "absl/time/clock.h"

namespace tessera::rpc {

Clock MonotonicClock() {
  const absl::Time wall = absl::Now();
  const auto began = std::chrono::steady_clock::now();
  return
      [wall, began] { return wall + absl::FromChrono(std::chrono::steady_clock::now() - began); };
}

Clock BootTimeClock() {
  const auto since_boot = [] {
    timespec time{};
    ::clock_gettime(CLOCK_BOOTTIME, &time);
    return absl::DurationFromTimespec(time);
  };
  return [wall = absl::Now(), began = since_boot(), since_boot] {
    return wall + (since_boot() - began);
  };
}

}  // namespace tessera::rpc
