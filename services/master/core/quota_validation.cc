#include "services/master/core/quota_validation.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/model/role.h"
#include "services/model/wire/resources.h"
#include "services/rpc/error.h"

namespace tessera::master {
namespace {

bool IsWithin(const std::string& role, const std::string& ancestor) {
  return role == ancestor || model::IsStrictSubrole(role, ancestor);
}

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
    sums[role].own = *model::wire::FromProto(quota.guarantees());
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

absl::Status CheckHierarchy(const Quotas& quotas) {
  const std::map<std::string, Guarantees> sums = Sums(quotas);
  for (const auto& [role, quota] : quotas) {
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

model::Quantities ConsumedBy(const std::string& role, const model::Resources& total,
                             const model::Resources& used) {
  const model::Resources reserved = total.Filter([&](const model::Resource& one) {
    return one.IsReserved() && !one.IsRevocable() && IsWithin(one.ReservationRole(), role);
  });
  const model::Resources unreserved = used.Filter([&](const model::Resource& one) {
    return one.IsUnreserved() && !one.IsRevocable() && one.IsAllocated() &&
           IsWithin(*one.metadata().allocation_role, role);
  });
  return model::Quantities::OfScalars(reserved) + model::Quantities::OfScalars(unreserved);
}

}  // namespace tessera::master
