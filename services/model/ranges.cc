#include "services/model/ranges.h"

#include <algorithm>
#include <limits>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "services/model/text.h"

namespace tessera::model {
namespace {

constexpr uint64_t kNumberMax = std::numeric_limits<uint64_t>::max();

// The second interval, which does not begin before the first, overlaps or touches it.
bool Joins(const Interval& first, const Interval& second) {
  return first.end == kNumberMax || second.begin <= first.end + 1;
}

std::string IntervalText(const Interval& interval) {
  return absl::StrCat(interval.begin, "-", interval.end);
}

// Merges what overlaps or touches in a sorted list.
void Coalesce(std::vector<Interval>* sorted) {
  size_t kept = 0;
  for (const Interval& interval : *sorted) {
    if (kept > 0 && Joins((*sorted)[kept - 1], interval)) {
      (*sorted)[kept - 1].end = std::max((*sorted)[kept - 1].end, interval.end);
    } else {
      (*sorted)[kept++] = interval;
    }
  }
  sorted->resize(kept);
}

}  // namespace

absl::StatusOr<Ranges> Ranges::FromIntervals(std::vector<Interval> intervals) {
  for (const Interval& interval : intervals) {
    if (interval.begin > interval.end) {
      return absl::InvalidArgumentError(
          absl::StrCat("range ", IntervalText(interval), " begins after its end"));
    }
  }
  std::sort(intervals.begin(), intervals.end());
  for (size_t i = 1; i < intervals.size(); ++i) {
    if (intervals[i].begin <= intervals[i - 1].end) {
      return absl::InvalidArgumentError(absl::StrCat("ranges ", IntervalText(intervals[i - 1]),
                                                     " and ", IntervalText(intervals[i]),
                                                     " overlap"));
    }
  }
  Ranges ranges;
  ranges.intervals_ = std::move(intervals);
  Coalesce(&ranges.intervals_);
  return ranges;
}

Ranges Ranges::UnionOf(std::vector<Interval> intervals) {
  std::erase_if(intervals, [](const Interval& interval) { return interval.begin > interval.end; });
  std::sort(intervals.begin(), intervals.end());
  Ranges ranges;
  ranges.intervals_ = std::move(intervals);
  Coalesce(&ranges.intervals_);
  return ranges;
}

absl::StatusOr<Ranges> Ranges::Parse(std::string_view text) {
  std::string_view body = TrimBlanks(text);
  if (body.size() < 2 || body.front() != '[' || body.back() != ']') {
    return absl::InvalidArgumentError(
        absl::StrCat("ranges must be written [begin-end, ...], not ", Quoted(text)));
  }
  body = TrimBlanks(body.substr(1, body.size() - 2));
  if (body.empty()) return Ranges();
  std::vector<Interval> intervals;
  for (const std::string_view piece : SplitTrimmed(body, ',')) {
    const size_t dash = piece.find('-');
    const auto begin = ParseUnsigned(TrimBlanks(piece.substr(0, dash)));
    const auto end =
        dash == std::string_view::npos ? begin : ParseUnsigned(TrimBlanks(piece.substr(dash + 1)));
    if (!begin || !end) {
      return absl::InvalidArgumentError(
          absl::StrCat("range ", Quoted(piece), " is not of the form begin-end"));
    }
    intervals.push_back({*begin, *end});
  }
  return FromIntervals(std::move(intervals));
}

std::string Ranges::ToString() const {
  std::string text = "[";
  for (const Interval& interval : intervals_) {
    absl::StrAppend(&text, text.size() > 1 ? ", " : "", IntervalText(interval));
  }
  text += ']';
  return text;
}

uint64_t Ranges::Count() const {
  uint64_t count = 0;
  for (const Interval& interval : intervals_) {
    uint64_t length = interval.end - interval.begin;
    if (__builtin_add_overflow(length, uint64_t{1}, &length) ||
        __builtin_add_overflow(count, length, &count)) {
      return kNumberMax;
    }
  }
  return count;
}

bool Ranges::Contains(uint64_t number) const {
  const auto after = std::upper_bound(
      intervals_.begin(), intervals_.end(), number,
      [](uint64_t wanted, const Interval& interval) { return wanted < interval.begin; });
  return after != intervals_.begin() && number <= std::prev(after)->end;
}

bool Ranges::Contains(const Ranges& that) const {
  auto holder = intervals_.begin();
  for (const Interval& wanted : that.intervals_) {
    while (holder != intervals_.end() && holder->end < wanted.begin) ++holder;
    if (holder == intervals_.end() || wanted.begin < holder->begin || holder->end < wanted.end) {
      return false;
    }
  }
  return true;
}

bool Ranges::Intersects(const Ranges& that) const {
  auto left = intervals_.begin();
  auto right = that.intervals_.begin();
  while (left != intervals_.end() && right != that.intervals_.end()) {
    if (left->end < right->begin) {
      ++left;
    } else if (right->end < left->begin) {
      ++right;
    } else {
      return true;
    }
  }
  return false;
}

Ranges& Ranges::operator+=(const Ranges& that) {
  if (that.empty()) return *this;
  std::vector<Interval> merged;
  merged.reserve(intervals_.size() + that.intervals_.size());
  std::merge(intervals_.begin(), intervals_.end(), that.intervals_.begin(), that.intervals_.end(),
             std::back_inserter(merged));
  Coalesce(&merged);
  intervals_ = std::move(merged);
  return *this;
}

Ranges& Ranges::operator-=(const Ranges& that) {
  if (empty() || that.empty()) return *this;
  std::vector<Interval> rest;
  auto hole = that.intervals_.begin();
  for (Interval left : intervals_) {
    bool used_up = false;
    while (hole != that.intervals_.end() && hole->end < left.begin) ++hole;
    // A hole that reaches beyond `left` may also cut the next interval, so it is kept.
    for (auto cut = hole; cut != that.intervals_.end() && cut->begin <= left.end; ++cut) {
      hole = cut;
      if (cut->begin > left.begin) rest.push_back({left.begin, cut->begin - 1});
      if (cut->end >= left.end) {
        used_up = true;
        break;
      }
      left.begin = cut->end + 1;
    }
    if (!used_up) rest.push_back(left);
  }
  intervals_ = std::move(rest);
  return *this;
}

std::ostream& operator<<(std::ostream& out, const Ranges& ranges) {
  return out << ranges.ToString();
}

}  // namespace tessera::model
