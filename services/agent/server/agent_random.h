// Randomness of the real agent, from the kernel.
#pragma once

#include <cstdint>

#include "services/agent/core/agent_config.h"

namespace tessera::agent {

uint64_t RandomSeed();

// Random uuids (version 4).
UuidSource MakeUuidSource();

}  // namespace tessera::agent
