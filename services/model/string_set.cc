#include "services/model/string_set.h"

#include <algorithm>
#include <iterator>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "services/model/text.h"

namespace tessera::model {

absl::StatusOr<StringSet> StringSet::FromItems(std::vector<std::string> items) {
  std::sort(items.begin(), items.end());
  const auto twin = std::adjacent_find(items.begin(), items.end());
  if (twin != items.end()) {
    return absl::InvalidArgumentError(absl::StrCat("set item ", Quoted(*twin), " occurs twice"));
  }
  StringSet set;
  set.items_ = std::move(items);
  return set;
}

absl::StatusOr<StringSet> StringSet::Parse(std::string_view text) {
  std::string_view body = TrimBlanks(text);
  if (body.size() < 2 || body.front() != '{' || body.back() != '}') {
    return absl::InvalidArgumentError(
        absl::StrCat("a set must be written {item, ...}, not ", Quoted(text)));
  }
  body = TrimBlanks(body.substr(1, body.size() - 2));
  if (body.empty()) return StringSet();
  std::vector<std::string> items;
  for (const std::string_view piece : SplitTrimmed(body, ',')) {
    if (piece.empty()) {
      return absl::InvalidArgumentError(absl::StrCat("set ", Quoted(text), " has an empty item"));
    }
    if (piece.find_first_of("{}") != std::string_view::npos) {
      return absl::InvalidArgumentError(
          absl::StrCat("set ", Quoted(text), " has a brace inside an item"));
    }
    items.emplace_back(piece);
  }
  return FromItems(std::move(items));
}

std::string StringSet::ToString() const {
  return absl::StrCat("{", absl::StrJoin(items_, ", "), "}");
}

bool StringSet::Contains(std::string_view item) const {
  return std::binary_search(items_.begin(), items_.end(), item);
}

bool StringSet::Contains(const StringSet& that) const {
  return std::includes(items_.begin(), items_.end(), that.items_.begin(), that.items_.end());
}

bool StringSet::Intersects(const StringSet& that) const {
  return std::any_of(that.items_.begin(), that.items_.end(),
                     [this](const std::string& item) { return Contains(item); });
}

StringSet& StringSet::operator+=(const StringSet& that) {
  std::vector<std::string> merged;
  std::set_union(items_.begin(), items_.end(), that.items_.begin(), that.items_.end(),
                 std::back_inserter(merged));
  items_ = std::move(merged);
  return *this;
}

StringSet& StringSet::operator-=(const StringSet& that) {
  std::vector<std::string> rest;
  std::set_difference(items_.begin(), items_.end(), that.items_.begin(), that.items_.end(),
                      std::back_inserter(rest));
  items_ = std::move(rest);
  return *this;
}

std::ostream& operator<<(std::ostream& out, const StringSet& set) { return out << set.ToString(); }

}  // namespace tessera::model
