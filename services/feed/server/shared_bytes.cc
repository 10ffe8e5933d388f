#include "services/feed/server/shared_bytes.h"

#include <grpcpp/support/slice.h>

namespace tessera::feed {

grpc::ByteBuffer ShareBytes(const EncodedPtr& bytes) {
  // A slice takes a pointer that may be written to, and does not write.
  grpc::Slice slice(
      const_cast<char*>(bytes->data()), bytes->size(),
      [](void* kept) { delete static_cast<EncodedPtr*>(kept); }, new EncodedPtr(bytes));
  return grpc::ByteBuffer(&slice, 1);
}

}  // namespace tessera::feed
