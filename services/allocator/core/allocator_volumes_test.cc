// Volumes and other resources with an identity: shared, persistent, revocable; and names of scalars
// beyond the bound.
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "services/allocator/core/testing/allocator_harness.h"

namespace tessera::allocator {
namespace {

using Lines = std::vector<std::string>;
constexpr FrameworkCapabilities kShares = {.shared_resources = true};

model::Resource Volume(const char* id, int64_t mib, const char* role, bool shared,
                       int64_t copies = 1) {
  model::Resource volume = model::Resource::OfScalar("disk", model::Scalar::FromUnits(mib));
  model::ResourceMetadata metadata;
  metadata.reservations = {{model::ReservationType::kDynamic, role, {}, {}}};
  metadata.disk.emplace();
  metadata.disk->persistence.emplace();
  metadata.disk->persistence->id = id;
  metadata.shared = shared;
  volume.set_metadata(metadata);
  volume.set_copies(copies);
  return volume;
}

class AllocatorVolumes : public testing::Test {
 protected:
  Bag Shared(int64_t copies = 1) {
    return c.B(model::Resources({Volume("v", 10, "a", /*shared=*/true, copies)}));
  }
  Bag With(const std::string& plain, const Bag& more) {
    Bag bag = c.B(plain);
    AddTo(&bag, more, c.words);
    return bag;
  }
  size_t OffersOfTheVolume() {
    size_t count = 0;
    for (const auto& offer : c.TakeOffers()) {
      count += offer.bag.extras != nullptr && offer.bag.extras->any_shared();
    }
    return count;
  }
  int64_t ShareOf(const std::string& role) {
    return static_cast<int64_t>(c.core.tables().roles.sorter().DominantShare(Index(c.R(role))));
  }

