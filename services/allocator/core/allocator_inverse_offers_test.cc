// Inverse offers: who is asked to leave an agent, and how often.
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "services/allocator/core/testing/allocator_harness.h"

namespace tessera::allocator {
namespace {

using Lines = std::vector<std::string>;

class AllocatorInverseOffers : public testing::Test {
 protected:
  // f and g hold something on `agent`, h nothing.
  AllocatorInverseOffers() {
    for (const char* id : {"f", "g", "h"}) c.AddFramework(id, {"r"});
    c.Step(AgentAdded{c.A("agent"),
                      {.hostname = "agent", .attributes = {{"rack", "1"}}},
                      c.B("cpus:2"),
                      {{c.F("f"), c.R("r"), c.B("cpus:1")}, {c.F("g"), c.R("r"), c.B("cpus:1")}},
                      true});
    c.Start();
    c.NextFullRun();
    EXPECT_TRUE(c.Asked().empty());
  }
  void Unavailable(bool unavailable = true) {
    c.Step(UnavailabilitySet{c.A("agent"), unavailable});
    c.Settle();
  }
  void Answer(const char* framework, absl::Duration quiet) {
    c.Step(InverseOfferAnswered{c.F(framework), c.A("agent"), quiet});
  }

  AllocatorHarness c;
};

TEST_F(AllocatorInverseOffers, EveryFrameworkOnTheAgentIsAskedOnce) {
  Unavailable();
  EXPECT_EQ(c.Asked(), Lines({"f agent", "g agent"}));
  for (int i = 0; i < 3; ++i) c.NextFullRun();
  EXPECT_TRUE(c.Asked().empty());
}

TEST_F(AllocatorInverseOffers, AnAnswerWithoutAFilterIsFollowedByTheNextQuestion) {
  Unavailable();
  c.Asked();
  Answer("f", absl::ZeroDuration());
  c.NextFullRun();
  EXPECT_EQ(c.Asked(), Lines({"f agent"}));
}

TEST_F(AllocatorInverseOffers, FiltersAreJudgedByTheClock) {
  Unavailable();
  c.Asked();
  Answer("f", absl::Seconds(5));
  c.Advance(absl::Milliseconds(4500));
  EXPECT_TRUE(c.Asked().empty());
  c.Advance(absl::Milliseconds(2000));
  EXPECT_EQ(c.Asked(), Lines({"f agent"}));
}

TEST_F(AllocatorInverseOffers, OneThatRanOutOfTimeIsSentAgain) {
  Unavailable();
  c.Asked();
  c.Step(InverseOfferEnded{c.F("g"), c.A("agent")});
  c.NextFullRun();
  EXPECT_EQ(c.Asked(), Lines({"g agent"}));
}

TEST_F(AllocatorInverseOffers, ANewUnavailabilityWipesWhatWasAnswered) {
  Unavailable();
  c.Asked();
  Answer("f", absl::Hours(1));
  Unavailable();
  EXPECT_EQ(c.Asked(), Lines({"f agent", "g agent"}));
  Unavailable(false);
  c.NextFullRun();
  EXPECT_TRUE(c.Asked().empty());
}

TEST_F(AllocatorInverseOffers, AFrameworkThatWasAwayIsAskedAnew) {
  c.Step(FrameworkDeactivated{c.F("f")});
  Unavailable();
  EXPECT_EQ(c.Asked(), Lines({"g agent"}));
  c.Step(FrameworkActivated{c.F("f")});
  c.Settle();
  EXPECT_EQ(c.Asked(), Lines({"f agent"}));
  // What is outstanding when it goes is lost with it.
  c.Step(FrameworkDeactivated{c.F("f")});
  c.Step(FrameworkActivated{c.F("f")});
  c.Settle();
  EXPECT_EQ(c.Asked(), Lines({"f agent"}));
}

TEST_F(AllocatorInverseOffers, TheWhitelistDoesNotMatter) {
  c.Step(WhitelistSet{std::vector<std::string>{}});
  Unavailable();
  EXPECT_EQ(c.Asked(), Lines({"f agent", "g agent"}));
}

TEST_F(AllocatorInverseOffers, AnInactiveAgentIsAskedForWhenItIsBack) {
  c.Step(AgentDeactivated{c.A("agent")});
  Unavailable();
  c.NextFullRun();
  EXPECT_TRUE(c.Asked().empty());
  c.Step(AgentActivated{c.A("agent")});
  c.Settle();
  EXPECT_EQ(c.Asked(), Lines({"f agent", "g agent"}));
}

TEST_F(AllocatorInverseOffers, AttributesDropTheFilters) {
  Unavailable();
  c.Asked();
  Answer("f", absl::Hours(1));
  c.Step(AgentUpdated{
      c.A("agent"), {.hostname = "agent", .attributes = {{"rack", "2"}}}, c.B("cpus:2")});
  c.Settle();
  EXPECT_EQ(c.Asked(), Lines({"f agent"}));
}

TEST_F(AllocatorInverseOffers, AnAgentMayArriveToBeUnavailable) {
  c.Step(AgentAdded{c.A("other"),
                    {.hostname = "other"},
                    c.B("cpus:1"),
                    {{c.F("h"), c.R("r"), c.B("cpus:1")}},
                    true,
                    /*unavailable=*/true});
  c.Settle();
  EXPECT_EQ(c.Asked(), Lines({"h other"}));
  c.Step(AgentRemoved{c.A("other")});
  c.NextFullRun();
  EXPECT_TRUE(c.Asked().empty());
  // Answers that come too late.
  Answer("h", absl::ZeroDuration());
  c.Step(InverseOfferAnswered{c.F("h"), c.A("other"), absl::ZeroDuration()});
  EXPECT_TRUE(c.refusals.empty());
}

TEST_F(AllocatorInverseOffers, NobodyIsAskedWhilePaused) {
  AllocatorHarness paused;
  paused.SetQuota("q", "cpus:1");
  paused.AddFramework("f", {"r"});
  paused.Step(RecoveryExpected{5, absl::Minutes(10)});
  paused.Step(AgentAdded{paused.A("agent"),
                         {.hostname = "agent"},
                         paused.B("cpus:1"),
                         {{paused.F("f"), paused.R("r"), paused.B("cpus:1")}},
                         true,
                         /*unavailable=*/true});
  paused.Start();
  paused.Advance(absl::Minutes(9));
  EXPECT_TRUE(paused.Asked().empty());
  paused.Advance(absl::Minutes(2));
  EXPECT_EQ(paused.Asked(), Lines({"f agent"}));
}

}  // namespace
}  // namespace tessera::allocator
