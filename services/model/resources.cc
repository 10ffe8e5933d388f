#include "services/model/resources.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "services/base/status_macros.h"
#include "services/model/role.h"

namespace tessera::model {
namespace {

// Up to this many objects are added one by one; more are merged in one pass.
constexpr size_t kAddSinglyMax = 8;

bool Precedes(const Resource& left, const Resource& right) { return left.Compare(right) < 0; }

// Hands equal results to neighbours that share a metadata object, so that marking a whole
// collection makes one new metadata object for each old one.
class MetadataMemo {
 public:
  template <typename Change>
  void Apply(Change change, Resource* object) {
    if (valid_ && object->SharesMetadataWith(before_)) {
      object->ShareMetadataOf(after_);
      return;
    }
    before_.ShareMetadataOf(*object);
    change(object);
    after_.ShareMetadataOf(*object);
    valid_ = true;
  }

 private:
  bool valid_ = false;
  Resource before_ = Resource::OfScalar("", Scalar());
  Resource after_ = Resource::OfScalar("", Scalar());
};

// Reduces `part` to what it has in common with `wanted`, which is subtractable from it.
void KeepCommon(const Resource& wanted, Resource* part) {
  if (part->IsShared()) {
    part->set_copies(std::min(part->copies(), wanted.copies()));
    return;
  }
  switch (part->kind()) {
    case ResourceKind::kScalar:
      part->set_scalar(std::min(part->scalar(), wanted.scalar()));
      return;
    case ResourceKind::kRanges:
      part->set_ranges(part->ranges() - (part->ranges() - wanted.ranges()));
      return;
    case ResourceKind::kSet:
      part->set_set(part->set() - (part->set() - wanted.set()));
      return;
  }
}

}  // namespace

Resources::Resources(std::initializer_list<Resource> objects)
    : Resources(std::vector<Resource>(objects)) {}

Resources::Resources(std::vector<Resource> objects) : objects_(std::move(objects)) {
  Canonicalize();
}

absl::StatusOr<Resources> Resources::FromValidated(std::vector<Resource> objects) {
  RETURN_IF_ERROR(Validate(objects));
  return Resources(std::move(objects));
}

size_t Resources::LowerBound(const Resource& object) const {
  const auto at = std::lower_bound(
      objects_.begin(), objects_.end(), object,
      [](const Resource& left, const Resource& right) { return left.CompareIdentity(right) < 0; });
  return static_cast<size_t>(at - objects_.begin());
}

void Resources::DropEmpty() {
  std::erase_if(objects_, [](const Resource& object) { return object.IsEmpty(); });
}

void Resources::MergeNeighbours() {
  size_t kept = 0;
  for (size_t i = 0; i < objects_.size(); ++i) {
    if (kept > 0 && objects_[i].IsAddableTo(objects_[kept - 1])) {
      objects_[kept - 1].AddValue(objects_[i]);
      continue;
    }
    if (kept != i) objects_[kept] = std::move(objects_[i]);
    ++kept;
  }
  objects_.erase(objects_.begin() + static_cast<std::ptrdiff_t>(kept), objects_.end());
}

void Resources::Canonicalize() {
  DropEmpty();
  // Stable, so that of merged objects the first given one lends the fields outside identity.
  std::stable_sort(objects_.begin(), objects_.end(), Precedes);
  MergeNeighbours();
}

Resources& Resources::operator+=(Resource object) {
  if (object.IsEmpty()) return *this;
  size_t at = LowerBound(object);
  // Among objects of one identity only shared ones and equals can be addable; they are few.
  for (; at < objects_.size() && objects_[at].CompareIdentity(object) == 0; ++at) {
    if (object.IsAddableTo(objects_[at])) {
      objects_[at].AddValue(object);
      return *this;
    }
    if (Precedes(object, objects_[at])) break;
  }
  objects_.insert(objects_.begin() + static_cast<std::ptrdiff_t>(at), std::move(object));
  return *this;
}

Resources& Resources::operator+=(const Resources& that) {
  if (that.objects_.size() <= kAddSinglyMax && this != &that) {
    for (const Resource& object : that.objects_) *this += object;
    return *this;
  }
  std::vector<Resource> merged;
  merged.reserve(objects_.size() + that.objects_.size());
  std::merge(objects_.begin(), objects_.end(), that.objects_.begin(), that.objects_.end(),
             std::back_inserter(merged), Precedes);
  objects_ = std::move(merged);
  MergeNeighbours();
  return *this;
}

bool Resources::SubtractLeavingHoles(const Resource& object) {
  for (size_t at = LowerBound(object);
       at < objects_.size() && objects_[at].CompareIdentity(object) == 0; ++at) {
    // A hole left by an indivisible object has no value any more and so matches nothing.
    if (!object.IsSubtractableFrom(objects_[at])) continue;
    objects_[at].SubtractValue(object);
    return objects_[at].IsEmpty();
  }
  return false;
}

Resources& Resources::operator-=(const Resource& object) {
  if (object.IsEmpty()) return *this;
  if (SubtractLeavingHoles(object)) DropEmpty();
  return *this;
}

Resources& Resources::operator-=(const Resources& that) {
  if (this == &that) {
    objects_.clear();
    return *this;
  }
  bool holes = false;
  for (const Resource& object : that.objects_) holes |= SubtractLeavingHoles(object);
  if (holes) DropEmpty();
  return *this;
}

bool Resources::Contains(const Resource& object) const {
  if (object.IsEmpty()) return true;
  for (size_t at = LowerBound(object);
       at < objects_.size() && objects_[at].CompareIdentity(object) == 0; ++at) {
    if (objects_[at].Contains(object)) return true;
  }
  return false;
}

bool Resources::Contains(const Resources& that) const {
  size_t equals_before = 0;
  for (size_t i = 0; i < that.objects_.size(); ++i) {
    const Resource& wanted = that.objects_[i];
    if (wanted.IsShared() || wanted.IsDivisible()) {
      if (!Contains(wanted)) return false;
      continue;
    }
    // Equal indivisible objects are neighbours; the n-th one needs an n-th match.
    equals_before = i > 0 && wanted == that.objects_[i - 1] ? equals_before + 1 : 0;
    size_t matches = 0;
    for (size_t at = LowerBound(wanted);
         at < objects_.size() && objects_[at].CompareIdentity(wanted) == 0; ++at) {
      if (objects_[at] == wanted) ++matches;
    }
    if (matches <= equals_before) return false;
  }
  return true;
}

absl::StatusOr<Resources> Resources::Apply(const ResourceConversion& conversion) const {
  if (!Contains(conversion.consumed)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "resources ", ToString(*this), " do not contain ", ToString(conversion.consumed)));
  }
  Resources result = *this;
  result -= conversion.consumed;
  result += conversion.converted;
  if (conversion.must_vanish && result.Contains(*conversion.must_vanish)) {
    return absl::InvalidArgumentError(
        absl::StrCat("copies of ", ToString(*conversion.must_vanish), " are still in use"));
  }
  return result;
}

