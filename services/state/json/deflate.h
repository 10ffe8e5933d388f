// One gzip stream put together from parts that were compressed on their own.
//
// Each part is deflated with an empty window and ends on a byte with an empty stored block, so
// parts can follow one another in any order inside one gzip member (RFC 1951, 1952). Many members
// would do by the letter, but browsers read the first only.
//
// Pure. Threads: any.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "services/feed/core/rendering.h"

namespace tessera::state {

using feed::Rendering;
using feed::RenderingPtr;

using Chunk = std::shared_ptr<const std::string>;

// The parts' text as one gzip stream. Compresses the parts that have not been yet. Empty when zlib
// cannot get memory.
std::vector<Chunk> JoinAsGzip(const std::vector<RenderingPtr>& parts);

}  // namespace tessera::state
