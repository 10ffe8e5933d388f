// Everything that lives on the agent, as the messages in which a master is told of it.
//
// Threads: a pure function.
#pragma once

#include "absl/functional/function_ref.h"
#include "protos/tessera/agentlink/v1/agent_link_service.pb.h"
#include "services/agent/core/agent_state.h"

namespace tessera::agent {

// In chunks of at most inventory_entries_max entries and about inventory_bytes_max bytes; the last
// one is marked. Tasks whose records are not durable yet are listed, too: the agent will start
// them.
void WriteInventory(const AgentState& state,
                    absl::FunctionRef<void(agentlink::v1::AgentMessage)> send);

}  // namespace tessera::agent
