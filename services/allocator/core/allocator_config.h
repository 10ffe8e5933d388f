// What an operator sets about allocation. Defaults are those of the flags of allocator-svc.
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
  // Refusals kept at a time; further ones are not remembered.
  size_t filters_max = 4'000'000;
};

}  // namespace tessera::allocator
