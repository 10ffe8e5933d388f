// Laws of the algebra, over thousands of random collections from fixed seeds, and agreement with
// a plain model that follows the rules word by word.
#include <gtest/gtest.h>

#include "services/base/rng.h"
#include "services/model/conversions.h"
#include "services/model/parse.h"
#include "services/model/quantities.h"
#include "services/model/random_resources.h"
#include "services/model/resources.h"

namespace tessera::model {
namespace {

constexpr int kCases = 20'000;

// The model: an unordered bag with linear searches.
class Bag {
 public:
  explicit Bag(const std::vector<Resource>& objects) {
    for (const Resource& object : objects) Add(object);
  }

  void Add(const Resource& object) {
    if (object.IsEmpty()) return;
    for (Resource& held : held_) {
      if (MayJoin(held, object, /*adding=*/true)) {
        held.AddValue(object);
        return;
      }
    }
    held_.push_back(object);
  }

  void Subtract(const Resource& object) {
    for (size_t i = 0; i < held_.size(); ++i) {
      if (!MayJoin(held_[i], object, /*adding=*/false)) continue;
      held_[i].SubtractValue(object);
      if (held_[i].IsEmpty()) held_.erase(held_.begin() + static_cast<std::ptrdiff_t>(i));
      return;
    }
  }

  bool Contains(const Bag& that) const {
    Bag rest = *this;
    for (const Resource& object : that.held_) {
      bool found = false;
      for (size_t i = 0; i < rest.held_.size() && !found; ++i) {
        if (!MayJoin(rest.held_[i], object, /*adding=*/false)) continue;
        found = Covers(rest.held_[i], object);
        if (found && !IsWhole(object)) continue;
        if (found) rest.held_.erase(rest.held_.begin() + static_cast<std::ptrdiff_t>(i));
      }
      if (!found) return false;
    }
    return true;
  }

  const std::vector<Resource>& held() const { return held_; }

 private:
  static bool SameFields(const Resource& left, const Resource& right) {
    ResourceMetadata l = left.metadata();
    ResourceMetadata r = right.metadata();
    for (ResourceMetadata* m : {&l, &r}) {
      if (m->disk) m->disk->volume.reset();
      if (m->disk && m->disk->persistence) m->disk->persistence->principal.reset();
      for (Reservation& reservation : m->reservations) {
        if (reservation.labels) std::sort(reservation.labels->begin(), reservation.labels->end());
      }
    }
    return left.name() == right.name() && left.kind() == right.kind() && l == r;
  }

  static bool SameValue(const Resource& left, const Resource& right) {
    return left.scalar() == right.scalar() && left.ranges() == right.ranges() &&
           left.set() == right.set();
  }

  // Never split and never merged.
  static bool IsWhole(const Resource& object) {
    const auto& disk = object.metadata().disk;
    if (!disk || object.metadata().shared) return false;
    if (disk->persistence) return true;
    if (!disk->source) return false;
    switch (disk->source->type) {
      case DiskSourceType::kPath:
        return false;
      case DiskSourceType::kMount:
      case DiskSourceType::kBlock:
        return true;
      case DiskSourceType::kRaw:
        return disk->source->id.has_value();
    }
    return false;
  }

  static bool MayJoin(const Resource& left, const Resource& right, bool adding) {
    if (!SameFields(left, right)) return false;
    if (left.metadata().shared) return SameValue(left, right);
    if (IsWhole(left)) return !adding && SameValue(left, right);
    return true;
  }

  static bool Covers(const Resource& left, const Resource& right) {
    if (left.metadata().shared) return left.copies() >= right.copies();
    return left.scalar() >= right.scalar() && left.ranges().Contains(right.ranges()) &&
           left.set().Contains(right.set());
  }

