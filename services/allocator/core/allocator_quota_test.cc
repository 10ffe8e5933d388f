// Guarantees and limits in single runs, beyond the golden numbers.
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "services/allocator/core/testing/allocator_harness.h"

namespace tessera::allocator {
namespace {

using Lines = std::vector<std::string>;

model::Resource MountDisk(const char* root, int64_t mib) {
  model::Resource disk = model::Resource::OfScalar("disk", model::Scalar::FromUnits(mib));
  model::ResourceMetadata metadata;
  metadata.disk.emplace();
  metadata.disk->source.emplace();
  metadata.disk->source->type = model::DiskSourceType::kMount;
  metadata.disk->source->root = root;
  disk.set_metadata(metadata);
  return disk;
}

TEST(AllocatorQuota, MountDiskLargerThanWhatIsMissingIsLeftOut) {
  AllocatorHarness c;
  c.SetQuota("q", "cpus:1;disk:50", "cpus:1;disk:50");
  c.AddFramework("f", {"q"});
  Bag total = c.B("cpus:1");
  AddTo(&total, c.B(model::Resources({MountDisk("/large", 100), MountDisk("/small", 30)})),
        c.words);
  c.AddAgent("agent", total);
  c.Start();
  c.Settle();
  const auto offers = c.TakeOffers();
  ASSERT_EQ(offers.size(), 1u);
  EXPECT_TRUE(Contains(offers[0].bag, c.B(model::Resources({MountDisk("/small", 30)})), c.words));
  EXPECT_EQ(offers[0].bag.Quantity()[kDisk], 30'000);
}

TEST(AllocatorQuota, GuaranteeOfCpusTakesTheRestOfTheAgentAlong) {
  AllocatorHarness c;
  c.SetQuota("q", "cpus:2");
  c.SetQuota("other", "mem:100");  // nobody subscribes: held back
  c.AddFramework("f", {"q"}, {.gpu_resources = true});
  c.AddAgent("agent", "cpus:2;mem:300;disk:10;gpus:1;ports:[1-4]");
  c.Start();
  c.Settle();
  EXPECT_EQ(c.Told(), Lines({"f q agent cpus:2; disk:10; gpus:1; mem:200; ports:[1-4]"}));
}

TEST(AllocatorQuota, GuaranteesBeyondTheClusterLeaveNobodyElseUnreservedScalars) {
  AllocatorHarness c;
  c.SetQuota("q", "cpus:3;mem:64");
  c.SetQuota("s", "cpus:3;mem:64");
  c.AddFramework("f", {"other"});
  c.AddAgent("agent", "cpus:4;mem:64");
  c.Start();
  for (int i = 0; i < 3; ++i) c.NextFullRun();
  EXPECT_TRUE(c.Told().empty());
}

TEST(AllocatorQuota, ReservationsOfSubrolesAreChargedToTheRoleAbove) {
  AllocatorHarness c;
  c.SetQuota("a", "", "cpus:3");
  c.AddFramework("f", {"a"});
  c.AddAgent("agent", "cpus:4;cpus(a/b):2");
  c.Start();
  c.Settle();
  // Two of the three are reserved already.
  EXPECT_EQ(c.Told(), Lines({"f a agent cpus:1"}));
}

TEST(AllocatorQuota, NonScalarReservationsAreNoQuantities) {
  AllocatorHarness c;
  c.SetQuota("a", "cpus:1", "cpus:1");
  c.AddFramework("f", {"a"});
  c.AddAgent("agent", "cpus:4;ports(a):[1-9]");
  c.Start();
  c.Settle();
  EXPECT_EQ(c.Told(), Lines({"f a agent cpus:1; ports(a):[1-9]"}));
  EXPECT_EQ(c.core.tables().quotas.Consumed(c.R("a")), c.B("cpus:1").plain);
}

TEST(AllocatorQuota, RaisedLimitCountsInTheNextRun) {
  AllocatorHarness c;
  c.SetQuota("a", "", "cpus:1");
  c.AddFramework("f", {"a"});
  c.AddAgent("agent", "cpus:4");
  c.Start();
  c.Settle();
  EXPECT_EQ(c.Told(), Lines({"f a agent cpus:1"}));
  c.SetQuota("a", "", "cpus:3");
  c.NextFullRun();
  EXPECT_EQ(c.Told(), Lines({"f a agent cpus:2"}));
  // Lowered beneath what is held: nothing more, and nothing is taken away.
  c.SetQuota("a", "", "cpus:2");
  c.Recover("f", "a", "agent", c.B("cpus:0.5"));
  c.NextFullRun();
  EXPECT_TRUE(c.Told().empty());
}

// What a guarantee is served from must be there to be had.
TEST(AllocatorQuota, HeadroomIsOnAgentsThatTakePartInOffers) {
  AllocatorHarness c;
  c.SetQuota("q", "cpus:4");  // nobody subscribes yet
  c.AddAgent("drained", "cpus:4");
  c.AddAgent("usable", "cpus:4");
  c.Step(AgentDeactivated{c.A("drained")});
  c.AddFramework("n", {"other"});
  c.Start();
  c.NextFullRun();
  EXPECT_TRUE(c.Told().empty()) << "the usable agent is all that the guarantee has";
  c.Step(WhitelistSet{{{"usable", "drained"}}});
  c.Step(AgentActivated{c.A("drained")});
  c.Settle();
  EXPECT_EQ(c.TakeOffers().size(), 1u);
  c.Step(WhitelistSet{{{"drained"}}});
  c.AddAgent("third", "cpus:4");
  c.NextFullRun();
  EXPECT_TRUE(c.Told().empty()) << "agents that are not whitelisted do not count";
  c.Step(WhitelistSet{});
  c.NextFullRun();
  EXPECT_EQ(c.TakeOffers().size(), 1u);
}

}  // namespace
}  // namespace tessera::allocator
