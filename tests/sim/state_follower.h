// A follower of the state feed: applies what leaders publish to a StateTable, as every state-svc
// does.
#pragma once

#include <cstdint>

#include "services/state/core/state_table.h"
#include "tests/sim/world.h"

namespace tessera::sim {

class StateFollower {
 public:
  explicit StateFollower(World* world) : world_(world) {}

  void Published(uint64_t epoch, bool reset, state::v1::Delta delta) {
    if (epoch < table_.epoch()) return;  // a leader of the past
    if (reset) {
      table_.Reset(epoch);
      table_.set_version(delta.version() - 1);
    } else if (epoch != table_.epoch()) {
      world_->verdict.Fail("the feed begins with a reset", "an epoch began in the middle");
      return;
    }
    if (delta.version() != table_.version() + 1) {
      world_->verdict.Fail("the feed has no gaps", "version " + std::to_string(delta.version()) +
                                                       " after " +
                                                       std::to_string(table_.version()));
    }
    for (auto& change : *delta.mutable_changes()) table_.Apply(std::move(change));
    table_.set_version(delta.version());
    if (table_.ignored() > 0) {
      world_->verdict.Fail("the feed names what is known",
                           "a change named something unknown to followers");
    }
  }

  const state::Snapshot& state() const { return table_.state(); }

 private:
  World* world_;
  state::StateTable table_;
};

}  // namespace tessera::sim
