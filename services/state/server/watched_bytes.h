// What watchers are sent of the newest deltas, made once for all that have the same filter.
//
// Threads: any. Two watchers may make the same at the same time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <tuple>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "services/state/core/watch_cursor.h"

namespace tessera::state {

class WatchedBytes {
 public:
  // Bounded by bytes: the oldest go first.
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

}  // namespace tessera::state
