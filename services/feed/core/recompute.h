// What is derived in a snapshot, computed anew from its records: the measure for the incremental
// book-keeping, in tests and in checkers.
#pragma once

#include <string>

#include "services/feed/core/snapshot.h"

namespace tessera::feed {

// Empty when everything derived agrees with the records; otherwise what differs.
std::string FindDisagreement(const Snapshot& snapshot);

// Everything that the snapshot holds, as text: equal for equal states, whatever way they came
// about. Leaves epoch and version out.
std::string Describe(const SnapshotPtr& snapshot);

}  // namespace tessera::feed
