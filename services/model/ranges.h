// A set of unsigned 64-bit numbers kept as inclusive intervals: the value of `ports` and of
// custom range resources.
//
// Invariant (canonical form): intervals are sorted, do not overlap and do not touch; 1-3 and 4-5
// are stored as 1-5. Two equal sets therefore have equal intervals. A value type.
#pragma once

#include <cstdint>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace tessera::model {

// Both ends belong to the interval; begin <= end.
struct Interval {
  uint64_t begin = 0;
  uint64_t end = 0;
  friend bool operator==(const Interval&, const Interval&) = default;
  friend auto operator<=>(const Interval&, const Interval&) = default;
};

class Ranges {
 public:
  Ranges() = default;

  // InvalidArgument when an interval begins after its end or two overlap. O(n log n).
  static absl::StatusOr<Ranges> FromIntervals(std::vector<Interval> intervals);

  // The union of any well-formed intervals, overlapping or not; intervals that begin after
  // their end are ignored.
  static Ranges UnionOf(std::vector<Interval> intervals);

  // Reads "[1-3, 5-9]"; a single number stands for itself ("[7]"), "[]" is empty. Blanks are
  // free. InvalidArgument names the part that is wrong; overlaps are refused.
  static absl::StatusOr<Ranges> Parse(std::string_view text);

  // "[1-3, 5-9]"; one number prints as "[7-7]".
  std::string ToString() const;

  const std::vector<Interval>& intervals() const { return intervals_; }
  bool empty() const { return intervals_.empty(); }
  // How many numbers; saturates at 2^64-1.
  uint64_t Count() const;

  bool Contains(uint64_t number) const;
  bool Contains(const Ranges& that) const;
  bool Intersects(const Ranges& that) const;

  // Union, and set difference. O(n + m).
  Ranges& operator+=(const Ranges& that);
  Ranges& operator-=(const Ranges& that);
  friend Ranges operator+(Ranges left, const Ranges& right) { return left += right; }
  friend Ranges operator-(Ranges left, const Ranges& right) { return left -= right; }
  friend bool operator==(const Ranges&, const Ranges&) = default;
  friend auto operator<=>(const Ranges& left, const Ranges& right) {
    return left.intervals_ <=> right.intervals_;
  }

 private:
  std::vector<Interval> intervals_;
};

std::ostream& operator<<(std::ostream& out, const Ranges& ranges);

}  // namespace tessera::model
