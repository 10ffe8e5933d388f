// What streams are served from: the newest snapshot, the log of deltas that lead to it, and the
// newest heartbeats. A stream is a cursor into it (StreamCursor) and has no queue of its own.
//
// Invariants: a run is a row of versions without gaps; a cursor of another run has to start with a
// snapshot. Bytes are made once and shared by all streams that send them. A stream sends a
// heartbeat after every version that was published before it.
//
// Pure. Threads: none; the owner's lock guards it. Nothing here takes long: what does is asked for
// in a step and done outside the lock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "services/feed/core/delta_log.h"
#include "services/feed/core/feed_events.h"
#include "services/feed/core/snapshot_bytes.h"

namespace tessera::feed {

struct FeedLogOptions {
  // Deltas kept for followers that come back or lag: at most about this many bytes.
  size_t history_bytes_max = 64 << 20;
  // Objects in one piece of a snapshot.
  size_t chunk_changes = 512;
  // A follower that falls out of the log while it is sent a snapshot gets another one, this many
  // times in a row.
  int snapshots_in_a_row_max = 3;
};

class FeedLog {
 public:
  struct Counters {
    uint64_t resumed = 0;
    uint64_t snapshots_started = 0;
    uint64_t slow_ended = 0;
    // The longest lag of a follower behind the newest version, in versions.
    uint64_t lag_max = 0;
    uint64_t history_bytes = 0;
    uint64_t history_deltas = 0;
  };

  explicit FeedLog(const FeedLogOptions& options);

  void Take(FeedEffect&& effect);

  // Not OK: streams are ended with it and refused.
  absl::Status Availability() const;
  SnapshotPtr snapshot() const { return snapshot_; }
  // When the newest heartbeat was made; InfinitePast: there was none.
  absl::Time newest_made() const { return newest_made_; }
  const FeedLogOptions& options() const { return options_; }
  Counters counters() const;

  // ---- for cursors ----

  struct Position {
    uint64_t run = 0;
    uint64_t epoch = 0;
    uint64_t version = 0;
    // How many heartbeats had been heard with the newest one that the stream has sent.
    uint64_t heartbeat = 0;
  };
  // What a stream may do next from where it stands.
  struct View {
    // Not OK: the stream ends with it.
    absl::Status end;
    Position newest;
    // Null while that of the run is still to come.
    SnapshotPtr snapshot;
    bool can_follow = false;
    // The one after the position; null when there is none.
    const LoggedDelta* delta = nullptr;
    // The newest that is true of the position's version and not sent; null when there is none. Its
    // number is that of the heartbeats heard with it.
    const LeaderHeartbeat* heartbeat = nullptr;
    uint64_t heartbeat_number = 0;
  };
  // Good until the log takes something.
  View Look(const Position& position) const;

  // The bytes of the newest snapshot for followers, shared while anybody uses them.
  std::shared_ptr<SnapshotBytes> FollowBytes();
  // Bytes of the newest snapshot for one stream.
  std::shared_ptr<SnapshotBytes> OwnBytes(SnapshotBytes::EncodePart encode);

  void CountResumed() { ++counters_.resumed; }
  void CountSlow() { ++counters_.slow_ended; }
  void CountLag(uint64_t versions);

 private:
  struct HeardHeartbeat {
    LeaderHeartbeat heartbeat;
    uint64_t number = 0;
    // It was made after this version of the run.
    uint64_t version = 0;
  };

  void On(RunBegan&& began);
  void On(StatePublished&& published);
  void On(HeartbeatHeard&& heard);
  void On(FeedRetired&& retired);
  void On(UpdateRefused&&) {}

  const FeedLogOptions options_;
  DeltaLog<LoggedDelta> log_;
  uint64_t run_ = 1;
  // The newest ones of the run, for streams that lag; the newest last.
  std::deque<HeardHeartbeat> heartbeats_;
  uint64_t heartbeats_heard_ = 0;
  absl::Time newest_made_ = absl::InfinitePast();
  SnapshotPtr snapshot_;
  // The run that the snapshot belongs to; streams wait while it is an older one.
  uint64_t snapshot_run_ = 0;
  absl::Status retired_;
  std::weak_ptr<SnapshotBytes> follow_bytes_;
  Counters counters_;
};

// What a stream does next.
struct StreamStep {
  enum class Kind {
    kMessage,  // send `message`
    kDelta,    // send what the cursor makes of `delta`, or go on when that is nothing
    kMake,     // message `index` of `bytes` is to be made, and then the stream to be woken
    kLater,    // nothing yet: when the log has taken something, or the message is made
    kEnd,      // end it with `end`
  };
  Kind kind = Kind::kLater;
  EncodedPtr message;
  LoggedDelta delta;
  // Another message waits already.
  bool more = false;
  std::shared_ptr<SnapshotBytes> bytes;
  size_t index = 0;
  absl::Status end;
};

// Where a stream stands, and what it wants.
class StreamCursor {
 public:
  virtual ~StreamCursor() = default;
  // Under the lock of the log; does nothing that takes long.
  virtual StreamStep Take(FeedLog* log, absl::Time now) = 0;
  // Outside of it. Null: the delta has nothing for this stream.
  virtual EncodedPtr Message(const LoggedDelta& delta) { return delta.bytes; }
};

// A stream's way through a snapshot.
class SnapshotProgress {
 public:
  void Start(std::shared_ptr<SnapshotBytes> bytes);
  bool active() const { return bytes_ != nullptr; }
  const SnapshotBytes& bytes() const { return *bytes_; }
  // After the last message the snapshot is let go of, and its run, epoch and version are written to
  // *position.
  StreamStep Take(FeedLog::Position* position);

 private:
  std::shared_ptr<SnapshotBytes> bytes_;
  size_t index_ = 0;
  bool requested_ = false;
};

}  // namespace tessera::feed
