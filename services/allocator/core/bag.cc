#include "services/allocator/core/bag.h"

#include <algorithm>
#include <utility>

#include "absl/hash/hash.h"

namespace tessera::allocator {
namespace {

bool IsEmptyItem(const Item& item) {
  return item.value != nullptr ? item.value->IsEmpty() : item.amount <= 0;
}

// Walks two lists sorted by kind; calls `merge` with null for the side that lacks a kind.
template <typename Merge>
void Zip(const std::vector<Item>& left, const std::vector<Item>& right, Merge merge) {
  auto l = left.begin();
  auto r = right.begin();
  while (l != left.end() || r != right.end()) {
    if (r == right.end() || (l != left.end() && l->kind < r->kind)) {
      merge(&*l++, static_cast<const Item*>(nullptr));
    } else if (l == left.end() || r->kind < l->kind) {
      merge(static_cast<const Item*>(nullptr), &*r++);
    } else {
      merge(&*l++, &*r++);
    }
  }
}

Item Sum(const Item& left, const Item& right) {
  Item sum = left;
  if (left.value != nullptr) {
    auto value = std::make_shared<model::Resource>(*left.value);
    value->AddValue(*right.value);
    sum.value = std::move(value);
  } else if (__builtin_add_overflow(left.amount, right.amount, &sum.amount)) {
    sum.amount = kUnlimited;
  }
  return sum;
}

bool ContainsItem(const Item& whole, const Item& part) {
  if (whole.value == nullptr) return whole.amount >= part.amount;
  return whole.value == part.value || whole.value->Contains(*part.value);
}

// Takes `less` from an item of the same kind; returns whether all of it was there.
bool TakeFromItem(Item* item, const Item& less, const Vocabulary& words) {
  if (item->value == nullptr) {
    const bool contained = item->amount >= less.amount;
    item->amount -= less.amount;
    return contained;
  }
  auto& known = words.RecentDifference(item->value.get(), less.value.get());
  if (known.whole != item->value || known.less != less.value) {
    auto rest = std::make_shared<model::Resource>(*item->value);
    rest->SubtractValue(*less.value);
    known = {item->value, less.value, std::move(rest), ContainsItem(*item, less)};
  }
  item->value = known.rest;
  return known.contained;
}

bool SameItem(const Item& left, const Item& right) {
  return left.kind == right.kind && left.amount == right.amount && left.value == right.value;
}

// Sorts by kind, merges items of equal kind and drops what is empty.
void Tidy(std::vector<Item>* items) {
  const auto by_kind = [](const Item& left, const Item& right) { return left.kind < right.kind; };
  if (!std::is_sorted(items->begin(), items->end(), by_kind)) {
    std::stable_sort(items->begin(), items->end(), by_kind);
  }
  size_t kept = 0;
  for (size_t i = 0; i < items->size(); ++i) {
    Item& item = (*items)[i];
    if (IsEmptyItem(item)) continue;
    if (kept > 0 && (*items)[kept - 1].kind == item.kind) {
      (*items)[kept - 1] = Sum((*items)[kept - 1], item);
    } else {
      if (kept != i) (*items)[kept] = std::move(item);
      ++kept;
    }
  }
  items->erase(items->begin() + kept, items->end());
}

bool IsPlainButForAllocation(const model::Resource& resource) {
  if (resource.IsPlain()) return true;
  if (!resource.IsAllocated()) return false;
  model::Resource own = resource;
  own.Unallocate();
  return own.IsPlain();
}

bool SameValue(const model::Resource& left, const model::Resource& right) {
  return left.ranges() == right.ranges() && left.set() == right.set();
}

// A value that was met lately is used again.
std::shared_ptr<const model::Resource> ShareValue(KindNum kind, const model::Resource& resource,
                                                  Vocabulary* words) {
  size_t hash = Index(kind);
  for (const model::Interval& interval : resource.ranges().intervals()) {
    hash = absl::HashOf(hash, interval.begin, interval.end);
  }
  auto& [known_kind, known] = words->RecentValue(hash);
  if (known == nullptr || known_kind != kind || !SameValue(*known, resource)) {
    model::Resource own = resource;
    if (own.IsAllocated()) own.Unallocate();
    known_kind = kind;
    known = std::make_shared<const model::Resource>(std::move(own));
  }
  return known;
}

// As Extras::Make, but extras that were made of the same items lately are used again.
ExtrasPtr MakeShared(std::vector<Item> items, Vocabulary* words) {
  Tidy(&items);
  size_t hash = 0;
  for (const Item& item : items) {
    hash = absl::HashOf(hash, Index(item.kind), item.amount, item.value.get());
  }
  ExtrasPtr& recent = words->RecentExtras(hash);
  if (recent == nullptr || !std::equal(items.begin(), items.end(), recent->items().begin(),
                                       recent->items().end(), SameItem)) {
    recent = Extras::Make(std::move(items), *words);
  }
  return recent;
}

}  // namespace

ExtrasPtr Extras::Make(std::vector<Item> items, const Vocabulary& words) {
  Tidy(&items);
  if (items.empty()) return nullptr;
  auto extras = std::make_shared<Extras>(Private());
  extras->items_ = std::move(items);
  for (const Item& item : extras->items_) {
    const Kind& kind = words.kind(item.kind);
    extras->any_open_values_ |= item.value != nullptr && !kind.is_reserved();
    extras->any_reserved_ |= kind.is_reserved();
    extras->any_revocable_ |= kind.revocable;
    extras->any_shared_ |= kind.shared;
    extras->any_refined_ |= kind.refined;
    if (!kind.is_scalar()) continue;
    const int64_t amount = kind.piece == 0 ? item.amount
                           : kind.shared   ? kind.piece
                                           : kind.piece * item.amount;
    extras->quantity_[kind.scalar_name] += amount;
    if (!kind.is_reserved() && !kind.revocable) extras->unreserved_[kind.scalar_name] += amount;
  }
  return extras;
}

void AddTo(Bag* bag, const Bag& more, const Vocabulary& words) {
  bag->plain += more.plain;
  if (more.extras == nullptr) return;
  if (bag->extras == nullptr) {
    bag->extras = more.extras;
    return;
  }
  std::vector<Item> items;
  items.reserve(bag->extras->items().size() + more.extras->items().size());
  Zip(bag->extras->items(), more.extras->items(), [&](const Item* left, const Item* right) {
    items.push_back(left == nullptr ? *right : right == nullptr ? *left : Sum(*left, *right));
  });
  bag->extras = Extras::Make(std::move(items), words);
}

bool TakeFrom(Bag* bag, const Bag& less, const Vocabulary& words) {
  bool contained = bag->plain.Contains(less.plain);
  bag->plain -= less.plain;
  if (!contained) bag->plain.Clip();
  if (less.extras == nullptr) return contained;
  if (bag->extras == nullptr) return false;
  if (bag->extras == less.extras) {
    bag->extras = nullptr;
    return contained;
  }
  auto& known = words.RecentDifference(bag->extras.get(), less.extras.get());
  if (known.whole != bag->extras || known.less != less.extras) {
    bool all = true;
    std::vector<Item> items;
    items.reserve(bag->extras->items().size());
    Zip(bag->extras->items(), less.extras->items(), [&](const Item* left, const Item* right) {
      if (left == nullptr) {
        all = false;
      } else if (right == nullptr) {
        items.push_back(*left);
      } else if (left->value == nullptr || left->value != right->value) {
        items.push_back(*left);
        all &= TakeFromItem(&items.back(), *right, words);
      }
    });
    known = {bag->extras, less.extras, Extras::Make(std::move(items), words), all};
  }
  bag->extras = known.rest;
  return contained && known.contained;
}

bool Contains(const Bag& whole, const Bag& part, const Vocabulary&) {
  if (!whole.plain.Contains(part.plain)) return false;
  if (part.extras == nullptr || part.extras == whole.extras) return true;
  if (whole.extras == nullptr) return false;
  bool contained = true;
  Zip(whole.extras->items(), part.extras->items(), [&](const Item* left, const Item* right) {
    if (right != nullptr && (left == nullptr || !ContainsItem(*left, *right))) contained = false;
  });
  return contained;
}

bool Equal(const Bag& left, const Bag& right, const Vocabulary& words) {
  return Contains(left, right, words) && Contains(right, left, words);
}

ExtrasPtr Select(const ExtrasPtr& extras, const Vocabulary& words,
                 absl::FunctionRef<bool(const Kind&)> keep) {
  if (extras == nullptr) return nullptr;
  const std::vector<Item>& all = extras->items();
  size_t first = 0;
  while (first < all.size() && keep(words.kind(all[first].kind))) ++first;
  if (first == all.size()) return extras;
  std::vector<Item> items(all.begin(), all.begin() + first);
  for (size_t i = first + 1; i < all.size(); ++i) {
    if (keep(words.kind(all[i].kind))) items.push_back(all[i]);
  }
  return Extras::Make(std::move(items), words);
}

uint64_t Fingerprint(const Bag& bag) {
  constexpr uint64_t kPrime = 0x100000001b3;
  uint64_t hash = 0xcbf29ce484222325;
  const auto mix = [&hash](uint64_t word) {
    hash = (hash ^ word) * kPrime;
    hash ^= hash >> 29;
  };
  for (int64_t amount : bag.plain.milli) mix(static_cast<uint64_t>(amount));
  if (bag.extras == nullptr) return hash;
  for (const Item& item : bag.extras->items()) {
    mix(Index(item.kind));
    mix(static_cast<uint64_t>(item.amount));
    if (item.value == nullptr) continue;
    for (const auto& interval : item.value->ranges().intervals()) {
      mix(interval.begin);
      mix(interval.end);
    }
    for (const std::string& text : item.value->set().items()) {
      for (char letter : text) mix(static_cast<unsigned char>(letter));
      mix(0);
    }
  }
  return hash;
}

Bag NonShared(const Bag& bag, const Vocabulary& words) {
  if (bag.extras == nullptr || !bag.extras->any_shared()) return bag;
  return {bag.plain, Select(bag.extras, words, [](const Kind& kind) { return !kind.shared; })};
}

ExtrasPtr OnlyShared(const Bag& bag, const Vocabulary& words) {
  if (bag.extras == nullptr || !bag.extras->any_shared()) return nullptr;
  return Select(bag.extras, words, [](const Kind& kind) { return kind.shared; });
}

int64_t CopiesOf(KindNum shared, const Bag& bag) {
  if (bag.extras == nullptr || !bag.extras->any_shared()) return 0;
  for (const Item& item : bag.extras->items()) {
    if (item.kind == shared) return item.amount;
  }
  return 0;
}

int64_t UncountedAmount(const ExtrasPtr& extras, const std::string& name, const Vocabulary& words) {
  int64_t sum = 0;
  if (extras == nullptr) return sum;
  for (const Item& item : extras->items()) {
    const Kind& kind = words.kind(item.kind);
    if (item.value != nullptr || kind.is_scalar() || kind.prototype.name() != name) continue;
    sum += kind.piece == 0 ? item.amount : kind.piece * (kind.shared ? 1 : item.amount);
  }
  return sum;
}

uint64_t CountElements(const ExtrasPtr& extras, const std::string& name, const Vocabulary& words) {
  uint64_t count = 0;
  if (extras == nullptr) return count;
  for (const Item& item : extras->items()) {
    if (item.value == nullptr || words.kind(item.kind).prototype.name() != name) continue;
    count += item.value->kind() == model::ResourceKind::kRanges ? item.value->ranges().Count()
                                                                : item.value->set().Count();
  }
  return count;
}

absl::StatusOr<Bag> BagOf(const model::Resources& resources, Vocabulary* words) {
  Bag bag;
  std::vector<Item> items;
  items.reserve(resources.size());
  for (const model::Resource& resource : resources) {
    const bool scalar = resource.kind() == model::ResourceKind::kScalar;
    if (scalar && IsPlainButForAllocation(resource)) {
      const absl::StatusOr<uint32_t> name = words->InternScalarName(resource.name());
      if (name.ok()) {
        bag.plain[*name] += resource.scalar().thousandths();
        continue;
      }
    }
    const absl::StatusOr<KindNum> number = words->InternKind(resource);
    if (!number.ok()) return number.status();
    const Kind& kind = words->kind(*number);
    if (scalar) {
      items.push_back(
          {*number, kind.piece == 0 ? resource.scalar().thousandths() : resource.copies(), {}});
    } else if (SameValue(*kind.value, resource)) {
      items.push_back({*number, 0, kind.value});
    } else {
      items.push_back({*number, 0, ShareValue(*number, resource, words)});
    }
  }
  if (!items.empty()) bag.extras = MakeShared(std::move(items), words);
  return bag;
}

model::Resources ResourcesOf(const Bag& bag, const Vocabulary& words) {
  std::vector<model::Resource> objects;
  for (size_t name = 0; name < words.scalar_names(); ++name) {
    if (bag.plain[name] == 0) continue;
    objects.push_back(model::Resource::OfScalar(words.ScalarName(name),
                                                model::Scalar::FromThousandths(bag.plain[name])));
  }
  if (bag.extras != nullptr) {
    for (const Item& item : bag.extras->items()) {
      const Kind& kind = words.kind(item.kind);
      if (item.value != nullptr) {
        objects.push_back(*item.value);
      } else if (kind.piece == 0) {
        objects.push_back(kind.prototype);
        objects.back().set_scalar(model::Scalar::FromThousandths(item.amount));
      } else if (kind.shared) {
        objects.push_back(kind.prototype);
        objects.back().set_copies(item.amount);
      } else {
        for (int64_t piece = 0; piece < item.amount; ++piece) objects.push_back(kind.prototype);
      }
    }
  }
  return model::Resources(std::move(objects));
}

std::string ToString(const Bag& bag, const Vocabulary& words) {
  return model::ToString(ResourcesOf(bag, words));
}

}  // namespace tessera::allocator
