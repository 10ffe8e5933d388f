#include "services/master/server/agent_link_server.h"

#include <utility>

#include "protos/tessera/agentlink/v1/agent_link_service.grpc.pb.h"
#include "services/master/server/master_shell.h"
#include "services/rpc/caller.h"
#include "services/rpc/server_stream.h"

namespace tessera::master {
namespace {

class AgentLinkServer final : public link::AgentLinkService::CallbackService {
 public:
  explicit AgentLinkServer(MasterShell* shell) : shell_(*shell) {}

  grpc::ServerBidiReactor<link::ConnectRequest, link::ConnectResponse>* Connect(
      grpc::CallbackServerContext* context) override {
    rpc::StreamOptions options;
    // One call may launch tasks of 32 MiB on one agent, and several calls come before it has read.
    options.outgoing_bytes_max = 256 << 20;
    return rpc::AcceptBidi<link::ConnectRequest, link::ConnectResponse>(
        context, options, [this, context](rpc::StreamPtr<link::ConnectResponse> stream) {
          rpc::StreamHandlers<link::ConnectRequest> handlers;
          const AgentStreamId id = shell_.agent_streams().Add(stream);
          const auth::Caller caller = rpc::CallerOf(*context);
          if (absl::Status taken = shell_.PushOfAgent(AgentStreamOpened{id, caller}); !taken.ok()) {
            shell_.agent_streams().Remove(id);
            stream->Cancel(taken);
            return handlers;
          }
          handlers.on_message = [this, id, caller](link::ConnectRequest batch) {
            const size_t bytes = batch.ByteSizeLong();
            return shell_.PushOfAgent(AgentMessages{id, std::move(batch), caller}, bytes);
          };
          handlers.on_done = [this, id](const absl::Status& status) {
            shell_.agent_streams().Remove(id);
            shell_.PushReserved(AgentStreamClosed{id, status});
          };
          return handlers;
        });
  }

 private:
  MasterShell& shell_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeAgentLinkServer(MasterShell* shell) {
  return std::make_unique<AgentLinkServer>(shell);
}

}  // namespace tessera::master
