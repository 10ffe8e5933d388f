#include "services/state/server/feed_client.h"

#include <glog/logging.h>

#include <utility>

#include "services/base/status_macros.h"
#include "services/feed/server/follow_call.h"
#include "services/rpc/client_stream.h"

namespace tessera::state {

FeedClient::FeedClient(feed::FeedPublisher* publisher, rpc::Clock clock,
                       rpc::ChannelOptions channel)
    : publisher_(publisher),
      channel_(channel),
      core_({.name = "state"}, std::move(clock), Wake{}, this) {}

void FeedClient::Start(StateConfig config) {
  core_.Start(std::make_unique<StateCore>(std::move(config)), Started{});
}

void FeedClient::Stop() {
  core_.Stop();
  if (stream_ != nullptr) stream_->Cancel(absl::CancelledError("the service stops"));
  stream_ = nullptr;
}

FollowView FeedClient::view() const {
  absl::MutexLock lock(&mu_);
  return view_;
}

void FeedClient::AfterBatch(absl::Time, const StateCore& core) {
  absl::MutexLock lock(&mu_);
  view_.counters = core.counters();
  view_.whole = core.whole();
  view_.hops = core.heartbeat().hops;
}

void FeedClient::Do(PublishDelta& delta) {
  publisher_->Publish(delta.epoch, false, std::move(std::get<feed::Delta>(delta.piece->kind)));
}

void FeedClient::Do(PublishPart& part) {
  publisher_->PublishPart(part.epoch, std::move(std::get<feed::SnapshotPart>(part.piece->kind)));
}

void FeedClient::Do(PublishHeartbeat& heartbeat) { publisher_->Heartbeat(heartbeat.heartbeat); }

void FeedClient::Do(CloseFeed& close) {
  if (close.stream != stream_number_ || stream_ == nullptr) return;
  LOG(WARNING) << "leaves the feed: " << close.reason;
  stream_->Cancel(close.reason);
  stream_ = nullptr;
}

void FeedClient::Do(DialFeed& dial) {
  LOG(INFO) << "follows " << dial.address << " from epoch " << dial.epoch << ", version "
            << dial.from_version;
  v1::FollowRequest request;
  request.set_epoch(dial.epoch);
  request.set_from_version(dial.from_version);
  const uint64_t number = dial.stream;
  rpc::StreamHandlers<feed::wire::FollowResponse> handlers;
  handlers.on_message = [door = core_.door(),
                         number](feed::wire::FollowResponse message) -> absl::Status {
    ASSIGN_OR_RETURN(feed::FeedPiece piece, feed::Decode(std::move(message)));
    return door->Push(FeedMessage{number, std::make_shared<feed::FeedPiece>(std::move(piece))});
  };
  handlers.on_done = [door = core_.door(), number,
                      address = dial.address](const absl::Status& status) {
    LOG(INFO) << "the feed of " << address << " has ended: " << status;
    door->PushReserved(FeedEnded{number, status});
  };
  stream_number_ = number;
  const std::shared_ptr<grpc::Channel> channel = rpc::MakeChannel(dial.address, channel_);
  stream_ = rpc::OpenServerStream<feed::wire::FollowResponse>(
      std::move(handlers), [&](grpc::ClientContext* context, auto* reactor) {
        feed::StartFollow(channel, context, request, reactor);
      });
}

}  // namespace tessera::state
