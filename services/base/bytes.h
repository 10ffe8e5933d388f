// An amount of memory, disk or traffic. The unit is in the type, so no name has to say it.
//
// Text form: a whole number with B, KiB, MiB, GiB or TiB ("64MiB"); KB, MB, GB, TB and the bare
// letters mean the same powers of 1024, as users of cluster managers expect. Usable as the type of
// an absl flag.
#pragma once

#include <compare>
#include <cstdint>
#include <ostream>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace tessera::base {

class Bytes {
 public:
  constexpr Bytes() = default;
  constexpr explicit Bytes(int64_t count) : count_(count) {}

  constexpr int64_t count() const { return count_; }
  constexpr double mebibytes() const { return static_cast<double>(count_) / (1 << 20); }

  friend constexpr auto operator<=>(const Bytes&, const Bytes&) = default;

  constexpr Bytes& operator+=(Bytes other) {
    count_ += other.count_;
    return *this;
  }
  constexpr Bytes& operator-=(Bytes other) {
    count_ -= other.count_;
    return *this;
  }
  friend constexpr Bytes operator+(Bytes a, Bytes b) { return a += b; }
  friend constexpr Bytes operator-(Bytes a, Bytes b) { return a -= b; }
  friend constexpr Bytes operator*(Bytes a, int64_t n) { return Bytes(a.count_ * n); }

  // INVALID_ARGUMENT when the text is no such amount, is negative, or does not fit.
  static absl::StatusOr<Bytes> Parse(std::string_view text);

  // In the largest unit that shows it exactly: "64MiB", "1500B".
  std::string ToString() const;

  template <typename H>
  friend H AbslHashValue(H state, const Bytes& bytes) {
    return H::combine(std::move(state), bytes.count_);
  }
  friend std::ostream& operator<<(std::ostream& out, const Bytes& bytes) {
    return out << bytes.ToString();
  }

 private:
  int64_t count_ = 0;
};

constexpr Bytes KiB(int64_t n) { return Bytes(n << 10); }
constexpr Bytes MiB(int64_t n) { return Bytes(n << 20); }
constexpr Bytes GiB(int64_t n) { return Bytes(n << 30); }

bool AbslParseFlag(absl::string_view text, Bytes* bytes, std::string* error);
std::string AbslUnparseFlag(const Bytes& bytes);

}  // namespace tessera::base
