// Follows a feed: carries the core, opens and closes the streams that it asks for, and gives what
// it lets through to the publisher.
//
// Threads: Start and Stop from the owner; the rest from any.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "services/feed/server/feed_publisher.h"
#include "services/rpc/channel.h"
#include "services/rpc/clock.h"
#include "services/rpc/kind_counts.h"
#include "services/rpc/shell.h"
#include "services/rpc/stream.h"
#include "services/state/core/state_core.h"

namespace tessera::state {

// The core's part, as of the last batch of its strand.
struct FollowView {
  StateCounters counters;
  // The stream has brought the whole state.
  bool whole = false;
  uint32_t hops = 0;
};

class FeedClient {
 public:
  // `publisher` outlives the client. `clock` is the publisher's, so that a time means the same in
  // both.
  FeedClient(feed::FeedPublisher* publisher, rpc::Clock clock, rpc::ChannelOptions channel);
  FeedClient(const FeedClient&) = delete;
  FeedClient& operator=(const FeedClient&) = delete;

  void Start(StateConfig config);
  // Closes the stream. Nothing is published afterwards. May be repeated.
  void Stop();

  FollowView view() const;
  uint64_t queue_length() const { return core_.metrics().queue_length.load(); }
  std::vector<rpc::KindCount> StepCounts() const { return core_.StepCounts(); }
  std::vector<rpc::KindCount> EffectCounts() const { return core_.EffectCounts(); }

 private:
  using CoreShell = rpc::Shell<StateCore, StateEvent, StateEffect, FeedClient>;
  friend CoreShell;

  void Do(DialFeed& dial);
  void Do(CloseFeed& close);
  void Do(PublishDelta& delta);
  void Do(PublishPart& part);
  void Do(PublishHeartbeat& heartbeat);
  // The publisher has a queue of its own.
  void Flush() {}
  void AfterBatch(absl::Time now, const StateCore& core);

  feed::FeedPublisher* const publisher_;
  const rpc::ChannelOptions channel_;
  // Of the strand, and of Stop() after it.
  uint64_t stream_number_ = 0;
  std::shared_ptr<rpc::StreamControl> stream_;

  mutable absl::Mutex mu_;
  FollowView view_ ABSL_GUARDED_BY(mu_);
  CoreShell core_;
};

}  // namespace tessera::state
