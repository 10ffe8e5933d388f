// A number that stands for everything that happened in a run, contents of messages included.
//
// Two runs of a seed must agree on it, in one process and in two: what depends on an address, on
// the order of a hash map or on the time of day shows here.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

namespace tessera::sim {

class Digest {
 public:
  void Add(uint64_t value) { hash_ = Mix(hash_ ^ value); }
  void Add(std::string_view bytes) {
    uint64_t hash = hash_ ^ bytes.size();
    while (bytes.size() >= sizeof(uint64_t)) {
      uint64_t word = 0;
      std::memcpy(&word, bytes.data(), sizeof word);
      hash = Mix(hash ^ word);
      bytes.remove_prefix(sizeof word);
    }
    uint64_t rest = 0;
    if (!bytes.empty()) std::memcpy(&rest, bytes.data(), bytes.size());
    hash_ = Mix(hash ^ rest);
  }
  uint64_t value() const { return hash_; }

 private:
  // The finalizer of SplitMix64: a bijection, so that nothing that was added is lost at once.
  static uint64_t Mix(uint64_t x) {
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
  }

  uint64_t hash_ = 14695981039346656037u;
};

}  // namespace tessera::sim