  std::vector<Resource> held_;
};

void ExpectCanonical(const Resources& resources) {
  const auto& objects = resources.objects();
  for (size_t i = 0; i < objects.size(); ++i) {
    EXPECT_FALSE(objects[i].IsEmpty()) << resources;
    if (i > 0) {
      EXPECT_LE(objects[i - 1].Compare(objects[i]), 0) << resources;
    }
    for (size_t j = 0; j < i; ++j) {
      EXPECT_FALSE(objects[i].IsAddableTo(objects[j])) << resources;
    }
  }
}

// Objects of one identity with a common element: adding them loses what taking one away needs.
bool Overlap(const Resources& left, const Resources& right) {
  for (const Resource& l : left) {
    for (const Resource& r : right) {
      if (l.SameIdentity(r) && (l.ranges().Intersects(r.ranges()) || l.set().Intersects(r.set()))) {
        return true;
      }
    }
  }
  return false;
}

TEST(ResourcesPropertyTest, FormIsCanonicalWhateverTheOrder) {
  base::Rng rng(1);
  for (int i = 0; i < kCases; ++i) {
    std::vector<Resource> objects = RandomObjects(&rng, {});
    const Resources at_once(objects);
    rng.Shuffle(objects);
    Resources one_by_one;
    for (const Resource& object : objects) one_by_one += object;
    ASSERT_EQ(at_once, one_by_one);
    ExpectCanonical(at_once);
    if (HasFailure()) return;
  }
}

TEST(ResourcesPropertyTest, AgreesWithThePlainModel) {
  base::Rng rng(2);
  int contained = 0;
  for (int i = 0; i < kCases; ++i) {
    const std::vector<Resource> left = RandomObjects(&rng, {});
    std::vector<Resource> right = RandomObjects(&rng, {.objects_max = 4});
    // Make containment likely.
    for (const Resource& object : left) {
      if (rng.Chance(0.3)) right.push_back(object);
    }
    const Resources a(left);
    const Resources b(right);
    Bag model(left);
    const Bag other(right);
    ASSERT_EQ(a, Resources(model.held()));
    ASSERT_EQ(a.Contains(b), model.Contains(other)) << a << "\n" << b;
    contained += a.Contains(b) ? 1 : 0;
    // Subtraction object by object, in canonical order as the collection does it.
    for (const Resource& object : b) model.Subtract(object);
    const Resources difference = a - b;
    ASSERT_EQ(difference, Resources(model.held())) << a << "\n" << b;
    ExpectCanonical(difference);
    if (HasFailure()) return;
  }
  EXPECT_GT(contained, kCases / 50);
  EXPECT_LT(contained, kCases * 9 / 10);
}

TEST(ResourcesPropertyTest, AdditionIsCommutativeAndAssociative) {
  base::Rng rng(3);
  for (int i = 0; i < kCases; ++i) {
    // Large enough at times for the merging path.
    const Resources a(RandomObjects(&rng, {.objects_max = 20}));
    const Resources b(RandomObjects(&rng, {.objects_max = 20}));
    const Resources c(RandomObjects(&rng, {}));
    ASSERT_EQ(a + b, b + a);
    ASSERT_EQ((a + b) + c, a + (b + c));
    ExpectCanonical(a + b);
    if (HasFailure()) return;
  }
}

TEST(ResourcesPropertyTest, SubtractionUndoesAddition) {
  base::Rng rng(4);
  int checked = 0;
  for (int i = 0; i < kCases; ++i) {
    const Resources a(RandomObjects(&rng, {}));
    const Resources b(RandomObjects(&rng, {}));
    ASSERT_TRUE((a + b).Contains(a));
    ASSERT_TRUE((a + b).Contains(b));
    if (Overlap(a, b)) continue;
    ++checked;
    ASSERT_EQ(a + b - b, a) << a << "\n" << b;
  }
  EXPECT_GT(checked, kCases / 2);
}

TEST(ResourcesPropertyTest, ContainedPartsCanBeTakenAndPutBack) {
  base::Rng rng(5);
  int contained = 0;
  for (int i = 0; i < kCases; ++i) {
    const std::vector<Resource> objects = RandomObjects(&rng, {});
    std::vector<Resource> part;
    for (const Resource& object : objects) {
      if (rng.Chance(0.5)) part.push_back(object);
    }
    if (rng.Chance(0.3)) part.push_back(RandomResource(&rng, {}));
    const Resources a(objects);
    const Resources b(part);
    if (!a.Contains(b)) continue;
    ++contained;
    ASSERT_EQ(a - b + b, a) << a << "\n" << b;
    ASSERT_TRUE(a.Contains(a - b));
  }
  EXPECT_GT(contained, kCases / 2);
}

TEST(ResourcesPropertyTest, ContainsIsAPartialOrder) {
  base::Rng rng(6);
  for (int i = 0; i < kCases; ++i) {
    const Resources a(RandomObjects(&rng, {.objects_max = 3}));
    const Resources b(RandomObjects(&rng, {.objects_max = 3}));
    const Resources c = a - b;
    ASSERT_TRUE(a.Contains(a));
    ASSERT_TRUE(a.Contains(Resources()));
    ASSERT_TRUE(a.Contains(c));
    ASSERT_TRUE((a - Resources()) == a);
    ASSERT_TRUE((a - a).empty());
    if (a.Contains(b) && b.Contains(a)) {
      ASSERT_EQ(a, b);
    }
    if (a.Contains(b)) {
      ASSERT_TRUE((a + c).Contains(b));
    }
    if (c.Contains(b)) {
      ASSERT_TRUE(a.Contains(b));
    }
  }
}

TEST(ResourcesPropertyTest, QuantitiesFollowTheAlgebra) {
  base::Rng rng(7);
  for (int i = 0; i < kCases; ++i) {
    const RandomResourcesOptions options{.scalars_only = true, .with_shared = false};
    const Resources a(RandomObjects(&rng, options));
    const Resources b(RandomObjects(&rng, options));
    const Quantities qa = Quantities::OfScalars(a);
    const Quantities qb = Quantities::OfScalars(b);
    ASSERT_EQ(Quantities::OfScalars(a + b), qa + qb);
    ASSERT_EQ(Quantities::OfAll(a), qa);
    if (a.Contains(b)) {
      ASSERT_EQ(Quantities::OfScalars(a - b), qa - qb);
      ASSERT_TRUE(qa.Contains(qb));
    }
    ASSERT_TRUE(Quantities::OfScalars(a - b).Contains(qa - qb));
    for (const auto& [name, amount] : qa) ASSERT_EQ(a.SumOf(name), amount);

    ResourceNames names;
    const QuantityVector va = QuantityVector::From(qa, &names);
    const QuantityVector vb = QuantityVector::From(qb, &names);
    ASSERT_EQ((va + vb).ToQuantities(names), qa + qb);
    ASSERT_EQ((va - vb).ToQuantities(names), qa - qb);
    ASSERT_EQ(va.Contains(vb), qa.Contains(qb));
    ASSERT_TRUE(va.Contains(QuantityVector::Min(va, vb)));
    ASSERT_TRUE(vb.Contains(QuantityVector::Min(va, vb)));
  }
}

TEST(ResourcesPropertyTest, MarksComeOffAsTheyWentOn) {
  base::Rng rng(8);
  for (int i = 0; i < kCases; ++i) {
    const Resources a(RandomObjects(&rng, {.with_allocations = false}));
    const Resources allocated = a.AllocatedCopy("r");
    ASSERT_EQ(allocated.UnallocatedCopy(), a);
    ASSERT_EQ(allocated.AllocatedTo("r"), allocated);
    ASSERT_EQ(allocated.size(), a.size());
    ASSERT_EQ(Quantities::OfAll(allocated), Quantities::OfAll(a));

    const Resources free = a.Unreserved().NonRevocable();
    const Reservation level{.type = ReservationType::kDynamic, .role = "r", .principal = "p"};
    const auto pushed = free.PushReservation(level);
    ASSERT_TRUE(pushed.ok());
    ASSERT_EQ(pushed->ReservedTo("r"), *pushed);
    ASSERT_EQ(*pushed->PopReservation(), free);

    ASSERT_EQ(a.Unreserved() + a.Reserved(), a);
    ASSERT_EQ(a.Shared() + a.NonShared(), a);
    const Resources revocable = a.Filter([](const Resource& one) { return one.IsRevocable(); });
    ASSERT_EQ(revocable + a.NonRevocable(), a);
    ASSERT_EQ(a.Scalars() + a.NonScalars(), a);
    Resources by_role = a.Unreserved();
    for (const auto& [role, part] : a.ByReservationRole()) by_role += part;
    ASSERT_EQ(by_role, a);
  }
}

TEST(ResourcesPropertyTest, ShrinkingKeepsWithinTargetAndOriginal) {
  base::Rng rng(9);
  for (int i = 0; i < kCases; ++i) {
    std::vector<Resource> objects =
        Resources(RandomObjects(&rng, {.with_shared = false})).objects();
    rng.Shuffle(objects);
    std::map<std::string, Scalar, std::less<>> targets;
    for (const char* name : {"cpus", "disk"}) {
      targets[name] = Scalar::FromThousandths(static_cast<int64_t>(rng.Below(8000)));
    }
    const Resources whole(objects);
    const Resources shrunk = ShrinkToTargets(objects, targets);
    ASSERT_TRUE(whole.Contains(shrunk));
    for (const auto& [name, target] : targets) ASSERT_LE(shrunk.SumOf(name), target);
    ASSERT_EQ(shrunk.SumOf("mem"), whole.SumOf("mem"));
    ASSERT_EQ(shrunk.RangesOf("ports"), whole.RangesOf("ports"));
    // cpus can always be split, so the target is met exactly.
    ASSERT_EQ(shrunk.SumOf("cpus"), std::min(whole.SumOf("cpus"), targets["cpus"]));
  }
}

TEST(ResourcesPropertyTest, FoundPartsAreThereAndSuffice) {
  base::Rng rng(10);
  int found_count = 0;
  for (int i = 0; i < kCases; ++i) {
    const Resources a(RandomObjects(&rng, {.with_shared = false, .objects_max = 12}));
    Resource target = RandomResource(&rng, {.with_shared = false});
    const std::optional<Resources> found = a.Find(target);
    if (!found) {
      // Then not even everything that differs by its reservations only is enough.
      target.ClearReservations();
      ASSERT_FALSE(a.UnreservedCopy().Contains(target)) << a << "\n" << target;
      continue;
    }
    ++found_count;
    ASSERT_TRUE(a.Contains(*found)) << a << "\n" << target << "\n" << *found;
    target.ClearReservations();
    ASSERT_EQ(found->UnreservedCopy(), Resources{target});
  }
  EXPECT_GT(found_count, kCases / 50);
}

TEST(ResourcesPropertyTest, JsonAndTextReadBackTheSame) {
  base::Rng rng(11);
  int in_text = 0;
  for (int i = 0; i < kCases / 4; ++i) {
    const Resources a(RandomObjects(&rng, {}));
    for (const auto form : {ResourceJsonForm::kStack, ResourceJsonForm::kEndpoint}) {
      const auto read = ParseResourcesJson(ToJson(a, form));
      ASSERT_TRUE(read.ok()) << read.status() << "\n" << ToJson(a, form);
      // Field by field, also those that are outside identity.
      ASSERT_EQ(read->size(), a.size());
      for (size_t j = 0; j < a.size(); ++j) {
        ASSERT_EQ((*read)[j], a.objects()[j]);
        ASSERT_EQ((*read)[j].metadata(), a.objects()[j].metadata());
      }
    }
    const auto text = FormatResources(a);
    if (!text.ok()) continue;
    ++in_text;
    const auto read = ParseResources(*text);
    ASSERT_TRUE(read.ok()) << read.status() << "\n" << *text;
    ASSERT_EQ(*read, a) << *text;
  }
  EXPECT_GT(in_text, kCases / 100);
}

// A machine's disks and cpus, changed by random operations and back again.
class OperationsPropertyTest : public ::testing::Test {
 protected:
  static constexpr char kTotal[] =
      R"([{"name":"cpus","type":"SCALAR","scalar":{"value":8}},
          {"name":"mem","type":"SCALAR","scalar":{"value":1024},
           "reservations":[{"type":"STATIC","role":"a"}]},
          {"name":"ports","type":"RANGES","ranges":{"range":[{"begin":1,"end":9}]}},
          {"name":"disk","type":"SCALAR","scalar":{"value":100}},
          {"name":"disk","type":"SCALAR","scalar":{"value":50},
           "disk":{"source":{"type":"MOUNT","mount":{"root":"/m"}}}},
          {"name":"disk","type":"SCALAR","scalar":{"value":70},
           "disk":{"source":{"type":"PATH","path":{"root":"/p"}}}}])";

