// Bytes that are made once, as gRPC sends them: no copy for each stream.
#pragma once

#include <grpcpp/support/byte_buffer.h>

#include "services/feed/wire/codec.h"

namespace tessera::feed {

// Keeps the bytes alive as long as it, or a copy of it, is.
grpc::ByteBuffer ShareBytes(const EncodedPtr& bytes);

}  // namespace tessera::feed
