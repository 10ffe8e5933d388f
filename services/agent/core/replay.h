// The log and the tables, both ways: records become the state that they tell of, and the state
// becomes the short log that replaces a long one.
//
// Invariant: what EssenceOf writes, ReplayLog reads as the same state.
//
// Threads: pure functions of the state that is given.
#pragma once

#include <cstddef>
#include <vector>

#include "services/agent/checkpoint/record.pb.h"
#include "services/agent/core/agent_state.h"

namespace tessera::agent {

// Fills an empty state. Containers may be at the runtime or not, which it will tell. Returns how
// many records contradict those before them; they are passed over.
size_t ReplayLog(const std::vector<checkpoint::Record>& records, AgentState* state);

// Records that stand for the present state.
std::vector<checkpoint::Record> EssenceOf(const AgentState& state);

}  // namespace tessera::agent
