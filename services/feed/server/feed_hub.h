// What the publisher and the streams share: the log of serialised deltas, the newest snapshot, and
// the thread that serialises snapshots for those who need one.
//
// Invariants: a run is a row of versions without gaps; a cursor of another run has to start with a
// snapshot. Bytes are made once and shared by all streams that send them. A stream sends a
// heartbeat after every version that was published before it.
//
// Threads: every function from any thread. The hub's lock is held for a few steps only, never while
// something is serialised or sent.
#pragma once

#include <grpcpp/support/byte_buffer.h>

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "services/rpc/clock.h"
#include "services/feed/core/change_cursor.h"
#include "services/feed/core/delta_log.h"
#include "services/feed/core/leader_heartbeat.h"
#include "services/feed/server/feed_publisher.h"
#include "services/feed/server/pull_stream.h"

namespace tessera::feed {

// What a change is about, where the change itself does not say it.
struct ChangeScope {
  std::string framework_id;
  std::string agent_id;
};

// A delta kept for watchers.
struct WatchedDelta {
  uint64_t epoch = 0;
  v1::Delta delta;
  // By index of the change; empty when no change needs one.
  std::vector<ChangeScope> scopes;

  // The bytes for each filter (framework, agent), made for the first watcher that has it. A buffer
  // of no bytes: nothing in the delta passes.
  mutable absl::Mutex mu;
  mutable std::map<std::pair<std::string, std::string>, grpc::ByteBuffer> bytes ABSL_GUARDED_BY(mu);
};

struct LoggedDelta {
  grpc::ByteBuffer follow;
  std::shared_ptr<const WatchedDelta> watched;
};

// A snapshot as messages, made piece by piece by the hub's thread, for one stream or for many.
class SnapshotBytes {
 public:
  // Turns a piece, whose changes and ends are set, into a message; a buffer of no bytes is left out
  // (never the last).
  using Encode = std::function<grpc::ByteBuffer(v1::FollowResponse* piece)>;

  SnapshotBytes(SnapshotPtr snapshot, uint64_t run, size_t chunk_changes, Encode encode);

  // True when the message is there; *last says whether it is the last one.
  bool Get(size_t index, grpc::ByteBuffer* message, bool* last) const;
  // Makes messages up to the one at `index` and one more.
  void MakeUpTo(size_t index);

  uint64_t version() const { return cursor_snapshot_->version; }
  uint64_t epoch() const { return cursor_snapshot_->epoch; }
  uint64_t run() const { return run_; }

 private:
  const SnapshotPtr cursor_snapshot_;
  const uint64_t run_;
  const size_t chunk_changes_;
  const Encode encode_;
  // Held while a piece is made; mu_ guards the result only.
  absl::Mutex making_;
  ChangeCursor cursor_ ABSL_GUARDED_BY(making_);
  bool cursor_at_end_ ABSL_GUARDED_BY(making_) = false;
  mutable absl::Mutex mu_;
  std::vector<grpc::ByteBuffer> messages_ ABSL_GUARDED_BY(mu_);
  bool complete_ ABSL_GUARDED_BY(mu_) = false;
};

class FeedHub {
 public:
  FeedHub(const FeedOptions& options, rpc::Clock clock);
  ~FeedHub();

  // ---- for the publisher ----

  // Begins a new run, whose log goes on after `version`. Heartbeats of the same epoch stay true.
  void BeginRun(uint64_t epoch, uint64_t version);
  void Append(std::vector<LoggedDelta> deltas, SnapshotPtr snapshot);
  // The state is the snapshot, and nothing was appended (a new run, complete at once).
  void SetSnapshot(SnapshotPtr snapshot);
  // It is true of all that was appended.
  void Heartbeat(const LeaderHeartbeat& heartbeat);
  void Retire(absl::Status why);
  // Ends every stream, refuses new ones and joins the thread.
  void Stop();
  // Deltas are kept for watchers from now on.
  void KeepForWatchers() { keep_for_watchers_.store(true); }
  bool keeps_for_watchers() const { return keep_for_watchers_.load(); }

  // ---- for streams ----

