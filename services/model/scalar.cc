#include "services/model/scalar.h"

#include <algorithm>
#include <cmath>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "services/model/text.h"

namespace tessera::model {
namespace {

constexpr int kDecimals = 3;
// Any exponent beyond this makes a number zero or too large, whatever its digits (a text is
// never near that long).
constexpr int64_t kExponentMax = int64_t{1} << 40;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

absl::Status NotANumber(std::string_view text) {
  return absl::InvalidArgumentError(absl::StrCat(Quoted(text), " is not a decimal number"));
}

absl::Status TooLarge(const std::string& text) {
  return absl::InvalidArgumentError(
      absl::StrCat(text, " is out of range: magnitudes must stay below 9223372036854775.808"));
}

}  // namespace

absl::StatusOr<Scalar> Scalar::FromDouble(double value) {
  if (!std::isfinite(value)) {
    return absl::InvalidArgumentError("scalar is not a finite number");
  }
  const double scaled = value * static_cast<double>(kThousandthsPerUnit);
  if (!(std::fabs(scaled) < 9223372036854775808.0)) return TooLarge(absl::StrCat(value));
  return Scalar(std::llround(scaled));
}

absl::StatusOr<Scalar> Scalar::Parse(std::string_view text) {
  std::string_view rest = text;
  const bool negative = !rest.empty() && rest.front() == '-';
  if (!rest.empty() && (rest.front() == '-' || rest.front() == '+')) rest.remove_prefix(1);

  // The number is `digits` x 10^shift thousandths.
  std::string digits;
  int64_t shift = kDecimals;
  bool any_digit = false;
  bool after_point = false;
  while (!rest.empty() && (IsDigit(rest.front()) || (rest.front() == '.' && !after_point))) {
    if (rest.front() == '.') {
      after_point = true;
    } else {
      any_digit = true;
      if (after_point) --shift;
      if (rest.front() != '0' || !digits.empty()) digits += rest.front();
    }
    rest.remove_prefix(1);
  }
  if (!any_digit) return NotANumber(text);
  if (!rest.empty() && (rest.front() == 'e' || rest.front() == 'E')) {
    rest.remove_prefix(1);
    const bool small = !rest.empty() && rest.front() == '-';
    if (!rest.empty() && (rest.front() == '-' || rest.front() == '+')) rest.remove_prefix(1);
    if (rest.empty()) return NotANumber(text);
    int64_t exponent = 0;
    while (!rest.empty() && IsDigit(rest.front())) {
      exponent = std::min(kExponentMax, exponent * 10 + (rest.front() - '0'));
      rest.remove_prefix(1);
    }
    shift += small ? -exponent : exponent;
  }
  if (!rest.empty()) return NotANumber(text);
  if (digits.empty()) return Scalar();

  bool round_up = false;
  if (shift < 0) {
    const int64_t kept = static_cast<int64_t>(digits.size()) + shift;
    if (kept < 0) return Scalar();
    round_up = digits[kept] >= '5';
    digits.resize(kept);
    shift = 0;
  }
  int64_t magnitude = 0;
  for (const char digit : digits) {
    if (__builtin_mul_overflow(magnitude, int64_t{10}, &magnitude) ||
        __builtin_add_overflow(magnitude, int64_t{digit - '0'}, &magnitude)) {
      return TooLarge(Quoted(text));
    }
  }
  for (; shift > 0; --shift) {
    if (__builtin_mul_overflow(magnitude, int64_t{10}, &magnitude)) return TooLarge(Quoted(text));
  }
  if (round_up && __builtin_add_overflow(magnitude, int64_t{1}, &magnitude)) {
    return TooLarge(Quoted(text));
  }
  return Scalar(negative ? -magnitude : magnitude);
}

std::string Scalar::ToString() const {
  // Unsigned, because the magnitude of the smallest int64 is not an int64.
  const uint64_t magnitude = thousandths_ < 0 ? uint64_t{0} - static_cast<uint64_t>(thousandths_)
                                              : static_cast<uint64_t>(thousandths_);
  std::string text = absl::StrCat(thousandths_ < 0 ? "-" : "", magnitude / kThousandthsPerUnit);
  uint64_t decimals = magnitude % kThousandthsPerUnit;
  if (decimals == 0) return text;
  text += '.';
  for (uint64_t place = 100; decimals > 0; place /= 10) {
    text += static_cast<char>('0' + decimals / place);
    decimals %= place;
  }
  return text;
}

std::ostream& operator<<(std::ostream& out, Scalar scalar) { return out << scalar.ToString(); }

}  // namespace tessera::model
