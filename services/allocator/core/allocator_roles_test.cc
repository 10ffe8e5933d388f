// Frameworks and their roles: what comes, stays and goes.
#include <algorithm>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "services/allocator/core/testing/allocator_harness.h"

namespace tessera::allocator {
namespace {

using Lines = std::vector<std::string>;

TEST(AllocatorRoles, FrameworkWithoutRolesGetsNothing) {
  AllocatorHarness c;
  c.AddFramework("f", {});
  c.AddAgent("agent", "cpus:2");
  c.Start();
  c.NextFullRun();
  EXPECT_TRUE(c.Told().empty());
  c.Step(Revived{c.F("f"), {}});
  c.Step(Suppressed{c.F("f"), {}});
  c.Step(FrameworkRemoved{c.F("f")});
  EXPECT_EQ(c.forgotten, Lines({"f"}));
  EXPECT_TRUE(c.refusals.empty());
}

TEST(AllocatorRoles, RoleLeftWithARunningTaskIsTrackedUntilItsEnd) {
  AllocatorHarness c;
  c.AddFramework("f", {"old"});
  c.AddAgent("agent", "cpus:2");
  c.Start();
  c.Settle();
  const auto offer = c.TakeOffers()[0];
  c.UpdateFramework("f", {"new"});
  EXPECT_TRUE(c.core.tables().frameworks.FindClient(c.F("f"), c.R("old")).has_value());
  c.GiveBack(offer);
  EXPECT_FALSE(c.core.tables().frameworks.FindClient(c.F("f"), c.R("old")).has_value());
  c.Settle();
  EXPECT_EQ(c.Told(), Lines({"f new agent cpus:2"}));
}

TEST(AllocatorRoles, RemovedFrameworkIsForgottenWithItsLastResource) {
  AllocatorHarness c;
  c.AddFramework("f", {"r"});
  c.AddAgent("agent", "cpus:2");
  c.Start();
  c.Settle();
  const auto offer = c.TakeOffers()[0];
  c.Step(FrameworkRemoved{c.F("f")});
  EXPECT_TRUE(c.forgotten.empty());
  c.GiveBack(offer);
  EXPECT_EQ(c.forgotten, Lines({"f"}));
  // Again, now that it is unknown: let pass.
  c.Recover("f", "r", "agent", c.B("cpus:2"));
  EXPECT_EQ(c.core.counters().stale_recoveries, 1u);
  EXPECT_TRUE(c.refusals.empty());
}

TEST(AllocatorRoles, SimultaneousRemovalOfARoleAndItsSuppression) {
  AllocatorHarness c;
  c.AddFramework("f", {{"a", true}, "b"});
  c.AddAgent("agent", "cpus:2");
  c.Start();
  c.UpdateFramework("f", {"b"});
  c.Settle();
  EXPECT_EQ(c.Told(), Lines({"f b agent cpus:2"}));
}

TEST(AllocatorRoles, HoldingsOfAFrameworkNotYetKnownAreCharged) {
  AllocatorHarness c;
  c.AddFramework("g", {"r"});
  c.Step(AgentAdded{c.A("agent"),
                    {.hostname = "agent"},
                    c.B("cpus:4"),
                    {{c.F("f"), c.R("r"), c.B("cpus:3")}},
                    true});
  c.Start();
  c.Settle();
  EXPECT_EQ(c.Told(), Lines({"g r agent cpus:1"}));
  c.AddFramework("f", {"r"});
  c.Recover("f", "r", "agent", c.B("cpus:3"));
  c.Settle();
  EXPECT_EQ(c.Told().size(), 1u);
}

TEST(AllocatorRoles, MultiRoleFrameworkIsOfferedForEachRole) {
  AllocatorHarness c;
  c.AddFramework("f", {"a", "b"});
  c.AddAgent("agent1", "cpus:2");
  c.AddAgent("agent2", "cpus:2");
  c.Start();
  c.Settle();
  std::vector<std::string> roles;
  for (const auto& offer : c.TakeOffers()) roles.push_back(offer.role);
  std::sort(roles.begin(), roles.end());
  EXPECT_EQ(roles, Lines({"a", "b"}));
}

}  // namespace
}  // namespace tessera::allocator
