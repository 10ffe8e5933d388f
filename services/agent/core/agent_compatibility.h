// Whether an agent may keep its id although its description has changed.
//
// The policy is additive: host name as before; fault domain as before if there was one; every old
// resource still there, not less; every old attribute still there with the same value (ranges may
// grow). New resources and attributes are welcome. Addresses may change: the id does not hang on
// them.
//
// Threads: pure functions.
#pragma once

#include "absl/status/status.h"
#include "protos/tessera/model/v1/agent.pb.h"

namespace tessera::agent {

// FAILED_PRECONDITION, saying each difference that is not allowed.
absl::Status CheckCompatible(const model::v1::AgentInfo& before, const model::v1::AgentInfo& now);

}  // namespace tessera::agent
