// Amounts of scalar resources by interned name, in thousandths of the resource's unit.
//
// A fixed array: adding, comparing and cutting touch two cache lines and allocate nothing. Scalars
// of a name beyond the bound are extras: allocated like any other resource, but no part of shares,
// quota and head-room. Sums saturate, so amounts near the end of int64 never wrap.
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
    uint64_t overflows = 0;
    for (size_t i = 0; i < kScalarNamesMax; ++i) {
      const uint64_t left = Bits(milli[i]), right = Bits(that.milli[i]);
      milli[i] = static_cast<int64_t>(left + right);
      overflows |= (left ^ (left + right)) & (right ^ (left + right));
    }
    if (overflows >> 63 != 0) Saturate(that);
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
    for (int64_t& amount : milli) {
      amount = static_cast<int64_t>(Bits(amount) & ~Mask(Bits(amount)));
    }
    return *this;
  }
  bool IsZero() const {
    uint64_t any = 0;
    for (int64_t amount : milli) any |= Bits(amount);
    return any == 0;
  }
  bool AnyPositive() const {
    uint64_t any = 0;
    for (int64_t amount : milli) any |= (0 - Bits(amount)) & ~Bits(amount);
    return any >> 63 != 0;
  }
  bool AnyNegative() const {
    uint64_t any = 0;
    for (int64_t amount : milli) any |= Bits(amount);
    return any >> 63 != 0;
  }
  bool Contains(const Amounts& that) const {
    uint64_t less = 0;
    for (size_t i = 0; i < kScalarNamesMax; ++i) less |= Less(milli[i], that.milli[i]);
    return less >> 63 == 0;
  }

 private:
  friend Amounts Min(const Amounts& left, const Amounts& right);
  friend Amounts Max(const Amounts& left, const Amounts& right);

  // Loops over the names have no branch and no signed comparison, so that they become vector
  // instructions on any processor of this architecture.
  static uint64_t Bits(int64_t amount) { return static_cast<uint64_t>(amount); }
  // All ones when the highest bit is set, else nothing.
  static uint64_t Mask(uint64_t bits) { return 0 - (bits >> 63); }
  // The highest bit is set iff left < right.
  static uint64_t Less(int64_t left, int64_t right) {
    const uint64_t difference = Bits(left) - Bits(right);
    return difference ^ ((Bits(left) ^ Bits(right)) & (difference ^ Bits(left)));
  }
  // After an addition of `that` that wrapped somewhere.
  void Saturate(const Amounts& that) {
    for (size_t i = 0; i < kScalarNamesMax; ++i) {
      const int64_t before = static_cast<int64_t>(Bits(milli[i]) - Bits(that.milli[i]));
      int64_t sum = 0;
      milli[i] = __builtin_add_overflow(before, that.milli[i], &sum)
                     ? (that.milli[i] > 0 ? kUnlimited : std::numeric_limits<int64_t>::min())
                     : sum;
    }
  }
};

inline Amounts Min(const Amounts& left, const Amounts& right) {
  Amounts smaller = left;
  for (size_t i = 0; i < kScalarNamesMax; ++i) {
    const uint64_t take = Amounts::Mask(Amounts::Less(left.milli[i], right.milli[i]));
    const uint64_t other = Amounts::Bits(right.milli[i]);
    smaller.milli[i] =
        static_cast<int64_t>(other ^ ((Amounts::Bits(left.milli[i]) ^ other) & take));
  }
  return smaller;
}

inline Amounts Max(const Amounts& left, const Amounts& right) {
  Amounts larger = left;
  for (size_t i = 0; i < kScalarNamesMax; ++i) {
    const uint64_t take = Amounts::Mask(Amounts::Less(right.milli[i], left.milli[i]));
    const uint64_t other = Amounts::Bits(right.milli[i]);
    larger.milli[i] = static_cast<int64_t>(other ^ ((Amounts::Bits(left.milli[i]) ^ other) & take));
  }
  return larger;
}

}  // namespace tessera::allocator
