#include "services/model/wire/description.h"

#include <cstdint>
#include <utility>

#include "absl/status/status.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "google/protobuf/wire_format_lite.h"

namespace tessera::model::wire {

using google::protobuf::internal::WireFormatLite;

Description Describe(const google::protobuf::MessageLite& message) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream out(&stream);
    out.SetSerializationDeterministic(true);
    message.SerializeToCodedStream(&out);
  }
  return Description(std::move(bytes));
}

absl::StatusOr<std::string> WithoutField(std::string_view bytes, int number) {
  google::protobuf::io::CodedInputStream in(reinterpret_cast<const uint8_t*>(bytes.data()),
                                            static_cast<int>(bytes.size()));
  std::string kept;
  // Begin of what is kept next.
  size_t from = 0;
  while (true) {
    const size_t begin = static_cast<size_t>(in.CurrentPosition());
    const uint32_t tag = in.ReadTag();
    if (tag == 0) {
      if (begin != bytes.size()) return absl::InvalidArgumentError("the bytes are no message");
      break;
    }
    if (!WireFormatLite::SkipField(&in, tag)) {
      return absl::InvalidArgumentError("the bytes are no message");
    }
    if (WireFormatLite::GetTagFieldNumber(tag) != number) continue;
    kept.append(bytes, from, begin - from);
    from = static_cast<size_t>(in.CurrentPosition());
  }
  kept.append(bytes, from, bytes.size() - from);
  return kept;
}

}  // namespace tessera::model::wire
