// A collection of resource objects with the algebra that all book-keeping rests on.
//
// Invariant (canonical form): no object is empty, no two objects are addable, and objects are
// sorted by name, kind, identity and value; equal collections therefore have equal objects in
// equal order, whatever order they were built in.
//
// When two objects can be added and subtracted:
//   shared                           only when fully equal; the numbers of copies add up
//   different metadata               never
//   no disk source, or PATH, no volume  both
//   RAW disk without id              both
//   MOUNT, BLOCK, RAW disk with id, volume   never added; subtracted only when fully equal
//
// Subtraction clips: what would become negative disappears without an error. Ask Contains()
// first where a shortage must be noticed. A value type.
#pragma once

#include <initializer_list>
#include <map>
#include <optional>
#include <ostream>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/model/resource.h"

namespace tessera::model {

class Resources;

// One resource operation seen as arithmetic: `consumed` is replaced by `converted`.
struct ResourceConversion;

class Resources {
 public:
  using const_iterator = std::vector<Resource>::const_iterator;

  Resources() = default;
  // Empty objects are left out, addable ones are merged.
  Resources(std::initializer_list<Resource> objects);
  explicit Resources(std::vector<Resource> objects);
  // Refuses objects that Validate() refuses, and `objects` that contradict one another (a name
  // with two kinds, a persistence id twice in one role). Use for anything from outside.
  static absl::StatusOr<Resources> FromValidated(std::vector<Resource> objects);

  const_iterator begin() const { return objects_.begin(); }
  const_iterator end() const { return objects_.end(); }
  size_t size() const { return objects_.size(); }
  bool empty() const { return objects_.empty(); }
  const std::vector<Resource>& objects() const { return objects_; }

  // Addition and clipping subtraction. One object: O(log n) to find, O(n) to shift. A whole
  // collection: O(m log n + n).
  Resources& operator+=(Resource object);
  Resources& operator+=(const Resources& that);
  Resources& operator-=(const Resource& object);
  Resources& operator-=(const Resources& that);
  friend Resources operator+(Resources left, const Resources& right) { return left += right; }
  friend Resources operator-(Resources left, const Resources& right) { return left -= right; }
  friend Resources operator+(Resources left, Resource right) { return left += std::move(right); }
  friend Resources operator-(Resources left, const Resource& right) { return left -= right; }
  friend bool operator==(const Resources&, const Resources&) = default;

  // Whether every object of `that` fits into an object here. Indivisible objects match one to
  // one, so two equal disks are not contained in one.
  bool Contains(const Resources& that) const;
  bool Contains(const Resource& object) const;

  // Replaces `consumed` by `converted`. InvalidArgument when `consumed` is not contained, or
  // when the conversion's own condition on the result fails; nothing changes then.
  absl::StatusOr<Resources> Apply(const ResourceConversion& conversion) const;
  absl::StatusOr<Resources> Apply(const std::vector<ResourceConversion>& conversions) const;

  // The objects for which `keep(object)` holds.
  template <typename Predicate>
  Resources Filter(Predicate keep) const {
    Resources kept;
    for (const Resource& object : objects_) {
      if (keep(object)) kept.objects_.push_back(object);
    }
    return kept;
  }
  Resources Unreserved() const;
  Resources Reserved() const;
  Resources ReservedTo(std::string_view role) const;
  Resources AllocatedTo(std::string_view role) const;
  Resources NonRevocable() const;
  Resources Shared() const;
  Resources NonShared() const;
  Resources Scalars() const;
  Resources NonScalars() const;
  Resources PersistentVolumes() const;
  Resources Named(std::string_view name) const;

  // Reserved objects by the role that holds them.
  std::map<std::string, Resources, std::less<>> ByReservationRole() const;

  // All objects marked as allocated to `role`, or to nobody.
  Resources AllocatedCopy(std::string_view role) const;
  Resources UnallocatedCopy() const;
  // All objects without their reservation stacks.
  Resources UnreservedCopy() const;
  // One reservation level more or less on every object; fails as the functions of Resource do.
  absl::StatusOr<Resources> PushReservation(const Reservation& reservation) const;
  absl::StatusOr<Resources> PopReservation() const;

  // Sum of all scalars called `name`, whatever their metadata; a shared object counts once.
  Scalar SumOf(std::string_view name) const;
  // Union of all ranges called `name`, whatever their metadata.
  Ranges RangesOf(std::string_view name) const;
  std::set<std::string> Names() const;

  // Objects of this collection that together make up `target`, taken first from those reserved
  // to the role of `target`, then from unreserved ones, then from any; nullopt when there is
  // not enough.
  std::optional<Resources> Find(const Resource& target) const;
  std::optional<Resources> Find(const Resources& targets) const;

 private:
  // Index of the first object whose identity is not before that of `object`.
  size_t LowerBound(const Resource& object) const;
  // Leaves emptied objects in place; true when it emptied one.
  bool SubtractLeavingHoles(const Resource& object);
  void DropEmpty();
  // Restores order, merges addable neighbours and drops empty objects.
  void Canonicalize();
  void MergeNeighbours();
  template <typename Change>
  Resources Changed(Change change) const;

  std::vector<Resource> objects_;
};

struct ResourceConversion {
  Resources consumed;
  Resources converted;
  // A volume that must not be left anywhere in the result (DESTROY of a shared volume).
  std::optional<Resource> must_vanish;
};

// Cuts every scalar of `objects` so that the sum by name stays within the given target of its
// name; names without a target are left alone. Objects are taken in the given order; an
// indivisible object that does not fit is left out, so the result may be below the target.
Resources ShrinkToTargets(const std::vector<Resource>& objects,
                          const std::map<std::string, Scalar, std::less<>>& targets);

// Checks each object, then the collection: one kind per name, no persistence id twice in a role.
absl::Status Validate(const std::vector<Resource>& objects);

// For people: "cpus:4; mem:1024".
std::string ToString(const Resources& resources);
std::ostream& operator<<(std::ostream& out, const Resources& resources);

}  // namespace tessera::model
