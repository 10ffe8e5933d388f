#include "services/model/quantities.h"

#include <algorithm>
#include <limits>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "services/model/text.h"

namespace tessera::model {
namespace {

Scalar CountToScalar(uint64_t count) {
  constexpr uint64_t kMax = std::numeric_limits<int64_t>::max();
  return Scalar::FromUnits(static_cast<int64_t>(std::min(count, kMax)));
}

bool NameLess(const Quantities::Entry& entry, std::string_view name) { return entry.first < name; }

}  // namespace

Quantities::Quantities(std::initializer_list<Entry> entries) {
  for (const Entry& entry : entries) Add(entry.first, entry.second);
}

Quantities Quantities::OfScalars(const Resources& resources) {
  Quantities sums;
  for (const Resource& object : resources) sums.Add(object.name(), object.scalar());
  return sums;
}

Quantities Quantities::OfAll(const Resources& resources) {
  Quantities sums;
  for (const Resource& object : resources) {
    switch (object.kind()) {
      case ResourceKind::kScalar:
        sums.Add(object.name(), object.scalar());
        break;
      case ResourceKind::kRanges:
        sums.Add(object.name(), CountToScalar(object.ranges().Count()));
        break;
      case ResourceKind::kSet:
        sums.Add(object.name(), CountToScalar(object.set().Count()));
        break;
    }
  }
  return sums;
}

absl::StatusOr<Quantities> Quantities::Parse(std::string_view text) {
  Quantities quantities;
  std::vector<std::string_view> seen;
  for (const std::string_view piece : SplitTrimmed(text, ';')) {
    if (piece.empty()) continue;
    const size_t colon = piece.find(':');
    const std::string_view name = TrimBlanks(piece.substr(0, colon));
    if (colon == std::string_view::npos || name.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat(Quoted(piece), " is not of the form name:number"));
    }
    const absl::StatusOr<Scalar> amount = Scalar::Parse(TrimBlanks(piece.substr(colon + 1)));
    if (!amount.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("amount of ", Quoted(name), ": ", amount.status().message()));
    }
    if (amount->IsNegative()) {
      return absl::InvalidArgumentError(absl::StrCat("amount of ", Quoted(name), " is negative"));
    }
    if (std::find(seen.begin(), seen.end(), name) != seen.end()) {
      return absl::InvalidArgumentError(absl::StrCat(Quoted(name), " is given twice"));
    }
    seen.push_back(name);
    quantities.Set(name, *amount);
  }
  return quantities;
}

std::string Quantities::ToString() const {
  return absl::StrJoin(entries_, ";", [](std::string* out, const Entry& entry) {
    absl::StrAppend(out, entry.first, ":", entry.second.ToString());
  });
}

std::vector<Quantities::Entry>::iterator Quantities::LowerBound(std::string_view name) {
  return std::lower_bound(entries_.begin(), entries_.end(), name, NameLess);
}

Scalar Quantities::Get(std::string_view name) const {
  const auto at = std::lower_bound(entries_.begin(), entries_.end(), name, NameLess);
  return at != entries_.end() && at->first == name ? at->second : Scalar();
}

void Quantities::Set(std::string_view name, Scalar amount) {
  const auto at = LowerBound(name);
  const bool known = at != entries_.end() && at->first == name;
  if (!amount.IsPositive()) {
    if (known) entries_.erase(at);
  } else if (known) {
    at->second = amount;
  } else {
    entries_.emplace(at, std::string(name), amount);
  }
}

bool Quantities::Contains(const Quantities& that) const {
  return std::all_of(that.entries_.begin(), that.entries_.end(),
                     [this](const Entry& entry) { return Get(entry.first) >= entry.second; });
}

Quantities& Quantities::operator+=(const Quantities& that) {
  if (this == &that) return *this += Quantities(that);
  for (const Entry& entry : that.entries_) Add(entry.first, entry.second);
  return *this;
}

Quantities& Quantities::operator-=(const Quantities& that) {
  if (this == &that) {
    entries_.clear();
    return *this;
  }
  for (const Entry& entry : that.entries_) Set(entry.first, Get(entry.first) - entry.second);
  return *this;
}

std::ostream& operator<<(std::ostream& out, const Quantities& quantities) {
  return out << quantities.ToString();
}

ResourceNames::ResourceNames() {
  for (const char* name : {"cpus", "mem", "disk", "gpus"}) {
    ids_.emplace(name, static_cast<Id>(names_.size()));
    names_.emplace_back(name);
  }
}

absl::StatusOr<ResourceNames::Id> ResourceNames::Intern(std::string_view name) {
  if (const std::optional<Id> known = Find(name)) return *known;
  if (names_.size() >= limit_) {
    return absl::ResourceExhaustedError(
        absl::StrCat("more than ", limit_, " different resource names"));
  }
  const Id id = static_cast<Id>(names_.size());
  names_.emplace_back(name);
  ids_.emplace(std::string(name), id);
  return id;
}

std::optional<ResourceNames::Id> ResourceNames::Find(std::string_view name) const {
  const auto known = ids_.find(absl::string_view(name.data(), name.size()));
  if (known == ids_.end()) return std::nullopt;
  return known->second;
}

QuantityVector QuantityVector::From(const Quantities& quantities, ResourceNames* names,
                                    bool* complete) {
  QuantityVector vector;
  if (complete != nullptr) *complete = true;
  for (const auto& [name, amount] : quantities) {
    const absl::StatusOr<ResourceNames::Id> id = names->Intern(name);
    if (id.ok()) {
      vector.Set(*id, amount);
    } else if (complete != nullptr) {
      *complete = false;
    }
  }
  return vector;
}

Quantities QuantityVector::ToQuantities(const ResourceNames& names) const {
  Quantities quantities;
  for (ResourceNames::Id id = 0; id < amounts_.size() && id < names.size(); ++id) {
    quantities.Set(names.Name(id), amounts_[id]);
  }
  return quantities;
}

absl::StatusOr<MinAllocatable> MinAllocatable::Parse(std::string_view text) {
  MinAllocatable minimum;
  if (TrimBlanks(text).empty()) return minimum;
  for (const std::string_view piece : SplitTrimmed(text, '|')) {
    if (piece.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("least allocatable resources ", Quoted(text), " have an empty alternative"));
    }
    absl::StatusOr<Quantities> alternative = Quantities::Parse(piece);
    if (!alternative.ok()) {
      return absl::InvalidArgumentError(absl::StrCat("least allocatable resources ", Quoted(text),
                                                     ": ", alternative.status().message()));
    }
    minimum.alternatives_.push_back(*std::move(alternative));
  }
  return minimum;
}

std::string MinAllocatable::ToString() const {
  return absl::StrJoin(alternatives_, "|", [](std::string* out, const Quantities& alternative) {
    absl::StrAppend(out, alternative.ToString());
  });
}

bool MinAllocatable::Admits(const Quantities& amounts) const {
  if (amounts.empty()) return false;
  return alternatives_.empty() ||
         std::any_of(alternatives_.begin(), alternatives_.end(),
                     [&](const Quantities& least) { return amounts.Contains(least); });
}

}  // namespace tessera::model
