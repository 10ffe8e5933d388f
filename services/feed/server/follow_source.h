// What one follower is sent: a snapshot or the changes since its version, then each delta.
#pragma once

#include <memory>

#include "services/feed/server/feed_hub.h"
#include "services/feed/server/pull_stream.h"

namespace tessera::feed {

// `hub` outlives the source.
std::unique_ptr<MessageSource> MakeFollowSource(FeedHub* hub, uint64_t epoch,
                                                uint64_t from_version);

}  // namespace tessera::feed
