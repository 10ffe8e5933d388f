// A snapshot as messages, made piece by piece, for one stream or for many.
//
// Threads: any. Making a piece holds up who makes another one, and nobody else.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "services/feed/core/change_cursor.h"
#include "services/feed/rows.h"
#include "services/feed/wire/codec.h"

namespace tessera::feed {

class SnapshotBytes {
 public:
  // Turns a piece into a message; one of null is left out (never the last).
  using EncodePart = std::function<EncodedPtr(uint64_t epoch, const SnapshotPart& part)>;

  // `run`: of the log (feed_log.h) that goes on after it.
  SnapshotBytes(SnapshotPtr snapshot, uint64_t run, size_t chunk_changes, EncodePart encode);

  // True when the message is there; *last says whether it is the last one.
  bool Get(size_t index, EncodedPtr* message, bool* last) const;
  // Makes messages up to the one at `index` and one more.
  void MakeUpTo(size_t index);

  uint64_t version() const { return snapshot_->version; }
  uint64_t epoch() const { return snapshot_->epoch; }
  uint64_t run() const { return run_; }

 private:
  const SnapshotPtr snapshot_;
  const uint64_t run_;
  const size_t chunk_changes_;
  const EncodePart encode_;
  // Held while a piece is made; mu_ guards the result only.
  absl::Mutex making_;
  ChangeCursor cursor_ ABSL_GUARDED_BY(making_);
  bool cursor_at_end_ ABSL_GUARDED_BY(making_) = false;
  mutable absl::Mutex mu_;
  std::vector<EncodedPtr> messages_ ABSL_GUARDED_BY(mu_);
  bool complete_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace tessera::feed
