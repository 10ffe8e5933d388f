#include "services/feed/server/follow_call.h"

#include <grpcpp/impl/rpc_method.h>

#include <string>

#include "protos/tessera/state/v1/state_feed_service.grpc.pb.h"

namespace tessera::feed {

void StartFollow(const std::shared_ptr<grpc::Channel>& channel, grpc::ClientContext* context,
                 const state::v1::FollowRequest& request,
                 grpc::ClientReadReactor<wire::FollowResponse>* reactor) {
  // What a generated stub does, for another type of message with the same bytes.
  static const std::string* const name = new std::string(
      std::string("/") + state::v1::StateFeedService::service_full_name() + "/Follow");
  const grpc::internal::RpcMethod method(name->c_str(), grpc::internal::RpcMethod::SERVER_STREAMING,
                                         channel);
  grpc::internal::ClientCallbackReaderFactory<wire::FollowResponse>::Create(
      channel.get(), method, context, &request, reactor);
}

}  // namespace tessera::feed
