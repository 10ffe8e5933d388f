// Facts about an agent that frameworks choose by: "rack:r1;zone:eu-1;cores:16;vlans:[1-4]".
//
// Order is kept and a name may occur more than once; readers that want one value take the first.
#pragma once

#include <ostream>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "services/model/ranges.h"
#include "services/model/scalar.h"
#include "services/model/string_set.h"

namespace tessera::model {

struct Attribute {
  std::string name;
  std::variant<Scalar, Ranges, std::string, StringSet> value;

  const Scalar* scalar() const { return std::get_if<Scalar>(&value); }
  const Ranges* ranges() const { return std::get_if<Ranges>(&value); }
  const std::string* text() const { return std::get_if<std::string>(&value); }
  const StringSet* set() const { return std::get_if<StringSet>(&value); }
  std::string ValueToString() const;
  friend bool operator==(const Attribute&, const Attribute&) = default;
};

class Attributes {
 public:
  Attributes() = default;
  explicit Attributes(std::vector<Attribute> items) : items_(std::move(items)) {}

  // Parts are `name:value`, separated by ";". "[...]" reads as ranges, a whole number or
  // decimal as scalar, anything else as text (sets have no written form). InvalidArgument for a
  // part without a name or a value, or with malformed ranges.
  static absl::StatusOr<Attributes> Parse(std::string_view text);
  // What Parse returned reads back as the same attributes.
  std::string ToString() const;

  const std::vector<Attribute>& items() const { return items_; }
  std::vector<Attribute>::const_iterator begin() const { return items_.begin(); }
  std::vector<Attribute>::const_iterator end() const { return items_.end(); }
  bool empty() const { return items_.empty(); }
  // The first attribute of that name, or null.
  const Attribute* Find(std::string_view name) const;
  // All items, in order.
  friend bool operator==(const Attributes&, const Attributes&) = default;

 private:
  std::vector<Attribute> items_;
};

std::ostream& operator<<(std::ostream& out, const Attributes& attributes);

}  // namespace tessera::model
