// What a service tells the followers of the state feed, on virtual time: stands for the feed's
// publisher (services/feed/server), which has threads and gRPC and cannot run here.
//
// It keeps to the publisher's rules: a state comes by a reset or by a whole snapshot; followers are
// cursors into one bounded log of deltas; who is not in the log gets a snapshot in chunks, one at a
// time; a master makes heartbeats, a state-svc hands on those that it is given, each after what
// was published before it; a feed that is retired, or has no state yet, refuses. A follower now and
// then takes nothing for a while, so that the log runs past it.
//
// What is published is judged: see reader_checker.h.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "protos/tessera/state/v1/state_feed_service.pb.h"
#include "services/state/core/change_cursor.h"
#include "services/state/core/delta_log.h"
#include "services/state/core/leader_heartbeat.h"
#include "services/state/core/state_table.h"
#include "tests/sim/reader_checker.h"
#include "tests/sim/world.h"

namespace tessera::sim {

struct FeedOutletOptions {
  // Changes that the log keeps.
  size_t history_changes_max = 500;
  size_t chunk_changes = 16;
  // After a message, the follower takes nothing for a while with this probability.
  double stall_chance = 0.002;
};

class FeedOutlet {
 public:
  using Message = std::shared_ptr<const state::v1::FollowResponse>;
  using Send = std::function<void(Message)>;
  using End = std::function<void(const absl::Status&)>;

  FeedOutlet(World* world, Process* owner, ReaderChecker::Role role, FeedOutletOptions options);

  // ---- The service

  void Publish(uint64_t epoch, bool reset, state::v1::Delta delta);
  void PublishChunk(uint64_t epoch, state::v1::SnapshotChunk chunk);
  // A master's core has made one.
  void MakeHeartbeat(uint64_t epoch);
  // A state-svc has heard of one.
  void Heartbeat(const state::LeaderHeartbeat& heartbeat);
  // Ends all followers with `why` and refuses new ones until something is published.
  void Retire(absl::Status why);
  // The process has ended: nothing is left.
  void Clear();

  // ---- Followers; the end of a wire at the owner

  uint64_t Open(uint64_t epoch, uint64_t from_version, Send send, End end);
  void Closed(uint64_t stream) { streams_.erase(stream); }

  Process* owner() const { return owner_; }
  const state::Snapshot& state() const { return table_.state(); }

 private:
  // As a FollowSource of the publisher.
  struct Stream {
    Send send;
    End end;
    uint64_t asked_epoch = 0;
    uint64_t asked_version = 0;
    bool started = false;
    // It takes nothing right now.
    bool busy = false;
    uint64_t run = 0;
    uint64_t version = 0;
    // How many heartbeats had been heard with the newest one that it has been sent.
    uint64_t heartbeat = 0;
    int snapshots_in_a_row = 0;
    // The snapshot that it is being told, and of which run it is.
    std::optional<state::ChangeCursor> cursor;
    uint64_t cursor_run = 0;
    bool cursor_began = false;
  };

  struct HeardHeartbeat {
    state::LeaderHeartbeat heartbeat;
    uint64_t number = 0;
    // It was made after this version of the run.
    uint64_t version = 0;
  };

  void Apply(state::v1::Delta delta);
  void BeginRun(uint64_t epoch, uint64_t version);
  // The newest that is true of what the stream has been sent, and that it has not been sent.
  const HeardHeartbeat* HeartbeatFor(const Stream& stream) const;
  void Begin(Stream& stream);
  void StartSnapshot(Stream& stream);
  void SendChunk(uint64_t id, Stream& stream);
  // False when the follower has all.
  bool SendNext(uint64_t id, Stream& stream);
  void Pause(uint64_t id, Stream& stream, absl::Duration pause);
  // Sends what the stream may have now.
  void Serve(uint64_t id);
  void ServeAll();
  void EndStream(uint64_t id, const absl::Status& status);

  World* world_;
  Process* owner_;
  const FeedOutletOptions options_;
  base::Rng rng_;
  ReaderChecker checker_;
  // Not OK: followers are refused.
  absl::Status refusal_;
  bool has_state_ = false;
  state::StateTable table_;
  state::StateTable incoming_;
  state::DeltaLog<Message> log_;
  uint64_t run_ = 0;
  // Of the run; the newest last.
  std::deque<HeardHeartbeat> heartbeats_;
  uint64_t heartbeats_heard_ = 0;
  uint64_t heartbeats_made_ = 0;
  uint64_t next_stream_ = 1;
  std::map<uint64_t, Stream> streams_;
};

}  // namespace tessera::sim
