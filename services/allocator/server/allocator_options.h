// The flags of allocator-svc as values, and what they mean for the core. Pure.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "services/allocator/wire/stream_core.h"

namespace tessera::allocator {

struct AllocatorOptions {
  std::string role_sorter = "drf";
  std::string framework_sorter = "drf";
  absl::Duration allocation_interval = absl::Seconds(1);
  absl::Duration min_batch_interval = absl::Milliseconds(2);
  std::string min_allocatable_resources = "cpus:0.01|mem:32";
  std::vector<std::string> fair_sharing_excluded_resource_names;
  bool filter_gpu_resources = true;
  std::string region;
  uint64_t offer_filters_max = 4'000'000;
  uint64_t offer_filters_of_role_max = 500'000;
  uint64_t run_effort_max = 10'000'000;
  int runs_on_demand_max = 10;
  absl::Duration refuse_growth_max = absl::Minutes(1);
  uint32_t outstanding_offers_max = 1'000;
  absl::Duration silence_growth_max = absl::Minutes(5);
  bool share_ranges_and_sets = true;
};

// INVALID_ARGUMENT names the flag, says what is wrong with it and what to write instead.
absl::StatusOr<StreamCoreConfig> ConfigFromOptions(const AllocatorOptions& options);

}  // namespace tessera::allocator
