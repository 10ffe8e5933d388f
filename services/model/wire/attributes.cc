#include "services/model/wire/attributes.h"

#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "services/base/status_macros.h"
#include "services/model/text.h"
#include "services/model/wire/resources.h"

namespace tessera::model::wire {

absl::StatusOr<Attributes> FromProto(const AttributeMessages& messages) {
  std::vector<Attribute> items;
  items.reserve(messages.size());
  for (const v1::Attribute& message : messages) {
    if (message.name().empty()) {
      return absl::InvalidArgumentError("attribute: name must not be empty");
    }
    Attribute item;
    item.name = message.name();
    switch (message.value_case()) {
      case v1::Attribute::kText:
        item.value = message.text();
        break;
      case v1::Attribute::kScalar:
        item.value = FromProto(message.scalar());
        break;
      case v1::Attribute::kRanges: {
        ASSIGN_OR_RETURN(item.value, FromProto(message.ranges()));
        break;
      }
      case v1::Attribute::kSet: {
        ASSIGN_OR_RETURN(item.value, FromProto(message.set()));
        break;
      }
      case v1::Attribute::VALUE_NOT_SET:
        return absl::InvalidArgumentError(
            absl::StrCat("attribute ", Quoted(message.name()), ": a value must be given"));
    }
    items.push_back(std::move(item));
  }
  return Attributes(std::move(items));
}

void ToProto(const Attributes& attributes, AttributeMessages* messages) {
  messages->Clear();
  for (const Attribute& item : attributes) {
    v1::Attribute* message = messages->Add();
    message->set_name(item.name);
    if (const Scalar* scalar = item.scalar()) {
      ToProto(*scalar, message->mutable_scalar());
    } else if (const Ranges* ranges = item.ranges()) {
      ToProto(*ranges, message->mutable_ranges());
    } else if (const StringSet* set = item.set()) {
      ToProto(*set, message->mutable_set());
    } else {
      message->set_text(*item.text());
    }
  }
}

}  // namespace tessera::model::wire
