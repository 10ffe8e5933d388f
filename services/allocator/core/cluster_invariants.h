// What must hold within and between the tables of a cluster, worked out anew from what agents have
// and what is held on them. For tests and the simulator.
#pragma once

#include "absl/status/status.h"
#include "services/allocator/core/cluster_tables.h"

namespace tessera::allocator {

// Internal says what does not add up. Slow: looks at everything.
absl::Status CheckInvariants(const ClusterTables& tables);

}  // namespace tessera::allocator
