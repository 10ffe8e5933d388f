// One term of leadership: from the lease to its loss. Reads the registry, then takes everybody's
// events to the flows. Nothing outlives it but counters; what it knew is read and reported anew.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "services/base/rng.h"
#include "services/master/core/accept_flow.h"
#include "services/master/core/agent_flow.h"
#include "services/master/core/allocation_inquiry.h"
#include "services/master/core/books.h"
#include "services/master/core/inverse_offer_flow.h"
#include "services/master/core/maintenance_flow.h"
#include "services/master/core/offer_flow.h"
#include "services/master/core/operator_flow.h"
#include "services/master/core/recovery.h"
#include "services/master/core/session_flow.h"
#include "services/master/core/task_flow.h"

namespace tessera::master {

class Reign {
 public:
  // `whitelist` is what is in force from the beginning, see WhitelistRead.
  Reign(const MasterConfig* config, MasterCounters* counters, uint64_t epoch, RequestIds* ids,
        base::Rng rng, Outbox* outbox, std::optional<std::vector<std::string>> whitelist);

  // Takes an event of anybody but the campaign.
  void Step(absl::Time now, const Event& event);
  absl::Time NextDeadline() const;

  // The registry is read and calls are taken.
  bool leading() const { return leading_; }
  // Set when this master must not go on.
  const absl::Status& fatal() const { return fatal_; }
  // An agent has obeyed a higher epoch; asked once.
  bool TakeEpochDoubt();

  // Ends every stream and call.
  void End(const absl::Status& status);

  // UNAVAILABLE (RECOVERING) until the registry is read; else as the function of that name.
  absl::StatusOr<AllocationInquiry> InquireAllocation(
      const ops::ExplainAllocationRequest& request) const;
  // Null until the registry is read.
  const Books* books() const { return court_ == nullptr ? nullptr : &court_->books; }
  absl::Status CheckInvariants() const;
  void AddMetrics(MasterMetrics* metrics) const;

 private:
  // What exists once the registry is read.
  struct Court {
    Court(const MasterConfig* config, MasterCounters* counters, uint64_t epoch,
          const std::string& master_id, RequestIds* ids, Outbox* outbox, base::Rng rng);
    Books books;
    SessionFlow sessions;
    OfferFlow offers;
    InverseOfferFlow inverse_offers;
    AcceptFlow accepts;
    TaskFlow tasks;
    AgentStreams agent_streams;
    AgentWatch agent_watch;
    AgentLoss agent_losses;
    AgentReturn agent_returns;
    AgentRegistration registration;
    AgentFlow agents;
    OperatorFlow operators;
    MaintenanceFlow maintenance;
  };

  void OnReadDone(absl::Time now, const ReadDone& event);
  void BeginLeading(absl::Time now);
  void ShowCluster();
  // Now and from time to time: only a core that steps proves that it leads.
  void BeatFeed(absl::Time now);
  void TakeEvent(absl::Time now, const Event& event);
  void TakeCall(const SchedulerCall& call);
  void TakeCall(const OperatorCall& call);
  void OnAllocatorConnected(LinkId link);
  void OnTimers(absl::Time now);
  void OnTimer(const Timer& timer);
  void OnDurable(const Durable& durable);
  void RefuseWhileRecovering(const Event& event);

  const MasterConfig* config_;
  MasterCounters* counters_;
  const uint64_t epoch_;
  RequestIds* ids_;
  Outbox* outbox_;
  base::Rng rng_;
  Recovery recovery_;
  std::optional<std::vector<std::string>> whitelist_;
  std::unique_ptr<Court> court_;
  bool leading_ = false;
  absl::Time began_ = absl::InfinitePast();
  absl::Status fatal_;
};

// Refuses whatever an event asks for: streams are closed, calls answered.
void RefuseEvent(const Event& event, const absl::Status& status, Outbox* outbox);

}  // namespace tessera::master
