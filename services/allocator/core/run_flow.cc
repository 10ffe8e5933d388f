#include "services/allocator/core/run_flow.h"

namespace tessera::allocator {

void RunFlow::On(const RecoveryExpected& event) { state_.runs.ExpectRecovery(event, state_.now); }

void RunFlow::On(const SnapshotCompleted&) { state_.runs.Begin(state_.now); }

void RunFlow::On(const Wake&) {
  if (!state_.runs.begun()) return;
  state_.runs.ResumeIfLate(state_.now);
  offers_.EndQuietTimes();
  if (const auto due = state_.runs.TakeDue(state_.now, &agents_)) Run(*due);
  // After the run: one that is due at the same moment still sees these filters.
  state_.tables.filters.Expire(state_.now, [this](ClientNum client, AgentNum agent) {
    state_.tables.closed.ReopenOn(client, &state_.tables.agents.at(agent));
    state_.WantRunOn(agent);
  });
}

void RunFlow::Run(const RunSchedule::DueRun& due) {
  AllocationBatch batch;
  batch.allocations = std::move(spent_);
  batch.allocations.clear();
  batch.full = due.full;
  batch.waited = due.waited;
  run_.Run(agents_, &batch);
  for (AgentNum agent : run_.left_over()) state_.WantRunOn(agent);
  inverse_offers_.AskToLeave(agents_, &batch);

  AllocatorCounters& counters = state_.counters;
  counters.runs_cut_short += !run_.left_over().empty();
  counters.inverse_allocations += batch.inverse.size();
  ++(batch.full ? counters.full_runs : counters.event_runs);
  counters.allocations += batch.allocations.size();
  counters.pairs_considered += batch.pairs_considered;
  counters.agents_considered += batch.agents_considered;
  state_.effects->push_back(std::move(batch));
}

}  // namespace tessera::allocator
