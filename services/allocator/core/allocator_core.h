// Decides which framework is offered which resources.
//
// One core serves one snapshot of one master: it starts empty, is told the cluster row by row, and
// allocates nothing before SnapshotCompleted. Events never allocate by themselves: they mark
// agents, and the run happens in the first Wake at or after NextDeadline(). So a burst of any size
// costs one run for each min_batch_interval that it lasts.
//
// This class only gives each event to the flow that it belongs to:
//
//   FrameworkFlow     frameworks come and go, revive, suppress, state what they want
//   AgentFlow         agents come and go; the whitelist
//   ResourceFlow      resources come back, refused or not, and are converted
//   OfferFlow         offers end; who lets them lie is not asked for a while
//   InverseOfferFlow  agents are to be unavailable; frameworks are asked to leave them
//   RoleFlow          weights and quota
//   RunFlow           the snapshot's end, the recovery of agents, and the runs
//
// An event that contradicts the tables is answered by Refused and changes nothing.
// Pure: no clock, no threads, no randomness but the seed. Not thread safe.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "services/allocator/core/agent_flow.h"
#include "services/allocator/core/allocator_config.h"
#include "services/allocator/core/allocator_counters.h"
#include "services/allocator/core/allocator_events.h"
#include "services/allocator/core/allocator_state.h"
#include "services/allocator/core/cluster_invariants.h"
#include "services/allocator/core/cluster_tables.h"
#include "services/allocator/core/explain.h"
#include "services/allocator/core/framework_flow.h"
#include "services/allocator/core/inverse_offer_flow.h"
#include "services/allocator/core/offer_flow.h"
#include "services/allocator/core/resource_flow.h"
#include "services/allocator/core/role_flow.h"
#include "services/allocator/core/run_flow.h"

namespace tessera::allocator {

class AllocatorCore {
 public:
  // `words` must outlive the core and know every number of an event.
  AllocatorCore(const AllocatorConfig& config, const Vocabulary* words, uint64_t seed);
  AllocatorCore(const AllocatorCore&) = delete;
  AllocatorCore& operator=(const AllocatorCore&) = delete;

  void Step(absl::Time now, const Event& event, Effects* effects);
  // When the next Wake is due; InfiniteFuture when nothing is.
  absl::Time NextDeadline() const;

  // Takes back the list of a batch that has been carried out, so that the next run fills the same
  // memory. Its contents do not matter; not to call it costs one allocation for each run.
  void Recycle(std::vector<Allocation> spent) { runs_.Recycle(std::move(spent)); }

  const ClusterTables& tables() const { return state_.tables; }
  const AllocatorCounters& counters() const { return state_.counters; }
  bool paused() const { return state_.runs.paused(); }

  // Why a client is not offered what it wants; sets `question.paused` itself. Looks at every agent.
  Explanation Explain(Question question) const {
    question.paused = paused();
    return allocator::Explain(question, tables());
  }

  // Works out anew that offered + used + free = total on each agent, and every other sum. Internal
  // says what does not add up. Slow: for tests and the simulator.
  absl::Status CheckInvariants() const { return allocator::CheckInvariants(tables()); }

 private:
  void On(const FrameworkAdded& event) { frameworks_.On(event); }
  void On(const FrameworkUpdated& event) { frameworks_.On(event); }
  void On(const FrameworkRemoved& event) { frameworks_.On(event); }
  void On(const FrameworkActivated& event) { frameworks_.On(event); }
  void On(const FrameworkDeactivated& event) { frameworks_.On(event); }
  void On(const Revived& event) { frameworks_.On(event); }
  void On(const Suppressed& event) { frameworks_.On(event); }
  void On(const Unsuppressed& event) { frameworks_.On(event); }
  void On(const FiltersCleared& event) { frameworks_.On(event); }
  void On(const DemandStated& event) { frameworks_.On(event); }
  void On(const AgentAdded& event) { agents_.On(event); }
  void On(const AgentUpdated& event) { agents_.On(event); }
  void On(const AgentRemoved& event) { agents_.On(event); }
  void On(const AgentActivated& event) { agents_.On(event); }
  void On(const AgentDeactivated& event) { agents_.On(event); }
  void On(const WhitelistSet& event) { agents_.On(event); }
  void On(const Recovered& event) { resources_.On(event); }
  void On(const Converted& event) { resources_.On(event); }
  void On(const OffersEnded& event) { offers_.On(event); }
  void On(const UnavailabilitySet& event) { inverse_offers_.On(event); }
  void On(const InverseOfferAnswered& event) { inverse_offers_.On(event); }
  void On(const InverseOfferEnded& event) { inverse_offers_.On(event); }
  void On(const WeightSet& event) { roles_.On(event); }
  void On(const QuotaSet& event) { roles_.On(event); }
  void On(const RecoveryExpected& event) { runs_.On(event); }
  void On(const SnapshotCompleted& event) { runs_.On(event); }
  void On(const Wake& event) { runs_.On(event); }

  void ReportForgotten();

  AllocatorState state_;
  OfferFlow offers_;
  InverseOfferFlow inverse_offers_;
  FrameworkFlow frameworks_;
  AgentFlow agents_;
  ResourceFlow resources_;
  RoleFlow roles_;
  RunFlow runs_;
  absl::Time next_filter_deadline_ = absl::InfiniteFuture();
};

}  // namespace tessera::allocator
