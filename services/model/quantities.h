// Amounts by resource name, with all metadata stripped: what shares, quota, head-room and
// thresholds are computed with.
//
// Quantities is the readable form (sorted names). QuantityVector is the same indexed by interned
// name for inner loops: cpus, mem, disk and gpus lie in the object itself. Subtraction clips at
// zero in both. Value types.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "absl/status/statusor.h"
#include "services/model/resources.h"
#include "services/model/scalar.h"

namespace tessera::model {

// Invariant: sorted by name; every amount is positive.
class Quantities {
 public:
  using Entry = std::pair<std::string, Scalar>;

  Quantities() = default;
  Quantities(std::initializer_list<Entry> entries);

  // Sums of scalars. Every kind of reservation, disk and volume counts; each shared object
  // counts once.
  static Quantities OfScalars(const Resources& resources);
  // The same, and for ranges and sets the number of their elements.
  static Quantities OfAll(const Resources& resources);

  // Reads "cpus:4;mem:1024": plain numbers only, no name twice, none negative.
  static absl::StatusOr<Quantities> Parse(std::string_view text);
  std::string ToString() const;

  std::vector<Entry>::const_iterator begin() const { return entries_.begin(); }
  std::vector<Entry>::const_iterator end() const { return entries_.end(); }
  bool empty() const { return entries_.empty(); }
  size_t size() const { return entries_.size(); }

  // Zero when absent.
  Scalar Get(std::string_view name) const;
  // Zero or less removes the entry.
  void Set(std::string_view name, Scalar amount);
  void Add(std::string_view name, Scalar amount) { Set(name, Get(name) + amount); }

  // Every amount of `that` is at most the amount here.
  bool Contains(const Quantities& that) const;

  Quantities& operator+=(const Quantities& that);
  Quantities& operator-=(const Quantities& that);  // clips at zero
  friend Quantities operator+(Quantities left, const Quantities& right) { return left += right; }
  friend Quantities operator-(Quantities left, const Quantities& right) { return left -= right; }
  friend bool operator==(const Quantities&, const Quantities&) = default;

 private:
  std::vector<Entry>::iterator LowerBound(std::string_view name);
  std::vector<Entry> entries_;
};

std::ostream& operator<<(std::ostream& out, const Quantities& quantities);

// Small integers for resource names, in order of first use; four names are always there. Owned
// by one core; not thread safe.
class ResourceNames {
 public:
  using Id = uint32_t;
  static constexpr Id kCpus = 0;
  static constexpr Id kMem = 1;
  static constexpr Id kDisk = 2;
  static constexpr Id kGpus = 3;
  static constexpr size_t kWellKnown = 4;

  ResourceNames();

  // `limit` bounds the table against hostile names; ResourceExhausted beyond it.
  absl::StatusOr<Id> Intern(std::string_view name);
  std::optional<Id> Find(std::string_view name) const;
  const std::string& Name(Id id) const { return names_[id]; }
  size_t size() const { return names_.size(); }
  void set_limit(size_t limit) { limit_ = limit; }

 private:
  std::vector<std::string> names_;
  absl::flat_hash_map<std::string, Id> ids_;
  size_t limit_ = 4096;
};

// Amounts by interned name; ids beyond the stored length are zero.
class QuantityVector {
 public:
  QuantityVector() : amounts_(ResourceNames::kWellKnown) {}

  // Names that do not fit into the interner's limit are left out, and told by false.
  static QuantityVector From(const Quantities& quantities, ResourceNames* names,
                             bool* complete = nullptr);
  Quantities ToQuantities(const ResourceNames& names) const;

  size_t size() const { return amounts_.size(); }
  Scalar Get(ResourceNames::Id id) const { return id < amounts_.size() ? amounts_[id] : Scalar(); }
  void Set(ResourceNames::Id id, Scalar amount) {
    if (id >= amounts_.size()) amounts_.resize(id + 1);
    amounts_[id] = amount;
  }
  void Add(ResourceNames::Id id, Scalar amount) { Set(id, Get(id) + amount); }

  // No amount is above zero.
  bool IsZero() const {
    for (const Scalar amount : amounts_) {
      if (amount.IsPositive()) return false;
    }
    return true;
  }
  // Every amount of `that` is at most the amount here.
  bool Contains(const QuantityVector& that) const {
    for (size_t id = 0; id < that.amounts_.size(); ++id) {
      if (Get(static_cast<ResourceNames::Id>(id)) < that.amounts_[id]) return false;
    }
    return true;
  }
  QuantityVector& operator+=(const QuantityVector& that) {
    if (that.amounts_.size() > amounts_.size()) amounts_.resize(that.amounts_.size());
    for (size_t id = 0; id < that.amounts_.size(); ++id) amounts_[id] += that.amounts_[id];
    return *this;
  }
  // Clips at zero.
  QuantityVector& operator-=(const QuantityVector& that) {
    const size_t common = std::min(amounts_.size(), that.amounts_.size());
    for (size_t id = 0; id < common; ++id) {
      amounts_[id] = std::max(Scalar(), amounts_[id] - that.amounts_[id]);
    }
    return *this;
  }
  friend QuantityVector operator+(QuantityVector left, const QuantityVector& right) {
    return left += right;
  }
  friend QuantityVector operator-(QuantityVector left, const QuantityVector& right) {
    return left -= right;
  }
  // Equal amounts; trailing zeros do not matter.
  friend bool operator==(const QuantityVector& left, const QuantityVector& right) {
    const size_t length = std::max(left.amounts_.size(), right.amounts_.size());
    for (size_t id = 0; id < length; ++id) {
      const auto name = static_cast<ResourceNames::Id>(id);
      if (left.Get(name) != right.Get(name)) return false;
    }
    return true;
  }
  // The smaller amount of each name.
  static QuantityVector Min(const QuantityVector& left, const QuantityVector& right) {
    QuantityVector least;
    const size_t length = std::max(left.amounts_.size(), right.amounts_.size());
    for (size_t id = 0; id < length; ++id) {
      const auto name = static_cast<ResourceNames::Id>(id);
      least.Set(name, std::min(left.Get(name), right.Get(name)));
    }
    return least;
  }

 private:
  absl::InlinedVector<Scalar, ResourceNames::kWellKnown> amounts_;
};

// The least that is worth offering: alternatives, each a set of amounts that must all be
// reached. Written "cpus:0.01|mem:32", with `;` for "and" inside an alternative.
class MinAllocatable {
 public:
  // No alternative: anything but nothing at all is allocatable.
  MinAllocatable() = default;

  // InvalidArgument for malformed, negative or non-scalar bounds. Zero bounds are dropped. An
  // empty text configures no minimum.
  static absl::StatusOr<MinAllocatable> Parse(std::string_view text);
  std::string ToString() const;

  const std::vector<Quantities>& alternatives() const { return alternatives_; }

  // `amounts` counts ranges and sets by their elements (Quantities::OfAll). Nothing is never
  // allocatable.
  bool Admits(const Quantities& amounts) const;

 private:
  std::vector<Quantities> alternatives_;
};

}  // namespace tessera::model
