// Changes for the followers of the state feed, gathered over one Step, and the heartbeats that
// prove to them how new they are.
//
// Invariants: versions begin at 1 with a reset and have no gaps; the changes of one Step are one
// version; a heartbeat comes after the changes of its Step.
#pragma once

#include <cstdint>
#include <utility>

#include "services/master/core/outbox.h"

namespace tessera::master {

class FeedWriter {
 public:
  FeedWriter(uint64_t epoch, Outbox* outbox) : epoch_(epoch), outbox_(outbox) {}

  // A new change to fill in.
  feed::Change& Add() { return *delta_.add_changes(); }

  // A heartbeat goes with the next Flush().
  void Beat() { beat_ = true; }

  void Flush() {
    if (delta_.changes_size() > 0) {
      delta_.set_version(++version_);
      outbox_->Push(PublishFeed{epoch_, version_ == 1, std::exchange(delta_, {})});
    }
    if (std::exchange(beat_, false)) outbox_->Push(FeedHeartbeat{epoch_});
  }

  uint64_t version() const { return version_; }

 private:
  const uint64_t epoch_;
  Outbox* outbox_;
  uint64_t version_ = 0;
  feed::Delta delta_;
  bool beat_ = false;
};

}  // namespace tessera::master
