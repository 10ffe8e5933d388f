#include "services/allocator/core/explain.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "services/allocator/core/testing/allocator_harness.h"
#include "services/model/quantities.h"

namespace tessera::allocator {
namespace {

Minimum AtLeast(const std::string& text) {
  return Minimum(model::MinAllocatable::Parse(text)->alternatives());
}

class ExplainTest : public testing::Test {
 protected:
  Explanation Ask(const std::string& framework, const std::string& role,
                  const std::string& needed = "") {
    Question question{.client = *c.core.tables().frameworks.FindClient(c.F(framework), c.R(role))};
    if (!needed.empty()) question.needed = AtLeast(needed);
    Explanation answer = c.core.Explain(question);
    uint64_t sum = 0;
    for (const uint64_t count : answer.counts) sum += count;
    EXPECT_EQ(sum, answer.agents);
    EXPECT_EQ(answer.agents, c.core.tables().agents.known());
    return answer;
  }
  // All of two agents is under `obstacle`.
  void ExpectAll(const std::string& framework, const std::string& role, Obstacle obstacle) {
    const Explanation answer = Ask(framework, role);
    EXPECT_EQ(answer.Count(obstacle), answer.agents);
    for (const auto& near : answer.nearest) EXPECT_EQ(near.obstacle, obstacle);
  }
  void TwoAgents() {
    c.AddAgent("a1", "cpus:4;mem:1024");
    c.AddAgent("a2", "cpus:4;mem:1024");
  }

