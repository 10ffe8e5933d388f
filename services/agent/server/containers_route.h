// GET /containers: the containers of the agent with their usage, in the JSON shape that tools of
// the field know. `?container_id=` shows one.
#pragma once

#include "services/agent/server/agent_shell.h"
#include "services/http/http_server.h"

namespace tessera::agent {

// `shell` outlives the HTTP server.
http::Route ContainersRoute(AgentShell* shell);

}  // namespace tessera::agent
