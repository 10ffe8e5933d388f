// One stream to a master: AgentLinkService.Connect from the agent's side.
//
// Messages of one batch of effects travel as one ConnectRequest (Queue, then Flush).
//
// Threads: Queue and Flush from the strand; Cancel from any thread.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "protos/tessera/agentlink/v1/agent_link_service.pb.h"

namespace tessera::agent {

class MasterLink {
 public:
  virtual ~MasterLink() = default;

  // Dials `address`. `on_batch` refuses with a status, which ends the link; `on_closed` comes once,
  // last. Both come on threads of gRPC.
  static std::shared_ptr<MasterLink> Open(
      const std::string& address,
      std::function<absl::Status(agentlink::v1::ConnectResponse)> on_batch,
      std::function<void(const absl::Status&)> on_closed);

  virtual void Queue(agentlink::v1::AgentMessage message) = 0;
  virtual void Flush() = 0;
  virtual void Cancel(absl::Status reason) = 0;
};

}  // namespace tessera::agent
