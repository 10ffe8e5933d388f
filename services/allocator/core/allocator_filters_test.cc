// Refusals: how long they hold, and what ends them.
#include <functional>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "services/allocator/core/testing/allocator_harness.h"

namespace tessera::allocator {
namespace {

using Lines = std::vector<std::string>;
constexpr absl::Duration kRefuse = absl::Seconds(5);

TEST(AllocatorFilters, TwoFiltersThatCoverOnlyTogetherDoNotFilter) {
  AllocatorHarness c;
  c.AddFramework("f", {"r"});
  c.AddAgent("agent", "cpus:2;mem:1024");
  c.Start();
  c.Settle();
  const auto offers = c.TakeOffers();
  ASSERT_EQ(offers.size(), 1u);
  c.Recover("f", "r", "agent", c.B("cpus:2"), absl::Hours(1));
  c.Recover("f", "r", "agent", c.B("mem:1024"), absl::Hours(1));
  c.NextFullRun();
  EXPECT_EQ(c.Told(), Lines({"f r agent cpus:2; mem:1024"}));
}

TEST(AllocatorFilters, RefusalEscapedByMoreResourcesButNotBySmallerRest) {
  AllocatorHarness c;
  c.AddFramework("f", {"r"});
  c.AddAgent("agent", "cpus:4;mem:1024");
  c.Start();
  c.Settle();
  c.TakeOffers();
  c.Recover("f", "r", "agent", c.B("cpus:2;mem:512"), absl::Hours(1));
  c.NextFullRun();
  EXPECT_TRUE(c.Told().empty());
  // A task ends: there is more than was refused.
  c.Recover("f", "r", "agent", c.B("cpus:1"));
  c.Settle();
  EXPECT_EQ(c.Told(), Lines({"f r agent cpus:3; mem:512"}));
}

TEST(AllocatorFilters, ShortRefusalLivesOneInterval) {
  AllocatorHarness c;
  c.AddFramework("f", {"r"});
  c.AddAgent("agent", "cpus:2");
  c.Start();
  c.Settle();
  c.Decline(c.TakeOffers()[0], absl::Milliseconds(1));
  c.Advance(absl::Milliseconds(990));
  EXPECT_TRUE(c.Told().empty());
  c.Advance(absl::Milliseconds(20));
  EXPECT_EQ(c.Told().size(), 1u);
}

TEST(AllocatorFilters, RefusalWithoutFilterWaitsForThePeriodicRun) {
  AllocatorHarness c;
  c.AddFramework("f", {"r"});
  c.AddAgent("agent", "cpus:2");
  c.Start();
  c.Settle();
  c.Decline(c.TakeOffers()[0], absl::ZeroDuration());
  c.Advance(absl::Milliseconds(100));
  EXPECT_TRUE(c.Told().empty());
  c.NextFullRun();
  EXPECT_EQ(c.Told(), Lines({"f r agent cpus:2"}));
}

TEST(AllocatorFilters, RefusedResourcesGoToTheNextFrameworkAtOnce) {
  AllocatorHarness c;
  c.AddFramework("f", {"r"});
  c.AddFramework("g", {"r"});
  c.AddAgent("agent", "cpus:2");
  c.Start();
  c.Settle();
  c.Decline(c.TakeOffers()[0], kRefuse);
  c.Settle();
  EXPECT_EQ(c.Told(), Lines({"g r agent cpus:2"}));
}

TEST(AllocatorFilters, FilterEndsByItself) {
  AllocatorHarness c;
  c.AddFramework("f", {"r"});
  c.AddAgent("agent", "cpus:2");
  c.Start();
  c.Settle();
  c.Decline(c.TakeOffers()[0], kRefuse);
  c.Advance(absl::Seconds(4));
  EXPECT_TRUE(c.Told().empty());
  EXPECT_EQ(c.core.tables().filters.size(), 1u);
  c.Advance(absl::Seconds(2));
  EXPECT_EQ(c.Told(), Lines({"f r agent cpus:2"}));
  EXPECT_EQ(c.core.tables().filters.size(), 0u);
}

TEST(AllocatorFilters, ReviveOfOneRoleKeepsFiltersOfTheOther) {
  AllocatorHarness c;
  c.AddFramework("f", {"a", "b"});
  c.AddAgent("agent", "cpus:2");
  c.Start();
  c.Settle();
  ASSERT_EQ(c.offers.size(), 1u);
  c.Decline(c.TakeOffers()[0], absl::Hours(1));
  c.Settle();
  ASSERT_EQ(c.offers.size(), 1u);
  EXPECT_EQ(c.offers[0].role, "b");
  c.Decline(c.TakeOffers()[0], absl::Hours(1));
  c.Step(Revived{c.F("f"), {c.R("a")}});
  EXPECT_EQ(c.core.tables().filters.size(), 1u);
  c.Settle();
  EXPECT_EQ(c.Told(), Lines({"f a agent cpus:2"}));
}

// ---- What ends a refusal and what does not: the framework has refused all of the agent.

struct FilterLifeCase {
  const char* name;
  std::vector<std::function<Event(AllocatorHarness& c)>> events;
  bool is_offered_again;
};

class FilterLife : public testing::TestWithParam<FilterLifeCase> {};

TEST_P(FilterLife, FollowsTheEvent) {
  AllocatorHarness c;
  c.AddFramework("f", {"a"});
  c.AddAgent("agent", "cpus:2", {.hostname = "agent", .attributes = {{"rack", "1"}}});
  c.Start();
  c.Settle();
  c.Decline(c.TakeOffers()[0], absl::Hours(1));
  for (const auto& event : GetParam().events) {
    c.NextFullRun();
    EXPECT_TRUE(c.Told().empty());
    c.Step(event(c));
  }
  c.Settle();
  c.NextFullRun();
  EXPECT_EQ(c.Told().size(), GetParam().is_offered_again ? 1u : 0u);
  EXPECT_TRUE(c.refusals.empty());
}

using C = AllocatorHarness;
Event AgentIs(C& c, const std::string& total, const char* rack) {
  return AgentUpdated{
      c.A("agent"), {.hostname = "agent", .attributes = {{"rack", rack}}}, c.B(total)};
}
Event AgentReturns(C& c, const std::string& total, const char* rack) {
  return AgentAdded{.agent = c.A("agent"),
                    .spec = {.hostname = "agent", .attributes = {{"rack", rack}}},
                    .total = c.B(total),
                    .replaces = true};
}
Event FrameworkIs(C& c, const TestRole& role) { return FrameworkUpdated{c.F("f"), c.Spec({role})}; }

INSTANTIATE_TEST_SUITE_P(
    AllocatorFilters, FilterLife,
    testing::Values(
        FilterLifeCase{"SameAgentAgain", {[](C& c) { return AgentIs(c, "cpus:2", "1"); }}, false},
        FilterLifeCase{"LessCapacity", {[](C& c) { return AgentIs(c, "cpus:1", "1"); }}, false},
        FilterLifeCase{"MoreCapacity", {[](C& c) { return AgentIs(c, "cpus:3", "1"); }}, true},
        FilterLifeCase{"OtherAttribute", {[](C& c) { return AgentIs(c, "cpus:2", "2"); }}, true},
        FilterLifeCase{"AgentAwayAndBack",
                       {[](C& c) -> Event { return AgentDeactivated{c.A("agent")}; },
                        [](C& c) -> Event { return AgentActivated{c.A("agent")}; }},
                       false},
        FilterLifeCase{
            "AgentReturns", {[](C& c) { return AgentReturns(c, "cpus:2", "1"); }}, false},
        FilterLifeCase{
            "AgentReturnsLarger", {[](C& c) { return AgentReturns(c, "cpus:3", "1"); }}, true},
        FilterLifeCase{
            "AgentReturnsDifferent", {[](C& c) { return AgentReturns(c, "cpus:2", "2"); }}, true},
        FilterLifeCase{"AgentRemovedAndAdded",
                       {[](C& c) -> Event { return AgentRemoved{c.A("agent")}; },
                        [](C& c) { return AgentReturns(c, "cpus:2", "1"); }},
                       true},
        FilterLifeCase{"RoleLeftAndJoined",
                       {[](C& c) {
                          return FrameworkIs(c, {"b", /*is_suppressed=*/true});
                        },
                        [](C& c) { return FrameworkIs(c, {"a"}); }},
                       true},
        FilterLifeCase{
            "CapabilityAdded",
            {[](C& c) -> Event {
              return FrameworkUpdated{c.F("f"), c.Spec({"a"}, {.revocable_resources = true})};
            }},
            false},
        FilterLifeCase{"FrameworkAwayAndBack",
                       {[](C& c) -> Event { return FrameworkDeactivated{c.F("f")}; },
                        [](C& c) -> Event { return FrameworkActivated{c.F("f")}; }},
                       true},
        FilterLifeCase{"Revive",
                       {[](C& c) -> Event {
                         return Revived{c.F("f"), {c.R("a")}};
                       }},
                       true},
        FilterLifeCase{"FiltersCleared",
                       {[](C& c) -> Event {
                         return FiltersCleared{c.F("f"), {}};
                       }},
                       true},
        FilterLifeCase{"FiltersClearedWhileSuppressed",
                       {[](C& c) -> Event {
                          return Suppressed{c.F("f"), {}};
                        },
                        [](C& c) -> Event {
                          return FiltersCleared{c.F("f"), {}};
                        }},
                       false},
        FilterLifeCase{"FiltersClearedAndUnsuppressed",
                       {[](C& c) -> Event {
                          return Suppressed{c.F("f"), {}};
                        },
                        [](C& c) -> Event {
                          return FiltersCleared{c.F("f"), {}};
                        },
                        [](C& c) -> Event {
                          return Unsuppressed{c.F("f"), {}};
                        }},
                       true},
        FilterLifeCase{"SuppressAndUnsuppress",
                       {[](C& c) -> Event {
                          return Suppressed{c.F("f"), {}};
                        },
                        [](C& c) -> Event {
                          return Unsuppressed{c.F("f"), {}};
                        }},
                       false},
        FilterLifeCase{"SuppressionLeftByUpdate",
                       {[](C& c) {
                          return FrameworkIs(c, {"a", /*is_suppressed=*/true});
                        },
                        [](C& c) { return FrameworkIs(c, {"a"}); }},
                       true},
        FilterLifeCase{
            "FrameworkUpdatedAlike", {[](C& c) { return FrameworkIs(c, {"a"}); }}, false},
        FilterLifeCase{"WeightSet",
                       {[](C& c) -> Event {
                         return WeightSet{c.R("a"), 2 * kWeightOne};
                       }},
                       false},
        FilterLifeCase{"QuotaSet",
                       {[](C& c) -> Event {
                         return QuotaSet{c.R("a"), {c.B("cpus:1").plain, Amounts::Unlimited()}};
                       }},
                       false}),
    [](const testing::TestParamInfo<FilterLifeCase>& info) { return info.param.name; });

TEST(AllocatorFilters, FilterTableIsBounded) {
  AllocatorConfig config;
  config.filters_max = 1;
  AllocatorHarness c(config);
  c.AddFramework("f", {"r"});
  c.AddAgent("agent1", "cpus:2");
  c.AddAgent("agent2", "cpus:2");
  c.Start();
  c.Settle();
  for (const auto& offer : c.TakeOffers()) c.Decline(offer, absl::Hours(1));
  EXPECT_EQ(c.core.tables().filters.size(), 1u);
  EXPECT_EQ(c.core.counters().filters_not_kept, 1u);
}

TEST(AllocatorFilters, AnAgentThatReturnsBringsWhatItHolds) {
  AllocatorHarness c;
  c.AddFramework("f", {"a"});
  c.AddAgent("agent", "cpus:4");
  c.Start();
  c.Settle();
  ASSERT_EQ(c.TakeOffers().size(), 1u);
  // It comes back with one task, and without the offer.
  c.Step(AgentAdded{.agent = c.A("agent"),
                    .spec = {.hostname = "agent"},
                    .total = c.B("cpus:4"),
                    .claims = {{c.F("f"), c.R("a"), c.B("cpus:1")}},
                    .replaces = true});
  c.Settle();
  EXPECT_EQ(c.Told(), Lines({"f a agent cpus:3"}));
  EXPECT_TRUE(c.refusals.empty());
  c.AddAgent("agent", "cpus:4");
  EXPECT_EQ(c.refusals.size(), 1u) << "without saying so it is a contradiction";
}

}  // namespace
}  // namespace tessera::allocator
