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

void MasterLinks::Open(uint64_t number, const std::string& address,
                       std::function<absl::Status(ConnectResponse)> on_batch,
                       std::function<void(const absl::Status&)> on_closed) {
  Flush();
  absl::MutexLock lock(&mu_);
  ++open_;
  newest_ = MasterLink::Open(address, std::move(on_batch),
                             [this, on_closed = std::move(on_closed)](const absl::Status& status) {
                               on_closed(status);
                               absl::MutexLock ended_lock(&mu_);
                               --open_;
                             });
  number_ = number;
  std::erase_if(all_, [](const auto& weak) { return weak.expired(); });
  all_.push_back(newest_);
}

void MasterLinks::Queue(uint64_t number, agentlink::v1::AgentMessage message) {
  if (MasterLink* link = Newest(number)) link->Queue(std::move(message));
}

bool MasterLinks::Close(uint64_t number, const absl::Status& reason) {
  MasterLink* link = Newest(number);
  if (link == nullptr) return false;
  link->Flush();
  link->Cancel(reason);
  return true;
}

void MasterLinks::Flush() {
  if (newest_ != nullptr) newest_->Flush();
}

void MasterLinks::CancelAll(const absl::Status& reason) {
  {
    // Streams call back until they have ended.
    absl::MutexLock lock(&mu_);
    for (const auto& weak : all_) {
      if (const auto link = weak.lock()) link->Cancel(reason);
    }
    mu_.Await(absl::Condition(
        +[](int* open) { return *open == 0; }, &open_));
  }
  newest_.reset();
}

}  // namespace tessera::agent
