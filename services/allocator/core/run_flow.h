// Makes the runs that are due, and ends what ends with time: quiet times before a run, filters
// after it.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "services/allocator/core/allocation_run.h"
#include "services/allocator/core/allocator_events.h"
#include "services/allocator/core/allocator_state.h"
#include "services/allocator/core/inverse_offer_flow.h"
#include "services/allocator/core/offer_flow.h"
#include "services/base/rng.h"

namespace tessera::allocator {

class RunFlow {
 public:
  RunFlow(AllocatorState* state, OfferFlow* offers, InverseOfferFlow* inverse_offers, uint64_t seed)
      : state_(*state),
        offers_(*offers),
        inverse_offers_(*inverse_offers),
        random_(seed),
        run_(&state->tables, &state->holdings, &state->subscriptions, &random_) {}
  RunFlow(const RunFlow&) = delete;
  RunFlow& operator=(const RunFlow&) = delete;

  void On(const RecoveryExpected& event);
  void On(const SnapshotCompleted& event);
  void On(const Wake& event);

  // Takes back the list of a batch that has been carried out.
  void Recycle(std::vector<Allocation> spent) { spent_ = std::move(spent); }

 private:
  // Over the agents in `agents_`.
  void Run(const RunSchedule::DueRun& due);

  AllocatorState& state_;
  OfferFlow& offers_;
  InverseOfferFlow& inverse_offers_;
  base::Rng random_;
  AllocationRun run_;
  std::vector<AgentNum> agents_;
  std::vector<Allocation> spent_;
};

}  // namespace tessera::allocator
