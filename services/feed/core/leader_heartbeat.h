// A heartbeat of the leading master, as a feed that hands it on holds it: the proof of how new a
// state is. It travels as v1::Heartbeat, with its age in place of a time, because clocks differ.
//
// Pure.
#pragma once

#include <algorithm>
#include <cstdint>

#include "absl/time/time.h"
#include "protos/tessera/state/v1/state_feed_service.pb.h"

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

// `message` is a heartbeat that has come just now. An age that makes no sense counts as none.
inline LeaderHeartbeat FromMessage(const v1::FollowResponse& message, absl::Time now) {
  const v1::Heartbeat& heartbeat = message.heartbeat();
  const absl::Duration age =
      absl::Seconds(heartbeat.age().seconds()) + absl::Nanoseconds(heartbeat.age().nanos());
  return {message.epoch(), heartbeat.sequence(), now - std::max(age, absl::ZeroDuration()),
          heartbeat.hops()};
}

// What a follower is sent now.
inline v1::FollowResponse ToMessage(const LeaderHeartbeat& held, absl::Time now) {
  v1::FollowResponse message;
  message.set_epoch(held.epoch);
  v1::Heartbeat* heartbeat = message.mutable_heartbeat();
  heartbeat->set_sequence(held.sequence);
  heartbeat->set_hops(held.hops);
  absl::Duration age = std::max(now - held.made, absl::ZeroDuration());
  heartbeat->mutable_age()->set_seconds(absl::IDivDuration(age, absl::Seconds(1), &age));
  heartbeat->mutable_age()->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(age)));
  return message;
}

}  // namespace tessera::feed
