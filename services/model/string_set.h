// A set of strings: the value of a set resource such as zones or named devices.
//
// Invariant: items are sorted bytewise and unique. A value type.
#pragma once

#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace tessera::model {

class StringSet {
 public:
  StringSet() = default;

  // InvalidArgument when an item occurs twice.
  static absl::StatusOr<StringSet> FromItems(std::vector<std::string> items);

  // Reads "{a, b}"; blanks around items are dropped. InvalidArgument for missing braces, an
  // empty item or an item given twice.
  static absl::StatusOr<StringSet> Parse(std::string_view text);

  // "{a, b}"
  std::string ToString() const;

  const std::vector<std::string>& items() const { return items_; }
  bool empty() const { return items_.empty(); }
  size_t Count() const { return items_.size(); }

  bool Contains(std::string_view item) const;
  bool Contains(const StringSet& that) const;
  bool Intersects(const StringSet& that) const;

  // Union, and set difference. O(n + m).
  StringSet& operator+=(const StringSet& that);
  StringSet& operator-=(const StringSet& that);
  friend StringSet operator+(StringSet left, const StringSet& right) { return left += right; }
  friend StringSet operator-(StringSet left, const StringSet& right) { return left -= right; }
  friend bool operator==(const StringSet&, const StringSet&) = default;
  friend auto operator<=>(const StringSet& left, const StringSet& right) {
    return left.items_ <=> right.items_;
  }

 private:
  std::vector<std::string> items_;
};

std::ostream& operator<<(std::ostream& out, const StringSet& set);

}  // namespace tessera::model
