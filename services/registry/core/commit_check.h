// Whether a commit may be accepted.
//
// Threads: a pure function.
#pragma once

#include <string>

#include "services/registry/core/commit_queue.h"
#include "services/registry/core/lease_table.h"
#include "services/registry/core/registry_config.h"
#include "services/registry/core/registry_events.h"

namespace tessera::registry {

// kNone when it may: it is well-formed and within the bounds of the registry and of a group, its
// epoch leads, and its conditions hold after everything that was accepted before. Otherwise
// `message` explains the refusal to people.
Refusal CheckCommit(const CommitRequested& request, const RegistryConfig& config,
                    const GroupLimits& limits, const LeaseTable& lease, const CommitQueue& queue,
                    std::string* message);

}  // namespace tessera::registry
