// The open streams of one kind, by the number that the core knows them by.
//
// Threads: any.
#pragma once

#include <cstdint>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "services/rpc/stream.h"

namespace tessera::master {

// `Id` is a StrongId over uint64_t, `Out` what is sent.
template <typename Id, typename Out>
class StreamTable {
 public:
  Id Add(rpc::StreamPtr<Out> stream) {
    absl::MutexLock lock(&mu_);
    const Id id(++last_id_);
    streams_[id] = std::move(stream);
    return id;
  }
  void Remove(Id id) {
    absl::MutexLock lock(&mu_);
    streams_.erase(id);
  }
  // Null when the stream has ended.
  rpc::StreamPtr<Out> Find(Id id) {
    absl::MutexLock lock(&mu_);
    auto found = streams_.find(id);
    return found == streams_.end() ? nullptr : found->second;
  }
  size_t size() {
    absl::MutexLock lock(&mu_);
    return streams_.size();
  }

 private:
  absl::Mutex mu_;
  uint64_t last_id_ ABSL_GUARDED_BY(mu_) = 0;
  absl::flat_hash_map<Id, rpc::StreamPtr<Out>> streams_ ABSL_GUARDED_BY(mu_);
};

}  // namespace tessera::master
