// Amounts of scalar resources by interned name, in thousandths of the resource's unit.
//
// A fixed array: adding, comparing and cutting touch two cache lines and allocate nothing. A name
// beyond the bound is refused by the Vocabulary. Sums saturate, so amounts near the end of int64
// never wrap.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace tessera::allocator {

inline constexpr size_t kScalarNamesMax = 16;
// The names that are always there.
inline constexpr size_t kCpus = 0;
inline constexpr size_t kMem = 1;
inline constexpr size_t kDisk = 2;
inline constexpr size_t kGpus = 3;

inline constexpr int64_t kUnlimited = std::numeric_limits<int64_t>::max();

struct Amounts {
  std::array<int64_t, kScalarNamesMax> milli{};

  static Amounts Unlimited() {
    Amounts all;
    all.milli.fill(kUnlimited);
    return all;
  }

  int64_t& operator[](size_t name) { return milli[name]; }
  int64_t operator[](size_t name) const { return milli[name]; }

  Amounts& operator+=(const Amounts& that) {
    for (size_t i = 0; i < kScalarNamesMax; ++i) {
      int64_t sum = 0;
      milli[i] = __builtin_add_overflow(milli[i], that.milli[i], &sum)
                     ? (that.milli[i] > 0 ? kUnlimited : std::numeric_limits<int64_t>::min())
                     : sum;
    }
    return *this;
  }
  // May become negative; see Clip.
  Amounts& operator-=(const Amounts& that) {
    for (size_t i = 0; i < kScalarNamesMax; ++i) milli[i] -= that.milli[i];
    return *this;
  }
  friend Amounts operator+(Amounts left, const Amounts& right) { return left += right; }
  friend Amounts operator-(Amounts left, const Amounts& right) { return left -= right; }
  friend bool operator==(const Amounts&, const Amounts&) = default;

  // Negative amounts become zero.
  Amounts& Clip() {
    for (int64_t& amount : milli) amount = std::max<int64_t>(amount, 0);
    return *this;
  }
  bool IsZero() const {
    int64_t any = 0;
    for (int64_t amount : milli) any |= amount;
    return any == 0;
  }
  bool AnyPositive() const {
    for (int64_t amount : milli) {
      if (amount > 0) return true;
    }
    return false;
  }
  bool AnyNegative() const {
    int64_t any = 0;
    for (int64_t amount : milli) any |= amount;
    return any < 0;
  }
  bool Contains(const Amounts& that) const {
    for (size_t i = 0; i < kScalarNamesMax; ++i) {
      if (milli[i] < that.milli[i]) return false;
    }
    return true;
  }
};

inline Amounts Min(const Amounts& left, const Amounts& right) {
  Amounts smaller;
  for (size_t i = 0; i < kScalarNamesMax; ++i) {
    smaller.milli[i] = std::min(left.milli[i], right.milli[i]);
  }
  return smaller;
}

inline Amounts Max(const Amounts& left, const Amounts& right) {
  Amounts larger;
  for (size_t i = 0; i < kScalarNamesMax; ++i) {
    larger.milli[i] = std::max(left.milli[i], right.milli[i]);
  }
  return larger;
}

}  // namespace tessera::allocator
