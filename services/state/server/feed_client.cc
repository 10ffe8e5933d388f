#include "services/state/server/feed_client.h"

#include <glog/logging.h>

#include <utility>

#include "services/base/status_macros.h"
#include "services/feed/server/follow_call.h"
#include "services/rpc/client_stream.h"
#include "services/rpc/error.h"

namespace tessera::state {

void FeedClient::Carry(StateEffects effects) {
  for (StateEffect& effect : effects) {
    std::visit([this](auto& kind) { Do(kind); }, effect);
  }
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
  handlers.on_message = [push = push_, number](feed::wire::FollowResponse message) -> absl::Status {
    ASSIGN_OR_RETURN(feed::FeedPiece piece, feed::Decode(std::move(message)));
    if (push(FeedMessage{number, std::make_shared<feed::FeedPiece>(std::move(piece))}, false)) {
      return absl::OkStatus();
    }
    return rpc::Overloaded("the queue of feed messages");
  };
  handlers.on_done = [push = push_, number, address = dial.address](const absl::Status& status) {
    LOG(INFO) << "the feed of " << address << " has ended: " << status;
    push(FeedEnded{number, status}, true);
  };
  stream_number_ = number;
  const std::shared_ptr<grpc::Channel> channel = rpc::MakeChannel(dial.address, channel_);
  stream_ = rpc::OpenServerStream<feed::wire::FollowResponse>(
      std::move(handlers), [&](grpc::ClientContext* context, auto* reactor) {
        feed::StartFollow(channel, context, request, reactor);
      });
}

void FeedClient::Stop() {
  if (stream_ != nullptr) stream_->Cancel(absl::CancelledError("the service stops"));
  stream_ = nullptr;
}

}  // namespace tessera::state
