// The publishing side of a feed: takes updates in the order in which they come, refuses what would
// leave a gap or belongs to an epoch that is over, applies the rest, and says what streams may be
// told of.
//
// Used by master-svc, whose core publishes, and by state-svc, which passes on what it follows.
//
// Invariants: epochs only grow; within a run each version comes once; a snapshot from elsewhere
// replaces the state when it is whole, and not before; a heartbeat comes out after all that was
// taken before it.
//
// Pure. Threads: one.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "services/feed/core/feed_events.h"
#include "services/feed/core/leader_heartbeat.h"
#include "services/feed/core/state_table.h"
#include "services/feed/rows.h"

namespace tessera::feed {

class FeedState {
 public:
  // Plain counters for metrics.
  struct Counters {
    uint64_t deltas = 0;
    uint64_t changes = 0;
    // Changes that named something unknown, and updates that were refused; nothing came of them.
    uint64_t changes_ignored = 0;
    uint64_t updates_refused = 0;
    uint64_t bytes_serialised = 0;
  };

  // Leads from `delta.version - 1` to `delta.version`. With `reset`, everything before is forgotten
  // and the delta is the whole state so far. Without it, a version that is known changes nothing.
  void Publish(uint64_t epoch, bool reset, Delta delta, FeedEffects* effects);
  // A part of a snapshot from elsewhere.
  void PublishPart(uint64_t epoch, SnapshotPart part, FeedEffects* effects);
  // Of no account unless it is of the epoch of the state. Without a sequence it is made here: the
  // owner is the leading master.
  void Heartbeat(LeaderHeartbeat heartbeat, FeedEffects* effects);
  // There is no state until a run begins; the epoch stays.
  void Retire(absl::Status why, FeedEffects* effects);
  // Publishes what was taken since: to be called after a batch of updates. All that is not a delta
  // does it first.
  void Flush(FeedEffects* effects);

  // Changes of deltas keep whom they concern, where they do not say it, for watchers.
  void KeepScopes() { keep_scopes_ = true; }

  uint64_t epoch() const { return table_.epoch(); }
  uint64_t version() const { return table_.version(); }
  // What was taken, published or not.
  const Snapshot& state() const { return table_.state(); }
  Counters counters() const;

 private:
  void Apply(Delta delta);
  void Refuse(std::string_view what, FeedEffects* effects);

  StateTable table_;
  StateTable incoming_;
  bool receiving_ = false;
  bool has_state_ = false;
  bool keep_scopes_ = false;
  uint64_t heartbeats_made_ = 0;
  bool dirty_ = false;
  std::vector<LoggedDelta> unpublished_;
  // Of tables that are gone.
  uint64_t ignored_before_ = 0;
  Counters counters_;
};

}  // namespace tessera::feed
