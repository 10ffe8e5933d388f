#include "services/model/testing/message_text.h"

#include <google/protobuf/duration.pb.h>
#include <google/protobuf/text_format.h>
#include <google/protobuf/timestamp.pb.h>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "protos/tessera/model/v1/resources.pb.h"
#include "services/model/resource.h"
#include "services/model/wire/resources.h"

namespace tessera::model::testing {
namespace {

using google::protobuf::Message;
using google::protobuf::TextFormat;

class ShortBytes final : public TextFormat::FastFieldValuePrinter {
 public:
  void PrintBytes(const std::string& value, TextFormat::BaseTextGenerator* out) const override {
    out->PrintString(absl::StrCat("<", value.size(), " bytes>"));
  }
};

class ResourceText final : public TextFormat::MessagePrinter {
 public:
  void Print(const Message& message, bool, TextFormat::BaseTextGenerator* out) const override {
    const auto& resource = static_cast<const v1::Resource&>(message);
    const absl::StatusOr<Resource> value = wire::FromProto(resource);
    out->PrintString(value.ok() ? ToString(*value) : resource.ShortDebugString());
    out->PrintString(" ");
  }
};

// Both have the same two fields.
template <typename Time>
class SecondsText final : public TextFormat::MessagePrinter {
 public:
  void Print(const Message& message, bool, TextFormat::BaseTextGenerator* out) const override {
    const auto& time = static_cast<const Time&>(message);
    std::string text = absl::StrCat(time.seconds());
    if (time.nanos() != 0) {
      text = absl::StrCat(text, ".", absl::Dec(time.nanos(), absl::kZeroPad9));
      while (text.back() == '0') text.pop_back();
    }
    out->PrintString(absl::StrCat(text, "s "));
  }
};

// Made once: a printer owns what is registered with it, and printing changes nothing of it.
const TextFormat::Printer& LinePrinter() {
  static const TextFormat::Printer* const printer = [] {
    auto* made = new TextFormat::Printer();
    made->SetSingleLineMode(true);
    made->SetUseShortRepeatedPrimitives(true);
    made->SetDefaultFieldValuePrinter(new ShortBytes());
    made->RegisterMessagePrinter(v1::Resource::descriptor(), new ResourceText());
    made->RegisterMessagePrinter(google::protobuf::Duration::descriptor(),
                                 new SecondsText<google::protobuf::Duration>());
    made->RegisterMessagePrinter(google::protobuf::Timestamp::descriptor(),
                                 new SecondsText<google::protobuf::Timestamp>());
    return made;
  }();
  return *printer;
}

}  // namespace

std::string MessageText(const Message& message) {
  std::string text;
  LinePrinter().PrintToString(message, &text);
  return std::string(absl::StripTrailingAsciiWhitespace(text));
}

}  // namespace tessera::model::testing
