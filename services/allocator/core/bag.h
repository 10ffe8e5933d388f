// The resources of an agent, an offer or a filter.
//
// Plain scalars are an array of amounts. Everything with an identity (reserved, revocable, of a
// disk or a provider) and everything that is not a scalar is an extra: a short list, sorted by
// kind, immutable and shared, with the sums that the allocator asks for worked out once. Taking
// all of an agent, the common case, moves one pointer.
//
// Resources in a bag are never marked as allocated; whoever holds the bag knows the role.
// Not thread safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "services/allocator/core/amounts.h"
#include "services/allocator/core/ids.h"
#include "services/allocator/core/vocabulary.h"
#include "services/model/resources.h"

namespace tessera::allocator {

struct Item {
  KindNum kind;
  // Thousandths; the number of pieces of an indivisible kind; not used for ranges and sets.
  int64_t amount = 0;
  // Ranges and sets: the value, of identity `kind`.
  std::shared_ptr<const model::Resource> value;
};

class Extras {
  struct Private {};

 public:
  // `items`: any order; equal kinds are merged, empty items dropped. Null when nothing is left.
  static std::shared_ptr<const Extras> Make(std::vector<Item> items, const Vocabulary& words);

  explicit Extras(Private) {}

  const std::vector<Item>& items() const { return items_; }
  // All scalars of counted names, each shared kind once.
  const Amounts& quantity() const { return quantity_; }
  // Unreserved, not revocable scalars: what quota and head-room count.
  const Amounts& unreserved() const { return unreserved_; }
  // Unreserved ranges and sets.
  bool any_open_values() const { return any_open_values_; }
  bool any_reserved() const { return any_reserved_; }
  bool any_shared() const { return any_shared_; }
  // Nothing in it asks for a role or a capability of whoever gets it.
  bool SuitsAll() const {
    return !any_reserved_ && !any_revocable_ && !any_shared_ && !any_refined_;
  }

 private:
  std::vector<Item> items_;
  Amounts quantity_;
  Amounts unreserved_;
  bool any_open_values_ = false;
  bool any_reserved_ = false;
  bool any_revocable_ = false;
  bool any_shared_ = false;
  bool any_refined_ = false;
};
using ExtrasPtr = std::shared_ptr<const Extras>;

struct Bag {
  Amounts plain;
  ExtrasPtr extras;  // null: none

  bool IsEmpty() const { return extras == nullptr && plain.IsZero(); }
  // All scalars by name.
  Amounts Quantity() const { return extras == nullptr ? plain : plain + extras->quantity(); }
  // Unreserved, not revocable scalars by name.
  Amounts Unreserved() const { return extras == nullptr ? plain : plain + extras->unreserved(); }
};

void AddTo(Bag* bag, const Bag& more, const Vocabulary& words);
// Clips at nothing: what is not there is not taken. Returns whether all of `less` was there.
bool TakeFrom(Bag* bag, const Bag& less, const Vocabulary& words);
// Every part of `part` fits into `whole`.
bool Contains(const Bag& whole, const Bag& part, const Vocabulary& words);
bool Equal(const Bag& left, const Bag& right, const Vocabulary& words);
// The extras for whose kind `keep` holds; the same object when that is all of them.
ExtrasPtr Select(const ExtrasPtr& extras, const Vocabulary& words,
                 absl::FunctionRef<bool(const Kind&)> keep);

// The same for equal bags of one vocabulary, whatever the process.
uint64_t Fingerprint(const Bag& bag);
// Without shared volumes, or nothing but them.
Bag NonShared(const Bag& bag, const Vocabulary& words);
ExtrasPtr OnlyShared(const Bag& bag, const Vocabulary& words);
// Copies of a shared kind.
int64_t CopiesOf(KindNum shared, const Bag& bag);

// Thousandths of the scalars called `name`, when that is a name beyond the bound of Amounts.
int64_t UncountedAmount(const ExtrasPtr& extras, const std::string& name, const Vocabulary& words);
// The number of elements of ranges and sets called `name`.
uint64_t CountElements(const ExtrasPtr& extras, const std::string& name, const Vocabulary& words);

// Interns what is new; marks of allocation are dropped. Errors as of Vocabulary's Intern functions.
absl::StatusOr<Bag> BagOf(const model::Resources& resources, Vocabulary* words);
model::Resources ResourcesOf(const Bag& bag, const Vocabulary& words);
std::string ToString(const Bag& bag, const Vocabulary& words);

}  // namespace tessera::allocator
