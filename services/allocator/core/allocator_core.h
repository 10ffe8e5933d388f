// Decides which framework is offered which resources.
//
// One core serves one snapshot of one master: it starts empty, is told the cluster row by row, and
// allocates nothing before SnapshotCompleted. Events never allocate by themselves: they mark
// agents, and the run happens in the first Wake at or after NextDeadline(). So a burst of any size
// costs one run for each min_batch_interval that it lasts.
//
// An event that contradicts the tables is answered by Refused and changes nothing.
// Pure: no clock, no threads, no randomness but the seed. Not thread safe.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "services/allocator/core/allocation_run.h"
#include "services/allocator/core/allocator_config.h"
#include "services/allocator/core/allocator_events.h"
#include "services/allocator/core/cluster_tables.h"
#include "services/allocator/core/explain.h"
#include "services/base/rng.h"

namespace tessera::allocator {

// Plain numbers for the shell to show. Counters only grow.
struct AllocatorCounters {
  uint64_t events = 0;
  uint64_t refused_events = 0;
  uint64_t full_runs = 0;
  uint64_t event_runs = 0;
  uint64_t allocations = 0;
  uint64_t pairs_considered = 0;
  uint64_t agents_considered = 0;
  // Recovered for something unknown by now.
  uint64_t stale_recoveries = 0;
  // Refusals that found the table full.
  uint64_t filters_not_kept = 0;
  // Refusals that hold longer than was asked, because they came again and again.
  uint64_t refusals_lengthened = 0;
  uint64_t inverse_allocations = 0;
  // Frameworks that were not asked for a while because they had let offers lie.
  uint64_t silences = 0;
  // Runs over all agents that a framework asked for too often, and that the periodic run stood for.
  uint64_t runs_not_made_on_demand = 0;
  // Runs that left agents to the next one, because they cost as much as one may.
  uint64_t runs_cut_short = 0;
};

class AllocatorCore {
 public:
  // `words` must outlive the core and know every number of an event.
  AllocatorCore(const AllocatorConfig& config, const Vocabulary* words, uint64_t seed);

  void Step(absl::Time now, const Event& event, Effects* effects);
  // When the next Wake is due; InfiniteFuture when nothing is.
  absl::Time NextDeadline() const;

  // Takes back the list of a batch that has been carried out, so that the next run fills the same
  // memory. Its contents do not matter; not to call it costs one allocation for each run.
  void Recycle(std::vector<Allocation> spent) { spent_ = std::move(spent); }

  const ClusterTables& tables() const { return tables_; }
  const AllocatorCounters& counters() const { return counters_; }
  bool paused() const { return !started_ || resume_at_.has_value(); }

  // Why a client is not offered what it wants; sets `question.paused` itself. Looks at every agent.
  Explanation Explain(Question question) const {
    question.paused = paused();
    return allocator::Explain(question, tables_);
  }

  // Works out anew that offered + used + free = total on each agent, and every other sum. Internal
  // says what does not add up. Slow: for tests and the simulator.
  absl::Status CheckInvariants() const { return tables_.CheckInvariants(); }

 private:
  void On(const FrameworkAdded& event);
  void On(const FrameworkUpdated& event);
  void On(const FrameworkRemoved& event);
  void On(const FrameworkActivated& event);
  void On(const FrameworkDeactivated& event);
  void On(const AgentAdded& event);
  void On(const AgentUpdated& event);
  void On(const AgentRemoved& event);
  void On(const AgentActivated& event);
  void On(const AgentDeactivated& event);
  void On(const Recovered& event);
  void On(const Converted& event);
  void On(const Revived& event);
  void On(const Suppressed& event);
  void On(const Unsuppressed& event);
  void On(const FiltersCleared& event);
  void On(const DemandStated& event);
  void On(const OffersEnded& event);
  void On(const UnavailabilitySet& event);
  void On(const InverseOfferAnswered& event);
  void On(const InverseOfferEnded& event);
  void On(const WeightSet& event);
  void On(const QuotaSet& event);
  void On(const WhitelistSet& event);
  void On(const RecoveryExpected& event);
  void On(const SnapshotCompleted& event);
  void On(const Wake& event);

  void Refuse(RefusalReason reason, std::string detail);
  // Refuse and return false when there is none.
  bool CheckFramework(FrameworkNum number);
  bool CheckAgent(AgentNum number);
  bool CheckSpec(FrameworkNum number, const FrameworkSpec& spec);
  // The clients that `roles` names, all subscribed ones when it is empty; nullopt after a refusal.
  std::optional<std::vector<ClientNum>> ClientsOf(FrameworkNum number,
                                                  const std::vector<RoleNum>& roles);

  void WantRunOn(AgentNum agent);
  void WantRunOnAll();
  // The framework asks for a run over all agents.
  void WantRunFor(FrameworkNum framework);
  void NoteCause();
  void AwaitRecovery();
  void ResumeIfEnoughAgents();
  void Run(bool full);
  // Inverse offers for those of the agents that are to be unavailable.
  void AskToLeave(const std::vector<AgentNum>& agents, AllocationBatch* batch);
  // Frameworks that let offers lie may be asked again.
  void EndQuietTimes();
  void ReportForgotten();

  const Vocabulary& words_;
  ClusterTables tables_;
  base::Rng random_;
  AllocationRun run_;
  AllocatorCounters counters_;

  // Of the step under way.
  absl::Time now_ = absl::InfinitePast();
  Effects* effects_ = nullptr;

  bool started_ = false;
  std::optional<RecoveryExpected> recovery_;  // as announced
  std::optional<absl::Time> resume_at_;       // set while recovery is awaited

  std::vector<AgentNum> queued_;  // agents with news
  bool all_queued_ = false;
  absl::Time first_cause_ = absl::InfiniteFuture();
  absl::Time last_run_ = absl::InfinitePast();
  absl::Time next_full_run_ = absl::InfiniteFuture();
  absl::Time next_filter_deadline_ = absl::InfiniteFuture();
  // Frameworks that let offers lie, by the time when they may be asked again; some may be asked
  // already.
  std::set<std::pair<absl::Time, FrameworkNum>> quiet_;
  std::vector<AgentNum> scratch_;
  std::vector<Allocation> spent_;
};

}  // namespace tessera::allocator
