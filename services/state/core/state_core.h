// The brain of state-svc: follows the feed of the leading master, or of another state-svc.
//
// It dials, backs off, goes after a new leader, refuses epochs below the highest it has seen and
// snapshots older than what it has published, and lets only a gapless row of snapshots and deltas
// through. The state itself is built by the publisher (services/feed).
//
// How new the state is, only heartbeats of the leading master show, wherever they come from: what
// another state-svc says by itself shows that it lives, not that it is up to date. Each heartbeat
// is handed on once, so state-svcs that follow one another keep nothing alive between them: all
// leave when the master is silent.
//
// Invariants: a heartbeat that is handed on is newer than all before it; at most one stream is
// open; what is published is, for each epoch, a whole snapshot and then each version once, or a
// whole newer snapshot; neither epochs nor the versions of one go down; while nothing can be
// reached, what was published last stays.
//
// Pure; one strand.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "services/base/backoff.h"
#include "services/base/rng.h"
#include "services/feed/core/leader_heartbeat.h"
#include "services/rpc/leader_finder.h"
#include "services/state/core/state_events.h"

namespace tessera::state {

struct StateConfig {
  // `host:port` of masters or state-svcs, in the order to try. Not empty.
  std::vector<std::string> feeds;
  base::BackoffOptions backoff{absl::Milliseconds(100), absl::Seconds(2), 2.0};
  // A stream that brings neither changes nor a newer heartbeat of the leading master for this long
  // is given up for the next feed, and so is one whose newest is known already and older than this.
  absl::Duration silence_timeout = absl::Seconds(20);
  // Of the jitter.
  uint64_t seed = 1;
};

struct StateCounters {
  uint64_t messages = 0;
  uint64_t deltas = 0;
  uint64_t snapshots = 0;
  uint64_t dials = 0;
  uint64_t streams_lost = 0;
  // Changes of messages that were malformed or of a kind that is not known; nothing came of them.
  uint64_t malformed = 0;
  // Messages refused: a gap, a chunk out of order, an epoch that is over, a feed that lags behind.
  uint64_t refused = 0;
};

class StateCore {
 public:
  explicit StateCore(StateConfig config);

  void Step(absl::Time now, const StateEvent& event, StateEffects* effects);
  absl::Time NextDeadline() const;

  // What was published last; 0 and 0 at first.
  uint64_t epoch() const { return epoch_; }
  uint64_t version() const { return version_; }
  // The newest heartbeat that has come, its hops as they came; none at first.
  const feed::LeaderHeartbeat& heartbeat() const { return heartbeat_; }
  // A stream is open and has brought the whole state.
  bool whole() const { return whole_; }
  // It has, and the leading master's heartbeat was made within silence_timeout.
  bool following(absl::Time now) const { return whole_ && now < fresh_until(); }
  const std::string& address() const { return finder_.address(); }
  const StateCounters& counters() const { return counters_; }

 private:
  enum class Phase { kIdle, kWaiting, kStreaming };

  void Dial(absl::Time now, StateEffects* effects);
  // One for each event.
  void On(absl::Time now, const Started& event, StateEffects* effects);
  void On(absl::Time now, const FeedMessage& event, StateEffects* effects);
  void On(absl::Time now, const FeedEnded& event, StateEffects* effects);
  void On(absl::Time now, const Wake& event, StateEffects* effects);
  // One for each kind of message.
  void OnPart(absl::Time now, const FeedMessage& event, const feed::SnapshotPart& part,
              StateEffects* effects);
  void OnDelta(absl::Time now, const FeedMessage& event, const feed::Delta& delta,
               StateEffects* effects);
  void OnHeartbeat(absl::Time now, uint64_t epoch, const feed::HeartbeatTold& told,
                   StateEffects* effects);
  // The stream has brought something that was not known: it may be silent again from here.
  void Progress(absl::Time now) { deadline_ = now + config_.silence_timeout; }
  absl::Time fresh_until() const { return heartbeat_.made + config_.silence_timeout; }
  // Ends the stream for a reason of ours and waits for the next try.
  void GiveUp(absl::Time now, absl::Status reason, StateEffects* effects);
  // The stream is gone: follow a hint at once, otherwise back off.
  void Lost(absl::Time now, const absl::Status& status, StateEffects* effects);
  // What has come is good: the next loss starts with the shortest wait.
  void Works();

  const StateConfig config_;
  rpc::LeaderFinder finder_;
  base::Backoff backoff_;
  base::Rng random_;

  Phase phase_ = Phase::kIdle;
  uint64_t stream_ = 0;
  absl::Time deadline_ = absl::InfiniteFuture();
  feed::LeaderHeartbeat heartbeat_;
  // The stream has brought the whole state.
  bool whole_ = false;

  uint64_t epoch_ = 0;
  uint64_t version_ = 0;
  uint64_t highest_epoch_ = 0;
  // A snapshot of this epoch and version is half-way; 0: none.
  uint64_t chunks_epoch_ = 0;
  uint64_t chunks_version_ = 0;
  StateCounters counters_;
};

}  // namespace tessera::state
