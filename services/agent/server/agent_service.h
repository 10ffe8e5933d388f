// AgentService on gRPC: reads of the published view, of usage and of sandboxes; kill and wait by
// the core. What this version does not offer answers UNIMPLEMENTED (NOT_SUPPORTED).
//
// Threads: gRPC's. Nothing here blocks but opening a file.
#pragma once

#include <memory>
#include <string>

#include "services/agent/server/agent_shell.h"

namespace grpc {
class Service;
}

namespace tessera::agent {

class AgentServiceServer {
 public:
  virtual ~AgentServiceServer() = default;
  // `shell` outlives the server that serves this.
  static std::unique_ptr<AgentServiceServer> Make(AgentShell* shell, std::string sandbox_root);
  virtual grpc::Service* service() = 0;
};

}  // namespace tessera::agent