  // A random operation that fits `total`, or nothing.
  static std::optional<std::vector<ResourceConversion>> Draw(const Resources& total,
                                                             base::Rng* rng) {
    Resource object = total.objects()[rng->Below(total.size())];
    const auto one = [](absl::StatusOr<ResourceConversion> conversion)
        -> std::optional<std::vector<ResourceConversion>> {
      if (!conversion.ok()) return std::nullopt;
      return std::vector<ResourceConversion>{*std::move(conversion)};
    };
    const auto many = [](absl::StatusOr<std::vector<ResourceConversion>> conversions)
        -> std::optional<std::vector<ResourceConversion>> {
      if (!conversions.ok()) return std::nullopt;
      return *std::move(conversions);
    };
    const auto cut = [&] {
      if (object.IsDivisible() && object.kind() == ResourceKind::kScalar) {
        object.set_scalar(Scalar::FromThousandths(
            1 + static_cast<int64_t>(
                    rng->Below(static_cast<uint64_t>(object.scalar().thousandths())))));
      }
    };
    switch (rng->Below(6)) {
      case 0: {
        cut();
        const std::string role = object.IsReserved() ? object.ReservationRole() + "/s" : "a";
        if (!object.PushReservation({.type = ReservationType::kDynamic, .role = role}).ok()) {
          return std::nullopt;
        }
        return one(ReserveConversion({object}));
      }
      case 1:
        cut();
        return one(UnreserveConversion({object}));
      case 2: {
        cut();
        ResourceMetadata metadata = object.metadata();
        if (!metadata.disk) metadata.disk.emplace();
        metadata.disk->persistence = {.id = "v" + std::to_string(rng->Next() % 1000)};
        metadata.disk->volume = {.container_path = "data"};
        metadata.shared = rng->Chance(0.3);
        object.set_metadata(metadata);
        return many(CreateConversions({object}));
      }
      case 3:
        return many(DestroyConversions({object}));
      case 4: {
        Resource addition = DiskOfVolume(object);
        addition.set_scalar(Scalar::FromThousandths(500));
        return one(GrowConversion(object, addition));
      }
      default:
        return one(ShrinkConversion(object, Scalar::FromThousandths(500)));
    }
  }
};

