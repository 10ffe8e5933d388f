// Serves StateFeedService.Follow to any number of followers, off the publisher's strand.
//
// Used by master-svc, which publishes its core's PublishFeed effects, and by state-svc, which
// passes on what it follows itself: state-svcs chain. What is decided is decided by the pure parts
// in core/ (feed_state.h, feed_log.h, follow_cursor.h), which the simulator runs, too; here are the
// queue, the threads and the streams. One thread of the publisher's own takes the deltas from a
// queue, serialises each once, puts the bytes into a log that all followers read from, applies the
// delta to a table, and publishes an immutable snapshot. A follower is a cursor
// into that log, so it costs no queue of its own; one that falls out of the log is moved to a new
// snapshot, and one that does not take what it is sent is ended with RESOURCE_EXHAUSTED
// (SLOW_CONSUMER).
//
// A master's publisher sends the heartbeats that its core makes and that prove how new the state
// is; that of a state-svc hands on those that it is given and makes none.
//
// Invariants: a follower sees a snapshot or the versions after the one it named, without gaps, and
// each heartbeat after all that was published before it; a delta's bytes are made once, whatever
// the number of followers; the lower of two epochs is refused.
//
// Threads: every function from any thread. Callbacks of gRPC never touch the table.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "services/feed/core/leader_heartbeat.h"
#include "services/feed/rows.h"
#include "services/feed/server/feed_options.h"
#include "services/rpc/clock.h"

namespace grpc {
class Service;
}

namespace tessera::feed {

class FeedHub;
struct Snapshot;

class FeedPublisher {
 public:
  // Refuses followers with UNAVAILABLE until there is a state.
  // `clock` times heartbeats.
  explicit FeedPublisher(const FeedOptions& options, rpc::Clock clock = rpc::MonotonicClock());
  // Stop()s.
  ~FeedPublisher();
  FeedPublisher(const FeedPublisher&) = delete;
  FeedPublisher& operator=(const FeedPublisher&) = delete;

  // Register it with the server; it lives as long as the publisher.
  grpc::Service* service();

  // Leads from `delta.version - 1` to `delta.version`. With `reset`, everything published before is
  // forgotten and the delta is the whole state so far: a new leader begins. Without it, a version
  // that is known already changes nothing. Not blocking but for queue_changes_max.
  void Publish(uint64_t epoch, bool reset, Delta delta);

  // A part of a snapshot from elsewhere. The state is replaced, for followers too, when the part
  // with `last` has come; until then the old one is served.
  void PublishPart(uint64_t epoch, SnapshotPart part);

  // The owner is the leading master, and has published all up to now. Of no account unless the
  // epoch is that of the state.
  void MakeHeartbeat(uint64_t epoch);

  // The leading master made this after all that was published before; its hops as followers are to
  // hear them. Of no account unless its epoch is that of the state.
  void Heartbeat(const LeaderHeartbeat& heartbeat);

  // Ends all followers with `why` and refuses new ones with it, until something is published again:
  // for a master that leads no more (rpc::NotLeader(address)). `why` must not be OK. The epoch
  // stays.
  void Retire(absl::Status why);

  // The newest state; null when there is none. Never changes, never blocks the publisher.
  std::shared_ptr<const Snapshot> snapshot() const;

  // Called on the publisher's thread when the snapshot is a new one; set it before the first
  // Publish. It must not block.
  void SetListener(std::function<void(std::shared_ptr<const Snapshot>)> listener);

  // Waits until all that was published before this call is in snapshot(). For tests and tools.
  void Flush();

  // How long ago the newest heartbeat was made; infinite: there was none. All that the leading
  // master had published by then is in the state.
  absl::Duration Age() const;

  FeedCounters counters() const;

  // What other kinds of streams of this package are fed from.
  FeedHub* hub();

  // Ends all followers with UNAVAILABLE and joins the threads. Call it before the server's Stop().
  void Stop();

 private:
  class Rep;
  std::unique_ptr<Rep> rep_;
};

}  // namespace tessera::feed
