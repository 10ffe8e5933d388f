#include "tests/sim/fold.h"

#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"

namespace tessera::sim {

void Fold(Digest* digest, const google::protobuf::MessageLite& message) {
  std::string bytes;
  bytes.reserve(256);
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream out(&stream);
    out.SetSerializationDeterministic(true);
    message.SerializeToCodedStream(&out);
  }
  digest->Add(bytes);
}

}  // namespace tessera::sim
