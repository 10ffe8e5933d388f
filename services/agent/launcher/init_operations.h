// Carries out a start request's operations inside the container's namespaces.
#pragma once

#include "services/agent/launcher/start_request.h"

namespace tessera::agent {

// Detached mount trees of the host, the root's first.
struct MountTrees {
  const int* files = nullptr;
  size_t count = 0;
};

// Runs the operations in order. On failure returns the errno, the failed operation's index in
// `*failed`; what was done before goes with the namespaces.
int RunOperations(const StartOperation* operations, uint32_t count, const MountTrees& trees,
                  uint32_t* failed);

// Writes what `operation` does into `text`, e.g. `mount proc on /proc`.
void DescribeOperation(const StartOperation& operation, char* text, size_t size);

}  // namespace tessera::agent
