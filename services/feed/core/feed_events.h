// What comes out of the publishing side of a feed (feed_state.h) and goes into its log, which
// streams are served from (feed_log.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "services/feed/core/kinds.h"
#include "services/feed/core/leader_heartbeat.h"
#include "services/feed/core/snapshot.h"
#include "services/feed/wire/codec.h"

namespace tessera::feed {

// A delta as it is kept for those who lag: its bytes, and nothing beside them but what they do not
// say. Who wants its changes decodes them.
struct LoggedDelta {
  uint64_t epoch = 0;
  uint64_t version = 0;
  EncodedPtr bytes;
  // Of changes that do not say themselves whom they concern, by their index, which ascends. May be
  // null.
  std::shared_ptr<const std::vector<std::pair<uint32_t, ChangeScope>>> scopes;

  // What it costs to keep it, about.
  size_t size() const;
};

// A new row of versions begins, after `version`: what streams hold of another one is of no use.
struct RunBegan {
  uint64_t epoch = 0;
  uint64_t version = 0;
};
// The state is the snapshot; the deltas lead to it from the one before, unless a run has begun.
struct StatePublished {
  std::vector<LoggedDelta> deltas;
  SnapshotPtr snapshot;
};
// It was made after all that was published before.
struct HeartbeatHeard {
  LeaderHeartbeat heartbeat;
};
// Streams are to be ended and refused until a run begins.
struct FeedRetired {
  absl::Status why;
};
// Nothing came of an update, which is a mistake of whoever made it.
struct UpdateRefused {
  std::string_view what;
};

using FeedEffect =
    std::variant<RunBegan, StatePublished, HeartbeatHeard, FeedRetired, UpdateRefused>;
using FeedEffects = std::vector<FeedEffect>;

}  // namespace tessera::feed
