// A small deterministic generator (xoshiro256++ of Blackman and Vigna, seeded by SplitMix64) for
// cores and the simulator: the same seed gives the same numbers on every machine and compiler,
// which std::uniform_*_distribution does not promise. Not for secrets. Not thread-safe.
#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "absl/time/time.h"

namespace tessera::base {

class Rng {
 public:
  explicit constexpr Rng(uint64_t seed) {
    for (uint64_t& word : state_) {
      seed += 0x9e3779b97f4a7c15u;
      uint64_t z = seed;
      z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
      z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
      word = z ^ (z >> 31);
    }
  }

  // 64 random bits.
  constexpr uint64_t Next() {
    const uint64_t result = std::rotl(state_[0] + state_[3], 23) + state_[0];
    const uint64_t shifted = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = std::rotl(state_[3], 45);
    return result;
  }

  // Uniform in [0, bound), without bias; 0 for a bound of 0.
  // Source: D. Lemire, "Fast Random Integer Generation in an Interval", 2019.
  constexpr uint64_t Below(uint64_t bound) {
    if (bound == 0) return 0;
    unsigned __int128 product = static_cast<unsigned __int128>(Next()) * bound;
    if (static_cast<uint64_t>(product) < bound) {
      const uint64_t threshold = (0 - bound) % bound;
      while (static_cast<uint64_t>(product) < threshold) {
        product = static_cast<unsigned __int128>(Next()) * bound;
      }
    }
    return static_cast<uint64_t>(product >> 64);
  }

  // Uniform in [low, high], both included; low when high < low.
  constexpr int64_t Between(int64_t low, int64_t high) {
    if (high <= low) return low;
    const uint64_t span = static_cast<uint64_t>(high) - static_cast<uint64_t>(low) + 1;
    const uint64_t offset = span == 0 ? Next() : Below(span);
    return static_cast<int64_t>(static_cast<uint64_t>(low) + offset);
  }

  // Uniform in [0, 1), with 53 random bits.
  constexpr double Unit() { return static_cast<double>(Next() >> 11) * 0x1.0p-53; }

  // True with the given probability.
  constexpr bool Chance(double probability) { return Unit() < probability; }

  // Exponentially distributed with the given mean: the time between independent events.
  double Exponential(double mean) { return -std::log1p(-Unit()) * mean; }

  // Uniform in [duration * (1 - fraction), duration * (1 + fraction)): spreads retries.
  absl::Duration Jitter(absl::Duration duration, double fraction) {
    return duration * (1.0 + fraction * (2.0 * Unit() - 1.0));
  }

  // Puts the elements of a random-access container in a uniformly random order.
  template <typename Container>
  constexpr void Shuffle(Container& elements) {
    using std::swap;
    for (size_t i = elements.size(); i > 1; --i) {
      const size_t j = static_cast<size_t>(Below(i));
      if (j != i - 1) swap(elements[i - 1], elements[j]);
    }
  }

  // A generator of its own for a part, so that one part's draws do not shift another's.
  constexpr Rng Fork() { return Rng(Next()); }

 private:
  std::array<uint64_t, 4> state_{};
};

}  // namespace tessera::base
