#include "services/state/server/feed_client.h"

#include <glog/logging.h>

#include <utility>

#include "protos/tessera/state/v1/state_feed_service.grpc.pb.h"
#include "services/rpc/client_stream.h"
#include "services/rpc/error.h"

namespace tessera::state {

void FeedClient::Carry(StateEffects effects) {
  for (StateEffect& effect : effects) {
    if (auto* delta = std::get_if<PublishDelta>(&effect)) {
      publisher_->Publish(delta->epoch, false, std::move(*delta->message->mutable_delta()));
    } else if (auto* chunk = std::get_if<PublishChunk>(&effect)) {
      publisher_->PublishChunk(chunk->epoch, std::move(*chunk->message->mutable_snapshot()));
    } else if (const auto* heartbeat = std::get_if<PublishHeartbeat>(&effect)) {
      publisher_->Heartbeat(heartbeat->heartbeat);
    } else if (auto* close = std::get_if<CloseFeed>(&effect)) {
      if (close->stream != stream_number_ || stream_ == nullptr) continue;
      LOG(WARNING) << "leaves the feed: " << close->reason;
      stream_->Cancel(close->reason);
      stream_ = nullptr;
    } else if (auto* dial = std::get_if<DialFeed>(&effect)) {
      Dial(*dial);
    }
  }
}

void FeedClient::Dial(const DialFeed& dial) {
  LOG(INFO) << "follows " << dial.address << " from epoch " << dial.epoch << ", version "
            << dial.from_version;
  v1::FollowRequest request;
  request.set_epoch(dial.epoch);
  request.set_from_version(dial.from_version);
  const auto stub = v1::StateFeedService::NewStub(rpc::MakeChannel(dial.address, channel_));
  const uint64_t number = dial.stream;
  rpc::StreamHandlers<v1::FollowResponse> handlers;
  handlers.on_message = [push = push_, number](v1::FollowResponse message) {
    if (push(FeedMessage{number, std::make_shared<v1::FollowResponse>(std::move(message))}, false))
      return absl::OkStatus();
    return rpc::Overloaded("the queue of feed messages");
  };
  handlers.on_done = [push = push_, number, address = dial.address](const absl::Status& status) {
    LOG(INFO) << "the feed of " << address << " has ended: " << status;
    push(FeedEnded{number, status}, true);
  };
  stream_number_ = number;
  stream_ = rpc::OpenServerStream<v1::FollowResponse>(
      std::move(handlers), [&](grpc::ClientContext* context, auto* reactor) {
        stub->async()->Follow(context, &request, reactor);
      });
}

void FeedClient::Stop() {
  if (stream_ != nullptr) stream_->Cancel(absl::CancelledError("the service stops"));
  stream_ = nullptr;
}

}  // namespace tessera::state
