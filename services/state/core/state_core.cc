#include "services/state/core/state_core.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/rpc/error.h"

namespace tessera::state {
namespace {

template <typename... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};
template <typename... Ts>
Overloaded(Ts...) -> Overloaded<Ts...>;

}  // namespace

StateCore::StateCore(StateConfig config)
    : config_(std::move(config)),
      finder_(config_.feeds),
      backoff_(config_.backoff),
      random_(config_.seed) {}

absl::Time StateCore::NextDeadline() const { return deadline_; }

void StateCore::Step(absl::Time now, const StateEvent& event, StateEffects* effects) {
  std::visit([&](const auto& kind) { On(now, kind, effects); }, event);
}

void StateCore::On(absl::Time now, const Started&, StateEffects* effects) {
  if (phase_ == Phase::kIdle) Dial(now, effects);
}

void StateCore::On(absl::Time now, const FeedEnded& event, StateEffects* effects) {
  if (phase_ != Phase::kStreaming || event.stream != stream_) return;
  ++counters_.streams_lost;
  Lost(now, event.status, effects);
}

void StateCore::On(absl::Time now, const Wake&, StateEffects* effects) {
  if (now < deadline_) return;
  switch (phase_) {
    case Phase::kIdle:
      return;
    case Phase::kWaiting:
      return Dial(now, effects);
    case Phase::kStreaming:
      return GiveUp(now, absl::UnavailableError("the feed has gone silent"), effects);
  }
}

void StateCore::Dial(absl::Time now, StateEffects* effects) {
  phase_ = Phase::kStreaming;
  deadline_ = now + config_.silence_timeout;
  chunks_epoch_ = 0;
  ++counters_.dials;
  effects->push_back(DialFeed{++stream_, finder_.address(), epoch_, version_});
}

void StateCore::On(absl::Time now, const FeedMessage& event, StateEffects* effects) {
  if (phase_ != Phase::kStreaming || event.stream != stream_) return;
  const feed::FeedPiece& piece = *event.piece;
  ++counters_.messages;
  counters_.malformed += piece.malformed;
  if (piece.epoch < highest_epoch_) {
    ++counters_.refused;
    GiveUp(now,
           rpc::Error(absl::StatusCode::kFailedPrecondition, model::v1::ErrorDetail::STALE_EPOCH,
                      absl::StrCat("epoch ", piece.epoch, " is over, epoch ", highest_epoch_,
                                   " has been seen")),
           effects);
    return;
  }
  highest_epoch_ = piece.epoch;
  std::visit(
      Overloaded{
          // The feed lives.
          [](const std::monostate&) {},
          [&](const feed::SnapshotPart& part) { OnPart(now, event, part, effects); },
          [&](const feed::Delta& delta) { OnDelta(now, event, delta, effects); },
          [&](const feed::HeartbeatTold& told) { OnHeartbeat(now, piece.epoch, told, effects); },
      },
      piece.kind);
}

void StateCore::OnHeartbeat(absl::Time now, uint64_t epoch, const feed::HeartbeatTold& told,
                            StateEffects* effects) {
  // It tells of a state that has not come, or not as a whole.
  if (epoch != epoch_ || chunks_epoch_ != 0) return;
  whole_ = true;
  feed::LeaderHeartbeat heartbeat = feed::Heard(epoch, told, now);
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

void StateCore::OnPart(absl::Time now, const FeedMessage& event, const feed::SnapshotPart& part,
                       StateEffects* effects) {
  const uint64_t epoch = event.piece->epoch;
  if (part.first) {
    if (epoch == epoch_ && part.version < version_) {
      // Another state-svc that lags behind what this one has published already.
      ++counters_.refused;
      GiveUp(
          now,
          absl::UnavailableError(absl::StrCat("the feed is at version ", part.version, " of epoch ",
                                              epoch, ", behind version ", version_)),
          effects);
      return;
    }
    chunks_epoch_ = epoch;
    chunks_version_ = part.version;
  } else if (chunks_epoch_ != epoch || chunks_epoch_ == 0 || chunks_version_ != part.version) {
    ++counters_.refused;
    GiveUp(now, absl::DataLossError("a part of a snapshot came without its beginning"), effects);
    return;
  }
  Progress(now);
  effects->push_back(PublishPart{epoch, event.piece});
  if (!part.last) return;
  ++counters_.snapshots;
  chunks_epoch_ = 0;
  epoch_ = epoch;
  version_ = part.version;
  whole_ = true;
}

void StateCore::OnDelta(absl::Time now, const FeedMessage& event, const feed::Delta& delta,
                        StateEffects* effects) {
  const uint64_t epoch = event.piece->epoch;
  const bool continues = epoch == epoch_ && chunks_epoch_ == 0;
  if (continues && delta.version <= version_) return;
  if (!continues || delta.version != version_ + 1) {
    ++counters_.refused;
    GiveUp(now,
           absl::DataLossError(absl::StrCat("version ", delta.version, " of epoch ", epoch,
                                            " does not follow version ", version_, " of epoch ",
                                            epoch_)),
           effects);
    return;
  }
  ++counters_.deltas;
  version_ = delta.version;
  whole_ = true;
  Progress(now);
  effects->push_back(PublishDelta{epoch, event.piece});
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
