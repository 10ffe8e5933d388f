// Edge cases of single events and gates.
#include "services/allocator/core/allocator_core.h"

#include <algorithm>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "services/allocator/core/test_cluster.h"

namespace tessera::allocator {
namespace {

using Lines = std::vector<std::string>;
constexpr absl::Duration kRefuse = absl::Seconds(5);

// ---- Refusals.

TEST(AllocatorCore, TwoFiltersThatCoverOnlyTogetherDoNotFilter) {
  TestCluster c;
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

TEST(AllocatorCore, RefusalEscapedByMoreResourcesButNotBySmallerRest) {
  TestCluster c;
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

TEST(AllocatorCore, ShortRefusalLivesOneInterval) {
  TestCluster c;
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

TEST(AllocatorCore, RefusalWithoutFilterWaitsForThePeriodicRun) {
  TestCluster c;
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

TEST(AllocatorCore, RefusedResourcesGoToTheNextFrameworkAtOnce) {
  TestCluster c;
  c.AddFramework("f", {"r"});
  c.AddFramework("g", {"r"});
  c.AddAgent("agent", "cpus:2");
  c.Start();
  c.Settle();
  c.Decline(c.TakeOffers()[0], kRefuse);
  c.Settle();
  EXPECT_EQ(c.Told(), Lines({"g r agent cpus:2"}));
}

TEST(AllocatorCore, FilterEndsByItself) {
  TestCluster c;
  c.AddFramework("f", {"r"});
  c.AddAgent("agent", "cpus:2");
  c.Start();
  c.Settle();
  c.Decline(c.TakeOffers()[0], kRefuse);
  c.Advance(absl::Seconds(4));
  EXPECT_TRUE(c.Told().empty());
  EXPECT_EQ(c.core.tables().filters().size(), 1u);
  c.Advance(absl::Seconds(2));
  EXPECT_EQ(c.Told(), Lines({"f r agent cpus:2"}));
  EXPECT_EQ(c.core.tables().filters().size(), 0u);
}

TEST(AllocatorCore, LostAttributeDropsFilters) {
  TestCluster c;
  c.AddFramework("f", {"r"});
  c.AddAgent("agent", "cpus:2", {.hostname = "agent", .attributes = {{"rack", "1"}}});
  c.Start();
  c.Settle();
  c.Decline(c.TakeOffers()[0], absl::Hours(1));
  c.NextFullRun();
  EXPECT_TRUE(c.Told().empty());
  // The same facts again change nothing.
  c.Step(AgentUpdated{
      c.A("agent"), {.hostname = "agent", .attributes = {{"rack", "1"}}}, c.B("cpus:2")});
  c.NextFullRun();
  EXPECT_TRUE(c.Told().empty());
  c.Step(AgentUpdated{c.A("agent"), {.hostname = "agent", .attributes = {}}, c.B("cpus:2")});
  c.Settle();
  EXPECT_EQ(c.Told(), Lines({"f r agent cpus:2"}));
}

TEST(AllocatorCore, CapacityChangeKeepsFilters) {
  TestCluster c;
  c.AddFramework("f", {"r"});
  c.AddAgent("agent", "cpus:2");
  c.Start();
  c.Settle();
  c.Decline(c.TakeOffers()[0], absl::Hours(1));
  c.Step(AgentUpdated{c.A("agent"), {.hostname = "agent"}, c.B("cpus:1")});
  c.NextFullRun();
  EXPECT_TRUE(c.Told().empty());
  c.Step(AgentUpdated{c.A("agent"), {.hostname = "agent"}, c.B("cpus:3")});
  c.Settle();
  EXPECT_EQ(c.Told(), Lines({"f r agent cpus:3"}));
}

TEST(AllocatorCore, ReviveOfOneRoleKeepsFiltersOfTheOther) {
  TestCluster c;
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
  EXPECT_EQ(c.core.tables().filters().size(), 1u);
  c.Settle();
  EXPECT_EQ(c.Told(), Lines({"f a agent cpus:2"}));
}

TEST(AllocatorCore, DeactivationDropsAllFilters) {
  TestCluster c;
  c.AddFramework("f", {"a"});
  c.AddAgent("agent", "cpus:2");
  c.Start();
  c.Settle();
  c.Decline(c.TakeOffers()[0], absl::Hours(1));
  c.Step(FrameworkDeactivated{c.F("f")});
  EXPECT_EQ(c.core.tables().filters().size(), 0u);
  c.NextFullRun();
  EXPECT_TRUE(c.Told().empty());
  c.Step(FrameworkActivated{c.F("f")});
  c.Settle();
  EXPECT_EQ(c.Told(), Lines({"f a agent cpus:2"}));
}

TEST(AllocatorCore, FiltersClearedIsNotUnsuppressed) {
  TestCluster c;
  c.AddFramework("f", {"a"});
  c.AddAgent("agent", "cpus:2");
  c.Start();
  c.Settle();
  c.Decline(c.TakeOffers()[0], absl::Hours(1));
  c.Step(Suppressed{c.F("f"), {}});
  c.Step(FiltersCleared{c.F("f"), {}});
  c.NextFullRun();
  EXPECT_TRUE(c.Told().empty());
  c.Step(Unsuppressed{c.F("f"), {}});
  c.Settle();
  EXPECT_EQ(c.Told(), Lines({"f a agent cpus:2"}));
}

TEST(AllocatorCore, UnsuppressKeepsFilters) {
  TestCluster c;
  c.AddFramework("f", {"a"});
  c.AddAgent("agent", "cpus:2");
  c.Start();
  c.Settle();
  c.Decline(c.TakeOffers()[0], absl::Hours(1));
  c.Step(Suppressed{c.F("f"), {}});
  c.Step(Unsuppressed{c.F("f"), {}});
  c.NextFullRun();
  EXPECT_TRUE(c.Told().empty());
}

TEST(AllocatorCore, UnsuppressingByUpdateClearsFiltersOfThatRole) {
  TestCluster c;
  c.AddFramework("f", {"a"});
  c.AddAgent("agent", "cpus:2");
  c.Start();
  c.Settle();
  c.Decline(c.TakeOffers()[0], absl::Hours(1));
  c.UpdateFramework("f", {{"a", true}});
  c.NextFullRun();
  EXPECT_TRUE(c.Told().empty());
  c.UpdateFramework("f", {{"a", false}});
  c.Settle();
  EXPECT_EQ(c.Told(), Lines({"f a agent cpus:2"}));
}

TEST(AllocatorCore, FilterTableIsBounded) {
  AllocatorConfig config;
  config.filters_max = 1;
  TestCluster c(config);
  c.AddFramework("f", {"r"});
  c.AddAgent("agent1", "cpus:2");
  c.AddAgent("agent2", "cpus:2");
  c.Start();
  c.Settle();
  for (const auto& offer : c.TakeOffers()) c.Decline(offer, absl::Hours(1));
  EXPECT_EQ(c.core.tables().filters().size(), 1u);
  EXPECT_EQ(c.core.counters().filters_not_kept, 1u);
}

// ---- Roles and frameworks.

TEST(AllocatorCore, FrameworkWithoutRolesGetsNothing) {
  TestCluster c;
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

TEST(AllocatorCore, RoleLeftWithARunningTaskIsTrackedUntilItsEnd) {
  TestCluster c;
  c.AddFramework("f", {"old"});
  c.AddAgent("agent", "cpus:2");
  c.Start();
  c.Settle();
  const auto offer = c.TakeOffers()[0];
  c.UpdateFramework("f", {"new"});
  EXPECT_TRUE(c.core.tables().FindClient(c.F("f"), c.R("old")).has_value());
  c.GiveBack(offer);
  EXPECT_FALSE(c.core.tables().FindClient(c.F("f"), c.R("old")).has_value());
  c.Settle();
  EXPECT_EQ(c.Told(), Lines({"f new agent cpus:2"}));
}

TEST(AllocatorCore, RemovedFrameworkIsForgottenWithItsLastResource) {
  TestCluster c;
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

TEST(AllocatorCore, SimultaneousRemovalOfARoleAndItsSuppression) {
  TestCluster c;
  c.AddFramework("f", {{"a", true}, "b"});
  c.AddAgent("agent", "cpus:2");
  c.Start();
  c.UpdateFramework("f", {"b"});
  c.Settle();
  EXPECT_EQ(c.Told(), Lines({"f b agent cpus:2"}));
}

TEST(AllocatorCore, HoldingsOfAFrameworkNotYetKnownAreCharged) {
  TestCluster c;
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

TEST(AllocatorCore, MultiRoleFrameworkIsOfferedForEachRole) {
  TestCluster c;
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

// ---- Gates.

TEST(AllocatorCore, ReservationsGoToTheRoleAndThoseBeneathIt) {
  TestCluster c;
  c.AddFramework("fb", {"a/b"});
  c.AddAgent("agent1", "cpus(a):2");
  c.AddAgent("agent2", "cpus(a/b):2");
  c.Start();
  c.Settle();
  EXPECT_EQ(c.TakeOffers().size(), 2u);

  TestCluster d;
  d.AddFramework("fa", {"a"});
  d.AddAgent("agent1", "cpus(a):2");
  d.AddAgent("agent2", "cpus(a/b):2");
  d.Start();
  d.Settle();
  EXPECT_EQ(d.Told(), Lines({"fa a agent1 cpus(a):2"}));
}

TEST(AllocatorCore, OfferIsSplitByReservation) {
  TestCluster c;
  c.AddFramework("fa", {"a"});
  c.AddFramework("fb", {"b"});
  c.AddAgent("agent", "cpus:2;cpus(a):1;cpus(b):1");
  c.Start();
  c.Settle();
  auto told = c.Told();
  EXPECT_EQ(told, Lines({"fa a agent cpus:2; cpus(a):1", "fb b agent cpus(b):1"}));
}

TEST(AllocatorCore, RefinedReservationsNeedTheCapability) {
  model::Resource cpus = model::Resource::OfScalar("cpus", model::Scalar::FromUnits(2));
  ASSERT_TRUE(cpus.PushReservation({model::ReservationType::kStatic, "a", {}, {}}).ok());
  ASSERT_TRUE(cpus.PushReservation({model::ReservationType::kDynamic, "a/b", {}, {}}).ok());
  TestCluster c;
  c.AddFramework("plain", {"a/b"});
  c.AddAgent("agent", c.B(model::Resources({cpus})));
  c.Start();
  c.NextFullRun();
  EXPECT_TRUE(c.Told().empty());
  c.AddFramework("able", {"a/b"}, {.reservation_refinement = true});
  c.Settle();
  ASSERT_EQ(c.offers.size(), 1u);
  EXPECT_EQ(c.offers[0].framework, "able");
}

TEST(AllocatorCore, RevocableResourcesNeedTheCapability) {
  model::Resource cpus = model::Resource::OfScalar("cpus", model::Scalar::FromUnits(2));
  model::ResourceMetadata metadata;
  metadata.revocable = true;
  cpus.set_metadata(metadata);
  TestCluster c;
  c.AddFramework("plain", {"r"});
  Bag bag = c.B("cpus:1");
  AddTo(&bag, c.B(model::Resources({cpus})), c.words);
  c.AddAgent("agent", bag);
  c.Start();
  c.Settle();
  EXPECT_EQ(c.Told(), Lines({"plain r agent cpus:1"}));
  c.AddFramework("able", {"r"}, {.revocable_resources = true});
  c.Settle();
  ASSERT_EQ(c.offers.size(), 1u);
  EXPECT_EQ(c.offers[0].framework, "able");
  EXPECT_TRUE(c.offers[0].bag.extras->any_revocable());
}

TEST(AllocatorCore, AgentsWithGpusAreHiddenWhole) {
  TestCluster c;
  c.AddFramework("plain", {"r"});
  c.AddAgent("agent", "cpus:4;gpus:1");
  c.Start();
  c.NextFullRun();
  EXPECT_TRUE(c.Told().empty());
  c.UpdateFramework("plain", {"r"}, {.gpu_resources = true});
  c.Settle();
  EXPECT_EQ(c.Told(), Lines({"plain r agent cpus:4; gpus:1"}));
}

TEST(AllocatorCore, GpuFilterCanBeSwitchedOff) {
  AllocatorConfig config;
  config.filter_gpu_resources = false;
  TestCluster c(config);
  c.AddFramework("plain", {"r"});
  c.AddAgent("agent", "cpus:4;gpus:1");
  c.Start();
  c.Settle();
  EXPECT_EQ(c.Told().size(), 1u);
}

TEST(AllocatorCore, RemoteAgentsNeedRegionAwareness) {
  TestCluster c;
  c.AddFramework("plain", {"r"});
  c.AddAgent("far", "cpus:4", {.hostname = "far", .remote = true});
  c.AddAgent("near", "cpus:4");
  c.Start();
  c.NextFullRun();
  EXPECT_EQ(c.Told(), Lines({"plain r near cpus:4"}));
  c.AddFramework("able", {"r"}, {.region_aware = true});
  c.Settle();
  EXPECT_EQ(c.Told(), Lines({"able r far cpus:4"}));
}

TEST(AllocatorCore, OneIncapableFrameworkDoesNotStopTheOthers) {
  TestCluster c;
  c.AddFramework("a_plain", {"r"});
  c.AddFramework("b_able", {"r"}, {.gpu_resources = true});
  c.AddAgent("agent", "cpus:4;gpus:1");
  c.Start();
  c.Settle();
  EXPECT_EQ(c.Told(), Lines({"b_able r agent cpus:4; gpus:1"}));
}

TEST(AllocatorCore, MinimumGloballyAndByRole) {
  AllocatorConfig config;
  config.min_allocatable = Minimum(model::MinAllocatable::Parse("cpus:1;mem:32")->alternatives());
  TestCluster c(config);
  c.AddFramework("f", {"r"});
  c.AddAgent("agent", "cpus:4;mem:31");
  c.Start();
  c.NextFullRun();
  EXPECT_TRUE(c.Told().empty());
  TestRole role("s");
  role.minimum = "cpus:4";
  c.AddFramework("g", {role});
  c.Settle();
  EXPECT_EQ(c.Told(), Lines({"g s agent cpus:4; mem:31"}));
}

TEST(AllocatorCore, WhitelistAllowsNamedHostsOnly) {
  TestCluster c;
  c.AddFramework("f", {"r"});
  c.Step(WhitelistSet{std::vector<std::string>{"good"}});
  c.AddAgent("bad", "cpus:1");
  c.AddAgent("good", "cpus:2");
  c.Start();
  c.NextFullRun();
  EXPECT_EQ(c.Told(), Lines({"f r good cpus:2"}));
  c.Step(WhitelistSet{std::vector<std::string>{}});
  c.GiveBack({"f", "r", "good", "", c.B("cpus:2")});
  c.NextFullRun();
  EXPECT_TRUE(c.Told().empty());
  c.Step(WhitelistSet{std::nullopt});
  c.NextFullRun();
  EXPECT_EQ(c.Told().size(), 2u);
}

TEST(AllocatorCore, InactiveAgentsAreNotOffered) {
  TestCluster c;
  c.AddFramework("f", {"r"});
  c.AddAgent("agent", "cpus:2");
  c.Step(AgentDeactivated{c.A("agent")});
  c.Start();
  c.NextFullRun();
  EXPECT_TRUE(c.Told().empty());
  c.Step(AgentActivated{c.A("agent")});
  c.Settle();
  EXPECT_EQ(c.Told().size(), 1u);
}

TEST(AllocatorCore, PortsAloneSatisfyAMinimumOfPorts) {
  AllocatorConfig config;
  config.min_allocatable = Minimum(model::MinAllocatable::Parse("ports:1")->alternatives());
  TestCluster c(config);
  c.AddFramework("f", {"r"});
  c.AddAgent("agent", "ports:[8080-8080]");
  c.Start();
  c.Settle();
  EXPECT_EQ(c.Told(), Lines({"f r agent ports:[8080-8080]"}));
}

TEST(AllocatorCore, ConstraintsChooseAgentsAndFollowTheirAttributes) {
  TestCluster c;
  FrameworkSpec spec = c.Spec({"r"});
  spec.roles[0].constraints = std::make_shared<OfferConstraints>(
      std::vector<OfferConstraints::Group>{{{"rack", OfferConstraints::Predicate::kEquals, "1"}}});
  c.Step(FrameworkAdded{c.F("f"), spec, true});
  c.AddAgent("one", "cpus:1", {.hostname = "one", .attributes = {{"rack", "1"}}});
  c.AddAgent("two", "cpus:2", {.hostname = "two", .attributes = {{"rack", "2"}}});
  c.Start();
  c.NextFullRun();
  EXPECT_EQ(c.Told(), Lines({"f r one cpus:1"}));
  c.Step(
      AgentUpdated{c.A("two"), {.hostname = "two", .attributes = {{"rack", "1"}}}, c.B("cpus:2")});
  c.Settle();
  EXPECT_EQ(c.Told(), Lines({"f r two cpus:2"}));
}

// ---- Demand.

TEST(AllocatorCore, StatedDemandIsNotExceededByMoreThanAnAgent) {
  TestCluster c;
  c.AddFramework("f", {"r"});
  c.Step(DemandStated{c.F("f"), c.R("r"), c.B("cpus:5").plain, Minimum()});
  for (int i = 0; i < 10; ++i) c.AddAgent("agent" + std::to_string(i), "cpus:2;mem:64");
  c.Start();
  for (int i = 0; i < 3; ++i) c.NextFullRun();
  const auto offers = c.TakeOffers();
  EXPECT_EQ(offers.size(), 3u);
  // A refusal leaves the demand unmet; a task's end does not raise it.
  c.Decline(offers[0], kRefuse);
  c.GiveBack(offers[1]);
  for (int i = 0; i < 3; ++i) c.NextFullRun();
  EXPECT_EQ(c.TakeOffers().size(), 1u);
  c.Step(DemandStated{c.F("f"), c.R("r"), c.B("cpus:1").plain, Minimum()});
  c.Settle();
  EXPECT_EQ(c.TakeOffers().size(), 1u);
  c.Step(DemandStated{c.F("f"), c.R("r"), std::nullopt, Minimum()});
  c.Settle();
  EXPECT_GE(c.TakeOffers().size(), 5u);
}

TEST(AllocatorCore, NoDemandMeansNoOffersAndLeavesThemToOthers) {
  TestCluster c;
  c.AddFramework("f", {"r"});
  c.AddFramework("g", {"r"});
  c.Step(DemandStated{c.F("f"), c.R("r"), Amounts(), Minimum()});
  for (int i = 0; i < 4; ++i) c.AddAgent("agent" + std::to_string(i), "cpus:2");
  c.Start();
  c.Settle();
  const auto offers = c.TakeOffers();
  ASSERT_EQ(offers.size(), 4u);
  for (const auto& offer : offers) EXPECT_EQ(offer.framework, "g");
}

TEST(AllocatorCore, TooLittleForTheSmallestTaskIsNotOffered) {
  TestCluster c;
  c.AddFramework("f", {"r"});
  const Minimum smallest(model::MinAllocatable::Parse("cpus:2;mem:64")->alternatives());
  c.Step(DemandStated{c.F("f"), c.R("r"), std::nullopt, smallest});
  c.AddAgent("small", "cpus:4;mem:63");
  c.AddAgent("large", "cpus:2;mem:64");
  c.Start();
  c.NextFullRun();
  EXPECT_EQ(c.Told(), Lines({"f r large cpus:2; mem:64"}));
}

// ---- Accounts.

TEST(AllocatorCore, UnallocatedReservationsDoNotRaiseTheShare) {
  TestCluster c;
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

TEST(AllocatorCore, ExcludedNamesDoNotCount) {
  AllocatorConfig config;
  config.fair_sharing_excluded_names = {"gpus"};
  TestCluster c(config);
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

TEST(AllocatorCore, ShrunkAgentIsOverallocatedAndClipped) {
  TestCluster c;
  c.AddFramework("f", {"r"});
  c.AddAgent("agent", "cpus:4;mem:64");
  c.Start();
  c.Settle();
  const auto offer = c.TakeOffers()[0];
  c.Step(AgentUpdated{c.A("agent"), {.hostname = "agent"}, c.B("cpus:1;mem:128")});
  EXPECT_TRUE(Equal(c.core.tables().agent(c.A("agent")).free, c.B("mem:64"), c.words));
  c.Settle();
  EXPECT_EQ(c.Told(), Lines({"f r agent mem:64"}));
  c.GiveBack(offer);
  EXPECT_TRUE(Equal(c.core.tables().agent(c.A("agent")).free, c.B("cpus:1;mem:64"), c.words));
}

TEST(AllocatorCore, RemovedAgentTakesItsHoldingsAlong) {
  TestCluster c;
  c.AddFramework("f", {"r"});
  c.AddAgent("agent", "cpus:4");
  c.Start();
  c.Settle();
  const auto offer = c.TakeOffers()[0];
  c.Step(AgentRemoved{c.A("agent")});
  EXPECT_TRUE(c.core.tables().held().IsZero());
  EXPECT_TRUE(c.core.tables().totals().total.IsZero());
  EXPECT_EQ(c.forgotten, Lines({"agent"}));
  c.GiveBack(offer);
  EXPECT_EQ(c.core.counters().stale_recoveries, 1u);
  // The same id comes back as another agent.
  c.AddAgent("agent", "cpus:2");
  c.Settle();
  EXPECT_EQ(c.Told(), Lines({"f r agent cpus:2"}));
}

TEST(AllocatorCore, ConversionKeepsQuantitiesAndFollowsTheTotal) {
  TestCluster c;
  c.AddFramework("f", {"r"});
  c.AddAgent("agent", "cpus:4");
  c.Start();
  c.Settle();
  c.TakeOffers();
  const Claim claim{c.F("f"), c.R("r"), c.B("cpus:3")};
  c.Step(Converted{c.A("agent"), claim, c.B("cpus(r):3")});
  EXPECT_TRUE(Equal(c.core.tables().agent(c.A("agent")).total, c.B("cpus:1;cpus(r):3"), c.words));
  c.Step(Converted{c.A("agent"), {c.F("f"), c.R("r"), c.B("cpus:1")}, c.B("cpus(r):2")});
  EXPECT_EQ(c.refusals.back(), RefusalReason::kQuantityChanged);
  c.Step(Converted{c.A("agent"), claim, c.B("cpus(r):3")});
  EXPECT_EQ(c.refusals.back(), RefusalReason::kNotHeld);
  c.Recover("f", "r", "agent", c.B("cpus:1;cpus(r):3"));
  c.Settle();
  EXPECT_EQ(c.Told(), Lines({"f r agent cpus:1; cpus(r):3"}));
}

TEST(AllocatorCore, TenTenthsComeBackAsOne) {
  TestCluster c;
  c.AddFramework("f", {"r"});
  c.AddAgent("agent", "cpus:1");
  c.Start();
  c.Settle();
  c.TakeOffers();
  for (int i = 0; i < 10; ++i) c.Recover("f", "r", "agent", c.B("cpus:0.1"));
  EXPECT_TRUE(c.refusals.empty());
  EXPECT_TRUE(c.core.tables().held().IsZero());
  EXPECT_TRUE(Equal(c.core.tables().agent(c.A("agent")).free, c.B("cpus:1"), c.words));
}

// ---- Runs.

TEST(AllocatorCore, NothingBeforeTheSnapshotIsComplete) {
  TestCluster c;
  c.AddFramework("f", {"r"});
  c.AddAgent("agent", "cpus:4");
  EXPECT_EQ(c.core.NextDeadline(), absl::InfiniteFuture());
  c.Step(Wake{});
  EXPECT_EQ(c.runs, 0);
  c.Start();
  c.Settle();
  EXPECT_EQ(c.Told().size(), 1u);
}

TEST(AllocatorCore, ABurstIsServedByFewRuns) {
  TestCluster c;
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

TEST(AllocatorCore, AnAgentsNewsAreServedWithinTheBatchInterval) {
  TestCluster c;
  c.AddFramework("f", {"r"});
  c.Start();
  c.Settle();
  c.Advance(absl::Milliseconds(100));
  c.AddAgent("agent", "cpus:1");
  EXPECT_LE(c.core.NextDeadline() - c.now, c.config.min_batch_interval);
}

TEST(AllocatorCore, UnchangedAgentsAreNotLookedAtAgain) {
  TestCluster c;
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

TEST(AllocatorCore, PausedAfterFailOverUntilEnoughAgentsAreBack) {
  TestCluster c;
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

TEST(AllocatorCore, PausedAfterFailOverUntilTheTimeHasPassed) {
  TestCluster c;
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

TEST(AllocatorCore, NoPauseWithoutQuota) {
  TestCluster c;
  c.Step(RecoveryExpected{3, absl::Minutes(10)});
  c.Start();
  EXPECT_FALSE(c.core.paused());
}

TEST(AllocatorCore, SameSeedSameAllocations) {
  const auto play = [](uint64_t seed) {
    AllocatorConfig config;
    config.role_sorter = SorterKind::kRandom;
    TestCluster c(config, seed);
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

// ---- Events that contradict the tables.

TEST(AllocatorCore, ContradictionsAreRefusedAndChangeNothing) {
  TestCluster c;
  c.AddFramework("f", {"r"});
  c.AddAgent("agent", "cpus:2");
  c.Start();
  c.Settle();
  c.TakeOffers();
  const auto refused = [&](const Event& event) {
    const size_t before = c.refusals.size();
    c.Step(event);
    EXPECT_EQ(c.refusals.size(), before + 1);
    return c.refusals.back();
  };
  Bag negative = c.B("cpus:1");
  negative.plain[kCpus] = -1000;
  const RoleNum r = c.R("r");
  EXPECT_EQ(refused(FrameworkAdded{c.F("f"), c.Spec({"r"}), true}),
            RefusalReason::kDuplicateFramework);
  EXPECT_EQ(refused(FrameworkAdded{c.F("g"), c.Spec({"r", "r"}), true}),
            RefusalReason::kDuplicateRole);
  EXPECT_EQ(refused(FrameworkRemoved{c.F("x")}), RefusalReason::kUnknownFramework);
  EXPECT_EQ(refused(FrameworkUpdated{c.F("x"), c.Spec({"r"})}), RefusalReason::kUnknownFramework);
  EXPECT_EQ(refused(Revived{c.F("x"), {}}), RefusalReason::kUnknownFramework);
  EXPECT_EQ(refused(Revived{c.F("f"), {c.R("other")}}), RefusalReason::kNotSubscribed);
  EXPECT_EQ(refused(AgentAdded{c.A("agent"), {}, c.B("cpus:1"), {}, true}),
            RefusalReason::kDuplicateAgent);
  EXPECT_EQ(refused(AgentAdded{c.A("y"), {}, negative, {}, true}), RefusalReason::kNegativeAmount);
  EXPECT_EQ(refused(AgentUpdated{c.A("y"), {}, c.B("cpus:1")}), RefusalReason::kUnknownAgent);
  EXPECT_EQ(refused(AgentUpdated{c.A("agent"), {}, negative}), RefusalReason::kNegativeAmount);
  EXPECT_EQ(refused(AgentRemoved{c.A("y")}), RefusalReason::kUnknownAgent);
  EXPECT_EQ(refused(AgentDeactivated{c.A("y")}), RefusalReason::kUnknownAgent);
  EXPECT_EQ(refused(Recovered{c.A("agent"), {c.F("f"), r, c.B("cpus:3")}, {}}),
            RefusalReason::kNotHeld);
  EXPECT_EQ(refused(Recovered{c.A("agent"), {c.F("f"), r, negative}, {}}),
            RefusalReason::kNegativeAmount);
  EXPECT_EQ(refused(WeightSet{r, 0}), RefusalReason::kBadWeight);
  EXPECT_EQ(refused(QuotaSet{r, {c.B("cpus:3").plain, c.B("cpus:2").plain}}),
            RefusalReason::kBadQuota);
  EXPECT_EQ(c.core.counters().refused_events, c.refusals.size());
}

}  // namespace
}  // namespace tessera::allocator
