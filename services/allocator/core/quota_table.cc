#include "services/allocator/core/quota_table.h"

namespace tessera::allocator {

QuotaTable::Account& QuotaTable::At(RoleNum role) {
  if (Index(role) >= accounts_.size()) accounts_.resize(words_.roles());
  return accounts_[Index(role)];
}

void QuotaTable::Set(RoleNum role, const Quota& quota) {
  Account& account = At(role);
  with_quota_ -= !account.quota.IsDefault();
  with_limit_ -= account.quota.limit != Amounts::Unlimited();
  account.quota = quota;
  with_quota_ += !account.quota.IsDefault();
  with_limit_ += account.quota.limit != Amounts::Unlimited();
  Propagate(role);
}

Quota QuotaTable::Get(RoleNum role) const {
  return Index(role) < accounts_.size() ? accounts_[Index(role)].quota : Quota();
}

Amounts QuotaTable::Consumed(RoleNum role) const {
  return Index(role) < accounts_.size() ? accounts_[Index(role)].consumed : Amounts();
}

void QuotaTable::Charge(RoleNum role, const Amounts& amounts, int sign) {
  At(role);
  for (RoleNum at = role; at != kRootRole; at = words_.role(at).parent) {
    if (sign > 0) {
      accounts_[Index(at)].consumed += amounts;
    } else {
      accounts_[Index(at)].consumed -= amounts;
    }
  }
  if (with_quota_ > 0) Propagate(role);
}

// Works out `required` from `role` upwards.
void QuotaTable::Propagate(RoleNum role) {
  for (RoleNum at = role; at != kRootRole; at = words_.role(at).parent) {
    Account& account = accounts_[Index(at)];
    const Amounts missing = (account.quota.guarantee - account.consumed).Clip();
    const Amounts required = Max(missing, account.required_below);
    const RoleNum parent = words_.role(at).parent;
    Amounts& sum =
        parent == kRootRole ? required_headroom_ : accounts_[Index(parent)].required_below;
    sum -= account.required;
    sum += required;
    account.required = required;
  }
}

Amounts QuotaTable::LimitRoom(RoleNum role) const {
  Amounts room = Amounts::Unlimited();
  if (with_limit_ == 0) return room;
  for (RoleNum at = role; at != kRootRole; at = words_.role(at).parent) {
    if (Index(at) >= accounts_.size()) continue;
    const Account& account = accounts_[Index(at)];
    for (size_t name = 0; name < kScalarNamesMax; ++name) {
      const int64_t limit = account.quota.limit[name];
      if (limit == kUnlimited) continue;
      room[name] = std::min(room[name], std::max<int64_t>(0, limit - account.consumed[name]));
    }
  }
  return room;
}

Amounts QuotaTable::GuaranteeRoom(RoleNum role) const {
  Amounts room;
  if (with_quota_ == 0) return room;
  // What is required beneath `at` for others: all of it, but for what the roles on the way down to
  // `role` are guaranteed themselves.
  Amounts for_others;
  RoleNum below = kRootRole;
  for (RoleNum at = role; at != kRootRole; at = words_.role(at).parent) {
    if (Index(at) >= accounts_.size()) continue;
    const Account& account = accounts_[Index(at)];
    for_others += account.required_below;
    if (below != kRootRole) for_others -= accounts_[Index(below)].required;
    room = Max(room, (account.quota.guarantee - account.consumed - for_others).Clip());
    below = at;
  }
  return room;
}

}  // namespace tessera::allocator
