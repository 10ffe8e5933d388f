// What an operator sets about allocation. Defaults are those of the flags of allocator-svc, but
// for the cap on offers, which only a master that tells of the end of offers can lift again.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "services/allocator/core/minimum.h"
#include "services/allocator/core/sorter.h"

namespace tessera::allocator {

struct AllocatorConfig {
  SorterKind role_sorter = SorterKind::kDrf;
  SorterKind framework_sorter = SorterKind::kDrf;
  // A run over all agents at least this often; also the least time that a refusal holds.
  absl::Duration allocation_interval = absl::Seconds(1);
  // Runs caused by events are at least this far apart.
  absl::Duration min_batch_interval = absl::Milliseconds(2);
  // What is too little to be offered, unless a framework says otherwise for itself.
  Minimum min_allocatable;
  // Names of resources that do not count for shares.
  std::vector<std::string> fair_sharing_excluded_names;
  // Agents with gpus are offered to frameworks that ask for gpus only.
  bool filter_gpu_resources = true;
  // Refusals last no longer than this.
  absl::Duration refuse_duration_max = absl::Hours(24 * 365);
  // A client that keeps refusing the same resources of an agent is asked after twice the time each
  // time, up to this; what it asks for itself is never cut. Zero: refusals are not lengthened.
  absl::Duration refuse_growth_max = absl::Minutes(1);
  // Offers that a framework may hold without an answer; at the cap it is offered nothing more.
  // Zero: no cap.
  uint32_t outstanding_offers_max = 0;
  // A framework that lets offers lie without an answer is not asked for as long as it let them lie,
  // twice as long the next time, up to this. Zero: silence has no such consequence.
  absl::Duration silence_growth_max = absl::Minutes(5);
  // Unreserved ranges and sets (ports) of an agent go along with its cpus and memory in proportion;
  // otherwise the first who takes anything takes them all.
  bool share_ranges_and_sets = true;
  // Refusals kept at a time, of all and of one framework in one role; further ones are not
  // remembered.
  size_t filters_max = 4'000'000;
  size_t filters_of_client_max = 500'000;
  // What one run may cost, in looks at a pair of a client and an agent; one that goes beyond a
  // glance counts as 16. What is not reached is left to the next run, after min_batch_interval.
  uint64_t run_effort_max = 10'000'000;
  // A framework may ask for this many runs over all agents in a row (reviving, stating a demand),
  // and for one more in each allocation_interval; beyond that it waits for the periodic run.
  int runs_on_demand_max = 10;
};

}  // namespace tessera::allocator
