// Who may be offered which agent, and which part of it.
#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "services/allocator/core/testing/allocator_harness.h"

namespace tessera::allocator {
namespace {

using Lines = std::vector<std::string>;

TEST(AllocatorGates, ReservationsGoToTheRoleAndThoseBeneathIt) {
  AllocatorHarness c;
  c.AddFramework("fb", {"a/b"});
  c.AddAgent("agent1", "cpus(a):2");
  c.AddAgent("agent2", "cpus(a/b):2");
  c.Start();
  c.Settle();
  EXPECT_EQ(c.TakeOffers().size(), 2u);

  AllocatorHarness d;
  d.AddFramework("fa", {"a"});
  d.AddAgent("agent1", "cpus(a):2");
  d.AddAgent("agent2", "cpus(a/b):2");
  d.Start();
  d.Settle();
  EXPECT_EQ(d.Told(), Lines({"fa a agent1 cpus(a):2"}));
}

TEST(AllocatorGates, OfferIsSplitByReservation) {
  AllocatorHarness c;
  c.AddFramework("fa", {"a"});
  c.AddFramework("fb", {"b"});
  c.AddAgent("agent", "cpus:2;cpus(a):1;cpus(b):1");
  c.Start();
  c.Settle();
  auto told = c.Told();
  EXPECT_EQ(told, Lines({"fa a agent cpus:2; cpus(a):1", "fb b agent cpus(b):1"}));
}

// ---- Capabilities: what a framework without one is offered of an agent, and then one with it.

model::Resource Cpus(int64_t units) {
  return model::Resource::OfScalar("cpus", model::Scalar::FromUnits(units));
}
model::Resource Revocable(model::Resource resource) {
  model::ResourceMetadata metadata = resource.metadata();
  metadata.revocable = true;
  resource.set_metadata(metadata);
  return resource;
}
model::Resource Refined(model::Resource resource) {
  (void)resource.PushReservation({model::ReservationType::kStatic, "a", {}, {}});
  (void)resource.PushReservation({model::ReservationType::kDynamic, "a/b", {}, {}});
  return resource;
}

struct CapabilityCase {
  const char* name;
  model::Resources total;
  bool remote;
  FrameworkCapabilities needed;
  std::vector<std::string> offered_without;
  size_t offers_with;
};

class CapabilityGate : public testing::TestWithParam<CapabilityCase> {};

TEST_P(CapabilityGate, HidesWhatTheFrameworkCannotHandle) {
  const CapabilityCase& one = GetParam();
  AllocatorHarness c;
  c.AddFramework("plain", {"a/b"});
  c.AddAgent("agent", c.B(one.total), {.hostname = "agent", .remote = one.remote});
  c.Start();
  c.NextFullRun();
  EXPECT_EQ(c.Told(), one.offered_without);
  // Another framework next to it, on what is left.
  c.AddFramework("able", {"a/b"}, one.needed);
  c.Settle();
  const auto offers = c.TakeOffers();
  ASSERT_EQ(offers.size(), one.offers_with);
  for (const auto& offer : offers) EXPECT_EQ(offer.framework, "able");
  // The first one, with the capability from now on.
  for (const auto& offer : offers) c.Decline(offer, absl::Hours(1));
  c.UpdateFramework("plain", {"a/b"}, one.needed);
  c.Settle();
  ASSERT_EQ(c.offers.size(), one.offers_with);
  EXPECT_EQ(c.offers[0].framework, "plain");
}

INSTANTIATE_TEST_SUITE_P(
    AllocatorGates, CapabilityGate,
    testing::Values(
        // The cpus of an agent with gpus are hidden along with them.
        CapabilityCase{
            "Gpus", *model::ParseResources("cpus:4;gpus:1"), false, {.gpu_resources = true}, {}, 1},
        CapabilityCase{
            "Remote", *model::ParseResources("cpus:4"), true, {.region_aware = true}, {}, 1},
        CapabilityCase{"Refined",
                       model::Resources({Refined(Cpus(2))}),
                       false,
                       {.reservation_refinement = true},
                       {},
                       1},
        CapabilityCase{"Revocable",
                       model::Resources({Cpus(1), Revocable(Cpus(2))}),
                       false,
                       {.revocable_resources = true},
                       {"plain a/b agent cpus:1"},
                       1}),
    [](const testing::TestParamInfo<CapabilityCase>& info) { return info.param.name; });

TEST(AllocatorGates, GpuFilterCanBeSwitchedOff) {
  AllocatorConfig config;
  config.filter_gpu_resources = false;
  AllocatorHarness c(config);
  c.AddFramework("plain", {"r"});
  c.AddAgent("agent", "cpus:4;gpus:1");
  c.Start();
  c.Settle();
  EXPECT_EQ(c.Told().size(), 1u);
}

TEST(AllocatorGates, OneIncapableFrameworkDoesNotStopTheOthers) {
  AllocatorHarness c;
  c.AddFramework("a_plain", {"r"});
  c.AddFramework("b_able", {"r"}, {.gpu_resources = true});
  c.AddAgent("agent", "cpus:4;gpus:1");
  c.Start();
  c.Settle();
  EXPECT_EQ(c.Told(), Lines({"b_able r agent cpus:4; gpus:1"}));
}

TEST(AllocatorGates, MinimumGloballyAndByRole) {
  AllocatorConfig config;
  config.min_allocatable = Minimum(model::MinAllocatable::Parse("cpus:1;mem:32")->alternatives());
  AllocatorHarness c(config);
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

TEST(AllocatorGates, WhitelistAllowsNamedHostsOnly) {
  AllocatorHarness c;
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

TEST(AllocatorGates, InactiveAgentsAreNotOffered) {
  AllocatorHarness c;
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

TEST(AllocatorGates, PortsAloneSatisfyAMinimumOfPorts) {
  AllocatorConfig config;
  config.min_allocatable = Minimum(model::MinAllocatable::Parse("ports:1")->alternatives());
  AllocatorHarness c(config);
  c.AddFramework("f", {"r"});
  c.AddAgent("agent", "ports:[8080-8080]");
  c.Start();
  c.Settle();
  EXPECT_EQ(c.Told(), Lines({"f r agent ports:[8080-8080]"}));
}

TEST(AllocatorGates, ConstraintsChooseAgentsAndFollowTheirAttributes) {
  AllocatorHarness c;
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

}  // namespace
}  // namespace tessera::allocator
