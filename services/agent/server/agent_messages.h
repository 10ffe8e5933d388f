// From the agent's own values to the messages of AgentService.
#pragma once

#include "protos/tessera/agent/v1/agent_service.pb.h"
#include "services/agent/container/container_runtime.h"
#include "services/agent/core/agent_view.h"

namespace tessera::agent {

v1::Container ToMessage(const ContainerView& container);
v1::Usage ToMessage(const ContainerUsage& usage);
v1::Termination ToMessage(const ContainerTermination& termination);

}  // namespace tessera::agent
