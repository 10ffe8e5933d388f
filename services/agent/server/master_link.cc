#include "services/agent/server/master_link.h"

#include <grpcpp/grpcpp.h>

#include <utility>

#include "protos/tessera/agentlink/v1/agent_link_service.grpc.pb.h"
#include "services/rpc/channel.h"
#include "services/rpc/client_stream.h"

namespace tessera::agent {
namespace {

using agentlink::v1::AgentLinkService;
using agentlink::v1::ConnectRequest;
using agentlink::v1::ConnectResponse;

// A batch that grows beyond this is sent before the others are added.
constexpr size_t kBatchBytes = 4 << 20;

class GrpcMasterLink final : public MasterLink {
 public:
  GrpcMasterLink(const std::string& address, std::function<absl::Status(ConnectResponse)> on_batch,
                 std::function<void(const absl::Status&)> on_closed)
      : stub_(AgentLinkService::NewStub(rpc::MakeChannel(address))) {
    rpc::StreamOptions options;
    // An inventory of 20,000 tasks at once.
    options.outgoing_bytes_max = 256 << 20;
    rpc::StreamHandlers<ConnectResponse> handlers;
    handlers.on_message = std::move(on_batch);
    handlers.on_done = std::move(on_closed);
    stream_ = rpc::OpenBidi<ConnectRequest, ConnectResponse>(
        options, std::move(handlers),
        [this](auto* context, auto* reactor) { stub_->async()->Connect(context, reactor); });
  }

  void Queue(agentlink::v1::AgentMessage message) override {
    bytes_ += message.ByteSizeLong();
    *batch_.add_messages() = std::move(message);
    if (bytes_ >= kBatchBytes) Flush();
  }

  void Flush() override {
    if (batch_.messages().empty()) return;
    // False: the stream has ended, which on_closed tells.
    stream_->Send(std::exchange(batch_, {}));
    bytes_ = 0;
  }

  void Cancel(absl::Status reason) override { stream_->Cancel(std::move(reason)); }

 private:
  const std::unique_ptr<AgentLinkService::Stub> stub_;
  rpc::StreamPtr<ConnectRequest> stream_;
  ConnectRequest batch_;
  size_t bytes_ = 0;
};

}  // namespace

std::shared_ptr<MasterLink> MasterLink::Open(const std::string& address,
                                             std::function<absl::Status(ConnectResponse)> on_batch,
                                             std::function<void(const absl::Status&)> on_closed) {
  return std::make_shared<GrpcMasterLink>(address, std::move(on_batch), std::move(on_closed));
}

}  // namespace tessera::agent
