#include "services/allocator/core/bag.h"

#include "gtest/gtest.h"
#include "services/allocator/core/minimum.h"
#include "services/model/parse.h"

namespace tessera::allocator {
namespace {

model::Resource Disk(model::DiskSourceType type, int64_t size, const std::string& root) {
  model::Resource disk = model::Resource::OfScalar("disk", model::Scalar::FromUnits(size));
  model::ResourceMetadata metadata;
  metadata.disk.emplace();
  metadata.disk->source.emplace();
  metadata.disk->source->type = type;
  metadata.disk->source->root = root;
  disk.set_metadata(metadata);
  return disk;
}

class BagTest : public testing::Test {
 protected:
  Bag Parse(const char* text) { return *BagOf(*model::ParseResources(text), &words_); }
  Bag Of(model::Resource resource) {
    return *BagOf(model::Resources({std::move(resource)}), &words_);
  }
  Vocabulary words_;
};

TEST_F(BagTest, RoundTripsThroughTheModel) {
  const char* text =
      "cpus:4;mem:1024;ports:[1-10, 20-30];zones:{a,b};cpus(eng):2;fpgas:3;disk(eng):50";
  const model::Resources resources = *model::ParseResources(text);
  EXPECT_EQ(ResourcesOf(*BagOf(resources, &words_), words_), resources);
}

TEST_F(BagTest, AllocationMarksAreDropped) {
  const model::Resources resources = *model::ParseResources("cpus:4;cpus(eng):2;ports:[1-2]");
  const Bag bag = *BagOf(resources.AllocatedCopy("eng/x"), &words_);
  EXPECT_EQ(ResourcesOf(bag, words_), resources);
  EXPECT_EQ(bag.plain[kCpus], 4000);
}

TEST_F(BagTest, SumsAreBySortOfResource) {
  const Bag bag = Parse("cpus:4;cpus(eng):2;ports:[1-10]");
  EXPECT_EQ(bag.Quantity()[kCpus], 6000);
  EXPECT_EQ(bag.Unreserved()[kCpus], 4000);
  EXPECT_TRUE(bag.extras->any_reserved());
  EXPECT_FALSE(bag.extras->any_shared());
  EXPECT_EQ(CountElements(bag.extras, "ports", words_), 10u);
}

TEST_F(BagTest, AddTakeAndContain) {
  Bag bag = Parse("cpus:4;ports:[1-10];cpus(eng):2");
  const Bag part = Parse("cpus:1;ports:[3-4];cpus(eng):0.5");
  EXPECT_TRUE(Contains(bag, part, words_));
  EXPECT_FALSE(Contains(part, bag, words_));
  TakeFrom(&bag, part, words_);
  EXPECT_TRUE(Equal(bag, Parse("cpus:3;ports:[1-2, 5-10];cpus(eng):1.5"), words_));
  EXPECT_FALSE(Contains(bag, part, words_));  // the ports are gone
  AddTo(&bag, part, words_);
  EXPECT_TRUE(Equal(bag, Parse("cpus:4;ports:[1-10];cpus(eng):2"), words_));
  // Taking more than there is clips.
  TakeFrom(&bag, Parse("cpus:9;mem:1;cpus(eng):9"), words_);
  EXPECT_TRUE(Equal(bag, Parse("ports:[1-10]"), words_));
}

TEST_F(BagTest, TakingEverythingLeavesNothing) {
  Bag bag = Parse("cpus:4;ports:[1-10]");
  const Bag all = bag;
  TakeFrom(&bag, all, words_);
  EXPECT_TRUE(bag.IsEmpty());
}

TEST_F(BagTest, TenTenthsAreOne) {
  Bag bag;
  for (int i = 0; i < 10; ++i) AddTo(&bag, Parse("cpus:0.1;cpus(eng):0.1"), words_);
  EXPECT_TRUE(Equal(bag, Parse("cpus:1;cpus(eng):1"), words_));
}

TEST_F(BagTest, MountDisksAreIndivisiblePieces) {
  const Bag big = Of(Disk(model::DiskSourceType::kMount, 100, "/mnt/a"));
  const Bag small = Of(Disk(model::DiskSourceType::kMount, 50, "/mnt/a"));
  EXPECT_FALSE(Contains(big, small, words_));
  Bag two = big;
  AddTo(&two, big, words_);
  EXPECT_EQ(two.Quantity()[kDisk], 200'000);
  EXPECT_EQ(ResourcesOf(two, words_).size(), 2u);
  TakeFrom(&two, big, words_);
  EXPECT_TRUE(Equal(two, big, words_));
  const Bag path = Of(Disk(model::DiskSourceType::kPath, 100, "/srv"));
  EXPECT_TRUE(Contains(path, Of(Disk(model::DiskSourceType::kPath, 50, "/srv")), words_));
}

TEST_F(BagTest, SelectSharesWhatItKeepsWhole) {
  const Bag bag = Parse("ports:[1-10];cpus(eng):2");
  EXPECT_EQ(Select(bag.extras, words_, [](const Kind&) { return true; }), bag.extras);
  const ExtrasPtr unreserved =
      Select(bag.extras, words_, [](const Kind& kind) { return !kind.is_reserved(); });
  EXPECT_TRUE(Equal({{}, unreserved}, Parse("ports:[1-10]"), words_));
}

TEST_F(BagTest, ScalarNamesAreBounded) {
  for (size_t i = words_.scalar_names(); i < kScalarNamesMax; ++i) {
    ASSERT_TRUE(words_.InternScalarName("r" + std::to_string(i)).ok());
  }
  EXPECT_EQ(words_.InternScalarName("one_more").status().code(), absl::StatusCode::kOutOfRange);
  // A scalar of that name is there all the same, but no part of any sum.
  const model::Resources resources = *model::ParseResources("one_more:1;cpus:2");
  const absl::StatusOr<Bag> bag = BagOf(resources, &words_);
  ASSERT_TRUE(bag.ok()) << bag.status();
  EXPECT_EQ(bag->Quantity(), Parse("cpus:2").plain);
  EXPECT_EQ(ResourcesOf(*bag, words_), resources);
  EXPECT_EQ(UncountedAmount(bag->extras, "one_more", words_), 1000);
  EXPECT_EQ(words_.uncounted_names(), std::vector<std::string>({"one_more"}));
}

TEST_F(BagTest, FingerprintsTellBagsApart) {
  const std::vector<Bag> bags = {Parse("cpus:1"),
                                 Parse("cpus:2"),
                                 Parse("mem:1"),
                                 Parse("cpus:1;ports:[1-2]"),
                                 Parse("cpus:1;ports:[1-3]"),
                                 Parse("cpus(eng):1"),
                                 Parse("zones:{a}"),
                                 Parse("zones:{b}")};
  for (size_t i = 0; i < bags.size(); ++i) {
    for (size_t j = 0; j < bags.size(); ++j) {
      EXPECT_EQ(Fingerprint(bags[i]) == Fingerprint(bags[j]), i == j) << i << " " << j;
    }
  }
  EXPECT_EQ(Fingerprint(Parse("cpus:1;ports:[1-2]")), Fingerprint(Parse("ports:[1-2];cpus:1")));
}

TEST_F(BagTest, VocabularyBoundsHold) {
  Vocabulary words({.frameworks = 1, .agents = 1, .roles = 3, .kinds = 1});
  EXPECT_TRUE(words.InternFramework("f").ok());
  EXPECT_TRUE(words.InternFramework("f").ok());
  EXPECT_FALSE(words.InternFramework("g").ok());
  words.ReleaseFramework(*words.FindFramework("f"));
  EXPECT_TRUE(words.InternFramework("g").ok());
  EXPECT_TRUE(words.InternRole("a/b").ok());
  EXPECT_FALSE(words.InternRole("c/d/e").ok());
  EXPECT_TRUE(words.IsWithin(*words.FindRole("a/b"), *words.FindRole("a")));
  EXPECT_FALSE(words.IsWithin(*words.FindRole("a"), *words.FindRole("a/b")));
}

TEST_F(BagTest, MinimumAlternatives) {
  const auto minimum = [](const char* text) {
    return Minimum(model::MinAllocatable::Parse(text)->alternatives());
  };
  const Minimum either = minimum("cpus:0.01|mem:32");
  EXPECT_TRUE(either.Admits(Parse("cpus:0.01"), words_));
  EXPECT_TRUE(either.Admits(Parse("mem:32"), words_));
  EXPECT_FALSE(either.Admits(Parse("mem:31.999"), words_));
  EXPECT_TRUE(either.Admits(Parse("cpus(eng):1"), words_));
  EXPECT_FALSE(either.Admits(Parse("ports:[1-2]"), words_));
  const Minimum both = minimum("cpus:1;mem:32");
  EXPECT_FALSE(both.Admits(Parse("cpus:4"), words_));
  EXPECT_TRUE(both.Admits(Parse("cpus:1;mem:32"), words_));
  const Minimum ports = minimum("ports:2");
  EXPECT_TRUE(ports.Admits(Parse("ports:[1-2]"), words_));
  EXPECT_FALSE(ports.Admits(Parse("ports:[1-1];cpus:4"), words_));
  EXPECT_FALSE(Minimum().Admits(Bag(), words_));
  EXPECT_TRUE(Minimum().Admits(Parse("ports:[1-1]"), words_));
}

}  // namespace
}  // namespace tessera::allocator
