// Fixed-point amount of a scalar resource (cpus, mem, disk, gpus, custom names).
//
// A Scalar is a 64-bit count of thousandths, so that 0.1 added ten times is exactly 1 and no
// comparison depends on binary rounding. Doubles exist only at the edges (wire, JSON).
//
// Invariant: every int64 is a valid value; sums and differences saturate at the ends of int64
// and never overflow. A value type, safe to share between threads when not written.
#pragma once

#include <cstdint>
#include <limits>
#include <ostream>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace tessera::model {

// The largest amount that one resource object may have where it comes from outside, in thousandths:
// 7 * 10^10 units, so that the sum over 131,072 agents still fits into int64.
inline constexpr int64_t kResourceThousandthsMax = int64_t{1} << 46;
// The largest amount that a quantity may have where it comes from outside, in thousandths. Quotas
// and wishes are about whole clusters: 9 * 10^12 units, exact even where a reader uses doubles.
inline constexpr int64_t kQuantityThousandthsMax = int64_t{1} << 53;

class Scalar {
 public:
  static constexpr int64_t kThousandthsPerUnit = 1000;

  constexpr Scalar() = default;
  static constexpr Scalar FromThousandths(int64_t thousandths) { return Scalar(thousandths); }
  // `units` beyond int64/1000 saturate.
  static constexpr Scalar FromUnits(int64_t units) {
    int64_t thousandths = 0;
    if (__builtin_mul_overflow(units, kThousandthsPerUnit, &thousandths)) {
      return Scalar(Limit(units < 0));
    }
    return Scalar(thousandths);
  }
  static constexpr Scalar Max() { return Scalar(std::numeric_limits<int64_t>::max()); }

  // Rounds half away from zero at the third decimal. InvalidArgument for NaN, infinities and
  // magnitudes of 2^63/1000 or more.
  static absl::StatusOr<Scalar> FromDouble(double value);

  // Reads a decimal number ("4", "-0.5", ".25", "1e3") without going through a double; digits
  // beyond the third decimal round half away from zero. InvalidArgument as for FromDouble, and
  // for anything that is not wholly a number.
  static absl::StatusOr<Scalar> Parse(std::string_view text);

  constexpr int64_t thousandths() const { return thousandths_; }
  constexpr double ToDouble() const { return static_cast<double>(thousandths_) / 1000.0; }
  // The shortest decimal form: "4", "0.5", "-1.001".
  std::string ToString() const;

  constexpr bool IsZero() const { return thousandths_ == 0; }
  constexpr bool IsPositive() const { return thousandths_ > 0; }
  constexpr bool IsNegative() const { return thousandths_ < 0; }
  // True when there are no decimals (gpus must be whole).
  constexpr bool IsWhole() const { return thousandths_ % kThousandthsPerUnit == 0; }

  constexpr Scalar& operator+=(Scalar that) {
    int64_t sum = 0;
    thousandths_ = __builtin_add_overflow(thousandths_, that.thousandths_, &sum)
                       ? Limit(that.thousandths_ < 0)
                       : sum;
    return *this;
  }
  constexpr Scalar& operator-=(Scalar that) {
    int64_t difference = 0;
    thousandths_ = __builtin_sub_overflow(thousandths_, that.thousandths_, &difference)
                       ? Limit(that.thousandths_ > 0)
                       : difference;
    return *this;
  }
  friend constexpr Scalar operator+(Scalar left, Scalar right) { return left += right; }
  friend constexpr Scalar operator-(Scalar left, Scalar right) { return left -= right; }
  friend constexpr bool operator==(Scalar, Scalar) = default;
  friend constexpr auto operator<=>(Scalar, Scalar) = default;

  template <typename H>
  friend H AbslHashValue(H state, Scalar scalar) {
    return H::combine(std::move(state), scalar.thousandths_);
  }

 private:
  explicit constexpr Scalar(int64_t thousandths) : thousandths_(thousandths) {}
  static constexpr int64_t Limit(bool negative) {
    return negative ? std::numeric_limits<int64_t>::min() : std::numeric_limits<int64_t>::max();
  }

  int64_t thousandths_ = 0;
};

std::ostream& operator<<(std::ostream& out, Scalar scalar);

}  // namespace tessera::model
