// What keeps single frameworks from holding what they do not use: the cap on outstanding offers,
// the consequences of silence, refusals that lengthen, ranges and sets in proportion.
#include <set>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "services/allocator/core/testing/allocator_harness.h"

namespace tessera::allocator {
namespace {

using Lines = std::vector<std::string>;

AllocatorConfig WithCap(uint32_t cap) {
  AllocatorConfig config;
  config.outstanding_offers_max = cap;
  return config;
}

// ---- The cap.

TEST(AllocatorHoarding, NoMoreOffersThanTheCapEvenInOneRun) {
  AllocatorHarness c(WithCap(3));
  c.AddFramework("f", {"r", "s"});
  for (int i = 0; i < 10; ++i) c.AddAgent("agent" + std::to_string(i), "cpus:1");
  c.Start();
  for (int i = 0; i < 3; ++i) c.NextFullRun();
  EXPECT_EQ(c.TakeOffers().size(), 3u);
  // Others are offered the rest.
  c.AddFramework("g", {"r"});
  c.Settle();
  const auto offers = c.TakeOffers();
  ASSERT_EQ(offers.size(), 3u);
  for (const auto& offer : offers) EXPECT_EQ(offer.framework, "g");
}

TEST(AllocatorHoarding, AnsweredOffersMakeRoomForOthersAtOnce) {
  AllocatorHarness c(WithCap(2));
  c.AddFramework("f", {"r"});
  for (int i = 0; i < 10; ++i) c.AddAgent("agent" + std::to_string(i), "cpus:1");
  c.Start();
  c.Settle();
  EXPECT_EQ(c.TakeOffers().size(), 2u);
  // It accepts one; then both.
  c.Step(OffersEnded{c.F("f"), 1, 1});
  c.Settle();
  EXPECT_EQ(c.TakeOffers().size(), 1u);
  c.Step(OffersEnded{c.F("f"), 2, 2});
  c.Settle();
  EXPECT_EQ(c.TakeOffers().size(), 2u);
  EXPECT_TRUE(c.refusals.empty());
}

TEST(AllocatorHoarding, OffersOfTheSnapshotCount) {
  AllocatorHarness c(WithCap(2));
  c.Step(FrameworkAdded{c.F("f"), c.Spec({"r"}), true, /*outstanding_offers=*/2});
  c.AddAgent("agent", "cpus:1");
  c.Start();
  c.NextFullRun();
  EXPECT_TRUE(c.Told().empty());
  c.Step(OffersEnded{c.F("f"), 1, 0});
  c.Settle();
  EXPECT_EQ(c.Told().size(), 1u);
}

TEST(AllocatorHoarding, OffersOfAFrameworkThatIsGoneAreLetPass) {
  AllocatorHarness c(WithCap(2));
  c.AddFramework("f", {"r"});
  c.Step(FrameworkRemoved{c.F("f")});
  c.Step(OffersEnded{c.F("f"), 5, 0});
  EXPECT_TRUE(c.refusals.empty());
}

// ---- Silence.

TEST(AllocatorHoarding, WhoLetsOffersLieIsNotAskedForAsLong) {
  AllocatorConfig config;
  config.silence_growth_max = absl::Minutes(2);
  AllocatorHarness c(config);
  c.AddFramework("f", {"r"});
  c.AddAgent("one", "cpus:1");
  c.AddAgent("two", "cpus:1");
  c.Start();
  // Its offers run out of time after half a minute, each time. Nothing is refused: what follows is
  // the silence's doing.
  for (const int64_t quiet : {30, 60, 120, 120}) {
    c.Settle();
    const auto offers = c.TakeOffers();
    ASSERT_EQ(offers.size(), 2u) << quiet;
    c.Advance(absl::Seconds(30));
    for (const auto& offer : offers) {
      c.Step(OffersEnded{.framework = c.F("f"), .offers = 1, .lay = absl::Seconds(30)});
      c.GiveBack(offer);
    }
    c.Advance(absl::Seconds(quiet - 1));
    EXPECT_TRUE(c.Told().empty()) << quiet;
    c.Advance(absl::Milliseconds(1000));
  }
  EXPECT_EQ(c.core.counters().silences, 4u);
}

TEST(AllocatorHoarding, AnAnswerOrARevivalEndsTheConsequencesOfSilence) {
  AllocatorHarness c;
  c.AddFramework("f", {"r"});
  c.AddAgent("agent", "cpus:1");
  c.Start();
  const auto lie = [&](absl::Duration how_long) {
    const auto offers = c.TakeOffers();
    ASSERT_EQ(offers.size(), 1u);
    c.Advance(how_long);
    c.Step(OffersEnded{.framework = c.F("f"), .offers = 1, .lay = how_long});
    c.GiveBack(offers[0]);
  };
  c.Settle();
  lie(absl::Seconds(30));
  c.Step(Revived{c.F("f"), {}});
  c.Settle();
  // A prompt answer is no silence.
  lie(absl::Seconds(4));
  c.Settle();
  lie(absl::Seconds(30));
  c.Advance(absl::Seconds(29));
  EXPECT_TRUE(c.Told().empty());
  c.Advance(absl::Seconds(2));
  const auto offers = c.TakeOffers();
  ASSERT_EQ(offers.size(), 1u);
  // Whoever accepts may think as long as it likes.
  c.Advance(absl::Seconds(30));
  c.Step(OffersEnded{.framework = c.F("f"), .offers = 1, .accepted = 1, .lay = absl::Seconds(30)});
  c.GiveBack(offers[0]);
  c.Settle();
  EXPECT_EQ(c.Told().size(), 1u);
}

TEST(AllocatorHoarding, SilenceCanBeWithoutConsequence) {
  AllocatorConfig config;
  config.silence_growth_max = absl::ZeroDuration();
  AllocatorHarness c(config);
  c.AddFramework("f", {"r"});
  c.AddAgent("agent", "cpus:1");
  c.Start();
  c.Settle();
  const auto offers = c.TakeOffers();
  c.Advance(absl::Minutes(2));
  c.Step(OffersEnded{.framework = c.F("f"), .offers = 1, .lay = absl::Minutes(2)});
  c.GiveBack(offers[0]);
  c.Settle();
  EXPECT_EQ(c.Told().size(), 1u);
}

TEST(AllocatorHoarding, WhatTheMasterTookBackIsNoSilence) {
  AllocatorHarness c;
  c.AddFramework("f", {"r"});
  c.AddAgent("agent", "cpus:1");
  c.Start();
  c.Settle();
  const auto offers = c.TakeOffers();
  ASSERT_EQ(offers.size(), 1u);
  c.Advance(absl::Seconds(100));
  c.Step(
      OffersEnded{.framework = c.F("f"), .offers = 1, .withdrawn = 1, .lay = absl::Seconds(100)});
  c.GiveBack(offers[0]);
  c.Settle();
  EXPECT_EQ(c.Told().size(), 1u);
  EXPECT_EQ(c.core.counters().silences, 0u);
}

// Each offer is judged by how long it lay itself.
TEST(AllocatorHoarding, AnsweringOneOfferDoesNotExcuseTheOthers) {
  AllocatorHarness c;
  c.AddFramework("f", {"r"});
  for (int i = 0; i < 3; ++i) c.AddAgent("agent" + std::to_string(i), "cpus:1");
  c.Start();
  c.Settle();
  const auto offers = c.TakeOffers();
  ASSERT_EQ(offers.size(), 3u);
  for (size_t i = 0; i < offers.size(); ++i) {
    c.Advance(absl::Seconds(4));
    c.Step(OffersEnded{.framework = c.F("f"),
                       .offers = 1,
                       .lay = absl::Seconds(4 * (static_cast<int64_t>(i) + 1))});
    c.Decline(offers[i], absl::Hours(1));
  }
  EXPECT_EQ(c.core.counters().silences, 1u);
  EXPECT_EQ(c.core.tables().frameworks.Find(c.F("f"))->silences_total, 1u);
  c.AddAgent("another", "cpus:1");
  c.Settle();
  EXPECT_TRUE(c.Told().empty());
}

// ---- Runs on demand.

TEST(AllocatorHoarding, WhoAsksForRunsTooOftenWaitsForThePeriodicOne) {
  AllocatorConfig config;
  config.runs_on_demand_max = 3;
  AllocatorHarness c(config);
  c.AddFramework("f", {"r"});
  c.AddFramework("g", {"r"});
  c.Step(Suppressed{c.F("g"), {}});
  c.AddAgent("agent", "cpus:1");
  c.Start();
  c.Settle();
  const auto offers = c.TakeOffers();
  ASSERT_EQ(offers.size(), 1u);
  c.Decline(offers[0], absl::Hours(1));
  c.Settle();
  const uint64_t before = c.core.counters().full_runs;
  for (int i = 0; i < 10; ++i) {
    c.Step(Revived{c.F("f"), {}});
    EXPECT_EQ(c.core.tables().filters.size(), 0u) << "what it wants holds all the same";
    c.Settle();
    for (const auto& offer : c.TakeOffers()) c.Decline(offer, absl::Hours(1));
  }
  EXPECT_EQ(c.core.counters().full_runs - before, 3u);
  EXPECT_EQ(c.core.counters().runs_not_made_on_demand, 7u);
  // Others are not held up.
  c.Step(Unsuppressed{c.F("g"), {}});
  c.Settle();
  EXPECT_EQ(c.TakeOffers().size(), 1u);
  c.Step(OffersEnded{.framework = c.F("g"), .offers = 1});
  c.AddAgent("second", "cpus:1");
  c.NextFullRun();
  EXPECT_EQ(c.TakeOffers().size(), 1u);
  c.Advance(absl::Seconds(3));
  const int later = c.runs;
  c.Step(Revived{c.F("f"), {}});
  c.Settle();
  EXPECT_EQ(c.runs, later + 1) << "with time it may ask again";
}

// ---- Refusals that lengthen.

// When the framework is offered the agent again, in seconds, if it always refuses for a second.
std::vector<int64_t> OfferedAt(AllocatorHarness* c, int64_t seconds) {
  std::vector<int64_t> at;
  const absl::Time begin = c->now;
  while (c->now < begin + absl::Seconds(seconds)) {
    c->Advance(absl::Milliseconds(500));
    for (const auto& offer : c->TakeOffers()) {
      at.push_back(absl::ToInt64Seconds(c->now - begin));
      c->Decline(offer, absl::Seconds(1));
    }
  }
  return at;
}

TEST(AllocatorHoarding, RefusalsOfTheSameLengthenUpToTheBound) {
  AllocatorConfig config;
  config.refuse_growth_max = absl::Seconds(8);
  AllocatorHarness c(config);
  c.AddFramework("f", {"r"});
  c.AddAgent("agent", "cpus:2");
  c.Start();
  const std::vector<int64_t> at = OfferedAt(&c, 60);
  // 1, 2, 4, 8, 8, ... seconds, each with the wait for the filter's end.
  ASSERT_GE(at.size(), 6u);
  EXPECT_LE(at[1] - at[0], 2);
  EXPECT_GE(at[2] - at[1], 2);
  EXPECT_GE(at[3] - at[2], 4);
  for (size_t i = 4; i < at.size(); ++i) {
    EXPECT_GE(at[i] - at[i - 1], 8);
    EXPECT_LE(at[i] - at[i - 1], 10);
  }
  EXPECT_EQ(c.core.counters().refusals_lengthened, at.size() - 1);
  EXPECT_EQ(c.core.tables().frameworks.Find(c.F("f"))->refusals_lengthened, at.size() - 1);
}

TEST(AllocatorHoarding, LengtheningCanBeSwitchedOff) {
  AllocatorConfig config;
  config.refuse_growth_max = absl::ZeroDuration();
  AllocatorHarness c(config);
  c.AddFramework("f", {"r"});
  c.AddAgent("agent", "cpus:2");
  c.Start();
  EXPECT_GE(OfferedAt(&c, 60).size(), 29u);
  EXPECT_EQ(c.core.counters().refusals_lengthened, 0u);
}

TEST(AllocatorHoarding, LongRefusalsAreNotCut) {
  AllocatorHarness c;
  c.AddFramework("f", {"r"});
  c.AddAgent("agent", "cpus:2");
  c.Start();
  c.Settle();
  c.Decline(c.TakeOffers()[0], absl::Hours(2));
  c.Advance(absl::Minutes(119));
  EXPECT_TRUE(c.Told().empty());
  c.Advance(absl::Minutes(2));
  EXPECT_EQ(c.Told().size(), 1u);
}

struct NewWish {
  const char* name;
  Event (*event)(AllocatorHarness& c);
};
class RefusalHistoryEnds : public testing::TestWithParam<NewWish> {};

TEST_P(RefusalHistoryEnds, WhenTheFrameworkWantsSomethingElse) {
  AllocatorConfig config;
  config.refuse_growth_max = absl::Seconds(64);
  AllocatorHarness c(config);
  c.AddFramework("f", {"r"});
  c.AddAgent("agent", "cpus:2");
  c.Start();
  OfferedAt(&c, 20);
  c.Step(GetParam().event(c));
  c.Advance(absl::Minutes(1));
  // Refused for a second, as at first.
  const auto offers = c.TakeOffers();
  ASSERT_EQ(offers.size(), 1u);
  c.Decline(offers[0], absl::Seconds(1));
  c.Advance(absl::Milliseconds(2100));
  EXPECT_EQ(c.Told().size(), 1u);
}
INSTANTIATE_TEST_SUITE_P(
    AllocatorHoarding, RefusalHistoryEnds,
    testing::Values(NewWish{"Revived",
                            [](AllocatorHarness& c) -> Event {
                              return Revived{c.F("f"), {}};
                            }},
                    NewWish{"FiltersCleared",
                            [](AllocatorHarness& c) -> Event {
                              return FiltersCleared{c.F("f"), {}};
                            }},
                    NewWish{"DemandStated",
                            [](AllocatorHarness& c) -> Event {
                              return DemandStated{c.F("f"), c.R("r"), std::nullopt, Minimum()};
                            }},
                    NewWish{"Accepted",
                            [](AllocatorHarness& c) -> Event {
                              return OffersEnded{c.F("f"), 1, 1};
                            }}),
    [](const testing::TestParamInfo<NewWish>& info) { return info.param.name; });

TEST(AllocatorHoarding, OtherResourcesAreRefusedForTheFirstTime) {
  AllocatorConfig config;
  config.refuse_growth_max = absl::Seconds(64);
  AllocatorHarness c(config);
  c.AddFramework("f", {"r"});
  c.AddAgent("agent", "cpus:2");
  c.Start();
  OfferedAt(&c, 20);
  c.Step(AgentUpdated{c.A("agent"), {.hostname = "agent"}, c.B("cpus:3")});
  c.Settle();
  const auto offers = c.TakeOffers();
  ASSERT_EQ(offers.size(), 1u);
  c.Decline(offers[0], absl::Seconds(1));
  c.Advance(absl::Milliseconds(2100));
  EXPECT_EQ(c.Told().size(), 1u);
}

// ---- Ranges and sets.

TEST(AllocatorHoarding, PortsGoInProportionToCpusAndMemory) {
  AllocatorHarness c;
  c.SetQuota("q", "cpus:10;mem:10240", "cpus:10;mem:10240");
  c.AddFramework("fq", {"q"});
  c.AddFramework("fn", {"n"});
  c.AddAgent("agent", "cpus:15;mem:20480;ports:[1-5,11-15];zones:{a,b,c}");
  c.Start();
  c.Settle();
  // Two thirds of the cpus: 7 of 10 ports, 2 of 3 zones.
  EXPECT_EQ(c.Told(), Lines({"fq q agent cpus:10; mem:10240; ports:[1-5, 11-12]; zones:{a, b}",
                             "fn n agent cpus:5; mem:10240; ports:[13-15]; zones:{c}"}));
}

TEST(AllocatorHoarding, ASliverOfCpuTakesASliverOfPorts) {
  AllocatorHarness c;
  c.SetQuota("small", "", "cpus:0.1;mem:1");
  c.AddFramework("f", {"small"});
  c.AddAgent("agent", "cpus:10;mem:1000;ports:[1-1000];ports(small):[2000-2009]");
  c.Start();
  c.Settle();
  EXPECT_EQ(c.Told(), Lines({"f small agent cpus:0.1; mem:1; ports:[1-10]; "
                             "ports(small):[2000-2009]"}));
  c.AddFramework("g", {"other"});
  c.Settle();
  EXPECT_EQ(c.Told(), Lines({"g other agent cpus:9.9; mem:999; ports:[11-1000]"}));
}

TEST(AllocatorHoarding, PortsOfAnAgentWithNothingElseGoWhole) {
  AllocatorHarness c;
  c.AddFramework("f", {"r"});
  c.AddAgent("agent", "ports:[1-10]");
  c.Start();
  c.Settle();
  EXPECT_EQ(c.Told(), Lines({"f r agent ports:[1-10]"}));
}

TEST(AllocatorHoarding, PortsComeBackWhole) {
  AllocatorHarness c;
  c.SetQuota("q", "", "cpus:1");
  c.AddFramework("f", {"q"});
  c.AddAgent("agent", "cpus:3;ports:[1-9]");
  c.Start();
  c.Settle();
  const auto offers = c.TakeOffers();
  ASSERT_EQ(offers.size(), 1u);
  EXPECT_EQ(offers[0].text, "cpus:1; ports:[1-3]");
  c.GiveBack(offers[0]);
  EXPECT_TRUE(
      Equal(c.core.tables().agents.at(c.A("agent")).free, c.B("cpus:3;ports:[1-9]"), c.words));
}

}  // namespace
}  // namespace tessera::allocator
