// Resolves a user on the host, before any root is changed.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "services/agent/isolators/isolator.h"

namespace tessera::agent {

// By name, or by number if no user has the number for a name. "" is the runtime's own user.
// NOT_FOUND: `user "x" not found`. Blocking: asks the system's user databases. Thread-safe.
absl::StatusOr<HostUser> ResolveHostUser(const std::string& name);

}  // namespace tessera::agent
