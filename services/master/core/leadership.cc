#include "services/master/core/leadership.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/master/core/times.h"
#include "services/rpc/error.h"

namespace tessera::master {

Leadership::Leadership(const MasterConfig* config, RequestIds* ids, base::Rng rng, Outbox* outbox)
    : config_(config),
      ids_(ids),
      outbox_(outbox),
      campaign_retry_(config->retry_initial, config->retry_max, rng.Fork()),
      renew_retry_(config->retry_initial, config->retry_max, rng.Fork()) {}

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
  const bool holds = state_ == State::kLeading || state_ == State::kConfirming;
  if (holds && response.has_leader() && response.leader().epoch() > epoch_ &&
      response.leader().candidate_id() != config_->candidate_id) {
    return Lose(now, absl::StrCat("another master leads with epoch ", response.leader().epoch()));
  }
  if (!response.has_lease()) return;
  if (holds && response.lease().epoch() == epoch_) return;
  if (holds) Lose(now, "the registry granted a new epoch");
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
  LOG(WARNING) << "the campaign's stream ended: " << event.status;
  // A lease that is held lives by its renewals.
  if (state_ != State::kStriving) return;
  state_ = State::kWaiting;
  due_ = now + campaign_retry_.Next();
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
  if (state_ != State::kConfirming && state_ != State::kLeading) return;
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
  LOG(WARNING) << "the lease could not be renewed: " << status;
  if (rpc::ReasonOf(status) == pb::ErrorDetail::STALE_EPOCH ||
      status.code() == absl::StatusCode::kFailedPrecondition) {
    return Lose(now, "the lease was taken");
  }
  due_ = now + renew_retry_.Next();
}

void Leadership::OnTime(absl::Time now) {
  if ((state_ == State::kLeading || state_ == State::kConfirming) && now >= lease_until_) {
    return Lose(now, "the lease ran out");
  }
  if (now < due_) return;
  if (state_ == State::kWaiting) {
    Campaign();
  } else if ((state_ == State::kLeading || state_ == State::kConfirming) && !renewal_.valid()) {
    SendRenewal(now);
  }
}

absl::Time Leadership::NextDeadline() const {
  switch (state_) {
    case State::kStopped:
    case State::kStriving:
      return absl::InfiniteFuture();
    case State::kWaiting:
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
  if (state_ != State::kLeading && state_ != State::kConfirming) return;
  Resign effect;
  effect.request.set_candidate_id(config_->candidate_id);
  effect.request.set_epoch(epoch_);
  outbox_->Push(std::move(effect));
  // Resigning ends the campaign, too: otherwise the lease would come straight back.
  campaign_ = RequestId();
  Lose(now, why);
}

void Leadership::Lose(absl::Time now, const std::string& why) {
  LOG(WARNING) << "epoch " << epoch_ << " ends: " << why;
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
    due_ = now + campaign_retry_.Next();
  }
}

void Leadership::Stop() {
  if (state_ == State::kLeading || state_ == State::kConfirming) {
    Resign effect;
    effect.request.set_candidate_id(config_->candidate_id);
    effect.request.set_epoch(epoch_);
    outbox_->Push(std::move(effect));
    lost_because_ = "the process ends";
  }
  campaign_ = RequestId();
  renewal_ = RequestId();
  state_ = State::kStopped;
  due_ = absl::InfiniteFuture();
}

}  // namespace tessera::master