absl::StatusOr<Resources> Resources::Apply(
    const std::vector<ResourceConversion>& conversions) const {
  Resources result = *this;
  for (const ResourceConversion& conversion : conversions) {
    absl::StatusOr<Resources> next = result.Apply(conversion);
    if (!next.ok()) return next.status();
    result = *std::move(next);
  }
  return result;
}

Resources Resources::Unreserved() const {
  return Filter([](const Resource& object) { return object.IsUnreserved(); });
}

Resources Resources::Reserved() const {
  return Filter([](const Resource& object) { return object.IsReserved(); });
}

Resources Resources::ReservedTo(std::string_view role) const {
  return Filter([role](const Resource& object) { return object.IsReservedTo(role); });
}

Resources Resources::AllocatedTo(std::string_view role) const {
  return Filter(
      [role](const Resource& object) { return object.metadata().allocation_role == role; });
}

Resources Resources::NonRevocable() const {
  return Filter([](const Resource& object) { return !object.IsRevocable(); });
}

Resources Resources::Shared() const {
  return Filter([](const Resource& object) { return object.IsShared(); });
}

Resources Resources::NonShared() const {
  return Filter([](const Resource& object) { return !object.IsShared(); });
}

Resources Resources::Scalars() const {
  return Filter([](const Resource& object) { return object.kind() == ResourceKind::kScalar; });
}

Resources Resources::NonScalars() const {
  return Filter([](const Resource& object) { return object.kind() != ResourceKind::kScalar; });
}

Resources Resources::PersistentVolumes() const {
  return Filter([](const Resource& object) { return object.IsPersistentVolume(); });
}

