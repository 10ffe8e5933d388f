// The state feed as a process serves it: the core of the publisher (services/feed/core) with the
// order in which its threads do things, on virtual time.
//
// What is published waits for the publisher's thread, which takes several updates at once; each
// follower is a cursor into the log; a part of a snapshot is made before it is sent. A follower now
// and then takes nothing for a while, so that the log runs past it.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <variant>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "services/feed/core/feed_log.h"
#include "services/feed/core/feed_state.h"
#include "services/feed/core/follow_cursor.h"
#include "tests/sim/world.h"

namespace tessera::sim {

struct FeedOutletOptions {
  // Bytes of deltas that the log keeps.
  size_t history_bytes_max = 50'000;
  size_t chunk_changes = 16;
  // After a message, the follower takes nothing for a while with this probability.
  double stall_chance = 0.002;
};

class FeedOutlet {
 public:
  using Send = std::function<void(feed::EncodedPtr)>;
  using End = std::function<void(const absl::Status&)>;

  FeedOutlet(World* world, Process* owner, FeedOutletOptions options);

  // ---- The service, as FeedPublisher

  void Publish(uint64_t epoch, bool reset, feed::Delta delta);
  void PublishPart(uint64_t epoch, feed::SnapshotPart part);
  // Without a sequence: a master's core has made one.
  void Heartbeat(const feed::LeaderHeartbeat& heartbeat);
  // Ends all followers with `why` and refuses new ones until something is published.
  void Retire(absl::Status why);
  // The process has ended: nothing is left.
  void Clear();

  // ---- Followers; the end of a wire at the owner

  uint64_t Open(uint64_t epoch, uint64_t from_version, Send send, End end);
  void Closed(uint64_t stream) { streams_.erase(stream); }

  Process* owner() const { return owner_; }
  // What was taken so far; more may wait.
  const feed::Snapshot& state() const { return state_.state(); }
  // Nothing waits.
  bool idle() const { return queue_.empty(); }

 private:
  struct DeltaUpdate {
    uint64_t epoch;
    bool reset;
    feed::Delta delta;
  };
  struct PartUpdate {
    uint64_t epoch;
    feed::SnapshotPart part;
  };
  struct HeartbeatUpdate {
    feed::LeaderHeartbeat heartbeat;
  };
  struct RetireUpdate {
    absl::Status why;
  };
  using Update = std::variant<DeltaUpdate, PartUpdate, HeartbeatUpdate, RetireUpdate>;

  struct Stream {
    Send send;
    End end;
    std::unique_ptr<feed::FollowCursor> cursor;
    // It takes nothing right now, or waits for a part of a snapshot.
    bool busy = false;
  };

  void Push(Update update);
  // The publisher's thread takes a batch.
  void Work();
  void Take(DeltaUpdate update, feed::FeedEffects* effects);
  void Take(PartUpdate update, feed::FeedEffects* effects);
  void Take(HeartbeatUpdate update, feed::FeedEffects* effects);
  void Take(RetireUpdate update, feed::FeedEffects* effects);
  feed::FeedLogOptions LogOptions() const;
  // Sends what the stream may have now.
  void Serve(uint64_t id);
  void Rest(uint64_t id, absl::Duration pause);

  World* world_;
  Process* owner_;
  const FeedOutletOptions options_;
  base::Rng rng_;
  feed::FeedState state_;
  std::optional<feed::FeedLog> log_;
  std::deque<Update> queue_;
  bool working_ = false;
  uint64_t next_stream_ = 1;
  std::map<uint64_t, Stream> streams_;
};

}  // namespace tessera::sim
