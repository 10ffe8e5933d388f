// What one watcher is sent: the matching state if it wants that, then each delta that concerns it.
//
// The log keeps deltas as bytes; what a watcher gets of one is decoded when it is wanted.
//
// Pure. Threads: as StreamCursor.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "protos/tessera/state/v1/state_service.pb.h"
#include "services/feed/core/feed_log.h"

namespace tessera::state {

// Who is watched; an empty id is any.
struct WatchFilter {
  std::string framework_id;
  std::string agent_id;

  friend auto operator<=>(const WatchFilter&, const WatchFilter&) = default;
};

// The changes of the delta that concern the filter, as a serialised WatchResponse; null when there
// are none.
feed::EncodedPtr FilterDelta(const feed::LoggedDelta& delta, const WatchFilter& filter);

class WatchCursor final : public feed::StreamCursor {
 public:
  // FilterDelta, or what shares the bytes of those with the same filter; may be called on any
  // thread.
  using MakeMessage =
      std::function<feed::EncodedPtr(const feed::LoggedDelta& delta, const WatchFilter& filter)>;

  explicit WatchCursor(const v1::WatchRequest& request, MakeMessage make = FilterDelta);

  feed::StreamStep Take(feed::FeedLog* log, absl::Time now) override;
  feed::EncodedPtr Message(const feed::LoggedDelta& delta) override;

 private:
  absl::Status Start(feed::FeedLog* log, const feed::FeedLog::View& view);

  const WatchFilter filter_;
  const bool with_state_;
  const uint64_t asked_epoch_;
  const uint64_t asked_version_;
  const MakeMessage make_;
  bool started_ = false;
  feed::FeedLog::Position position_;
  feed::SnapshotProgress snapshot_;
};

}  // namespace tessera::state
