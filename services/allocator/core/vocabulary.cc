#include "services/allocator/core/vocabulary.h"

#include <algorithm>
#include <utility>

#include "absl/hash/hash.h"
#include "absl/strings/str_cat.h"
#include "services/model/role.h"

namespace tessera::allocator {
namespace {

absl::string_view Absl(std::string_view text) { return {text.data(), text.size()}; }

absl::Status Full(const char* what, size_t bound) {
  return absl::ResourceExhaustedError(absl::StrCat("more than ", bound, " ", what));
}

// Of an unallocated resource.
size_t KindHash(const model::Resource& resource, bool pieces) {
  const size_t hash = absl::HashOf(resource.name(), static_cast<int>(resource.kind()),
                                   Absl(resource.MetadataIdentity()));
  return pieces ? absl::HashOf(hash, resource.scalar().thousandths()) : hash;
}

}  // namespace

std::optional<uint32_t> NameTable::Find(std::string_view name) const {
  const auto found = numbers_.find(Absl(name));
  if (found == numbers_.end()) return std::nullopt;
  return found->second;
}

std::optional<uint32_t> NameTable::Intern(std::string_view name, size_t bound) {
  if (numbers_.size() >= bound) return Find(name);
  const uint32_t next = free_.empty() ? static_cast<uint32_t>(names_.size()) : free_.back();
  const auto [entry, is_new] = numbers_.try_emplace(Absl(name), next);
  if (!is_new) return entry->second;
  if (free_.empty()) {
    names_.emplace_back(name);
  } else {
    free_.pop_back();
    names_[next] = std::string(name);
  }
  return next;
}

void NameTable::Release(uint32_t number) {
  if (numbers_.erase(names_[number]) == 0) return;
  names_[number].clear();
  free_.push_back(number);
}

Vocabulary::Vocabulary(VocabularyBounds bounds)
    : bounds_(bounds), scalar_names_({"cpus", "mem", "disk", "gpus"}) {
  roles_.emplace_back();  // the root
}

absl::StatusOr<FrameworkNum> Vocabulary::InternFramework(std::string_view id) {
  const std::optional<uint32_t> number = frameworks_.Intern(id, bounds_.frameworks);
  if (!number) return Full("frameworks", bounds_.frameworks);
  return FrameworkNum{*number};
}

std::optional<FrameworkNum> Vocabulary::FindFramework(std::string_view id) const {
  const std::optional<uint32_t> number = frameworks_.Find(id);
  if (!number) return std::nullopt;
  return FrameworkNum{*number};
}

absl::StatusOr<AgentNum> Vocabulary::InternAgent(std::string_view id) {
  const std::optional<uint32_t> number = agents_.Intern(id, bounds_.agents);
  if (!number) return Full("agents", bounds_.agents);
  return AgentNum{*number};
}

std::optional<AgentNum> Vocabulary::FindAgent(std::string_view id) const {
  const std::optional<uint32_t> number = agents_.Find(id);
  if (!number) return std::nullopt;
  return AgentNum{*number};
}

absl::StatusOr<RoleNum> Vocabulary::InternRole(std::string_view path) {
  if (const std::optional<RoleNum> known = FindRole(path)) return *known;
  if (roles_.size() + model::RoleDepth(path) > bounds_.roles) return Full("roles", bounds_.roles);
  RoleNum at = kRootRole;
  for (size_t end = 0; end < path.size();) {
    end = std::min(path.find('/', end + 1), path.size());
    const std::string_view prefix = path.substr(0, end);
    const auto [entry, is_new] = role_numbers_.try_emplace(Absl(prefix), RoleNum(roles_.size()));
    if (is_new) {
      roles_.push_back({std::string(prefix), at, roles_[Index(at)].depth + 1});
    }
    at = entry->second;
  }
  return at;
}

std::optional<RoleNum> Vocabulary::FindRole(std::string_view path) const {
  const auto found = role_numbers_.find(Absl(path));
  if (found == role_numbers_.end()) return std::nullopt;
  return found->second;
}

bool Vocabulary::IsWithin(RoleNum number, RoleNum ancestor) const {
  const uint32_t depth = role(ancestor).depth;
  while (role(number).depth > depth) number = role(number).parent;
  return number == ancestor;
}

std::optional<uint32_t> Vocabulary::FindScalarName(std::string_view name) const {
  const auto found = std::find(scalar_names_.begin(), scalar_names_.end(), name);
  if (found == scalar_names_.end()) return std::nullopt;
  return static_cast<uint32_t>(found - scalar_names_.begin());
}

absl::StatusOr<uint32_t> Vocabulary::InternScalarName(std::string_view name) {
  if (const std::optional<uint32_t> known = FindScalarName(name)) return *known;
  if (scalar_names_.size() >= kScalarNamesMax) {
    // Few: an agent cannot bring more than it has resources, and each is noted once.
    constexpr size_t kUncountedNamesMax = 1000;
    if (uncounted_names_.size() < kUncountedNamesMax &&
        std::find(uncounted_names_.begin(), uncounted_names_.end(), name) ==
            uncounted_names_.end()) {
      uncounted_names_.emplace_back(name);
    }
    return absl::OutOfRangeError(absl::StrCat("resource '", Absl(name), "': a cluster can have ",
                                              kScalarNamesMax,
                                              " names of scalar resources, which are taken"));
  }
  scalar_names_.emplace_back(name);
  return static_cast<uint32_t>(scalar_names_.size() - 1);
}

uint32_t Vocabulary::FindKind(size_t hash, const model::Resource& prototype, bool pieces) const {
  const auto found = kinds_by_hash_.find(hash);
  if (found == kinds_by_hash_.end()) return kNoNumber;
  for (uint32_t at = found->second; at != kNoNumber; at = kinds_[at].next_alike) {
    const model::Resource& known = kinds_[at].prototype;
    const int order = pieces ? known.Compare(prototype) : known.CompareIdentity(prototype);
    if (order == 0) return at;
  }
  return kNoNumber;
}

absl::StatusOr<KindNum> Vocabulary::InternKind(const model::Resource& resource) {
  const bool pieces = !resource.IsDivisible() || resource.IsShared();
  const auto find = [&](const model::Resource& one, size_t* hash) {
    *hash = KindHash(one, pieces);
    return FindKind(*hash, one, pieces);
  };
  size_t hash = 0;
  if (!resource.IsAllocated() && resource.copies() == 1) {
    // The common case, without a copy.
    const uint32_t known = find(resource, &hash);
    if (known != kNoNumber) return KindNum{known};
  }
  model::Resource prototype = resource;
  if (prototype.IsAllocated() || prototype.copies() != 1) {
    if (prototype.IsAllocated()) prototype.Unallocate();
    prototype.set_copies(1);
    const uint32_t known = find(prototype, &hash);
    if (known != kNoNumber) return KindNum{known};
  }
  if (kinds_.size() >= bounds_.kinds) return Full("kinds of resources", bounds_.kinds);

  Kind kind;
  if (prototype.kind() == model::ResourceKind::kScalar) {
    const absl::StatusOr<uint32_t> name = InternScalarName(prototype.name());
    if (name.ok()) kind.scalar_name = *name;
    if (pieces) kind.piece = prototype.scalar().thousandths();
  }
  if (prototype.IsReserved()) {
    const absl::StatusOr<RoleNum> role = InternRole(prototype.ReservationRole());
    if (!role.ok()) return role.status();
    kind.reserved_to = *role;
  }
  kind.revocable = prototype.IsRevocable();
  kind.shared = prototype.IsShared();
  kind.refined = prototype.HasRefinedReservations();
  if (!kind.is_scalar()) kind.value = std::make_shared<const model::Resource>(prototype);
  kind.prototype = std::move(prototype);
  const auto [newest, is_new] = kinds_by_hash_.try_emplace(hash, kNoNumber);
  kind.next_alike = newest->second;
  const KindNum number{static_cast<uint32_t>(kinds_.size())};
  newest->second = Index(number);
  kinds_.push_back(std::move(kind));
  return number;
}

}  // namespace tessera::allocator
