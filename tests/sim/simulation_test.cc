// The seeds that every test run goes through. `make sim SEEDS=N` runs more.
#include "tests/sim/simulation.h"

#include <gtest/gtest.h>

namespace tessera::sim {
namespace {

constexpr uint64_t kSeeds = 200;
// Every so many seeds run twice, to see that they do the same again.
constexpr uint64_t kTwiceEvery = 8;
// In a crowd, five frameworks have three wishes each when everything is healed, and some before.
constexpr uint64_t kWishes = 15;

TEST(SimulationTest, HoldsTheRulesAndEveryFaultBites) {
  FaultCounts faults;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    const RunKind kind = KindOf(seed);
    const RunResult result = RunSeed(seed, kind);
    EXPECT_EQ(result.failure, "") << result.shape << "; replay: " << ReplayCommand(seed, kind);
    EXPECT_GT(result.tasks, 0) << result.shape;
    faults.Merge(result.faults);
    if (seed % kTwiceEvery == 0) {
      EXPECT_EQ(RunSeed(seed, kind).digest, result.digest)
          << "a second run of seed " << seed << " differs";
    }
    if (kind == RunKind::kCrowd) {
      EXPECT_GE(result.wishes, kWishes) << result.shape;
      RecordProperty("worst_wish_runs_seed_" + std::to_string(seed),
                     std::to_string(result.worst_wish_runs) + " of at most " +
                         std::to_string(result.worst_wish_runs_max));
    }
  }
  // A fault that hurts nobody tests nothing.
  for (size_t i = 0; i < kBites; ++i) {
    const Bite bite = static_cast<Bite>(i);
    EXPECT_GT(faults.of(bite), 0u) << NameOf(bite);
    RecordProperty(NameOf(bite), std::to_string(faults.of(bite)));
  }
}

}  // namespace
}  // namespace tessera::sim
