// Times and durations from and to their protobuf forms, without losing what both can hold.
#pragma once

#include <google/protobuf/duration.pb.h>
#include <google/protobuf/timestamp.pb.h>

#include <algorithm>

#include "absl/time/time.h"

namespace tessera::master {

inline void SetTime(absl::Time time, google::protobuf::Timestamp* message) {
  const int64_t seconds = absl::ToUnixSeconds(time);
  message->set_seconds(seconds);
  message->set_nanos(
      static_cast<int32_t>(absl::ToInt64Nanoseconds(time - absl::FromUnixSeconds(seconds))));
}

inline absl::Time TimeOf(const google::protobuf::Timestamp& message) {
  return absl::FromUnixSeconds(message.seconds()) + absl::Nanoseconds(message.nanos());
}

// Durations beyond ten thousand years are cut to that.
inline void SetDuration(absl::Duration duration, google::protobuf::Duration* message) {
  constexpr int64_t kSecondsMax = 315'576'000'000;
  duration = std::clamp(duration, -absl::Seconds(kSecondsMax), absl::Seconds(kSecondsMax));
  const int64_t seconds = absl::ToInt64Seconds(duration);
  message->set_seconds(seconds);
  message->set_nanos(
      static_cast<int32_t>(absl::ToInt64Nanoseconds(duration - absl::Seconds(seconds))));
}

inline absl::Duration DurationOf(const google::protobuf::Duration& message) {
  return absl::Seconds(message.seconds()) + absl::Nanoseconds(message.nanos());
}

// A time as the field's definition allows it: from the year 1 to the year 9999.
inline bool IsValid(const google::protobuf::Timestamp& message) {
  constexpr int64_t kSecondsMin = -62'135'596'800;
  constexpr int64_t kSecondsMax = 253'402'300'799;
  return message.seconds() >= kSecondsMin && message.seconds() <= kSecondsMax &&
         message.nanos() >= 0 && message.nanos() < 1'000'000'000;
}

// A duration as the field's definition allows it: at most ten thousand years, both parts of one
// sign.
inline bool IsValid(const google::protobuf::Duration& message) {
  constexpr int64_t kSecondsMax = 315'576'000'000;
  if (message.seconds() > kSecondsMax || message.seconds() < -kSecondsMax) return false;
  if (message.nanos() <= -1'000'000'000 || message.nanos() >= 1'000'000'000) return false;
  return !(message.seconds() > 0 && message.nanos() < 0) &&
         !(message.seconds() < 0 && message.nanos() > 0);
}

}  // namespace tessera::master
