// What one watcher is sent: the matching state if it wants that, then each delta that concerns it.
//
// Watchers with the same filter share the bytes of each delta.
#pragma once

#include <memory>

#include "absl/status/status.h"
#include "protos/tessera/state/v1/state_service.pb.h"
#include "services/feed/server/feed_hub.h"
#include "services/feed/server/pull_stream.h"

namespace tessera::state {

// `hub` outlives the source.
std::unique_ptr<MessageSource> MakeWatchSource(FeedHub* hub, const v1::WatchRequest& request);

// The changes of the delta that concern the framework and the agent; an empty filter is all.
// Changes of the cluster and of roles concern everybody.
v1::WatchResponse FilterDelta(const WatchedDelta& delta, const std::string& framework_id,
                              const std::string& agent_id);

}  // namespace tessera::state
