// What is held, converted and given back, and what counts for shares.
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "services/allocator/core/testing/allocator_harness.h"

namespace tessera::allocator {
namespace {

using Lines = std::vector<std::string>;

TEST(AllocatorAccounts, UnallocatedReservationsDoNotRaiseTheShare) {
  AllocatorHarness c;
  c.AddFramework("fa", {"a"});
  c.AddFramework("fb", {"b"});
  c.AddAgent("agent0", "cpus(a):8", {.hostname = "x"});
  c.Step(AgentDeactivated{c.A("agent0")});
  c.Start();
  c.AddAgent("agent1", "cpus:1");
  c.Settle();
  // Tie of shares and counts: the name decides.
  EXPECT_EQ(c.Told(), Lines({"fa a agent1 cpus:1"}));
}

TEST(AllocatorAccounts, ExcludedNamesDoNotCount) {
  AllocatorConfig config;
  config.fair_sharing_excluded_names = {"gpus"};
  AllocatorHarness c(config);
  c.AddFramework("f1", {"a"}, {.gpu_resources = true});
  c.AddFramework("f2", {"b"});
  c.AddAgent("gpus", "cpus:1;gpus:8");
  c.Start();
  c.Settle();
  EXPECT_EQ(c.Told().size(), 1u);
  c.AddAgent("big", "cpus:2");
  c.Settle();
  EXPECT_EQ(c.Told(), Lines({"f2 b big cpus:2"}));
  c.AddAgent("next", "cpus:1");
  c.Settle();
  EXPECT_EQ(c.Told(), Lines({"f1 a next cpus:1"}));  // 1/4 of the cpus against 2/4
}

TEST(AllocatorAccounts, ShrunkAgentIsOverallocatedAndClipped) {
  AllocatorHarness c;
  c.AddFramework("f", {"r"});
  c.AddAgent("agent", "cpus:4;mem:64");
  c.Start();
  c.Settle();
  const auto offer = c.TakeOffers()[0];
  c.Step(AgentUpdated{c.A("agent"), {.hostname = "agent"}, c.B("cpus:1;mem:128")});
  EXPECT_TRUE(Equal(c.core.tables().agents.at(c.A("agent")).free, c.B("mem:64"), c.words));
  c.Settle();
  EXPECT_EQ(c.Told(), Lines({"f r agent mem:64"}));
  c.GiveBack(offer);
  EXPECT_TRUE(Equal(c.core.tables().agents.at(c.A("agent")).free, c.B("cpus:1;mem:64"), c.words));
}

TEST(AllocatorAccounts, RemovedAgentTakesItsHoldingsAlong) {
  AllocatorHarness c;
  c.AddFramework("f", {"r"});
  c.AddAgent("agent", "cpus:4");
  c.Start();
  c.Settle();
  const auto offer = c.TakeOffers()[0];
  c.Step(AgentRemoved{c.A("agent")});
  EXPECT_TRUE(c.core.tables().held.IsZero());
  EXPECT_TRUE(c.core.tables().totals.total.IsZero());
  EXPECT_EQ(c.forgotten, Lines({"agent"}));
  c.GiveBack(offer);
  EXPECT_EQ(c.core.counters().stale_recoveries, 1u);
  // The same id comes back as another agent.
  c.AddAgent("agent", "cpus:2");
  c.Settle();
  EXPECT_EQ(c.Told(), Lines({"f r agent cpus:2"}));
}

TEST(AllocatorAccounts, ConversionKeepsQuantitiesAndFollowsTheTotal) {
  AllocatorHarness c;
  c.AddFramework("f", {"r"});
  c.AddAgent("agent", "cpus:4");
  c.Start();
  c.Settle();
  c.TakeOffers();
  const Claim claim{c.F("f"), c.R("r"), c.B("cpus:3")};
  c.Step(Converted{c.A("agent"), claim, c.B("cpus(r):3")});
  EXPECT_TRUE(
      Equal(c.core.tables().agents.at(c.A("agent")).total, c.B("cpus:1;cpus(r):3"), c.words));
  c.Step(Converted{c.A("agent"), {c.F("f"), c.R("r"), c.B("cpus:1")}, c.B("cpus(r):2")});
  EXPECT_EQ(c.refusals.back(), RefusalReason::kQuantityChanged);
  c.Step(Converted{c.A("agent"), claim, c.B("cpus(r):3")});
  EXPECT_EQ(c.refusals.back(), RefusalReason::kNotHeld);
  c.Recover("f", "r", "agent", c.B("cpus:1;cpus(r):3"));
  c.Settle();
  EXPECT_EQ(c.Told(), Lines({"f r agent cpus:1; cpus(r):3"}));
}

TEST(AllocatorAccounts, TenTenthsComeBackAsOne) {
  AllocatorHarness c;
  c.AddFramework("f", {"r"});
  c.AddAgent("agent", "cpus:1");
  c.Start();
  c.Settle();
  c.TakeOffers();
  for (int i = 0; i < 10; ++i) c.Recover("f", "r", "agent", c.B("cpus:0.1"));
  EXPECT_TRUE(c.refusals.empty());
  EXPECT_TRUE(c.core.tables().held.IsZero());
  EXPECT_TRUE(Equal(c.core.tables().agents.at(c.A("agent")).free, c.B("cpus:1"), c.words));
}

}  // namespace
}  // namespace tessera::allocator