TEST_F(OperationsPropertyTest, ConserveQuantitiesAndCanAllBeUndone) {
  const auto parsed = ParseResourcesJson(kTotal);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  const Resources machine(*parsed);
  const Quantities amounts = Quantities::OfAll(machine);
  base::Rng rng(12);
  int applied = 0;
  for (int run = 0; run < 300; ++run) {
    Resources total = machine;
    for (int step = 0; step < 40; ++step) {
      const auto conversions = Draw(total, &rng);
      if (!conversions) continue;
      const Resources before = total;
      const auto next = total.Apply(*conversions);
      if (!next.ok()) {
        ASSERT_EQ(total, before);
        continue;
      }
      ++applied;
      total = *next;
      ASSERT_EQ(Quantities::OfAll(total), amounts) << total;
      ExpectCanonical(total);
      for (const Resource& object : total) ASSERT_TRUE(Validate(object).ok()) << object;
    }
    // Destroy every volume, then take back every reservation.
    if (!total.PersistentVolumes().empty()) {
      const auto destroyed = total.Apply(*DestroyConversions(total.PersistentVolumes()));
      ASSERT_TRUE(destroyed.ok()) << destroyed.status();
      total = *destroyed;
    }
    while (true) {
      const Resources dynamic =
          total.Filter([](const Resource& object) { return object.IsDynamicallyReserved(); });
      if (dynamic.empty()) break;
      const auto popped = total.Apply(*UnreserveConversion(dynamic));
      ASSERT_TRUE(popped.ok()) << popped.status();
      total = *popped;
    }
    ASSERT_EQ(total, machine);
  }
  EXPECT_GT(applied, 1000);
}

}  // namespace
}  // namespace tessera::model