  struct Position {
    uint64_t run = 0;
    uint64_t epoch = 0;
    uint64_t version = 0;
    // How many heartbeats had been heard with the newest one that the stream has sent.
    uint64_t heartbeat = 0;
  };
  // What a stream may do next from where it stands.
  struct View {
    absl::Status end;  // not OK: the stream ends with it
    Position newest;
    bool can_follow = false;
    LoggedDelta delta;  // the one after the position, if there is one
    bool has_delta = false;
    // The newest that is true of the position's version and not sent, if there is one; its message,
    // and how many heartbeats had been heard with it.
    v1::FollowResponse heartbeat;
    uint64_t heartbeat_number = 0;
    SnapshotPtr snapshot;
  };
  View Look(const Position& position) const;

  // The bytes of the newest snapshot for followers, shared while anybody uses them.
  std::shared_ptr<SnapshotBytes> FollowBytes();
  // Bytes of a snapshot for one stream.
  std::shared_ptr<SnapshotBytes> OwnBytes(SnapshotPtr snapshot, uint64_t run,
                                          SnapshotBytes::Encode encode);
  // Makes the message and wakes the stream.
  void RequestMessage(std::shared_ptr<SnapshotBytes> bytes, size_t index,
                      const std::shared_ptr<PullStream>& stream);

  // Serves a stream from the source; refuses when there is no state, too many streams, or a stop.
  PullStream::Reactor* Serve(grpc::CallbackServerContext* context,
                             std::unique_ptr<MessageSource> source);

  const FeedOptions& options() const { return options_; }
  SnapshotPtr snapshot() const;
  // How long ago the newest heartbeat was made; infinite: there was none.
  absl::Duration Age() const;

  // Adds what the hub counts.
  void AddCounters(FeedCounters* counters) const;
  void CountResumed() { resumed_.fetch_add(1); }
  void CountSlow() { slow_ended_.fetch_add(1); }
  void CountMessage(size_t bytes) {
    messages_sent_.fetch_add(1, std::memory_order_relaxed);
    bytes_sent_.fetch_add(bytes, std::memory_order_relaxed);
  }
  void CountLag(uint64_t versions);

 private:
  struct HeardHeartbeat {
    LeaderHeartbeat heartbeat;
    uint64_t number = 0;
    // It was made after this version of the run.
    uint64_t version = 0;
  };
  struct Request {
    std::shared_ptr<SnapshotBytes> bytes;
    size_t index;
    std::weak_ptr<PullStream> stream;
  };

  void Run();
  void WakeAll();
  std::vector<std::shared_ptr<PullStream>> Streams() const;
  absl::Status Availability() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool HasRequest() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return !requests_.empty() || stopping_;
  }

  const FeedOptions options_;
  const rpc::Clock clock_;
  std::atomic<bool> keep_for_watchers_{false};
  mutable absl::Mutex mu_;
  DeltaLog<LoggedDelta> log_ ABSL_GUARDED_BY(mu_);
  uint64_t run_ ABSL_GUARDED_BY(mu_) = 1;
  // The newest ones of the run, for streams that lag; the newest last.
  std::deque<HeardHeartbeat> heartbeats_ ABSL_GUARDED_BY(mu_);
  uint64_t heartbeats_heard_ ABSL_GUARDED_BY(mu_) = 0;
  absl::Time newest_made_ ABSL_GUARDED_BY(mu_) = absl::InfinitePast();
  SnapshotPtr snapshot_ ABSL_GUARDED_BY(mu_);
  // The run that the snapshot belongs to; streams wait while it is an older one.
  uint64_t snapshot_run_ ABSL_GUARDED_BY(mu_) = 0;
  absl::Status retired_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::weak_ptr<SnapshotBytes> follow_bytes_ ABSL_GUARDED_BY(mu_);
  std::map<const PullStream*, std::shared_ptr<PullStream>> streams_ ABSL_GUARDED_BY(mu_);
  std::deque<Request> requests_ ABSL_GUARDED_BY(mu_);
  uint64_t streams_total_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t snapshots_started_ ABSL_GUARDED_BY(mu_) = 0;

  std::atomic<uint64_t> resumed_{0};
  std::atomic<uint64_t> slow_ended_{0};
  std::atomic<uint64_t> messages_sent_{0};
  std::atomic<uint64_t> bytes_sent_{0};
  std::atomic<uint64_t> lag_max_{0};
  std::thread thread_;
};

}  // namespace tessera::feed
