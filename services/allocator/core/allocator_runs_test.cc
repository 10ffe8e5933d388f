// When runs happen, and when not.
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "services/allocator/core/testing/allocator_harness.h"

namespace tessera::allocator {
namespace {

using Lines = std::vector<std::string>;

TEST(AllocatorRuns, NothingBeforeTheSnapshotIsComplete) {
  AllocatorHarness c;
  c.AddFramework("f", {"r"});
  c.AddAgent("agent", "cpus:4");
  EXPECT_EQ(c.core.NextDeadline(), absl::InfiniteFuture());
  c.Step(Wake{});
  EXPECT_EQ(c.runs, 0);
  c.Start();
  c.Settle();
  EXPECT_EQ(c.Told().size(), 1u);
}

TEST(AllocatorRuns, ABurstIsServedByFewRuns) {
  AllocatorHarness c;
  c.AddFramework("f", {"r"});
  c.Start();
  c.Settle();
  const int runs = c.runs;
  // A thousand agents in 10 ms, with a wake-up whenever one is due.
  for (int i = 0; i < 1000; ++i) {
    c.AddAgent("agent" + std::to_string(i), "cpus:1");
    c.Advance(absl::Microseconds(10));
  }
  c.Settle();
  EXPECT_EQ(c.Told().size(), 1000u);
  EXPECT_LE(c.runs - runs, 7);
}

TEST(AllocatorRuns, AnAgentsNewsAreServedWithinTheBatchInterval) {
  AllocatorHarness c;
  c.AddFramework("f", {"r"});
  c.Start();
  c.Settle();
  c.Advance(absl::Milliseconds(100));
  c.AddAgent("agent", "cpus:1");
  EXPECT_LE(c.core.NextDeadline() - c.now, c.config.min_batch_interval);
}

TEST(AllocatorRuns, UnchangedAgentsAreNotLookedAtAgain) {
  AllocatorHarness c;
  for (int i = 0; i < 10; ++i) c.AddFramework("f" + std::to_string(i), {"r"});
  for (int i = 0; i < 10; ++i) c.AddAgent("agent" + std::to_string(i), "cpus:2");
  c.Start();
  c.Settle();
  // Everybody refuses everything.
  for (int round = 0; round < 20; ++round) {
    for (const auto& offer : c.TakeOffers()) c.Decline(offer, absl::Hours(10));
    c.NextFullRun();
  }
  const uint64_t pairs = c.core.counters().pairs_considered;
  for (int i = 0; i < 10; ++i) c.NextFullRun();
  EXPECT_EQ(c.core.counters().pairs_considered, pairs);
  c.Step(Revived{c.F("f3"), {}});
  c.Settle();
  EXPECT_EQ(c.Told().size(), 10u);
}

TEST(AllocatorRuns, PausedAfterFailOverUntilEnoughAgentsAreBack) {
  AllocatorHarness c;
  c.SetQuota("q", "cpus:1");
  c.AddFramework("f", {"r"});
  c.Step(RecoveryExpected{3, absl::Minutes(10)});
  c.AddAgent("agent1", "cpus:2");
  c.Start();
  c.Advance(absl::Minutes(5));
  EXPECT_TRUE(c.Told().empty());
  EXPECT_TRUE(c.core.paused());
  c.AddAgent("agent2", "cpus:2");
  c.AddAgent("agent3", "cpus:2");
  c.Settle();
  EXPECT_FALSE(c.core.paused());
  EXPECT_EQ(c.Told().size(), 3u);
}

TEST(AllocatorRuns, PausedAfterFailOverUntilTheTimeHasPassed) {
  AllocatorHarness c;
  c.SetQuota("q", "cpus:1");
  c.AddFramework("f", {"r"});
  c.Step(RecoveryExpected{3, absl::Minutes(10)});
  c.AddAgent("agent1", "cpus:2");
  c.Start();
  c.Advance(absl::Minutes(9));
  EXPECT_TRUE(c.Told().empty());
  c.Advance(absl::Minutes(2));
  EXPECT_EQ(c.Told(), Lines({"f r agent1 cpus:1"}));
}

TEST(AllocatorRuns, TheAnnouncementMayComeBeforeTheQuota) {
  AllocatorHarness c;
  c.Step(RecoveryExpected{2, absl::Minutes(10)});
  c.SetQuota("r", "", "cpus:1");
  c.AddFramework("f", {"r"});
  c.AddAgent("agent1", "cpus:2");
  c.Start();
  c.Advance(absl::Minutes(5));
  EXPECT_TRUE(c.Told().empty()) << "agent2 may hold all that the limit allows";
  c.Step(AgentAdded{c.A("agent2"),
                    {.hostname = "agent2"},
                    c.B("cpus:2"),
                    {{c.F("f"), c.R("r"), c.B("cpus:1")}},
                    true});
  c.Settle();
  EXPECT_FALSE(c.core.paused());
  EXPECT_TRUE(c.Told().empty());
}

TEST(AllocatorRuns, NoPauseWithoutQuota) {
  AllocatorHarness c;
  c.Step(RecoveryExpected{3, absl::Minutes(10)});
  c.Start();
  EXPECT_FALSE(c.core.paused());
}

// What one run does not reach is left to the next ones, and nobody is passed over.
TEST(AllocatorRuns, ALongRunIsCutIntoSeveral) {
  for (const bool with_quota : {false, true}) {
    AllocatorConfig config;
    config.run_effort_max = 1000;
    AllocatorHarness c(config);
    if (with_quota) c.SetQuota("r7", "cpus:8", "cpus:8");
    for (int i = 0; i < 20; ++i) {
      c.AddFramework("f" + std::to_string(i), {"r" + std::to_string(i)});
    }
    for (int i = 0; i < 64; ++i) c.AddAgent("agent" + std::to_string(i), "cpus:1");
    c.Start();
    int refused = 0;
    // Everybody refuses everything: each run looks at each pair that is left.
    for (int run = 0; run < 5000 && refused < 64 * 20; ++run) {
      const uint64_t pairs = c.core.counters().pairs_considered;
      c.Settle();
      EXPECT_LE(c.core.counters().pairs_considered - pairs, 1100u);
      for (const auto& offer : c.TakeOffers()) {
        c.Decline(offer, absl::Hours(1));
        ++refused;
      }
    }
    // With the quota, all but what is guaranteed.
    EXPECT_GE(refused, with_quota ? 56 * 19 : 64 * 20);
    EXPECT_GT(c.core.counters().runs_cut_short, 0u);
  }
}

TEST(AllocatorRuns, SameSeedSameAllocations) {
  const auto play = [](uint64_t seed) {
    AllocatorConfig config;
    config.role_sorter = SorterKind::kRandom;
    AllocatorHarness c(config, seed);
    for (int i = 0; i < 5; ++i) {
      c.AddFramework("f" + std::to_string(i), {"r" + std::to_string(i % 3)});
    }
    for (int i = 0; i < 50; ++i) c.AddAgent("agent" + std::to_string(i), "cpus:2;mem:64");
    c.Start();
    c.Settle();
    return c.Told();
  };
  EXPECT_EQ(play(3), play(3));
  EXPECT_NE(play(3), play(4));
}

}  // namespace
}  // namespace tessera::allocator
