#include "services/rpc/status.h"

#include <google/protobuf/any.pb.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/wire_format_lite.h>
#include <grpcpp/support/status.h>

#include <string>

#include "absl/strings/cord.h"

namespace tessera::rpc {
namespace {

using google::protobuf::Any;
using google::protobuf::internal::WireFormatLite;

constexpr size_t kMessageBytesMax = 4096;

// google.rpc.Status: int32 code = 1; string message = 2; repeated Any details = 3. Debian ships no
// copy of that proto; its three fields are written and read by hand.
std::string EncodeDetails(int code, const std::string& message, const absl::Status& status) {
  std::string encoded;
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& payload) {
    Any any;
    any.set_type_url(std::string(url));
    any.set_value(std::string(payload));
    google::protobuf::io::StringOutputStream stream(&encoded);
    google::protobuf::io::CodedOutputStream out(&stream);
    WireFormatLite::WriteBytes(3, any.SerializeAsString(), &out);
  });
  if (encoded.empty()) return encoded;
  std::string head;
  {
    google::protobuf::io::StringOutputStream stream(&head);
    google::protobuf::io::CodedOutputStream out(&stream);
    WireFormatLite::WriteInt32(1, code, &out);
    WireFormatLite::WriteBytes(2, message, &out);
  }
  return head + encoded;
}

void DecodeDetails(const std::string& encoded, absl::Status* status) {
  google::protobuf::io::CodedInputStream in(reinterpret_cast<const uint8_t*>(encoded.data()),
                                            static_cast<int>(encoded.size()));
  while (const uint32_t tag = in.ReadTag()) {
    const bool is_detail =
        WireFormatLite::GetTagFieldNumber(tag) == 3 &&
        WireFormatLite::GetTagWireType(tag) == WireFormatLite::WIRETYPE_LENGTH_DELIMITED;
    if (!is_detail) {
      if (!WireFormatLite::SkipField(&in, tag)) return;
      continue;
    }
    std::string bytes;
    Any any;
    if (!WireFormatLite::ReadBytes(&in, &bytes) || !any.ParseFromString(bytes)) return;
    status->SetPayload(any.type_url(), absl::Cord(any.value()));
  }
}

}  // namespace

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  // The codes of the two enums are the same numbers.
  const int code = static_cast<int>(status.code());
  const std::string message(status.message().substr(0, kMessageBytesMax));
  return grpc::Status(static_cast<grpc::StatusCode>(code), message,
                      EncodeDetails(code, message, status));
}

absl::Status FromGrpc(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  const int code = status.error_code();
  const bool known = code > 0 && code <= static_cast<int>(absl::StatusCode::kUnauthenticated);
  absl::Status converted(known ? static_cast<absl::StatusCode>(code) : absl::StatusCode::kUnknown,
                         status.error_message());
  DecodeDetails(status.error_details(), &converted);
  return converted;
}

}  // namespace tessera::rpc
