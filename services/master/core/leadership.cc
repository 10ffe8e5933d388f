#include "services/master/core/leadership.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/master/core/times.h"
#include "services/rpc/error.h"

namespace tessera::master {

namespace {

// A registry that answers neither the last renewal nor the resignation is waited for this long
// each: the lease runs out by itself.
constexpr absl::Duration kResignationPatience = absl::Seconds(1);

}  // namespace

Leadership::Leadership(const MasterConfig* config, RequestIds* ids, base::Rng rng, Outbox* outbox)
    : config_(config),
      ids_(ids),
      outbox_(outbox),
      rng_(rng),
      campaign_retry_({config->retry_initial, config->retry_max}),
      renew_retry_({config->retry_initial, config->retry_max}) {}

void Leadership::Start() {
  if (state_ == State::kStopped) Campaign();
}

void Leadership::Campaign() {
  state_ = State::kStriving;
  due_ = absl::InfiniteFuture();
  campaign_ = ids_->Next();
  master::Campaign effect{campaign_, {}};
  effect.request.set_candidate_id(config_->candidate_id);
  effect.request.set_address(config_->address);
  effect.request.set_http_address(config_->http_address);
  outbox_->Push(std::move(effect));
}

void Leadership::OnCampaignUpdate(absl::Time now, const CampaignUpdate& event) {
  if (event.id != campaign_) return;
  const reg::CampaignResponse& response = event.response;
  // A lease says nothing yet of how long it can be kept.
  if (!response.has_lease()) campaign_retry_.Reset();
  if (response.has_leader()) {
    leader_address_ = response.leader().address();
  } else if (!response.has_lease()) {
    leader_address_.clear();
  }
  if (holds() && response.has_leader() && response.leader().epoch() > epoch_ &&
      response.leader().candidate_id() != config_->candidate_id) {
    return Lose(now, absl::StrCat("another master leads with epoch ", response.leader().epoch()));
  }
  if (!response.has_lease()) return;
  if (holds() && response.lease().epoch() == epoch_) return;
  if (holds()) Lose(now, "the registry granted a new epoch");
  state_ = State::kConfirming;
  epoch_ = response.lease().epoch();
  // Later than the truth by what the message took; only bounds the tries to confirm it.
  lease_until_ = now + DurationOf(response.lease().expires_in());
  renew_retry_.Reset();
  SendRenewal(now);
}

void Leadership::OnCampaignEnded(absl::Time now, const CampaignEnded& event) {
  if (event.id != campaign_) return;
  campaign_ = RequestId();
  outbox_->Note(base::Severity::kWarning, "the campaign's stream ended: ", event.status.ToString());
  // A lease that is held lives by its renewals.
  if (state_ != State::kStriving) return;
  state_ = State::kWaiting;
  due_ = now + campaign_retry_.Next(rng_);
}

void Leadership::SendRenewal(absl::Time now) {
  due_ = absl::InfiniteFuture();
  renewal_ = ids_->Next();
  renewal_sent_ = now;
  Renew effect{renewal_, {}};
  effect.request.set_candidate_id(config_->candidate_id);
  effect.request.set_epoch(epoch_);
  outbox_->Push(std::move(effect));
}

void Leadership::OnRenewed(absl::Time now, const Renewed& event) {
  if (event.id != renewal_) return;
  renewal_ = RequestId();
  if (state_ == State::kEnding) return Resign(now);
  if (!holds()) return;
  if (event.answer.ok()) {
    const absl::Duration lease = DurationOf(event.answer->expires_in());
    lease_until_ = renewal_sent_ + lease - config_->lease_margin;
    renew_retry_.Reset();
    if (lease_until_ <= now) return Lose(now, "the renewal took longer than the lease");
    due_ = std::max(now, renewal_sent_ + lease / 3);
    if (state_ == State::kConfirming) {
      state_ = State::kLeading;
      leader_address_ = config_->address;
    } else {
      campaign_retry_.Reset();
    }
    return;
  }
  const absl::Status& status = event.answer.status();
  outbox_->Note(base::Severity::kWarning, "the lease could not be renewed: ", status.ToString());
  if (rpc::ReasonOf(status) == pb::ErrorDetail::STALE_EPOCH ||
      status.code() == absl::StatusCode::kFailedPrecondition) {
    return Lose(now, "the lease was taken");
  }
  due_ = now + renew_retry_.Next(rng_);
}

void Leadership::OnTime(absl::Time now) {
  if (holds() && now >= lease_until_) return Lose(now, "the lease ran out");
  if (now < due_) return;
  switch (state_) {
    case State::kStopped:
    case State::kStriving:
      return;
    case State::kWaiting:
      return Campaign();
    case State::kConfirming:
    case State::kLeading:
      if (!renewal_.valid()) SendRenewal(now);
      return;
    case State::kEnding:
      return Resign(now);
    case State::kResigning:
      return FinishResignation(now);
  }
}

absl::Time Leadership::NextDeadline() const {
  switch (state_) {
    case State::kStopped:
    case State::kStriving:
      return absl::InfiniteFuture();
    case State::kWaiting:
    case State::kEnding:
    case State::kResigning:
      return due_;
    case State::kConfirming:
    case State::kLeading:
      break;
  }
  return std::min(due_, lease_until_);
}

void Leadership::Doubt(absl::Time now) {
  if (state_ == State::kLeading && !renewal_.valid()) due_ = now;
}

void Leadership::GiveUp(absl::Time now, const std::string& why) {
  if (!holds()) return;
  Lose(now, why);
  BeginResignation(now);
}

void Leadership::BeginResignation(absl::Time now) {
  outbox_->Push(EndCampaign{campaign_});
  campaign_ = RequestId();
  SendRenewal(now);
  state_ = State::kEnding;
  due_ = now + kResignationPatience;
}

void Leadership::Resign(absl::Time now) {
  renewal_ = RequestId();
  resignation_ = ids_->Next();
  master::Resign effect{resignation_, {}};
  effect.request.set_candidate_id(config_->candidate_id);
  effect.request.set_epoch(epoch_);
  outbox_->Push(std::move(effect));
  state_ = State::kResigning;
  due_ = now + kResignationPatience;
}

void Leadership::OnResigned(absl::Time now, const Resigned& event) {
  if (event.id != resignation_) return;
  if (!event.status.ok()) {
    outbox_->Note(base::Severity::kWarning, "could not resign: ", event.status.ToString());
  }
  FinishResignation(now);
}

void Leadership::FinishResignation(absl::Time now) {
  resignation_ = RequestId();
  if (stopping_) {
    state_ = State::kStopped;
    due_ = absl::InfiniteFuture();
    outbox_->Push(Stopped{});
    return;
  }
  state_ = State::kWaiting;
  due_ = now + campaign_retry_.Next(rng_);
}

void Leadership::Lose(absl::Time now, const std::string& why) {
  outbox_->Note(base::Severity::kWarning, "epoch ", epoch_, " ends: ", why);
  lost_because_ = why;
  lease_until_ = absl::InfinitePast();
  renewal_ = RequestId();
  if (leader_address_ == config_->address) leader_address_.clear();
  if (campaign_.valid()) {
    // The campaign goes on: it tells who leads next, which may be this process.
    state_ = State::kStriving;
    due_ = absl::InfiniteFuture();
  } else {
    state_ = State::kWaiting;
    due_ = now + campaign_retry_.Next(rng_);
  }
}

void Leadership::Stop(absl::Time now) {
  if (std::exchange(stopping_, true)) return;
  if (holds()) return GiveUp(now, "the process ends");
  // One that is under way goes on to its end.
  if (state_ == State::kEnding || state_ == State::kResigning) return;
  if (campaign_.valid()) outbox_->Push(EndCampaign{campaign_});
  campaign_ = RequestId();
  FinishResignation(now);
}

}  // namespace tessera::master
