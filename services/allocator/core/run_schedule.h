// When the next run is due, and over which agents.
//
// Events mark agents, or all of them; the run comes min_batch_interval after the one before at the
// earliest, and every allocation_interval over all agents. Nothing is due before the end of the
// snapshot, nor, after a fail-over with a quota set, while agents are awaited.
//
// Invariant: an agent is queued, and says so in its row, from WantOn to the run that looks at it.
// Not thread safe.
#pragma once

#include <algorithm>
#include <optional>
#include <vector>

#include "absl/time/time.h"
#include "services/allocator/core/allocator_events.h"
#include "services/allocator/core/cluster_tables.h"

namespace tessera::allocator {

class RunSchedule {
 public:
  // `tables` must outlive it.
  explicit RunSchedule(ClusterTables* tables) : tables_(*tables) {}

  // The snapshot is complete.
  void Begin(absl::Time now);
  bool begun() const { return begun_; }
  // Nothing is allocated now.
  bool paused() const { return !begun_ || resume_at_.has_value(); }

  // With a quota set, agents are awaited from the end of the snapshot on, or from now on after it.
  void ExpectRecovery(const RecoveryExpected& expected, absl::Time now);
  // There are more agents, or time has passed: perhaps no more of them are awaited.
  void ResumeIfEnoughAgents(absl::Time now);
  void ResumeIfLate(absl::Time now);

  void WantOn(AgentNum agent, absl::Time now);
  void WantOnAll(absl::Time now);
  // The framework asks for a run over all agents. Returns whether it may; otherwise the periodic
  // run stands for it.
  bool WantFor(FrameworkNum framework, absl::Time now);

  // When something is due; InfiniteFuture when nothing is.
  absl::Time NextDeadline() const;
  struct DueRun {
    bool full = false;
    // From the first cause of the run.
    absl::Duration waited;
  };
  // The run that is due now, if any: it counts as made. Fills `agents` with those to look at.
  std::optional<DueRun> TakeDue(absl::Time now, std::vector<AgentNum>* agents);

 private:
  void NoteCause(absl::Time now) { first_cause_ = std::min(first_cause_, now); }
  void AwaitRecovery(absl::Time now);
  // When what has been asked for is due.
  absl::Time NextEventRun() const;

  ClusterTables& tables_;
  bool begun_ = false;
  std::optional<RecoveryExpected> recovery_;  // as announced
  std::optional<absl::Time> resume_at_;       // set while recovery is awaited
  std::vector<AgentNum> queued_;              // agents with news
  bool all_queued_ = false;
  absl::Time first_cause_ = absl::InfiniteFuture();
  absl::Time last_run_ = absl::InfinitePast();
  absl::Time next_full_run_ = absl::InfiniteFuture();
};

}  // namespace tessera::allocator
