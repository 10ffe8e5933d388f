// Single resources and golden examples of the algebra.
#include "services/model/resources.h"

#include <gtest/gtest.h>

#include "services/model/parse.h"

namespace tessera::model {
namespace {

Scalar S(std::string_view text) { return *Scalar::Parse(text); }

Resource Amount(std::string name, std::string_view amount) {
  return Resource::OfScalar(std::move(name), S(amount));
}

Resources Text(std::string_view text) {
  const auto resources = ParseResources(text);
  EXPECT_TRUE(resources.ok()) << resources.status();
  return resources.value_or(Resources());
}

template <typename Change>
Resource With(Resource resource, Change change) {
  ResourceMetadata metadata = resource.metadata();
  change(&metadata);
  resource.set_metadata(std::move(metadata));
  return resource;
}

Resource Disk(std::string_view amount, DiskSourceType type, const char* root = nullptr,
              const char* id = nullptr) {
  return With(Amount("disk", amount), [&](ResourceMetadata* metadata) {
    metadata->disk.emplace();
    metadata->disk->source.emplace();
    metadata->disk->source->type = type;
    if (root != nullptr) metadata->disk->source->root = root;
    if (id != nullptr) metadata->disk->source->id = id;
  });
}

Resource VolumeOf(std::string_view amount, const char* id, const char* path = "data") {
  return With(Amount("disk", amount), [&](ResourceMetadata* metadata) {
    metadata->reservations.push_back({.role = "r"});
    metadata->disk.emplace();
    metadata->disk->persistence = {.id = id};
    metadata->disk->volume = {.container_path = path};
  });
}

Resource SharedVolume(std::string_view amount, const char* id, int64_t copies) {
  Resource volume =
      With(VolumeOf(amount, id), [](ResourceMetadata* metadata) { metadata->shared = true; });
  volume.set_copies(copies);
  return volume;
}

Resource ReservedTo(Resource resource, Reservation reservation) {
  EXPECT_TRUE(resource.PushReservation(std::move(reservation)).ok());
  return resource;
}

TEST(ResourcesTest, AmountsAddUpAndClip) {
  EXPECT_EQ(Text("cpus:0.1") + Text("cpus:0.2"), Text("cpus:0.3"));
  EXPECT_TRUE((Text("cpus:2") - Text("cpus:3")).empty());
  EXPECT_TRUE((Text("cpus:2") - Text("mem:3")) == Text("cpus:2"));
  Resources sum;
  for (int i = 0; i < 10; ++i) sum += Amount("cpus", "0.1");
  EXPECT_EQ(sum, Text("cpus:1"));
  EXPECT_EQ(Text("ports:[1-3]") + Text("ports:[4-6]"), Text("ports:[1-6]"));
  EXPECT_EQ(Text("ports:[1-10]") - Text("ports:[3-4]"), Text("ports:[1-2,5-10]"));
}

TEST(ResourcesTest, EmptyObjectsAreNotKept) {
  EXPECT_TRUE(Text("cpus:0;ports:[];zones:{}").empty());
  Resources resources = Text("cpus:1");
  resources += Amount("mem", "0");
  resources += Resource::OfScalar("gpus", Scalar::FromUnits(-1));
  EXPECT_EQ(resources, Text("cpus:1"));
  EXPECT_TRUE(resources.Contains(Amount("mem", "0")));
}

TEST(ResourcesTest, MountAndBlockDisksStayWhole) {
  const Resource mount = Disk("100", DiskSourceType::kMount, "/m");
  const Resources two{mount, mount};
  EXPECT_EQ(two.size(), 2u);
  EXPECT_EQ(two.SumOf("disk"), S("200"));
  EXPECT_FALSE(Resources{mount}.Contains(Disk("50", DiskSourceType::kMount, "/m")));
  EXPECT_EQ(Resources{mount} - Disk("50", DiskSourceType::kMount, "/m"), Resources{mount});
  EXPECT_EQ(two - mount, Resources{mount});
  EXPECT_TRUE(two.Contains(two));
  EXPECT_FALSE(Resources{mount}.Contains(two));
  const Resource block = Disk("10", DiskSourceType::kBlock);
  EXPECT_EQ((Resources{block, block}).size(), 2u);
}

TEST(ResourcesTest, PathDisksCanBeSplit) {
  const Resources path{Disk("100", DiskSourceType::kPath, "/p")};
  EXPECT_TRUE(path.Contains(Disk("50", DiskSourceType::kPath, "/p")));
  EXPECT_FALSE(path.Contains(Disk("50", DiskSourceType::kPath, "/q")));
  EXPECT_FALSE(path.Contains(Amount("disk", "50")));
  EXPECT_EQ(path + path, Resources{Disk("200", DiskSourceType::kPath, "/p")});
}

TEST(ResourcesTest, RawDisksAreWholeOnceTheyHaveAnId) {
  const Resources without{Disk("10", DiskSourceType::kRaw)};
  EXPECT_EQ((without + without).size(), 1u);
  EXPECT_TRUE(without.Contains(Disk("5", DiskSourceType::kRaw)));
  const Resources with{Disk("10", DiskSourceType::kRaw, nullptr, "dev")};
  EXPECT_EQ((with + with).size(), 2u);
  EXPECT_FALSE(with.Contains(Disk("5", DiskSourceType::kRaw, nullptr, "dev")));
}

TEST(ResourcesTest, VolumesMatchWholeAndWithoutTheirUse) {
  const Resources volume{VolumeOf("10", "id1")};
  EXPECT_FALSE(volume.Contains(VolumeOf("5", "id1")));
  EXPECT_TRUE(volume.Contains(VolumeOf("10", "id1", "elsewhere")));
  EXPECT_FALSE(volume.Contains(VolumeOf("10", "id2")));
  const Resource other_principal = With(VolumeOf("10", "id1"), [](ResourceMetadata* metadata) {
    metadata->disk->persistence->principal = "ann";
    metadata->disk->volume->read_only = true;
  });
  EXPECT_EQ(volume, Resources{other_principal});
  EXPECT_EQ((volume + volume).size(), 2u);
  EXPECT_FALSE(volume.Contains(volume + volume));
}

TEST(ResourcesTest, ReservationsDecideIdentity) {
  const auto reserved = [](std::optional<std::string> principal, std::optional<Labels> labels) {
    return Resources{ReservedTo(Amount("cpus", "1"), {.type = ReservationType::kDynamic,
                                                      .role = "r",
                                                      .principal = std::move(principal),
                                                      .labels = std::move(labels)})};
  };
  EXPECT_NE(reserved("p", {}), reserved({}, {}));
  EXPECT_NE(reserved("", {}), reserved({}, {}));
  EXPECT_NE(reserved("p", Labels{{.key = "a"}}), reserved("p", Labels{{.key = "b"}}));
  EXPECT_NE(reserved("p", Labels{{.key = "a"}}), reserved("p", Labels{{.key = "a", .value = ""}}));
  EXPECT_NE(reserved("p", Labels{}), reserved("p", {}));
  EXPECT_EQ(reserved("p", Labels{{.key = "a"}, {.key = "b"}}),
            reserved("p", Labels{{.key = "b"}, {.key = "a"}}));
  EXPECT_NE(reserved({}, {}), Text("cpus(r):1"));
  EXPECT_EQ((reserved({}, {}) + Text("cpus(r):1;cpus:1")).size(), 3u);
}

TEST(ResourcesTest, AllocationDecidesIdentity) {
  const Resources plain = Text("cpus:1");
  const Resources allocated = plain.AllocatedCopy("r1");
  EXPECT_NE(plain, allocated);
  EXPECT_FALSE(allocated.Contains(plain));
  EXPECT_FALSE(plain.Contains(allocated));
  EXPECT_EQ((plain + allocated).size(), 2u);
  EXPECT_EQ((plain + allocated).UnallocatedCopy(), Text("cpus:2"));
}

TEST(ResourcesTest, SharedVolumesCountCopies) {
  EXPECT_TRUE(Resources{SharedVolume("10", "v", 3)}.Contains(SharedVolume("10", "v", 2)));
  EXPECT_FALSE(Resources{SharedVolume("10", "v", 1)}.Contains(SharedVolume("10", "v", 2)));
  EXPECT_TRUE((Resources{SharedVolume("10", "v", 1)} - SharedVolume("10", "v", 2)).empty());
  const Resources three =
      Resources{SharedVolume("10", "v", 1)} + Resources{SharedVolume("10", "v", 2)};
  EXPECT_EQ(three, Resources{SharedVolume("10", "v", 3)});
  EXPECT_EQ(three.SumOf("disk"), S("10"));
  EXPECT_EQ((three + SharedVolume("20", "v", 1)).size(), 2u);
  EXPECT_FALSE(three.Contains(VolumeOf("10", "v")));
}

TEST(ResourcesTest, RefusedOffersCoverNoMoreThanTheyHold) {
  const Resources refused = Text("cpus:2;mem:1024");
  EXPECT_TRUE(refused.Contains(Text("cpus:2;mem:1024")));
  EXPECT_TRUE(refused.Contains(Text("cpus:1")));
  EXPECT_TRUE(refused.Contains(Text("mem:512")));
  EXPECT_FALSE(refused.Contains(Text("cpus:2;mem:1025")));
  EXPECT_FALSE(refused.Contains(Text("cpus:2;mem:1024;ports:[1-2]")));
  EXPECT_FALSE(refused.Contains(Text("cpus(r):1")));
  EXPECT_FALSE(refused.Contains(
      With(Amount("cpus", "1"), [](ResourceMetadata* metadata) { metadata->revocable = true; })));
}

TEST(ResourcesTest, ReservationsAreFoundByTheirRoles) {
  const Resources all = Text("cpus:1;cpus(a):2;cpus(a/b):4;cpus(c):8");
  EXPECT_EQ(all.ReservedTo("a").SumOf("cpus"), S("2"));
  EXPECT_EQ(all.ByReservationRole().at("a/b"), Text("cpus(a/b):4"));
  EXPECT_EQ(all.ByReservationRole().size(), 3u);
}

TEST(ResourcesTest, StacksGrowDownwardsOnly) {
  Resource cpus = Amount("cpus", "1");
  EXPECT_EQ(cpus.PopReservation().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_FALSE(cpus.PushReservation({.role = "*"}).ok());
  EXPECT_FALSE(cpus.PushReservation({.role = "a//b"}).ok());
  ASSERT_TRUE(cpus.PushReservation({.role = "a"}).ok());
  const Resource statically = cpus;
  EXPECT_FALSE(cpus.PushReservation({.role = "a/b"}).ok());
  const auto dynamic = [](std::string role) {
    return Reservation{.type = ReservationType::kDynamic, .role = std::move(role)};
  };
  EXPECT_FALSE(cpus.PushReservation(dynamic("a")).ok());
  EXPECT_FALSE(cpus.PushReservation(dynamic("ab")).ok());
  ASSERT_TRUE(cpus.PushReservation(dynamic("a/b")).ok());
  EXPECT_TRUE(cpus.HasRefinedReservations());
  EXPECT_TRUE(cpus.IsDynamicallyReserved());
  EXPECT_EQ(cpus.ReservationRole(), "a/b");
  ASSERT_TRUE(cpus.PopReservation().ok());
  EXPECT_EQ(cpus, statically);
  EXPECT_EQ(cpus.PopReservation().code(), absl::StatusCode::kFailedPrecondition);
}

TEST(ResourcesTest, FindTakesFromTheRoleThenUnreservedThenOthers) {
  const Resources all = Text("cpus:1;cpus(a):2;cpus(b):4");
  EXPECT_EQ(*all.Find(Text("cpus(a):2.5")), Text("cpus(a):2;cpus:0.5"));
  EXPECT_EQ(*all.Find(Text("cpus:0.5")), Text("cpus:0.5"));
  EXPECT_EQ(*all.Find(Text("cpus(a):6")), Text("cpus(a):2;cpus:1;cpus(b):3"));
  EXPECT_FALSE(all.Find(Text("cpus:8")).has_value());
  EXPECT_FALSE(all.Find(Text("cpus:1;mem:1")).has_value());
  EXPECT_EQ(*Text("ports:[1-5];ports(a):[8-9]").Find(Text("ports(a):[4-5,9]")),
            Text("ports:[4-5];ports(a):[9]"));
}

TEST(ResourcesTest, ShrinkLeavesOutWhatCannotBeCut) {
  const Resources disks{Disk("100", DiskSourceType::kMount, "/m"), Amount("disk", "30")};
  EXPECT_EQ(ShrinkToTargets(disks.objects(), {{"disk", S("50")}}), Text("disk:30"));
  EXPECT_EQ(ShrinkToTargets(disks.objects(), {{"disk", S("200")}}), disks);
  EXPECT_EQ(ShrinkToTargets(Text("cpus:15;mem:20480;disk:1000").objects(),
                            {{"cpus", S("10")}, {"mem", S("10240")}}),
            Text("cpus:10;mem:10240;disk:1000"));
  EXPECT_TRUE(ShrinkToTargets(Text("cpus:5").objects(), {{"cpus", S("0")}}).empty());
}

TEST(ResourcesTest, MarkingManyObjectsSharesTheirMetadata) {
  const Resources marked = Text("cpus:1;mem:2;ports:[1-2]").AllocatedCopy("r");
  EXPECT_TRUE(marked.objects()[0].SharesMetadataWith(marked.objects()[2]));
}

TEST(ResourcesTest, CollectionsPrintForPeople) {
  EXPECT_EQ(ToString(Text("mem:1024;cpus:0.5;ports:[1-2];cpus(a):2")),
            "cpus:0.5; cpus(a):2; mem:1024; ports:[1-2]");
  EXPECT_EQ(ToString(SharedVolume("10", "v", 2)), "disk(r):10[volume v, at data]{shared x2}");
  EXPECT_EQ(ToString(Disk("5", DiskSourceType::kMount, "/m")), "disk:5[MOUNT /m]");
}

struct InvalidCase {
  Resource resource;
  std::string message;
};

TEST(ValidateTest, NamesTheFieldThatIsWrong) {
  const auto on = [](std::string_view name, auto change) {
    return With(Amount(std::string(name), "1"), change);
  };
  const std::vector<InvalidCase> cases = {
      {Amount("", "1"), "name must not be empty"},
      {Amount("a\nb", "1"), "name holds a control character"},
      {Amount(std::string(300, 'n'), "1"), "name is longer than 255 bytes"},
      {Resource::OfScalar("cpus", Scalar::FromThousandths(-1)), "scalar is negative"},
      {on("cpus", [](auto* m) { m->allocation_role = "a//b"; }), "allocation_role"},
      {on("cpus", [](auto* m) { m->reservations = {{.role = "*"}}; }), "role '*' cannot reserve"},
      {on("cpus", [](auto* m) { m->reservations = {{.role = "a b"}}; }), "reservations"},
      {on("cpus",
          [](auto* m) {
            m->reservations = {{.role = "a"}, {.role = "a/b"}};
          }),
       "only the first of a stack may be static"},
      {on("cpus",
          [](auto* m) {
            m->reservations = {{.role = "a"}, {.type = ReservationType::kDynamic, .role = "b"}};
          }),
       "role 'b' does not lie beneath 'a'"},
      {on("cpus",
          [](auto* m) {
            m->revocable = true;
            m->reservations = {{.type = ReservationType::kDynamic, .role = "b"}};
          }),
       "cannot be reserved dynamically"},
      {on("cpus", [](auto* m) { m->shared = true; }), "shared is only for persistent volumes"},
      {on("mem",
          [](auto* m) {
            m->disk.emplace();
            m->disk->source.emplace();
          }),
       "disk is only for the resource 'disk'"},
      {Disk("1", DiskSourceType::kBlock, "/b"), "disk.source.root"},
      {With(VolumeOf("1", "v"), [](auto* m) { m->reservations.clear(); }), "needs a reservation"},
      {With(VolumeOf("1", "v"), [](auto* m) { m->revocable = true; }), "revocable disk"},
      {With(VolumeOf("1", "v"), [](auto* m) { m->disk->volume.reset(); }), "needs disk.volume"},
      {VolumeOf("1", "v", ""), "container_path must not be empty"},
      {VolumeOf("1", "a/b"), "disk.persistence: id 'a/b' holds a slash"},
      {With(VolumeOf("1", "v"), [](auto* m) { m->disk->persistence.reset(); }),
       "disk.volume needs disk.persistence"},
      {SharedVolume("1", "v", 0), "shared_count must be at least 1"},
  };
  for (const InvalidCase& invalid : cases) {
    const absl::Status status = Validate(invalid.resource);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << invalid.message;
    EXPECT_NE(status.message().find(invalid.message), std::string::npos)
        << "wanted: " << invalid.message << "\nsaid: " << status.message();
  }
  EXPECT_TRUE(Validate(SharedVolume("1", "v", 4)).ok());
  EXPECT_TRUE(Validate(Disk("1", DiskSourceType::kMount, "/m")).ok());
}

TEST(ValidateTest, CollectionsMustAgreeWithThemselves) {
  EXPECT_FALSE(Validate({Amount("x", "1"), Resource::OfRanges("x", *Ranges::Parse("[1-2]"))}).ok());
  EXPECT_FALSE(Validate({VolumeOf("1", "v"), VolumeOf("2", "v")}).ok());
  EXPECT_TRUE(Validate({VolumeOf("1", "v"), VolumeOf("1", "w")}).ok());
  EXPECT_TRUE(Validate({SharedVolume("1", "v", 1), SharedVolume("1", "v", 1)}).ok());
  EXPECT_FALSE(Validate({SharedVolume("1", "v", 1), SharedVolume("2", "v", 1)}).ok());
  EXPECT_FALSE(Resources::FromValidated({VolumeOf("1", "v"), VolumeOf("1", "v")}).ok());
}

}  // namespace
}  // namespace tessera::model
