// One resource object: a name, a value (scalar, ranges or set) and metadata.
//
// Plain unreserved resources carry no metadata object at all; others share one immutable object
// among copies, so copying a resource never copies its reservations. Amounts of mem and disk are
// MiB. A value type; the shared metadata is immutable and may be read from any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <ostream>
#include <string>
#include <string_view>
#include <variant>

#include "absl/status/status.h"
#include "services/model/ranges.h"
#include "services/model/resource_metadata.h"
#include "services/model/scalar.h"
#include "services/model/string_set.h"

namespace tessera::model {

enum class ResourceKind : uint8_t { kScalar = 0, kRanges = 1, kSet = 2 };

class Resource {
 public:
  static Resource OfScalar(std::string name, Scalar value);
  static Resource OfRanges(std::string name, Ranges value);
  static Resource OfSet(std::string name, StringSet value);

  const std::string& name() const { return name_; }
  ResourceKind kind() const { return static_cast<ResourceKind>(value_.index()); }

  // The value; zero or empty when the resource is of another kind.
  Scalar scalar() const;
  const Ranges& ranges() const;
  const StringSet& set() const;
  // Replace the value, and the kind with it.
  void set_scalar(Scalar value) { value_ = value; }
  void set_ranges(Ranges value) { value_ = std::move(value); }
  void set_set(StringSet value) { value_ = std::move(value); }

  const ResourceMetadata& metadata() const;
  void set_metadata(ResourceMetadata metadata);
  // Takes over the metadata object of `that` without copying it.
  void ShareMetadataOf(const Resource& that) { metadata_ = that.metadata_; }
  bool SharesMetadataWith(const Resource& that) const { return metadata_ == that.metadata_; }
  // What the metadata adds to the identity, as bytes; empty when plain.
  std::string_view MetadataIdentity() const {
    return metadata_ == nullptr ? std::string_view() : metadata_->identity;
  }

  // How many copies of a shared resource this object stands for; 1 for any other.
  int64_t copies() const { return copies_; }
  void set_copies(int64_t copies) { copies_ = copies; }

  // Zero (or negative), no interval, no item, or no copy left.
  bool IsEmpty() const;

  bool IsPlain() const { return metadata_ == nullptr; }
  bool IsUnreserved() const { return metadata().reservations.empty(); }
  bool IsReserved() const { return !IsUnreserved(); }
  // Reserved to exactly `role` (the last level of the stack).
  bool IsReservedTo(std::string_view role) const;
  // The role that holds the resource; "*" when unreserved.
  const std::string& ReservationRole() const;
  // The last level of the stack is dynamic.
  bool IsDynamicallyReserved() const;
  bool HasRefinedReservations() const { return metadata().reservations.size() > 1; }
  // Unreserved, or reserved to `role` or one of its ancestors.
  bool IsAllocatableTo(std::string_view role) const;
  bool IsAllocated() const { return metadata().allocation_role.has_value(); }
  bool IsRevocable() const { return metadata().revocable; }
  bool IsShared() const { return metadata().shared; }
  bool IsPersistentVolume() const;
  // May be split: false for MOUNT and BLOCK disks, RAW disks with an id, and volumes.
  bool IsDivisible() const;

  // Mark as allocated to `role`, or to nobody.
  void Allocate(std::string_view role);
  void Unallocate();

  // RESERVE: adds one level on top. InvalidArgument when the role is invalid or "*", is not a
  // strict sub-role of the level below, or the level is static above another one.
  absl::Status PushReservation(Reservation reservation);
  // UNRESERVE: removes the last level. FailedPrecondition when unreserved or the last level is
  // static.
  absl::Status PopReservation();
  // Drops the whole stack.
  void ClearReservations();

  // Same name, kind and metadata identity (the value may differ).
  bool SameIdentity(const Resource& that) const;
  // SameIdentity and equal value, whatever the number of copies.
  bool EqualsButCopies(const Resource& that) const;
  // The two can be merged into one object, or one taken from the other (section on the algebra
  // in resources.h).
  bool IsAddableTo(const Resource& that) const;
  bool IsSubtractableFrom(const Resource& that) const;
  // Subtractable, and the value (or number of copies) of `that` fits in.
  bool Contains(const Resource& that) const;

  // Merges or takes values. The caller has checked IsAddableTo / IsSubtractableFrom. The result
  // of a subtraction may be empty or negative.
  void AddValue(const Resource& that);
  void SubtractValue(const Resource& that);

  // Cuts a scalar down to `target`. True when it now is at most `target`; false, with no
  // change, when it is indivisible and larger.
  bool ShrinkTo(Scalar target);

  // Total order: name, kind, identity, value, copies; negative, zero or positive.
  int Compare(const Resource& that) const;
  // The same without value and copies.
  int CompareIdentity(const Resource& that) const;
  friend bool operator==(const Resource& left, const Resource& right) {
    return left.copies_ == right.copies_ && left.EqualsButCopies(right);
  }

 private:
  struct Sealed {
    ResourceMetadata fields;
    std::string identity;
    uint64_t fingerprint = 0;
    bool divisible = true;
  };

  std::string name_;
  std::variant<Scalar, Ranges, StringSet> value_;
  std::shared_ptr<const Sealed> metadata_;  // null: plain
  int64_t copies_ = 1;
};

// For people: "cpus:4", "disk(eng, dynamic by ann):100[volume db at data]{shared x2}".
std::string ToString(const Resource& resource);
std::ostream& operator<<(std::ostream& out, const Resource& resource);

// Whether the resource is well formed on its own: a name, an amount that is not negative, disk
// info only on `disk`, a reservation stack whose roles refine one another, volumes that are
// reserved, and so on. InvalidArgument naming the resource and the field.
absl::Status Validate(const Resource& resource);

}  // namespace tessera::model
