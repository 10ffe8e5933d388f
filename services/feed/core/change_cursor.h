// Tells a snapshot as changes, in pieces, so that a follower can build the same state.
//
// Order: that of the table of kinds (kinds.h); what a change names has always come before it.
//
// Threads: a cursor belongs to one thread at a time; the snapshot is shared.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "services/feed/core/kinds.h"
#include "services/feed/core/snapshot.h"

namespace tessera::feed {

class ChangeCursor {
 public:
  explicit ChangeCursor(SnapshotPtr snapshot) : snapshot_(std::move(snapshot)) {}

  // Appends up to `max` changes, fewer when they are large. False when nothing is left after them.
  bool Next(size_t max, std::vector<Change>* changes);

  const SnapshotPtr& snapshot() const { return snapshot_; }

 private:
  SnapshotPtr snapshot_;
  // Of the table; kCount: done.
  size_t kind_ = 0;
  TellingPlace place_;
};

// All of it at once, for tests and checkers.
std::vector<Change> ChangesOf(const SnapshotPtr& snapshot);

}  // namespace tessera::feed
