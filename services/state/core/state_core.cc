#include "services/state/core/state_core.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/rpc/error.h"

namespace tessera::state {

StateCore::StateCore(StateConfig config)
    : config_(std::move(config)),
      finder_(config_.feeds),
      backoff_(config_.backoff),
      random_(config_.seed) {}

absl::Time StateCore::NextDeadline() const { return deadline_; }

void StateCore::Step(absl::Time now, const StateEvent& event, StateEffects* effects) {
  if (std::holds_alternative<Started>(event)) {
    if (phase_ == Phase::kIdle) Dial(now, effects);
  } else if (const auto* message = std::get_if<FeedMessage>(&event)) {
    if (phase_ == Phase::kStreaming && message->stream == stream_) {
      OnMessage(now, *message, effects);
    }
  } else if (const auto* ended = std::get_if<FeedEnded>(&event)) {
    if (phase_ == Phase::kStreaming && ended->stream == stream_) {
      ++counters_.streams_lost;
      Lost(now, ended->status, effects);
    }
  } else if (now >= deadline_) {
    if (phase_ == Phase::kWaiting) {
      Dial(now, effects);
    } else if (phase_ == Phase::kStreaming) {
      GiveUp(now, absl::UnavailableError("the feed has gone silent"), effects);
    }
  }
}

void StateCore::Dial(absl::Time now, StateEffects* effects) {
  phase_ = Phase::kStreaming;
  deadline_ = now + config_.silence_timeout;
  chunks_epoch_ = 0;
  ++counters_.dials;
  effects->push_back(DialFeed{++stream_, finder_.address(), epoch_, version_});
}

void StateCore::OnMessage(absl::Time now, const FeedMessage& event, StateEffects* effects) {
  const v1::FollowResponse& message = *event.message;
  ++counters_.messages;
  if (message.epoch() < highest_epoch_) {
    ++counters_.refused;
    GiveUp(now,
           rpc::Error(absl::StatusCode::kFailedPrecondition, model::v1::ErrorDetail::STALE_EPOCH,
                      absl::StrCat("epoch ", message.epoch(), " is over, epoch ", highest_epoch_,
                                   " has been seen")),
           effects);
    return;
  }
  highest_epoch_ = message.epoch();
  switch (message.kind_case()) {
    case v1::FollowResponse::kSnapshot:
      return OnChunk(now, event, effects);
    case v1::FollowResponse::kDelta:
      return OnDelta(now, event, effects);
    case v1::FollowResponse::kHeartbeat:
      return OnHeartbeat(now, message, effects);
    case v1::FollowResponse::KIND_NOT_SET:
      return;
  }
}

void StateCore::OnHeartbeat(absl::Time now, const v1::FollowResponse& message,
                            StateEffects* effects) {
  // It tells of a state that has not come, or not as a whole.
  if (message.epoch() != epoch_ || chunks_epoch_ != 0) return;
  whole_ = true;
  LeaderHeartbeat heartbeat = FromMessage(message, now);
  const bool newer = heartbeat.NewerThan(heartbeat_);
  if (newer) {
    // The time on the way is not counted, so a later one may seem to have been made earlier.
    heartbeat.made = std::max(heartbeat.made, heartbeat_.made);
    heartbeat_ = heartbeat;
    ++heartbeat.hops;
    effects->push_back(PublishHeartbeat{heartbeat});
  }
  if (now < fresh_until()) {
    deadline_ = fresh_until();
    Works();
  } else if (newer) {
    // It lags, or we do, and catches up.
    Progress(now);
  } else {
    GiveUp(now,
           absl::UnavailableError(absl::StrCat(
               "the feed has nothing of the master since ",
               absl::FormatDuration(absl::Trunc(now - heartbeat_.made, absl::Milliseconds(1))))),
           effects);
  }
}

void StateCore::OnChunk(absl::Time now, const FeedMessage& event, StateEffects* effects) {
  const uint64_t epoch = event.message->epoch();
  const v1::SnapshotChunk& chunk = event.message->snapshot();
  if (chunk.first()) {
    if (epoch == epoch_ && chunk.version() < version_) {
      // Another state-svc that lags behind what this one has published already.
      ++counters_.refused;
      GiveUp(
          now,
          absl::UnavailableError(absl::StrCat("the feed is at version ", chunk.version(),
                                              " of epoch ", epoch, ", behind version ", version_)),
          effects);
      return;
    }
    chunks_epoch_ = epoch;
    chunks_version_ = chunk.version();
  } else if (chunks_epoch_ != epoch || chunks_epoch_ == 0 || chunks_version_ != chunk.version()) {
    ++counters_.refused;
    GiveUp(now, absl::DataLossError("a part of a snapshot came without its beginning"), effects);
    return;
  }
  Progress(now);
  effects->push_back(PublishChunk{epoch, event.message});
  if (!chunk.last()) return;
  ++counters_.snapshots;
  chunks_epoch_ = 0;
  epoch_ = epoch;
  version_ = chunk.version();
  whole_ = true;
}

void StateCore::OnDelta(absl::Time now, const FeedMessage& event, StateEffects* effects) {
  const uint64_t epoch = event.message->epoch();
  const v1::Delta& delta = event.message->delta();
  const bool continues = epoch == epoch_ && chunks_epoch_ == 0;
  if (continues && delta.version() <= version_) return;
  if (!continues || delta.version() != version_ + 1) {
    ++counters_.refused;
    GiveUp(now,
           absl::DataLossError(absl::StrCat("version ", delta.version(), " of epoch ", epoch,
                                            " does not follow version ", version_, " of epoch ",
                                            epoch_)),
           effects);
    return;
  }
  ++counters_.deltas;
  version_ = delta.version();
  whole_ = true;
  Progress(now);
  effects->push_back(PublishDelta{epoch, event.message});
}

void StateCore::GiveUp(absl::Time now, absl::Status reason, StateEffects* effects) {
  effects->push_back(CloseFeed{stream_, reason});
  Lost(now, reason, effects);
}

void StateCore::Lost(absl::Time now, const absl::Status& status, StateEffects* effects) {
  whole_ = false;
  chunks_epoch_ = 0;
  if (finder_.Failed(status)) return Dial(now, effects);
  phase_ = Phase::kWaiting;
  deadline_ = now + backoff_.Next(random_);
}

void StateCore::Works() {
  backoff_.Reset();
  finder_.Succeeded();
}

}  // namespace tessera::state
