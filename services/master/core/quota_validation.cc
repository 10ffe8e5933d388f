#include "services/master/core/quota_validation.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/model/role.h"
#include "services/model/wire/resources.h"
#include "services/rpc/error.h"

namespace tessera::master {
namespace {

// The larger of each amount.
model::Quantities Max(model::Quantities left, const model::Quantities& right) {
  for (const auto& [name, amount] : right) left.Set(name, std::max(left.Get(name), amount));
  return left;
}

struct Guarantees {
  model::Quantities own;
  // Of the roles beneath it, each counted with what is beneath itself.
  model::Quantities below;
};

// Of every role with a quota and those above them.
std::map<std::string, Guarantees> Sums(const Quotas& quotas) {
  std::map<std::string, Guarantees> sums;
  for (const auto& [role, quota] : quotas) {
    // What was set under other rules may be out of bounds; it holds nothing up.
    Guarantees& mine = sums[role];
    if (const auto own = model::wire::FromProto(quota.guarantees()); own.ok()) mine.own = *own;
    for (std::string_view up = model::ParentRole(role); !up.empty(); up = model::ParentRole(up)) {
      sums.try_emplace(std::string(up));
    }
  }
  std::vector<std::string> deepest_first;
  for (const auto& [role, guarantees] : sums) deepest_first.push_back(role);
  std::stable_sort(deepest_first.begin(), deepest_first.end(),
                   [](const std::string& left, const std::string& right) {
                     return model::RoleDepth(left) > model::RoleDepth(right);
                   });
  for (const std::string& role : deepest_first) {
    const std::string parent(model::ParentRole(role));
    if (parent.empty()) continue;
    const Guarantees& mine = sums[role];
    sums[parent].below += Max(mine.own, mine.below);
  }
  return sums;
}

absl::Status Contradiction(const std::string& field, const std::string& what) {
  return rpc::InvalidField(field, what);
}

}  // namespace

absl::Status CheckHierarchy(const Quotas& quotas, const std::set<std::string>& changed) {
  const std::map<std::string, Guarantees> sums = Sums(quotas);
  std::set<std::string> concerned;
  for (const std::string& role : changed) {
    for (std::string_view up = role; !up.empty(); up = model::ParentRole(up)) {
      concerned.emplace(up);
    }
  }
  for (const std::string& role : concerned) {
    const auto found = quotas.find(role);
    if (found == quotas.end()) continue;
    const reg::Quota& quota = found->second;
    const Guarantees& guarantees = sums.at(role);
    for (const auto& [name, amount] : guarantees.own) {
      const model::Scalar below = guarantees.below.Get(name);
      if (below <= amount) continue;
      return Contradiction(
          "configs.guarantees",
          absl::StrCat("roles beneath '", role, "' are guaranteed ", below.ToString(), " ", name,
                       " together, more than the ", amount.ToString(), " of '", role,
                       "' itself; raise its guarantee or lower theirs"));
    }
    const model::Quantities needed = Max(guarantees.own, guarantees.below);
    for (const auto& [name, limit] : quota.limits().amounts()) {
      const model::Scalar allowed = model::wire::FromProto(limit);
      if (needed.Get(name) <= allowed) continue;
      return Contradiction(
          "configs.limits",
          absl::StrCat("the limit of ", allowed.ToString(), " ", name, " of role '", role,
                       "' is below the ", needed.Get(name).ToString(),
                       " that it and those beneath it are guaranteed"));
    }
  }
  return absl::OkStatus();
}

model::Quantities GuaranteedIn(const Quotas& quotas) {
  model::Quantities sum;
  for (const auto& [role, guarantees] : Sums(quotas)) {
    if (model::ParentRole(role).empty()) sum += Max(guarantees.own, guarantees.below);
  }
  return sum;
}

void RoleConsumption::AddTotal(const model::Resources& total) {
  for (const model::Resource& one : total) {
    if (one.kind() != model::ResourceKind::kScalar || !one.IsReserved() || one.IsRevocable())
      continue;
    by_role_[one.ReservationRole()].Add(one.name(), one.scalar());
  }
}

void RoleConsumption::AddUsed(const model::Resources& used) {
  for (const model::Resource& one : used) {
    if (one.kind() != model::ResourceKind::kScalar || !one.IsUnreserved() || one.IsRevocable() ||
        !one.IsAllocated()) {
      continue;
    }
    by_role_[*one.metadata().allocation_role].Add(one.name(), one.scalar());
  }
}

model::Quantities RoleConsumption::Within(const std::string& role) const {
  model::Quantities sum;
  for (auto at = by_role_.lower_bound(role); at != by_role_.end() && at->first.starts_with(role);
       ++at) {
    if (at->first == role || model::IsStrictSubrole(at->first, role)) sum += at->second;
  }
  return sum;
}

}  // namespace tessera::master
