// Protobuf messages from grpc::ByteBuffer.
#pragma once

#include "absl/status/status.h"

namespace grpc {
class ByteBuffer;
}
namespace google::protobuf {
class MessageLite;
}

namespace tessera::rpc {

// INVALID_ARGUMENT when the bytes are not a message of this type. `bytes` is left empty.
absl::Status FromBytes(grpc::ByteBuffer* bytes, google::protobuf::MessageLite* message);

}  // namespace tessera::rpc