Resources Resources::Named(std::string_view name) const {
  return Filter([name](const Resource& object) { return object.name() == name; });
}

std::map<std::string, Resources, std::less<>> Resources::ByReservationRole() const {
  std::map<std::string, Resources, std::less<>> by_role;
  for (const Resource& object : objects_) {
    if (object.IsReserved()) by_role[object.ReservationRole()].objects_.push_back(object);
  }
  return by_role;
}

template <typename Change>
Resources Resources::Changed(Change change) const {
  Resources changed = *this;
  MetadataMemo memo;
  for (Resource& object : changed.objects_) memo.Apply(change, &object);
  changed.Canonicalize();
  return changed;
}

Resources Resources::AllocatedCopy(std::string_view role) const {
  return Changed([role](Resource* object) { object->Allocate(role); });
}

Resources Resources::UnallocatedCopy() const {
  return Changed([](Resource* object) { object->Unallocate(); });
}

Resources Resources::UnreservedCopy() const {
  return Changed([](Resource* object) { object->ClearReservations(); });
}

absl::StatusOr<Resources> Resources::PushReservation(const Reservation& reservation) const {
  absl::Status failure;
  Resources pushed = Changed([&](Resource* object) {
    if (failure.ok()) failure = object->PushReservation(reservation);
  });
  if (!failure.ok()) return failure;
  return pushed;
}

absl::StatusOr<Resources> Resources::PopReservation() const {
  absl::Status failure;
  Resources popped = Changed([&](Resource* object) {
    if (failure.ok()) failure = object->PopReservation();
  });
  if (!failure.ok()) return failure;
  return popped;
}

Scalar Resources::SumOf(std::string_view name) const {
  Scalar sum;
  for (const Resource& object : objects_) {
    if (object.name() == name) sum += object.scalar();
  }
  return sum;
}

Ranges Resources::RangesOf(std::string_view name) const {
  Ranges all;
  for (const Resource& object : objects_) {
    if (object.name() == name) all += object.ranges();
  }
  return all;
}

std::set<std::string> Resources::Names() const {
  std::set<std::string> names;
  for (const Resource& object : objects_) names.insert(object.name());
  return names;
}

std::optional<Resources> Resources::Find(const Resource& target) const {
  // Reservations are left out of the comparison; they decide where to look first.
  Resource missing = target;
  missing.ClearReservations();
  if (missing.IsEmpty()) return Resources();
  const auto place_of = [&target](const Resource& object) {
    if (object.IsUnreserved()) return 1;
    return object.IsReservedTo(target.ReservationRole()) ? 0 : 2;
  };
  Resources found;
  for (const int place : {0, 1, 2}) {
    for (const Resource& object : objects_) {
      if (place_of(object) != place) continue;
      Resource part = object;
      part.ClearReservations();
      if (!missing.IsSubtractableFrom(part)) continue;
      KeepCommon(missing, &part);
      missing.SubtractValue(part);
      part.ShareMetadataOf(object);
      found += std::move(part);
      if (missing.IsEmpty()) return found;
    }
  }
  return std::nullopt;
}

std::optional<Resources> Resources::Find(const Resources& targets) const {
  Resources rest = *this;
  Resources found;
  for (const Resource& target : targets) {
    const std::optional<Resources> part = rest.Find(target);
    if (!part) return std::nullopt;
    found += *part;
    rest -= *part;
  }
  return found;
}

Resources ShrinkToTargets(const std::vector<Resource>& objects,
                          const std::map<std::string, Scalar, std::less<>>& targets) {
  std::map<std::string, Scalar, std::less<>> left = targets;
  Resources shrunk;
  for (const Resource& object : objects) {
    const auto target = left.find(object.name());
    if (target == left.end() || object.kind() != ResourceKind::kScalar) {
      shrunk += object;
      continue;
    }
    Resource part = object;
    if (!part.ShrinkTo(target->second) || part.IsEmpty()) continue;
    target->second -= part.scalar();
    shrunk += std::move(part);
  }
  return shrunk;
}

std::string ToString(const Resources& resources) {
  return absl::StrJoin(resources, "; ", [](std::string* out, const Resource& object) {
    absl::StrAppend(out, ToString(object));
  });
}

std::ostream& operator<<(std::ostream& out, const Resources& resources) {
  return out << ToString(resources);
}

}  // namespace tessera::model
