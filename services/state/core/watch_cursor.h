// What one watcher is sent: the matching state if it wants that, then each delta that concerns it.
//
// The log keeps deltas as bytes; what a watcher gets of one is decoded when it is wanted, and made
// once for all watchers with the same filter while they keep up (WatchedBytes).
//
// Pure. Threads: as StreamCursor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <tuple>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
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

// What was made of the newest deltas, by filter: bounded by bytes, the oldest go first.
//
// Threads: any. Two watchers may make the same at the same time.
class WatchedBytes {
 public:
  explicit WatchedBytes(size_t bytes_max = 4 << 20) : bytes_max_(bytes_max) {}

  feed::EncodedPtr Of(const feed::LoggedDelta& delta, const WatchFilter& filter);

  size_t bytes() const {
    absl::MutexLock lock(&mu_);
    return bytes_;
  }

 private:
  // Epoch, version.
  using Key = std::tuple<uint64_t, uint64_t, WatchFilter>;
  static size_t SizeOf(const Key& key, const feed::EncodedPtr& made);

  const size_t bytes_max_;
  mutable absl::Mutex mu_;
  std::map<Key, feed::EncodedPtr> made_ ABSL_GUARDED_BY(mu_);
  size_t bytes_ ABSL_GUARDED_BY(mu_) = 0;
};

class WatchCursor final : public feed::StreamCursor {
 public:
  // `shared` outlives the cursor.
  WatchCursor(const v1::WatchRequest& request, WatchedBytes* shared);

  feed::StreamStep Take(feed::FeedLog* log, absl::Time now) override;
  feed::EncodedPtr Message(const feed::LoggedDelta& delta) override;

 private:
  absl::Status Start(feed::FeedLog* log, const feed::FeedLog::View& view);

  const WatchFilter filter_;
  const bool with_state_;
  const uint64_t asked_epoch_;
  const uint64_t asked_version_;
  WatchedBytes* const shared_;
  bool started_ = false;
  feed::FeedLog::Position position_;
  feed::SnapshotProgress snapshot_;
};

}  // namespace tessera::state
