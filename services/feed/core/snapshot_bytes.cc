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
  if (index >= messages_.size()) return false;
  *message = messages_[index];
  *last = complete_ && index + 1 == messages_.size();
  return true;
}

void SnapshotBytes::Add(Piece piece) {
  if (piece.message != nullptr) messages_.push_back(std::move(piece.message));
  complete_ = piece.last;
}

SnapshotBytes::Piece SnapshotBytes::Make() {
  SnapshotPart part;
  part.version = version();
  part.first = !std::exchange(began_, true);
  part.last = !cursor_.Next(chunk_changes_, &part.changes);
  return {encode_(epoch(), part), part.last};
}

}  // namespace tessera::feed