  AllocatorHarness c;
};

TEST_F(AllocatorVolumes, SharedVolumeGoesToOneFrameworkInEachRun) {
  c.AddFramework("f", {"a"}, kShares);
  c.AddFramework("g", {"a/x"}, kShares);
  c.AddAgent("agent", With("cpus:2;cpus(a/x):2", Shared()));
  c.Start();
  c.Settle();
  // Both are offered something of the agent, one of them the volume with it.
  const auto offers = c.TakeOffers();
  ASSERT_EQ(offers.size(), 2u);
  EXPECT_NE(offers[0].bag.extras != nullptr && offers[0].bag.extras->any_shared(),
            offers[1].bag.extras != nullptr && offers[1].bag.extras->any_shared());
}

TEST_F(AllocatorVolumes, SharedVolumeGoesOnceInBothStagesOfARun) {
  c.SetQuota("a/x", "cpus:1", "cpus:1");
  c.AddFramework("guaranteed", {"a/x"}, kShares);
  c.AddFramework("other", {"a"}, kShares);
  c.AddAgent("agent", With("cpus:3", Shared()));
  c.Start();
  c.Settle();
  const auto offers = c.TakeOffers();
  ASSERT_EQ(offers.size(), 2u);
  EXPECT_EQ(offers[0].framework, "guaranteed");
  EXPECT_TRUE(offers[0].bag.extras != nullptr && offers[0].bag.extras->any_shared());
  EXPECT_TRUE(offers[1].bag.extras == nullptr || !offers[1].bag.extras->any_shared());
}

TEST_F(AllocatorVolumes, SharedVolumeIsOfferedWhileItIsInUse) {
  c.AddFramework("f", {"a"}, kShares);
  c.AddAgent("agent", With("cpus:3", Shared()));
  c.Start();
  for (int i = 1; i <= 3; ++i) {
    c.Settle();
    const auto offers = c.TakeOffers();
    ASSERT_EQ(offers.size(), 1u);
    EXPECT_EQ(CopiesOf(offers[0].bag.extras->items().back().kind, offers[0].bag), 1);
    // It keeps the volume and a cpu, and gives the other cpus back.
    c.Recover("f", "a", "agent", c.B("cpus:" + std::to_string(3 - i)));
    EXPECT_EQ(c.core.tables().held[kDisk], 10'000);
  }
  EXPECT_TRUE(c.refusals.empty());
}

TEST_F(AllocatorVolumes, SharedVolumeNeverGoesAlone) {
  c.AddFramework("f", {"a"}, kShares);
  c.AddAgent("agent", With("cpus:1", Shared()));
  c.Start();
  c.Settle();
  EXPECT_EQ(OffersOfTheVolume(), 1u);
  for (int i = 0; i < 5; ++i) c.NextFullRun();
  EXPECT_TRUE(c.Told().empty());
}

TEST_F(AllocatorVolumes, SharedVolumeNeedsTheCapability) {
  c.AddFramework("f", {"a"});
  c.AddAgent("agent", With("cpus:1", Shared()));
  c.Start();
  c.Settle();
  EXPECT_EQ(c.Told(), Lines({"f a agent cpus:1"}));
}

TEST_F(AllocatorVolumes, SharedVolumeCountsOnceForEachNodeOfTheTree) {
  c.AddFramework("fa", {{"a", /*is_suppressed=*/true}}, kShares);
  c.AddFramework("fx", {"a/x"}, kShares);
  c.AddFramework("gx", {"a/x"}, kShares);
  c.AddFramework("fy", {"a/y"}, kShares);
  c.Step(AgentAdded{c.A("agent"),
                    {.hostname = "agent"},
                    With("cpus:1;disk:90", Shared()),
                    {{c.F("fx"), c.R("a/x"), Shared(2)},
                     {c.F("gx"), c.R("a/x"), Shared()},
                     {c.F("fy"), c.R("a/y"), Shared()}},
                    true});
  constexpr int64_t kTenth = 100'000'000;
  EXPECT_EQ(ShareOf("a/x"), kTenth);
  EXPECT_EQ(ShareOf("a/y"), kTenth);
  EXPECT_EQ(ShareOf("a"), kTenth);
  EXPECT_EQ(c.core.tables().held[kDisk], 10'000);
  c.Recover("fx", "a/x", "agent", Shared());
  c.Recover("fx", "a/x", "agent", Shared());
  EXPECT_EQ(ShareOf("a/x"), kTenth);
  c.Recover("gx", "a/x", "agent", Shared());
  EXPECT_EQ(ShareOf("a/x"), 0);
  EXPECT_EQ(ShareOf("a"), kTenth);
  c.Recover("fy", "a/y", "agent", Shared());
  EXPECT_EQ(ShareOf("a"), 0);
  EXPECT_EQ(c.core.tables().held[kDisk], 0);
  EXPECT_TRUE(c.refusals.empty());
}

TEST_F(AllocatorVolumes, ExtraCopiesRaiseTheHoldingAndNotTheTotal) {
  c.AddFramework("f", {"a"}, kShares);
  c.AddAgent("agent", With("cpus:1", Shared()));
  c.Start();
  c.Settle();
  ASSERT_EQ(c.TakeOffers().size(), 1u);
  c.Step(Converted{c.A("agent"), {c.F("f"), c.R("a"), Bag()}, Shared(2)});
  EXPECT_TRUE(
      Equal(c.core.tables().agents.at(c.A("agent")).total, With("cpus:1", Shared()), c.words));
  c.Recover("f", "a", "agent", Shared(3));
  EXPECT_TRUE(c.refusals.empty());
  c.Recover("f", "a", "agent", Shared());
  EXPECT_EQ(c.refusals, std::vector<RefusalReason>({RefusalReason::kNotHeld}));
  // Nothing is made of nothing.
  c.Step(Converted{c.A("agent"), {c.F("f"), c.R("a"), Bag()}, Shared()});
  c.Step(Converted{c.A("agent"), {c.F("f"), c.R("a"), Bag()}, c.B("cpus:1")});
  EXPECT_EQ(c.refusals.size(), 3u);
}

TEST_F(AllocatorVolumes, SharedVolumeIsNotDestroyedWhileACopyIsLeft) {
  c.AddFramework("f", {"a"}, kShares);
  c.Step(AgentAdded{c.A("agent"),
                    {.hostname = "agent"},
                    With("cpus:1", Shared()),
                    {{c.F("f"), c.R("a"), Shared(2)}},
                    true});
  const Converted destroy{c.A("agent"), {c.F("f"), c.R("a"), Shared()}, c.B("disk(a):10")};
  c.Step(destroy);
  EXPECT_EQ(c.refusals, std::vector<RefusalReason>({RefusalReason::kNotHeld}));
  c.Recover("f", "a", "agent", Shared());
  c.Step(destroy);
  EXPECT_EQ(c.refusals.size(), 1u);
  EXPECT_TRUE(
      Equal(c.core.tables().agents.at(c.A("agent")).total, c.B("cpus:1;disk(a):10"), c.words));
}

TEST_F(AllocatorVolumes, PersistentVolumesAreIndivisible) {
  const auto volume = [&](int64_t mib) {
    return c.B(model::Resources({Volume("v", mib, "a", /*shared=*/false)}));
  };
  c.AddFramework("f", {"a"});
  c.AddAgent("agent", With("cpus:1", volume(10)));
  c.Start();
  c.Settle();
  const auto offers = c.TakeOffers();
  ASSERT_EQ(offers.size(), 1u);
  EXPECT_TRUE(Contains(offers[0].bag, volume(10), c.words));
  // A part of it is not the volume that is held.
  c.Recover("f", "a", "agent", volume(5));
  EXPECT_EQ(c.refusals, std::vector<RefusalReason>({RefusalReason::kNotHeld}));
  c.Recover("f", "a", "agent", volume(10));
  c.Settle();
  EXPECT_EQ(c.TakeOffers().size(), 1u);
}

TEST_F(AllocatorVolumes, RevocableResourcesAreNoPartOfQuota) {
  model::Resource cpus = model::Resource::OfScalar("cpus", model::Scalar::FromUnits(8));
  model::ResourceMetadata metadata;
  metadata.revocable = true;
  cpus.set_metadata(metadata);
  c.SetQuota("q", "cpus:1", "cpus:1");
  c.AddFramework("f", {"q"}, {.revocable_resources = true});
  c.AddAgent("agent", With("cpus:4", c.B(model::Resources({cpus}))));
  c.Start();
  c.Settle();
  const auto offers = c.TakeOffers();
  ASSERT_EQ(offers.size(), 1u);
  EXPECT_EQ(offers[0].bag.Quantity()[kCpus], 9000);
  EXPECT_EQ(c.core.tables().quotas.Consumed(c.R("q"))[kCpus], 1000);
}

TEST_F(AllocatorVolumes, NamesBeyondTheBoundAreOfferedButDoNotCount) {
  std::string total = "cpus:1";
  for (int i = 0; i < 20; ++i) total += ";custom" + std::to_string(i) + ":" + std::to_string(i + 1);
  c.AddFramework("f", {"r"});
  c.AddFramework("g", {{"s", /*is_suppressed=*/true}});
  c.AddAgent("agent", total);
  c.Start();
  c.Settle();
  const auto offers = c.TakeOffers();
  ASSERT_EQ(offers.size(), 1u);
  // Nothing is lost.
  EXPECT_EQ(ResourcesOf(offers[0].bag, c.words), *model::ParseResources(total));
  EXPECT_EQ(c.words.uncounted_names().size(), 20u - (kScalarNamesMax - 4));
  // A part comes back and is refused: the filter knows the name.
  c.Recover("f", "r", "agent", c.B("custom19:5"), absl::Hours(1));
  c.NextFullRun();
  EXPECT_TRUE(c.Told().empty());
  c.Step(Unsuppressed{c.F("g"), {}});
  c.Settle();
  EXPECT_EQ(c.Told(), Lines({"g s agent custom19:5"}));
  EXPECT_TRUE(c.refusals.empty());
  // A minimum may ask for it.
  const Minimum minimum(model::MinAllocatable::Parse("custom19:5")->alternatives());
  EXPECT_TRUE(minimum.Admits(c.B("custom19:5"), c.words));
  EXPECT_FALSE(minimum.Admits(c.B("custom19:4"), c.words));
}

}  // namespace
}  // namespace tessera::allocator
