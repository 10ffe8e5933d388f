// The generator that the allocator draws from: handed in, so that one seed gives one history.
#pragma once

#include <cstdint>
#include <random>
#include <utility>
#include <vector>

namespace tessera::allocator {

class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}

  // Uniform in [0, bound), without bias. `bound` > 0.
  uint64_t Below(uint64_t bound) {
    // Multiply and shift, rejecting the short remainder (Lemire, "Fast random integer generation
    // in an interval", 2019).
    unsigned __int128 product = static_cast<unsigned __int128>(engine_()) * bound;
    if (static_cast<uint64_t>(product) < bound) {
      const uint64_t threshold = -bound % bound;
      while (static_cast<uint64_t>(product) < threshold) {
        product = static_cast<unsigned __int128>(engine_()) * bound;
      }
    }
    return static_cast<uint64_t>(product >> 64);
  }

  template <typename T>
  void Shuffle(std::vector<T>* items) {
    for (size_t left = items->size(); left > 1; --left) {
      std::swap((*items)[left - 1], (*items)[Below(left)]);
    }
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace tessera::allocator
