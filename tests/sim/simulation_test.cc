// The seeds that every test run goes through. `make sim SEEDS=N` runs more.
#include "tests/sim/simulation.h"

#include <gtest/gtest.h>

namespace tessera::sim {
namespace {

constexpr uint64_t kSeedsPerTest = 20;
constexpr uint64_t kTests = 10;

class SimulationTest : public testing::TestWithParam<uint64_t> {};

TEST_P(SimulationTest, HoldsTheRulesAndIsAFunctionOfItsSeed) {
  for (uint64_t i = 0; i < kSeedsPerTest; ++i) {
    const uint64_t seed = GetParam() * kSeedsPerTest + i + 1;
    const RunResult result = RunSeed(seed);
    EXPECT_EQ(result.failure, "") << result.shape << "; replay: make sim SEEDS=1 FIRST=" << seed;
    EXPECT_GT(result.tasks, 0) << result.shape;
    EXPECT_EQ(RunSeed(seed).digest, result.digest) << "a second run of seed " << seed << " differs";
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, SimulationTest, testing::Range<uint64_t>(0, kTests));

}  // namespace
}  // namespace tessera::sim
