#include "services/feed/core/snapshot_bytes.h"

#include <utility>

namespace tessera::feed {

SnapshotBytes::SnapshotBytes(SnapshotPtr snapshot, uint64_t run, size_t chunk_changes,
                             EncodePart encode)
    : snapshot_(snapshot),
      run_(run),
      chunk_changes_(chunk_changes),
      encode_(std::move(encode)),
      cursor_(std::move(snapshot)) {}

bool SnapshotBytes::Get(size_t index, EncodedPtr* message, bool* last) const {
  absl::MutexLock lock(&mu_);
  if (index >= messages_.size()) return false;
  *message = messages_[index];
  *last = complete_ && index + 1 == messages_.size();
  return true;
}

void SnapshotBytes::MakeUpTo(size_t index) {
  absl::MutexLock making(&making_);
  while (!cursor_at_end_) {
    SnapshotPart part;
    {
      absl::MutexLock lock(&mu_);
      // One ahead: it is made while the one before is on its way.
      if (messages_.size() > index + 1) return;
      part.first = messages_.empty();
    }
    cursor_at_end_ = !cursor_.Next(chunk_changes_, &part.changes);
    part.version = version();
    part.last = cursor_at_end_;
    EncodedPtr message = encode_(epoch(), part);
    absl::MutexLock lock(&mu_);
    if (message != nullptr) messages_.push_back(std::move(message));
    complete_ = cursor_at_end_;
  }
}

}  // namespace tessera::feed
