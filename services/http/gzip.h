// Compresses chunks into one gzip stream.
#pragma once

#include <vector>

#include "services/http/http_types.h"

namespace tessera::http {

// The chunks' bytes, in their order, as one gzip stream in chunks of at most 64 KiB. Empty when
// zlib cannot get memory.
std::vector<Chunk> Gzip(const std::vector<Chunk>& chunks);

}  // namespace tessera::http
