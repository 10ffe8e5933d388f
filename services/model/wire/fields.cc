#include "services/model/wire/fields.h"

#include <cstdint>

#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/wire_format_lite.h"

namespace tessera::model::wire {

using google::protobuf::internal::WireFormatLite;

std::optional<std::string_view> LastBytesField(std::string_view message, int number) {
  google::protobuf::io::CodedInputStream in(reinterpret_cast<const uint8_t*>(message.data()),
                                            static_cast<int>(message.size()));
  const uint32_t wanted =
      WireFormatLite::MakeTag(number, WireFormatLite::WIRETYPE_LENGTH_DELIMITED);
  std::string_view last;
  while (true) {
    const int begin = in.CurrentPosition();
    const uint32_t tag = in.ReadTag();
    if (tag == 0) {
      // The end, or a tag that is none.
      if (static_cast<size_t>(begin) != message.size()) return std::nullopt;
      return last;
    }
    if (tag == wanted) {
      uint32_t size = 0;
      if (!in.ReadVarint32(&size)) return std::nullopt;
      const size_t from = static_cast<size_t>(in.CurrentPosition());
      if (size > message.size() - from || !in.Skip(static_cast<int>(size))) return std::nullopt;
      last = message.substr(from, size);
    } else if (!WireFormatLite::SkipField(&in, tag)) {
      return std::nullopt;
    }
  }
}

}  // namespace tessera::model::wire
