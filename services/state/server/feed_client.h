// Carries out what the core decides: opens and closes streams of the feed, and hands what they
// bring back to the core's strand; gives what the core lets through to the publisher.
//
// Threads: Carry on the strand; streams call back on threads of gRPC.
#pragma once

#include <functional>
#include <memory>

#include "services/feed/server/feed_publisher.h"
#include "services/rpc/channel.h"
#include "services/rpc/stream.h"
#include "services/state/core/state_events.h"

namespace tessera::state {

class FeedClient {
 public:
  // Takes an event for the strand; false when it is full.
  using Push = std::function<bool(StateEvent event, bool must_fit)>;

  // `publisher` outlives the client.
  FeedClient(feed::FeedPublisher* publisher, Push push, rpc::ChannelOptions channel)
      : publisher_(publisher), push_(std::move(push)), channel_(channel) {}

  void Carry(StateEffects effects);

  // Closes the stream. No effect is carried out afterwards.
  void Stop();

 private:
  // One for each effect.
  void Do(DialFeed& dial);
  void Do(CloseFeed& close);
  void Do(PublishDelta& delta);
  void Do(PublishPart& part);
  void Do(PublishHeartbeat& heartbeat);

  feed::FeedPublisher* const publisher_;
  const Push push_;
  const rpc::ChannelOptions channel_;
  uint64_t stream_number_ = 0;
  std::shared_ptr<rpc::StreamControl> stream_;
};

}  // namespace tessera::state
