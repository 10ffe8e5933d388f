#include "services/allocator/server/allocator_options.h"

#include <functional>
#include <string>

#include "absl/strings/match.h"
#include "gtest/gtest.h"

namespace tessera::allocator {
namespace {

TEST(AllocatorOptions, DefaultsAreValid) {
  const auto config = ConfigFromOptions({});
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->allocator.role_sorter, SorterKind::kDrf);
  EXPECT_EQ(config->allocator.allocation_interval, absl::Seconds(1));
  EXPECT_EQ(config->allocator.refuse_growth_max, absl::Minutes(1));
  EXPECT_EQ(config->allocator.outstanding_offers_max, 1000u);
  EXPECT_TRUE(config->allocator.share_ranges_and_sets);
}

TEST(AllocatorOptions, SortersCanBeMixed) {
  AllocatorOptions options;
  options.role_sorter = "random";
  const auto config = ConfigFromOptions(options);
  ASSERT_TRUE(config.ok());
  EXPECT_EQ(config->allocator.role_sorter, SorterKind::kRandom);
  EXPECT_EQ(config->allocator.framework_sorter, SorterKind::kDrf);
}

TEST(AllocatorOptions, EveryMistakeNamesItsFlag) {
  const auto refused = [](const char* flag, std::function<void(AllocatorOptions*)> spoil) {
    AllocatorOptions options;
    spoil(&options);
    const auto config = ConfigFromOptions(options);
    EXPECT_EQ(config.status().code(), absl::StatusCode::kInvalidArgument) << flag;
    EXPECT_TRUE(absl::StartsWith(config.status().message(), std::string("--") + flag))
        << config.status();
  };
  refused("role_sorter", [](auto* o) { o->role_sorter = "fair"; });
  refused("framework_sorter", [](auto* o) { o->framework_sorter = ""; });
  refused("allocation_interval", [](auto* o) { o->allocation_interval = absl::ZeroDuration(); });
  refused("allocation_interval", [](auto* o) { o->allocation_interval = absl::Hours(25); });
  refused("min_batch_interval", [](auto* o) { o->min_batch_interval = -absl::Seconds(1); });
  refused("min_batch_interval", [](auto* o) { o->min_batch_interval = absl::Seconds(2); });
  refused("min_allocatable_resources", [](auto* o) { o->min_allocatable_resources = "cpus"; });
  refused("min_allocatable_resources", [](auto* o) { o->min_allocatable_resources = "cpus:-1"; });
  refused("min_allocatable_resources",
          [](auto* o) { o->min_allocatable_resources = "ports:[1-2]"; });
  refused("fair_sharing_excluded_resource_names", [](auto* o) {
    o->fair_sharing_excluded_resource_names = {"gpus", "gpus"};
  });
  refused("refuse_growth_max", [](auto* o) { o->refuse_growth_max = -absl::Seconds(1); });
  refused("refuse_growth_max", [](auto* o) { o->refuse_growth_max = absl::InfiniteDuration(); });
  refused("silence_growth_max", [](auto* o) { o->silence_growth_max = -absl::Seconds(1); });
  refused("silence_growth_max", [](auto* o) { o->silence_growth_max = absl::Hours(25); });
  refused("offer_filters_max", [](auto* o) { o->offer_filters_max = 0; });
  refused("offer_filters_of_role_max", [](auto* o) { o->offer_filters_of_role_max = 0; });
  refused("run_effort_max", [](auto* o) { o->run_effort_max = 999; });
  refused("runs_on_demand_max", [](auto* o) { o->runs_on_demand_max = 0; });
}

}  // namespace
}  // namespace tessera::allocator
