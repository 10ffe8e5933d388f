// Whole runs with known results.
#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "services/allocator/core/testing/allocator_harness.h"

namespace tessera::allocator {
namespace {

using Lines = std::vector<std::string>;

TEST(AllocatorGolden, DrfWithoutWeightsAgentsArriveOneByOne) {
  AllocatorHarness c;
  c.Start();
  c.AddFramework("f1", {"role1"});
  c.AddAgent("agent1", "cpus:2;mem:1024");
  c.Settle();
  EXPECT_EQ(c.Told(), Lines({"f1 role1 agent1 cpus:2; mem:1024"}));
  c.AddFramework("f2", {"role2"});
  c.AddAgent("agent2", "cpus:1;mem:512");
  c.Settle();
  EXPECT_EQ(c.Told(), Lines({"f2 role2 agent2 cpus:1; mem:512"}));
  c.AddAgent("agent3", "cpus:3;mem:2048");
  c.Settle();
  EXPECT_EQ(c.Told(), Lines({"f2 role2 agent3 cpus:3; mem:2048"}));
  c.AddAgent("agent4", "cpus:4;mem:4096");
  c.Settle();
  EXPECT_EQ(c.Told(), Lines({"f1 role1 agent4 cpus:4; mem:4096"}));
  c.AddFramework("f3", {"role2"});
  c.AddAgent("agent5", "cpus:1;mem:512");
  EXPECT_EQ(c.core.tables().totals.total, c.B("cpus:11;mem:8192").plain);
  c.Settle();
  EXPECT_EQ(c.Told(), Lines({"f3 role2 agent5 cpus:1; mem:512"}));
}

TEST(AllocatorGolden, WeightsOneAndTwoInOneRun) {
  AllocatorHarness c;
  c.SetWeight("B", 2);
  c.AddFramework("fa", {"A"});
  c.AddFramework("fb", {"B"});
  for (int i = 0; i < 12; ++i) c.AddAgent("agent" + std::to_string(i), "cpus:1");
  c.Start();
  c.Settle();
  std::string received;
  for (const auto& offer : c.TakeOffers()) received += offer.role;
  EXPECT_EQ(received, "ABBABBABBABB");
  EXPECT_EQ(c.runs, 1);
}

// Frameworks of weights 1 and 2 that want everything and keep it for a random time.
void ExpectSharesByWeight(SorterKind kind, double tolerance) {
  AllocatorConfig config;
  config.role_sorter = config.framework_sorter = kind;
  AllocatorHarness c(config, 99);
  c.SetWeight("B", 2);
  c.AddFramework("fa", {"A"});
  c.AddFramework("fb", {"B"});
  for (int i = 0; i < 30; ++i) c.AddAgent("agent" + std::to_string(i), "cpus:4;mem:4096");
  c.Start();
  base::Rng random(5);
  std::vector<AllocatorHarness::Offer> running;
  std::map<std::string, double> held;
  double samples = 0;
  for (int round = 0; round < 400; ++round) {
    c.NextFullRun();
    for (auto& offer : c.TakeOffers()) running.push_back(offer);
    if (round >= 50) {
      for (const auto& task : running) held[task.role] += 1;
      samples += static_cast<double>(running.size());
    }
    for (size_t i = running.size(); i-- > 0;) {
      if (random.Below(4) != 0) continue;
      c.GiveBack(running[i]);
      running.erase(running.begin() + i);
    }
  }
  EXPECT_NEAR(held["B"] / samples, 2.0 / 3, tolerance);
  EXPECT_NEAR(held["A"] / samples, 1.0 / 3, tolerance);
}

TEST(AllocatorGolden, SteadySharesFollowWeightsDrf) {
  ExpectSharesByWeight(SorterKind::kDrf, 0.01);
}
TEST(AllocatorGolden, SteadySharesFollowWeightsRandom) {
  ExpectSharesByWeight(SorterKind::kRandom, 0.02);
}

TEST(AllocatorGolden, GuaranteeIsChoppedFromAnAgent) {
  AllocatorConfig config;
  config.share_ranges_and_sets = false;
  AllocatorHarness c(config);
  c.SetQuota("q", "cpus:10;mem:10240", "cpus:10;mem:10240");
  c.AddFramework("fq", {"q"});
  c.AddFramework("fn", {"n"});
  c.AddAgent("agent", "cpus:15;mem:20480;disk:1000;ports:[1-10]");
  c.Start();
  c.Settle();
  EXPECT_EQ(c.Told(), Lines({"fq q agent cpus:10; disk:1000; mem:10240; ports:[1-10]",
                             "fn n agent cpus:5; mem:10240"}));
}

TEST(AllocatorGolden, ConsumptionCountsReservationsOnce) {
  AllocatorHarness c;
  c.SetQuota("q", "cpus:10");
  c.AddFramework("fq", {"q"});
  c.AddAgent("other", "cpus:20");
  // 4 reserved to q, of which 1 is allocated; q also has 3 unreserved ones.
  c.Step(AgentAdded{c.A("agent"),
                    {.hostname = "agent"},
                    c.B("cpus(q):4;cpus:3"),
                    {{c.F("fq"), c.R("q"), c.B("cpus(q):1;cpus:3")}},
                    true});
  EXPECT_EQ(c.core.tables().quotas.Consumed(c.R("q"))[kCpus], 7000);
  EXPECT_EQ(c.core.tables().quotas.required_headroom()[kCpus], 3000);
}

// Three agents of 4 cpus; q guarantees `guarantee` but its framework refuses everything; n takes
// all that it can.
int64_t CpusLeftForOthers(int guarantee) {
  AllocatorHarness c;
  c.AddFramework("fq", {"q"});
  for (int i = 0; i < 3; ++i) c.AddAgent("agent" + std::to_string(i), "cpus:4;mem:64");
  c.Start();
  for (int i = 0; i < 3; ++i) {
    c.NextFullRun();
    for (const auto& offer : c.TakeOffers()) c.Decline(offer, absl::Hours(1));
  }
  c.SetQuota("q", "cpus:" + std::to_string(guarantee));
  c.AddFramework("fn", {"n"});
  c.NextFullRun();
  c.NextFullRun();
  int64_t cpus = 0;
  for (const auto& offer : c.TakeOffers()) {
    EXPECT_EQ(offer.role, "n");
    cpus += offer.bag.plain[kCpus] / 1000;
  }
  return cpus;
}

TEST(AllocatorGolden, HeadroomIsHeldForGuarantees) {
  EXPECT_EQ(CpusLeftForOthers(8), 4);
  EXPECT_EQ(CpusLeftForOthers(6), 6);
  EXPECT_EQ(CpusLeftForOthers(12), 0);
  EXPECT_EQ(CpusLeftForOthers(13), 0);
}

TEST(AllocatorGolden, GuaranteesBeyondTheClusterLeaveReservationsAndNonScalars) {
  AllocatorConfig config;  // no minimum: offers may be anything
  config.share_ranges_and_sets = false;
  AllocatorHarness c(config);
  c.SetQuota("q", "cpus:13;mem:1000");
  c.AddFramework("fn", {"n"});
  c.AddAgent("agent", "cpus:4;mem:64;cpus(n):1;ports:[1-2]");
  c.Start();
  c.Settle();
  EXPECT_EQ(c.Told(), Lines({"fn n agent cpus(n):1; ports:[1-2]"}));
}

TEST(AllocatorGolden, QuotaRoleWithoutFrameworksHoldsHeadroomForEver) {
  AllocatorHarness c;
  c.SetQuota("q", "cpus:3");
  c.AddFramework("fn", {"n"});
  c.AddAgent("agent", "cpus:4");
  c.Start();
  for (int i = 0; i < 5; ++i) c.NextFullRun();
  EXPECT_EQ(c.Told(), Lines({"fn n agent cpus:1"}));
}

TEST(AllocatorGolden, SuppressedQuotaRoleStillHoldsHeadroom) {
  AllocatorHarness c;
  c.SetQuota("q", "cpus:3");
  c.AddFramework("fq", {{"q", /*suppressed=*/true}});
  c.AddFramework("fn", {"n"});
  c.AddAgent("agent", "cpus:4");
  c.Start();
  c.NextFullRun();
  EXPECT_EQ(c.Told(), Lines({"fn n agent cpus:1"}));
}

TEST(AllocatorGolden, LimitsAreNotExceededBeneathTheRole) {
  AllocatorHarness c;
  c.SetQuota("a", "", "cpus:5");
  c.AddFramework("fx", {"a/x"});
  c.AddFramework("fy", {"a/y"});
  for (int i = 0; i < 4; ++i) c.AddAgent("agent" + std::to_string(i), "cpus:2");
  c.Start();
  c.NextFullRun();
  int64_t cpus = 0;
  for (const auto& offer : c.TakeOffers()) cpus += offer.bag.plain[kCpus];
  EXPECT_EQ(cpus, 5000);
  EXPECT_EQ(c.core.tables().quotas.Consumed(c.R("a"))[kCpus], 5000);
}

TEST(AllocatorGolden, GuaranteeOfAParentServesItsChildren) {
  AllocatorHarness c;
  c.SetQuota("a", "cpus:6");
  c.AddFramework("fn", {"n"});
  c.AddFramework("fx", {"a/x"});
  for (int i = 0; i < 4; ++i) c.AddAgent("agent" + std::to_string(i), "cpus:2");
  c.Start();
  c.Settle();
  std::map<std::string, int64_t> cpus;
  for (const auto& offer : c.TakeOffers()) cpus[offer.framework] += offer.bag.plain[kCpus];
  EXPECT_EQ(cpus["fx"], 6000);
  EXPECT_EQ(cpus["fn"], 2000);
}

}  // namespace
}  // namespace tessera::allocator
