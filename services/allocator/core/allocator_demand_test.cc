// Stated demand.
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "services/allocator/core/testing/allocator_harness.h"

namespace tessera::allocator {
namespace {

using Lines = std::vector<std::string>;
constexpr absl::Duration kRefuse = absl::Seconds(5);

TEST(AllocatorDemand, StatedDemandIsNotExceededByMoreThanAnAgent) {
  AllocatorHarness c;
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

TEST(AllocatorDemand, NoDemandMeansNoOffersAndLeavesThemToOthers) {
  AllocatorHarness c;
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

TEST(AllocatorDemand, TooLittleForTheSmallestTaskIsNotOffered) {
  AllocatorHarness c;
  c.AddFramework("f", {"r"});
  const Minimum smallest(model::MinAllocatable::Parse("cpus:2;mem:64")->alternatives());
  c.Step(DemandStated{c.F("f"), c.R("r"), std::nullopt, smallest});
  c.AddAgent("small", "cpus:4;mem:63");
  c.AddAgent("large", "cpus:2;mem:64");
  c.Start();
  c.NextFullRun();
  EXPECT_EQ(c.Told(), Lines({"f r large cpus:2; mem:64"}));
}

TEST(AllocatorDemand, ARestatementNamesWhatIsLeft) {
  AllocatorHarness c;
  c.AddFramework("f", {"r"});
  c.Step(DemandStated{c.F("f"), c.R("r"), c.B("cpus:4").plain, Minimum(), c.B("cpus:1").plain});
  for (int i = 0; i < 4; ++i) c.AddAgent("agent" + std::to_string(i), "cpus:1");
  c.Start();
  c.NextFullRun();
  const auto offers = c.TakeOffers();
  ASSERT_EQ(offers.size(), 1u);
  // What comes back is wanted, up to what was stated.
  c.Decline(offers[0], kRefuse);
  c.NextFullRun();
  EXPECT_EQ(c.TakeOffers().size(), 1u);
  EXPECT_TRUE(c.refusals.empty());
}

}  // namespace
}  // namespace tessera::allocator
