#include "services/model/conversions.h"

#include <gtest/gtest.h>

#include "services/model/parse.h"

namespace tessera::model {
namespace {

Resources Json(std::string_view json) {
  auto objects = ParseResourcesJson(json);
  EXPECT_TRUE(objects.ok()) << objects.status();
  return objects.ok() ? Resources(*std::move(objects)) : Resources();
}

constexpr char kPlainDisk[] = R"([{"name":"disk","type":"SCALAR","scalar":{"value":10},
    "reservations":[{"type":"DYNAMIC","role":"r","principal":"p"}]}])";
constexpr char kVolume[] = R"([{"name":"disk","type":"SCALAR","scalar":{"value":10},
    "reservations":[{"type":"DYNAMIC","role":"r","principal":"p"}],
    "disk":{"persistence":{"id":"v"},"volume":{"container_path":"data","mode":"RW"}}}])";
constexpr char kSharedVolume[] = R"([{"name":"disk","type":"SCALAR","scalar":{"value":10},
    "reservations":[{"type":"DYNAMIC","role":"r","principal":"p"}],"shared":{},
    "disk":{"persistence":{"id":"v"},"volume":{"container_path":"data","mode":"RW"}}}])";
constexpr char kMountVolume[] = R"([{"name":"disk","type":"SCALAR","scalar":{"value":10},
    "reservations":[{"type":"DYNAMIC","role":"r"}],
    "disk":{"source":{"type":"MOUNT","mount":{"root":"/m"}},
            "persistence":{"id":"v"},"volume":{"container_path":"data","mode":"RW"}}}])";

TEST(ConversionsTest, ReserveTakesOneLevelAndUnreserveGivesItBack) {
  const Resources machine = Json(R"([{"name":"disk","type":"SCALAR","scalar":{"value":25}}])");
  const Resources reserved = Json(kPlainDisk);
  const auto reserve = ReserveConversion(reserved);
  ASSERT_TRUE(reserve.ok()) << reserve.status();
  const auto after = machine.Apply(*reserve);
  ASSERT_TRUE(after.ok()) << after.status();
  EXPECT_EQ(after->ReservedTo("r"), reserved);
  EXPECT_EQ(after->Unreserved().SumOf("disk"), Scalar::FromUnits(15));
  EXPECT_EQ(*after->Apply(*UnreserveConversion(reserved)), machine);
}

TEST(ConversionsTest, RefuseWhatCannotBeReserved) {
  EXPECT_EQ(ReserveConversion({}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ReserveConversion(*ParseResources("cpus:1")).status().code(),
            absl::StatusCode::kInvalidArgument);
  // A static reservation belongs to the agent's configuration.
  EXPECT_EQ(ReserveConversion(*ParseResources("cpus(r):1")).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(UnreserveConversion(*ParseResources("cpus(r):1")).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(UnreserveConversion(Json(kVolume)).ok());
}

TEST(ConversionsTest, VolumesAreMadeOutOfDiskAndBecomeDiskAgain) {
  const Resources disk = Json(kPlainDisk);
  const auto created = disk.Apply(*CreateConversions(Json(kVolume)));
  ASSERT_TRUE(created.ok()) << created.status();
  EXPECT_EQ(*created, Json(kVolume));
  EXPECT_EQ(*created->Apply(*DestroyConversions(Json(kVolume))), disk);
  EXPECT_FALSE(created->Apply(*CreateConversions(Json(kVolume))).ok());
  EXPECT_FALSE(CreateConversions(disk).ok());
  EXPECT_FALSE(DestroyConversions(disk).ok());
}

TEST(ConversionsTest, VolumesKeepTheSourceOfTheirDisk) {
  const Resource disk = DiskOfVolume(Json(kMountVolume).objects()[0]);
  ASSERT_TRUE(disk.metadata().disk && disk.metadata().disk->source);
  EXPECT_EQ(disk.metadata().disk->source->type, DiskSourceType::kMount);
  EXPECT_FALSE(disk.IsPersistentVolume());
  EXPECT_TRUE(Resources{disk}.Apply(*CreateConversions(Json(kMountVolume))).ok());
  EXPECT_FALSE(Json(kPlainDisk).Apply(*CreateConversions(Json(kMountVolume))).ok());
}

TEST(ConversionsTest, SharedVolumeCannotBeDestroyedWhileCopiesAreLeft) {
  const Resources one = Json(kSharedVolume);
  const auto destroy = DestroyConversions(one);
  ASSERT_TRUE(destroy.ok());
  EXPECT_EQ(*one.Apply(*destroy), Json(kPlainDisk));
  EXPECT_EQ((one + one).Apply(*destroy).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(DestroyConversions(one + one).ok());
}

TEST(ConversionsTest, VolumesGrowAndShrink) {
  const Resource volume = Json(kVolume).objects()[0];
  Resource addition = Json(kPlainDisk).objects()[0];
  addition.set_scalar(Scalar::FromUnits(5));
  const Resources start{volume, addition};
  const auto grown = start.Apply(*GrowConversion(volume, addition));
  ASSERT_TRUE(grown.ok()) << grown.status();
  EXPECT_EQ(grown->size(), 1u);
  EXPECT_EQ(grown->SumOf("disk"), Scalar::FromUnits(15));
  const auto shrunk = grown->Apply(*ShrinkConversion(grown->objects()[0], Scalar::FromUnits(5)));
  ASSERT_TRUE(shrunk.ok()) << shrunk.status();
  EXPECT_EQ(*shrunk, start);
}

TEST(ConversionsTest, SizesOfSomeVolumesAreFixed) {
  const Resource volume = Json(kVolume).objects()[0];
  EXPECT_FALSE(ShrinkConversion(volume, Scalar::FromUnits(10)).ok());
  EXPECT_FALSE(ShrinkConversion(volume, Scalar()).ok());
  EXPECT_FALSE(ShrinkConversion(Json(kSharedVolume).objects()[0], Scalar::FromUnits(1)).ok());
  EXPECT_FALSE(ShrinkConversion(Json(kMountVolume).objects()[0], Scalar::FromUnits(1)).ok());
  EXPECT_FALSE(ShrinkConversion(Json(kPlainDisk).objects()[0], Scalar::FromUnits(1)).ok());
  // Disk of other owners does not fit.
  EXPECT_FALSE(GrowConversion(volume, Resource::OfScalar("disk", Scalar::FromUnits(1))).ok());
}

TEST(ConversionsTest, ConversionsApplyTogetherOrNotAtAll) {
  const Resources machine = *ParseResources("cpus:4");
  const std::vector<ResourceConversion> conversions = {
      {.consumed = *ParseResources("cpus:3"), .converted = *ParseResources("cpus(r):3")},
      {.consumed = *ParseResources("cpus:2"), .converted = *ParseResources("cpus(r):2")}};
  EXPECT_FALSE(machine.Apply(conversions).ok());
  EXPECT_EQ(machine, *ParseResources("cpus:4"));
  // Nothing consumed: more copies of a shared volume for a task.
  const Resources shared = Json(kSharedVolume);
  const auto two = shared.Apply(ResourceConversion{.consumed = {}, .converted = shared});
  ASSERT_TRUE(two.ok());
  EXPECT_EQ(two->objects()[0].copies(), 2);
}

}  // namespace
}  // namespace tessera::model