  AllocatorHarness c{[] {
    AllocatorConfig config;
    config.min_allocatable = AtLeast("cpus:0.01|mem:32");
    return config;
  }()};
};

TEST_F(ExplainTest, NothingInTheWay) {
  c.Start();
  c.AddFramework("f", {"eng"});
  TwoAgents();
  const Explanation before = Ask("f", "eng");
  EXPECT_EQ(before.Count(Obstacle::kNone), 2u);
  ASSERT_EQ(before.nearest.size(), 2u);
  EXPECT_EQ(ToString(before.nearest[0].available, c.words), "cpus:4; mem:1024");
  EXPECT_TRUE(before.nearest[0].missing.empty());
  c.Settle();
  EXPECT_EQ(c.offers.size(), 2u);
  ExpectAll("f", "eng", Obstacle::kHeldByItself);
}

TEST_F(ExplainTest, AskingChangesNoRun) {
  AllocatorConfig config;
  config.role_sorter = SorterKind::kRandom;
  AllocatorHarness asked(config, 3);
  AllocatorHarness not_asked(config, 3);
  std::vector<std::vector<std::string>> told;
  for (AllocatorHarness* cluster : {&asked, &not_asked}) {
    cluster->Start();
    for (const char* id : {"f", "g", "h"}) cluster->AddFramework(id, {id});
    for (int i = 0; i < 20; ++i) cluster->AddAgent("a" + std::to_string(i), "cpus:1");
    if (cluster == &asked) {
      for (const char* id : {"f", "g", "h"}) {
        const auto client = *asked.core.tables().frameworks.FindClient(asked.F(id), asked.R(id));
        EXPECT_EQ(asked.core.Explain({.client = client}).agents, 20u);
      }
    }
    cluster->Settle();
    told.push_back(cluster->Told());
  }
  EXPECT_EQ(told[0].size(), 20u);
  EXPECT_EQ(told[0], told[1]);
}

TEST_F(ExplainTest, Paused) {
  c.AddFramework("f", {"eng"});
  TwoAgents();
  ExpectAll("f", "eng", Obstacle::kPaused);
}

TEST_F(ExplainTest, FrameworkInactive) {
  c.Start();
  c.AddFramework("f", {"eng"}, {}, /*active=*/false);
  TwoAgents();
  ExpectAll("f", "eng", Obstacle::kFrameworkInactive);
}

TEST_F(ExplainTest, SuppressedInOneRole) {
  c.Start();
  c.AddFramework("f", {TestRole("eng", true), "ops"});
  TwoAgents();
  ExpectAll("f", "eng", Obstacle::kSuppressed);
  ExpectAll("f", "ops", Obstacle::kNone);
}

TEST(ExplainCap, NamesTheCapOnOffers) {
  AllocatorConfig config;
  config.outstanding_offers_max = 1;
  AllocatorHarness c(config);
  c.Start();
  c.AddFramework("f", {"eng"});
  c.AddAgent("one", "cpus:1");
  c.AddAgent("two", "cpus:1");
  c.Settle();
  Question question;
  question.client = *c.core.tables().frameworks.FindClient(c.F("f"), c.R("eng"));
  const Explanation answer = Explain(question, c.core.tables());
  EXPECT_EQ(answer.Count(Obstacle::kOfferCap), 2u);
}

TEST_F(ExplainTest, OffersLeftToLie) {
  c.Start();
  c.AddFramework("f", {"eng"});
  c.Step(OffersEnded{.framework = c.F("f"), .offers = 1, .lay = absl::Minutes(1)});
  TwoAgents();
  ExpectAll("f", "eng", Obstacle::kSilence);
}

TEST_F(ExplainTest, DemandMet) {
  c.Start();
  c.AddFramework("f", {"eng"});
  c.Step(DemandStated{c.F("f"), c.R("eng"), Amounts(), Minimum()});
  TwoAgents();
  ExpectAll("f", "eng", Obstacle::kNoDemand);
}

TEST_F(ExplainTest, AgentsThatTakeNoPart) {
  c.Start();
  c.AddFramework("f", {"eng"});
  TwoAgents();
  c.Step(AgentDeactivated{c.A("a1")});
  c.Step(WhitelistSet{std::vector<std::string>{"a1"}});
  const Explanation answer = Ask("f", "eng");
  EXPECT_EQ(answer.Count(Obstacle::kAgentInactive), 1u);
  EXPECT_EQ(answer.Count(Obstacle::kNotWhitelisted), 1u);
}

TEST_F(ExplainTest, Gates) {
  c.Start();
  FrameworkSpec spec = c.Spec({"eng"});
  spec.roles[0].constraints =
      std::make_shared<OfferConstraints>(std::vector<OfferConstraints::Group>{
          {{"rack", OfferConstraints::Predicate::kNotEquals, "r9"}}});
  c.Step(FrameworkAdded{c.F("f"), spec, true});
  c.AddAgent("gpu", "cpus:4;gpus:1");
  c.AddAgent("far", "cpus:4", {.hostname = "far", .remote = true});
  c.AddAgent("r9", "cpus:4", {.hostname = "r9", .attributes = {{"rack", "r9"}}});
  c.AddAgent("free", "cpus:4");
  const Explanation answer = Ask("f", "eng");
  EXPECT_EQ(answer.Count(Obstacle::kGpu), 1u);
  EXPECT_EQ(answer.Count(Obstacle::kRegion), 1u);
  EXPECT_EQ(answer.Count(Obstacle::kConstraint), 1u);
  EXPECT_EQ(answer.Count(Obstacle::kNone), 1u);
  // All have enough; what will be offered comes first.
  ASSERT_EQ(answer.nearest.size(), 4u);
  EXPECT_EQ(answer.nearest[0].agent, c.A("free"));
}

TEST_F(ExplainTest, WhatIsThereIsForOthers) {
  c.Start();
  c.AddFramework("f", {"eng"});
  c.AddAgent("reserved", "cpus(ops):4;mem(ops):64");
  model::Resource revocable = model::Resource::OfScalar("cpus", model::Scalar::FromUnits(4));
  model::ResourceMetadata metadata;
  metadata.revocable = true;
  revocable.set_metadata(metadata);
  model::Resources total;
  total += revocable;
  c.AddAgent("revocable", c.B(total));
  const Explanation answer = Ask("f", "eng");
  EXPECT_EQ(answer.Count(Obstacle::kReservedForOthers), 1u);
  EXPECT_EQ(answer.Count(Obstacle::kCapability), 1u);
  c.UpdateFramework("f", {"eng", "ops"}, {.revocable_resources = true});
  EXPECT_EQ(Ask("f", "eng").Count(Obstacle::kNone), 1u);
  ExpectAll("f", "ops", Obstacle::kNone);
}

TEST_F(ExplainTest, Filtered) {
  c.Start();
  c.AddFramework("f", {"eng"});
  TwoAgents();
  c.Settle();
  for (const auto& offer : c.TakeOffers()) {
    c.Decline(offer, offer.agent == "a1" ? absl::Hours(1) : absl::ZeroDuration());
  }
  const Explanation answer = Ask("f", "eng");
  EXPECT_EQ(answer.Count(Obstacle::kFiltered), 1u);
  EXPECT_EQ(answer.Count(Obstacle::kNone), 1u);
}

TEST_F(ExplainTest, HoardersAreNamedByAgents) {
  c.Start();
  c.AddFramework("hoarder", {"eng"});
  TwoAgents();
  c.AddAgent("a3", "cpus:8");
  c.Settle();
  ASSERT_EQ(c.TakeOffers().size(), 3u);
  c.AddFramework("needy", {"ops"});
  c.AddAgent("small", "cpus:1");
  const Explanation answer = Ask("needy", "ops", "cpus:2");
  EXPECT_EQ(answer.Count(Obstacle::kTooLittleLeft), 3u);
  EXPECT_EQ(answer.Count(Obstacle::kTooSmall), 1u);
  ASSERT_EQ(answer.holders.size(), 1u);
  EXPECT_EQ(c.core.tables().frameworks.client(answer.holders[0].client).framework, c.F("hoarder"));
  EXPECT_EQ(answer.holders[0].agents, 3u);
  EXPECT_EQ(answer.holders[0].held[kCpus], 16'000);
  // Half of what it needs is nearer than nothing.
  ASSERT_EQ(answer.nearest.size(), 4u);
  EXPECT_EQ(answer.nearest[0].agent, c.A("small"));
  EXPECT_EQ(answer.nearest[0].missing,
            (std::vector<std::pair<std::string, int64_t>>{{"cpus", 1000}}));
  EXPECT_EQ(answer.nearest[1].missing,
            (std::vector<std::pair<std::string, int64_t>>{{"cpus", 2000}}));
}

TEST_F(ExplainTest, LimitAndHeadroom) {
  c.Start();
  c.AddFramework("f", {"eng/web"});
  TwoAgents();
  c.SetQuota("eng", "", "cpus:1");
  ExpectAll("f", "eng/web", Obstacle::kNone);  // a part of an agent still can be offered
  EXPECT_EQ(Ask("f", "eng/web", "cpus:2").Count(Obstacle::kOverLimit), 2u);
  const Explanation limited = Ask("f", "eng/web", "cpus:2");
  EXPECT_EQ(limited.nearest[0].available.plain[kCpus], 1000);
  c.Step(QuotaSet{c.R("eng"), Quota()});
  // The cluster has 8 and keeps 7 for others.
  c.SetQuota("ops", "cpus:7");
  EXPECT_EQ(Ask("f", "eng/web", "cpus:2").Count(Obstacle::kHeadroomHeld), 2u);
  EXPECT_EQ(Ask("f", "eng/web", "cpus:1").Count(Obstacle::kNone), 2u);
}

TEST_F(ExplainTest, AGuaranteeOpensWhatHeadroomHolds) {
  c.Start();
  c.AddFramework("f", {"ops"});
  TwoAgents();
  c.SetQuota("ops", "cpus:8;mem:2048");
  ExpectAll("f", "ops", Obstacle::kNone);
}

TEST_F(ExplainTest, MeasuresOfTheFramework) {
  c.Start();
  TestRole role("eng");
  role.minimum = "cpus:6";
  c.AddFramework("f", {role});
  TwoAgents();
  ExpectAll("f", "eng", Obstacle::kTooSmall);
  EXPECT_EQ(Ask("f", "eng").nearest[0].missing,
            (std::vector<std::pair<std::string, int64_t>>{{"cpus", 2000}}));
  // What one offer must hold, as stated with the demand.
  c.AddFramework("g", {"eng"});
  c.Step(DemandStated{c.F("g"), c.R("eng"), std::nullopt, AtLeast("mem:2048")});
  EXPECT_EQ(Ask("g", "eng").nearest[0].missing,
            (std::vector<std::pair<std::string, int64_t>>{{"mem", 1'024'000}}));
}

TEST_F(ExplainTest, RangesCountByElements) {
  c.Start();
  c.AddFramework("f", {"eng"});
  c.AddAgent("a1", "cpus:4;ports:[1-10]");
  EXPECT_EQ(Ask("f", "eng", "ports:10").Count(Obstacle::kNone), 1u);
  const Explanation more = Ask("f", "eng", "ports:12");
  EXPECT_EQ(more.Count(Obstacle::kTooSmall), 1u);
  EXPECT_EQ(more.nearest[0].missing,
            (std::vector<std::pair<std::string, int64_t>>{{"ports", 2000}}));
}

TEST_F(ExplainTest, TheListsAreBounded) {
  c.Start();
  c.AddFramework("f", {"eng"});
  for (int i = 0; i < 30; ++i) c.AddAgent("a" + std::to_string(i), "cpus:" + std::to_string(i + 1));
  Question question{.client = *c.core.tables().frameworks.FindClient(c.F("f"), c.R("eng"))};
  question.needed = AtLeast("cpus:25");
  question.nearest_max = 8;
  const Explanation answer = c.core.Explain(question);
  ASSERT_EQ(answer.nearest.size(), 8u);
  // Those of 25 and more cpus, then 24 and 23.
  for (int i = 0; i < 6; ++i) EXPECT_EQ(answer.nearest[i].obstacle, Obstacle::kNone);
  EXPECT_EQ(answer.nearest[6].agent, c.A("a23"));
  EXPECT_EQ(answer.nearest[7].agent, c.A("a22"));
  question.nearest_max = 0;
  EXPECT_TRUE(c.core.Explain(question).nearest.empty());
}

}  // namespace
}  // namespace tessera::allocator
