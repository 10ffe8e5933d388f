// A snapshot as messages, made piece by piece, for one stream or for many.
//
// Two parts: what has been made is read and added to under the lock of the log (feed_log.h); making
// takes long, needs no lock, and is for one maker at a time.
//
//   while (bytes->Wants(index)) bytes->Add(bytes->Make());      Wants and Add under the lock
//
// Pure. Threads: as said.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "services/feed/core/change_cursor.h"
#include "services/feed/rows.h"
#include "services/feed/wire/codec.h"

namespace tessera::feed {

class SnapshotBytes {
 public:
  // Turns a piece into a message; one of null is left out (never the last).
  using EncodePart = std::function<EncodedPtr(uint64_t epoch, const SnapshotPart& part)>;
  struct Piece {
    EncodedPtr message;
    bool last = false;
  };

  // `run`: of the log that goes on after it.
  SnapshotBytes(SnapshotPtr snapshot, uint64_t run, size_t chunk_changes, EncodePart encode);

  uint64_t version() const { return snapshot_->version; }
  uint64_t epoch() const { return snapshot_->epoch; }
  uint64_t run() const { return run_; }

  // ---- under the lock of the log ----

  // True when the message is there; *last says whether it is the last one.
  bool Get(size_t index, EncodedPtr* message, bool* last) const;
  // A message has to be made before who wants this one, and one more, is served: that one is made
  // while the one before is on its way.
  bool Wants(size_t index) const { return !complete_ && messages_.size() <= index + 1; }
  void Add(Piece piece);

  // ---- by its maker ----

  // The next one; not after the last.
  Piece Make();

  // ---- for an owner without other threads ----

  void MakeUpTo(size_t index) {
    while (Wants(index)) Add(Make());
  }

 private:
  const SnapshotPtr snapshot_;
  const uint64_t run_;
  const size_t chunk_changes_;
  const EncodePart encode_;
  // Of the maker.
  ChangeCursor cursor_;
  bool began_ = false;
  // Under the lock.
  std::vector<EncodedPtr> messages_;
  bool complete_ = false;
};

}  // namespace tessera::feed
