// The seeds that every test run goes through. `make sim SEEDS=N` runs more.
#include "tests/sim/simulation.h"

#include <gtest/gtest.h>

namespace tessera::sim {
namespace {

constexpr uint64_t kSeedsPerTest = 20;
constexpr uint64_t kTests = 10;
// In a crowd, five frameworks have three wishes each when everything is healed, and some before.
constexpr uint64_t kWishes = 15;

class SimulationTest : public testing::TestWithParam<uint64_t> {};

TEST_P(SimulationTest, HoldsTheRulesAndIsAFunctionOfItsSeed) {
  for (uint64_t i = 0; i < kSeedsPerTest; ++i) {
    const uint64_t seed = GetParam() * kSeedsPerTest + i + 1;
    const RunKind kind = KindOf(seed);
    const RunResult result = RunSeed(seed, kind);
    EXPECT_EQ(result.failure, "") << result.shape << "; replay: " << ReplayCommand(seed, kind);
    EXPECT_GT(result.tasks, 0) << result.shape;
    EXPECT_EQ(RunSeed(seed, kind).digest, result.digest)
        << "a second run of seed " << seed << " differs";
    if (kind != RunKind::kCrowd) continue;
    EXPECT_GE(result.wishes, kWishes) << result.shape;
    RecordProperty("worst_wish_runs_seed_" + std::to_string(seed),
                   std::to_string(result.worst_wish_runs) + " of at most " +
                       std::to_string(result.worst_wish_runs_max));
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, SimulationTest, testing::Range<uint64_t>(0, kTests));

}  // namespace
}  // namespace tessera::sim
