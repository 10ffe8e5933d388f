#include "services/allocator/core/role_flow.h"

#include "absl/strings/str_cat.h"

namespace tessera::allocator {

void RoleFlow::On(const WeightSet& event) {
  if (event.weight <= 0 || event.role == kRootRole) {
    state_.Refuse(RefusalReason::kBadWeight, state_.words().role(event.role).path);
    return;
  }
  state_.tables.roles.SetWeight(event.role, event.weight);
}

void RoleFlow::On(const QuotaSet& event) {
  const Quota& quota = event.quota;
  if (event.role == kRootRole || quota.guarantee.AnyNegative() || quota.limit.AnyNegative() ||
      !quota.limit.Contains(quota.guarantee)) {
    state_.Refuse(RefusalReason::kBadQuota,
                  absl::StrCat("role ", state_.words().role(event.role).path,
                               ": a guarantee must not be above the limit, nor either below zero"));
    return;
  }
  state_.tables.quotas.Set(event.role, quota);
  state_.tables.closed.Announce();
}

}  // namespace tessera::allocator
