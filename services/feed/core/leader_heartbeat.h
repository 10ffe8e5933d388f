// A heartbeat of the leading master, as a feed that hands it on holds it: the proof of how new a
// state is. It travels with its age in place of a time, because clocks differ.
//
// Pure.
#pragma once

#include <algorithm>
#include <cstdint>

#include "absl/time/time.h"
#include "services/feed/wire/codec.h"

namespace tessera::feed {

struct LeaderHeartbeat {
  uint64_t epoch = 0;
  // Grows within an epoch; 0: none.
  uint64_t sequence = 0;
  // When the master made it, on the holder's clock: not before it did, as the time on the way is
  // not known.
  absl::Time made = absl::InfinitePast();
  // State-svcs that have handed it on.
  uint32_t hops = 0;

  bool NewerThan(const LeaderHeartbeat& other) const {
    return epoch != other.epoch ? epoch > other.epoch : sequence > other.sequence;
  }
};

// One that has come just now.
inline LeaderHeartbeat Heard(uint64_t epoch, const HeartbeatTold& told, absl::Time now) {
  return {epoch, told.sequence, now - told.age, told.hops};
}

// What a follower is told now.
inline HeartbeatTold Tell(const LeaderHeartbeat& held, absl::Time now) {
  return {held.sequence, std::max(now - held.made, absl::ZeroDuration()), held.hops};
}

}  // namespace tessera::feed
