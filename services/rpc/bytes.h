// Protobuf messages to and from grpc::ByteBuffer: serialise once, send to many.
//
// A ByteBuffer counts references to its bytes; a copy shares them.
#pragma once

#include "absl/status/status.h"

namespace grpc {
class ByteBuffer;
}
namespace google::protobuf {
class MessageLite;
}

namespace tessera::rpc {

grpc::ByteBuffer ToBytes(const google::protobuf::MessageLite& message);

// INVALID_ARGUMENT when the bytes are not a message of this type. `bytes` is left empty.
absl::Status FromBytes(grpc::ByteBuffer* bytes, google::protobuf::MessageLite* message);

}  // namespace tessera::rpc
