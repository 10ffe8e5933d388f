#include "services/state/server/watched_bytes.h"

#include <utility>

namespace tessera::state {

size_t WatchedBytes::SizeOf(const Key& key, const feed::EncodedPtr& made) {
  const WatchFilter& filter = std::get<WatchFilter>(key);
  constexpr size_t kEntryBytes = 256;
  return kEntryBytes + filter.framework_id.size() + filter.agent_id.size() +
         (made == nullptr ? 0 : made->size());
}

feed::EncodedPtr WatchedBytes::Of(const feed::LoggedDelta& delta, const WatchFilter& filter) {
  const Key key(delta.epoch, delta.version, filter);
  {
    absl::MutexLock lock(&mu_);
    const auto found = made_.find(key);
    if (found != made_.end()) return found->second;
  }
  feed::EncodedPtr made = FilterDelta(delta, filter);
  absl::MutexLock lock(&mu_);
  if (made_.emplace(key, made).second) bytes_ += SizeOf(key, made);
  while (bytes_ > bytes_max_) {
    bytes_ -= SizeOf(made_.begin()->first, made_.begin()->second);
    made_.erase(made_.begin());
  }
  return made;
}

}  // namespace tessera::state
