#include "services/master/core/master_core.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "services/base/overloaded.h"
#include "services/rpc/error.h"

namespace tessera::master {

MasterCore::MasterCore(MasterConfig config, base::Rng rng)
    : config_(std::move(config)), rng_(rng), leadership_(&config_, &ids_, rng_.Fork(), &outbox_) {}

absl::Status MasterCore::NotLeading() const { return rpc::NotLeader(leadership_.leader_address()); }

void MasterCore::FollowLeadership() {
  const bool leads = leadership_.leads();
  if (reign_ != nullptr && (!leads || leadership_.epoch() != reign_epoch_)) EndReign();
  if (leads && reign_ == nullptr) {
    reign_epoch_ = leadership_.epoch();
    reign_ = std::make_unique<Reign>(&config_, &counters_, reign_epoch_, &ids_, rng_.Fork(),
                                     &outbox_, whitelist_);
  }
}

void MasterCore::EndReign() {
  reign_->End(NotLeading());
  reign_.reset();
  outbox_.Push(LeadershipEnded{leadership_.lost_because()});
}

void MasterCore::Step(absl::Time now, const Event& event, Effects* effects) {
  // Whatever the event is, the lease comes first.
  leadership_.OnTime(now);
  FollowLeadership();
  TakeOwn(now, event);
  FollowLeadership();

  if (reign_ == nullptr) {
    RefuseEvent(event, NotLeading(), &outbox_);
  } else {
    reign_->Step(now, event);
    if (reign_->TakeEpochDoubt()) leadership_.Doubt(now);
    if (!reign_->fatal().ok()) {
      leadership_.GiveUp(now, reign_->fatal().ToString());
      FollowLeadership();
    }
  }
  outbox_.Flush(reign_epoch_, effects);
}

void MasterCore::TakeOwn(absl::Time now, const Event& event) {
  std::visit(base::Overloaded{
                 [&](const Started&) { leadership_.Start(); },
                 [&](const StopRequested&) { leadership_.Stop(now); },
                 [&](const CampaignUpdate& e) { leadership_.OnCampaignUpdate(now, e); },
                 [&](const CampaignEnded& e) { leadership_.OnCampaignEnded(now, e); },
                 [&](const Renewed& e) { leadership_.OnRenewed(now, e); },
                 [&](const Resigned& e) { leadership_.OnResigned(now, e); },
                 [&](const WhitelistRead& e) { whitelist_ = e.hostnames; },
                 // Of the reign alone.
                 [](const Wake&) {},
                 [](const SubscribeOpened&) {},
                 [](const StreamClosed&) {},
                 [](const SchedulerCall&) {},
                 [](const AgentStreamOpened&) {},
                 [](const AgentMessages&) {},
                 [](const AgentStreamClosed&) {},
                 [](const AllocatorConnected&) {},
                 [](const AllocatorMessage&) {},
                 [](const AllocatorDisconnected&) {},
                 [](const ReadDone&) {},
                 [](const Committed&) {},
                 [](const OperatorCall&) {},
             },
             event);
}

absl::Time MasterCore::NextDeadline() const {
  const absl::Time lease = leadership_.NextDeadline();
  return reign_ == nullptr ? lease : std::min(lease, reign_->NextDeadline());
}

absl::Status MasterCore::CheckInvariants() const {
  return reign_ == nullptr ? absl::OkStatus() : reign_->CheckInvariants();
}

absl::StatusOr<AllocationInquiry> MasterCore::InquireAllocation(
    const ops::ExplainAllocationRequest& request) const {
  if (reign_ == nullptr) return NotLeading();
  return reign_->InquireAllocation(request);
}

MasterMetrics MasterCore::Metrics() const {
  MasterMetrics metrics;
  metrics.counters = counters_;
  if (reign_ != nullptr) {
    metrics.leads = true;
    metrics.epoch = reign_epoch_;
    reign_->AddMetrics(&metrics);
  }
  return metrics;
}

}  // namespace tessera::master
