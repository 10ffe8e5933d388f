// StateFeedService.Follow, called so that its messages come as they are carried
// (wire/carried.proto): the stub of the contract would parse each description.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/support/client_callback.h>

#include <memory>

#include "protos/tessera/state/v1/state_feed_service.pb.h"
#include "services/feed/wire/carried.pb.h"

namespace tessera::feed {

// Binds the reactor to the call, as a stub does; the reactor starts it. `request` is read before
// this returns.
void StartFollow(const std::shared_ptr<grpc::Channel>& channel, grpc::ClientContext* context,
                 const state::v1::FollowRequest& request,
                 grpc::ClientReadReactor<wire::FollowResponse>* reactor);

}  // namespace tessera::feed
