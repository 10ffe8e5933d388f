// What one follower is sent: a snapshot or the changes since its version, then each delta, and the
// newest heartbeat whenever it has been sent all that was before it.
//
// Pure. Threads: as StreamCursor.
#pragma once

#include <cstdint>

#include "services/feed/core/feed_log.h"

namespace tessera::feed {

class FollowCursor final : public StreamCursor {
 public:
  // What the follower says it holds; 0 and 0: nothing.
  FollowCursor(uint64_t epoch, uint64_t from_version)
      : asked_epoch_(epoch), asked_version_(from_version) {}

  StreamStep Take(FeedLog* log, absl::Time now) override;

 private:
  // Where it begins; with a snapshot when the log does not lead there.
  void Start(FeedLog* log, const FeedLog::View& view);
  StreamStep TakeDelta(FeedLog* log, const FeedLog::View& view, absl::Time now);

  const uint64_t asked_epoch_;
  const uint64_t asked_version_;
  bool started_ = false;
  FeedLog::Position position_;
  SnapshotProgress snapshot_;
  int snapshots_in_a_row_ = 0;
};

}  // namespace tessera::feed
