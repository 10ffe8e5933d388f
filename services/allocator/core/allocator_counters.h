// What the allocator counts.
#pragma once

#include <cstdint>

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

}  // namespace tessera::allocator
