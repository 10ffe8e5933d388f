// The streams that are served from one log (core/feed_log.h), and the thread that makes snapshots
// for those who need one.
//
// Threads: every function from any thread. The hub's lock is held for a few steps only, never while
// something is serialised, filtered or sent. What was published wakes the streams that wait for it
// and no others: one that is sending looks again by itself.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "services/feed/core/feed_log.h"
#include "services/feed/server/feed_options.h"
#include "services/feed/server/pull_stream.h"
#include "services/rpc/clock.h"

namespace tessera::feed {

class FeedHub {
 public:
  FeedHub(const FeedOptions& options, rpc::Clock clock);
  ~FeedHub();

  // ---- for the publisher ----

  // In order; wakes the streams.
  void Take(FeedEffects effects);
  // Ends every stream, refuses new ones and joins the thread.
  void Stop();

  // ---- for streams ----

  // Serves a stream; refuses when there is no state, too many streams, or a stop.
  PullStream::Reactor* Serve(grpc::CallbackServerContext* context,
                             std::unique_ptr<StreamCursor> cursor);

  // Deltas are kept for watchers from now on.
  void KeepForWatchers() { keep_for_watchers_.store(true); }
  bool keeps_for_watchers() const { return keep_for_watchers_.load(); }

  SnapshotPtr snapshot() const;
  // How long ago the newest heartbeat was made; infinite: there was none.
  absl::Duration Age() const;

  // Adds what the hub counts.
  void AddCounters(FeedCounters* counters) const;

 private:
  // What PullStream asks: a cursor, and its place in the hub.
  class Source;
  struct Open {
    std::shared_ptr<PullStream> stream;
    // It had nothing to send, and is in waiting_.
    bool waiting = false;
  };
  struct Request {
    std::shared_ptr<SnapshotBytes> bytes;
    size_t index;
    std::weak_ptr<PullStream> stream;
  };

  void Run();
  // On the hub's thread, the only maker.
  void MakeMessages(SnapshotBytes* bytes, size_t index);
  // The next step of the stream; notes it when it has to wait.
  StreamStep Step(StreamCursor* cursor, const std::shared_ptr<PullStream>& stream);
  void WakeWaiting();
  absl::Status Availability() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool HasRequest() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return !requests_.empty() || stopping_;
  }

  const FeedOptions options_;
  const rpc::Clock clock_;
  std::atomic<bool> keep_for_watchers_{false};
  mutable absl::Mutex mu_;
  FeedLog log_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::map<const PullStream*, Open> streams_ ABSL_GUARDED_BY(mu_);
  std::vector<const PullStream*> waiting_ ABSL_GUARDED_BY(mu_);
  std::deque<Request> requests_ ABSL_GUARDED_BY(mu_);
  uint64_t streams_total_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t slow_ended_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t wakes_ ABSL_GUARDED_BY(mu_) = 0;
  std::atomic<uint64_t> messages_sent_{0};
  std::atomic<uint64_t> bytes_sent_{0};
  std::thread thread_;
};

}  // namespace tessera::feed
