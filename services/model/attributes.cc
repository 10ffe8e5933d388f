#include "services/model/attributes.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "services/model/text.h"

namespace tessera::model {
namespace {

// Only plain decimals are numbers: "1e3" is more likely the name of something.
bool LooksNumeric(std::string_view text) {
  return text.find_first_not_of("+-.0123456789") == std::string_view::npos;
}

}  // namespace

std::string Attribute::ValueToString() const {
  if (const Scalar* number = scalar()) return number->ToString();
  if (const Ranges* intervals = ranges()) return intervals->ToString();
  if (const StringSet* items = set()) return items->ToString();
  return *text();
}

absl::StatusOr<Attributes> Attributes::Parse(std::string_view text) {
  std::vector<Attribute> items;
  for (const std::string_view piece : SplitTrimmed(text, ';')) {
    if (piece.empty()) continue;
    const size_t colon = piece.find(':');
    const std::string_view name = TrimBlanks(piece.substr(0, colon));
    const std::string_view value =
        colon == std::string_view::npos ? std::string_view() : TrimBlanks(piece.substr(colon + 1));
    if (name.empty() || value.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("attribute ", Quoted(piece), " is not of the form name:value"));
    }
    Attribute attribute;
    attribute.name = std::string(name);
    attribute.value = std::string(value);
    if (value.front() == '[') {
      absl::StatusOr<Ranges> ranges = Ranges::Parse(value);
      if (!ranges.ok()) {
        return absl::InvalidArgumentError(
            absl::StrCat("attribute ", Quoted(name), ": ", ranges.status().message()));
      }
      attribute.value = *std::move(ranges);
    } else if (LooksNumeric(value)) {
      if (const absl::StatusOr<Scalar> scalar = Scalar::Parse(value); scalar.ok()) {
        attribute.value = *scalar;
      }
    }
    items.push_back(std::move(attribute));
  }
  return Attributes(std::move(items));
}

std::string Attributes::ToString() const {
  std::string text;
  for (const Attribute& item : items_) {
    absl::StrAppend(&text, text.empty() ? "" : ";", item.name, ":", item.ValueToString());
  }
  return text;
}

const Attribute* Attributes::Find(std::string_view name) const {
  const auto found = std::find_if(items_.begin(), items_.end(),
                                  [name](const Attribute& item) { return item.name == name; });
  return found == items_.end() ? nullptr : &*found;
}

std::ostream& operator<<(std::ostream& out, const Attributes& attributes) {
  return out << attributes.ToString();
}

}  // namespace tessera::model
