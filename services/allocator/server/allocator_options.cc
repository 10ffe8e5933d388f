#include "services/allocator/server/allocator_options.h"

#include <set>

#include "absl/strings/str_cat.h"
#include "services/base/status_macros.h"
#include "services/model/quantities.h"

namespace tessera::allocator {
namespace {

absl::StatusOr<SorterKind> SorterFromName(const std::string& flag, const std::string& name) {
  if (name == "drf") return SorterKind::kDrf;
  if (name == "random") return SorterKind::kRandom;
  return absl::InvalidArgumentError(absl::StrCat("--", flag, "=", name, ": write drf or random"));
}

}  // namespace

absl::StatusOr<StreamCoreConfig> ConfigFromOptions(const AllocatorOptions& options) {
  StreamCoreConfig config;
  AllocatorConfig& allocator = config.allocator;
  ASSIGN_OR_RETURN(allocator.role_sorter, SorterFromName("role_sorter", options.role_sorter));
  ASSIGN_OR_RETURN(allocator.framework_sorter,
                   SorterFromName("framework_sorter", options.framework_sorter));
  if (options.allocation_interval < absl::Milliseconds(1) ||
      options.allocation_interval > absl::Hours(24)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--allocation_interval=", absl::FormatDuration(options.allocation_interval),
                     ": write a duration from 1ms to 24h"));
  }
  if (options.min_batch_interval < absl::ZeroDuration() ||
      options.min_batch_interval > options.allocation_interval) {
    return absl::InvalidArgumentError(
        absl::StrCat("--min_batch_interval=", absl::FormatDuration(options.min_batch_interval),
                     ": write a duration from 0 to --allocation_interval"));
  }
  allocator.allocation_interval = options.allocation_interval;
  allocator.min_batch_interval = options.min_batch_interval;
  const absl::StatusOr<model::MinAllocatable> minimum =
      model::MinAllocatable::Parse(options.min_allocatable_resources);
  if (!minimum.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--min_allocatable_resources=", options.min_allocatable_resources, ": ",
                     minimum.status().message(),
                     "; write alternatives like cpus:0.01|mem:32, or cpus:1;mem:64 for both"));
  }
  allocator.min_allocatable = Minimum(minimum->alternatives());
  std::set<std::string> names;
  for (const std::string& name : options.fair_sharing_excluded_resource_names) {
    if (name.empty() || !names.insert(name).second) {
      return absl::InvalidArgumentError(
          "--fair_sharing_excluded_resource_names: write names like gpus,fpgas, each once");
    }
  }
  allocator.fair_sharing_excluded_names.assign(names.begin(), names.end());
  allocator.filter_gpu_resources = options.filter_gpu_resources;
  if (options.offer_filters_max == 0) {
    return absl::InvalidArgumentError(
        "--offer_filters_max=0: without filters a framework is offered at once what it has just "
        "refused; write at least 1");
  }
  allocator.filters_max = options.offer_filters_max;
  if (options.offer_filters_of_role_max == 0) {
    return absl::InvalidArgumentError(
        "--offer_filters_of_role_max=0: no framework could refuse anything; write at least 1");
  }
  allocator.filters_of_client_max = options.offer_filters_of_role_max;
  constexpr uint64_t kLeastEffort = 1000;
  if (options.run_effort_max < kLeastEffort) {
    return absl::InvalidArgumentError(absl::StrCat("--run_effort_max=", options.run_effort_max,
                                                   ": write at least ", kLeastEffort));
  }
  allocator.run_effort_max = options.run_effort_max;
  if (options.runs_on_demand_max < 1 || options.runs_on_demand_max > 1'000'000) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--runs_on_demand_max=", options.runs_on_demand_max, ": write a number from 1 to 1000000"));
  }
  allocator.runs_on_demand_max = options.runs_on_demand_max;
  if (options.refuse_growth_max < absl::ZeroDuration() ||
      options.refuse_growth_max > allocator.refuse_duration_max) {
    return absl::InvalidArgumentError(
        absl::StrCat("--refuse_growth_max=", absl::FormatDuration(options.refuse_growth_max),
                     ": write a duration from 0 (refusals are never lengthened) to 8760h"));
  }
  allocator.refuse_growth_max = options.refuse_growth_max;
  if (options.silence_growth_max < absl::ZeroDuration() ||
      options.silence_growth_max > absl::Hours(24)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--silence_growth_max=", absl::FormatDuration(options.silence_growth_max),
                     ": write a duration from 0 (silence has no consequence) to 24h"));
  }
  allocator.silence_growth_max = options.silence_growth_max;
  allocator.outstanding_offers_max = options.outstanding_offers_max;
  allocator.share_ranges_and_sets = options.share_ranges_and_sets;
  config.region = options.region;
  return config;
}

}  // namespace tessera::allocator
