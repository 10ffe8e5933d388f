#include "tests/sim/quota_checker.h"

#include <algorithm>
#include <set>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "protos/tessera/registry/v1/records.pb.h"

namespace tessera::sim {

namespace {

constexpr char kQuotaKeys[] = "quotas/";

int64_t At(const NamedAmounts& amounts, const std::string& name) {
  const auto it = amounts.find(name);
  return it == amounts.end() ? 0 : it->second;
}

// Entries of nothing are not kept, so that equal amounts are equal maps.
void AddTo(NamedAmounts* sum, const NamedAmounts& amounts, int sign) {
  for (const auto& [name, amount] : amounts) {
    int64_t& value = (*sum)[name];
    value += sign * amount;
    if (value == 0) sum->erase(name);
  }
}

std::set<std::string> NamesOf(const NamedAmounts& a, const NamedAmounts& b) {
  std::set<std::string> names;
  for (const NamedAmounts* amounts : {&a, &b}) {
    for (const auto& [name, amount] : *amounts) names.insert(name);
  }
  return names;
}

NamedAmounts AmountsOf(const model::v1::Quantities& quantities) {
  NamedAmounts amounts;
  for (const auto& [name, scalar] : quantities.amounts()) amounts[name] = scalar.milli();
  return amounts;
}

}  // namespace

NamedAmounts CountedAmounts(const google::protobuf::RepeatedPtrField<model::v1::Resource>& list) {
  NamedAmounts amounts;
  for (const model::v1::Resource& resource : list) {
    const bool counts =
        resource.has_scalar() && resource.reservations().empty() && !resource.revocable();
    if (counts) AddTo(&amounts, {{resource.name(), resource.scalar().milli()}}, 1);
  }
  return amounts;
}

RoleQuota RoleQuota::From(const model::v1::Quantities& guarantees,
                          const model::v1::Quantities& limits) {
  return {AmountsOf(guarantees), AmountsOf(limits)};
}

bool IsAtOrAbove(const std::string& above, const std::string& role) {
  return role == above || absl::StartsWith(role, absl::StrCat(above, "/"));
}

// ---- QuotaChecker

NamedAmounts QuotaChecker::FreeOn(const Agent& agent) {
  NamedAmounts free = agent.total;
  for (const auto& [holder, amounts] : agent.held) AddTo(&free, amounts, -1);
  // More may be held than is there, when the agent has shrunk.
  std::erase_if(free, [](const auto& entry) { return entry.second < 0; });
  return free;
}

NamedAmounts QuotaChecker::ConsumedBeneath(const Account& account, const std::string& role) {
  NamedAmounts sum;
  for (const auto& [consumer, amounts] : account.consumed) {
    if (IsAtOrAbove(role, consumer)) AddTo(&sum, amounts, 1);
  }
  return sum;
}

NamedAmounts QuotaChecker::Owed(const Account& account) {
  // From the bottom up: roles beneath sort after the one above. Each role that is done stands for
  // all that is owed beneath it.
  std::map<std::string, NamedAmounts> tops;
  for (auto it = account.quotas.rbegin(); it != account.quotas.rend(); ++it) {
    const auto& [role, quota] = *it;
    if (quota.guarantee.empty()) continue;
    NamedAmounts beneath;
    std::erase_if(tops, [&, &role = role](const auto& top) {
      if (!IsAtOrAbove(role, top.first)) return false;
      AddTo(&beneath, top.second, 1);
      return true;
    });
    const NamedAmounts consumed = ConsumedBeneath(account, role);
    NamedAmounts owed = beneath;
    for (const auto& [name, amount] : quota.guarantee) {
      owed[name] = std::max(At(beneath, name), amount - At(consumed, name));
    }
    tops[role] = owed;
  }
  NamedAmounts sum;
  for (const auto& [role, owed] : tops) AddTo(&sum, owed, 1);
  return sum;
}

template <typename Change>
void QuotaChecker::ChangeAgent(Account* account, const std::string& id, Change change) {
  const auto it = account->agents.find(id);
  // It may have gone, and what was held there with it.
  if (it == account->agents.end()) return;
  Agent& agent = it->second;
  if (agent.active) AddTo(&account->free, FreeOn(agent), -1);
  change(&agent);
  if (agent.active) AddTo(&account->free, FreeOn(agent), 1);
}

void QuotaChecker::Hold(Account* account, const std::string& agent_id, const std::string& framework,
                        const std::string& role, const NamedAmounts& amounts, int sign) {
  ChangeAgent(account, agent_id, [&](Agent* agent) {
    // What went with its agent does not come back later.
    if (sign < 0 && !agent->held.contains({framework, role})) return;
    AddTo(&agent->held[{framework, role}], amounts, sign);
    AddTo(&account->consumed[role], amounts, sign);
  });
}

void QuotaChecker::Remove(Account* account, const std::string& agent_id) {
  ChangeAgent(account, agent_id, [account](Agent* agent) {
    for (const auto& [holder, amounts] : agent->held) {
      AddTo(&account->consumed[holder.second], amounts, -1);
    }
    *agent = Agent();
  });
  account->agents.erase(agent_id);
}

void QuotaChecker::Take(Account* account, const allocator::v1::ClusterEvent& event) {
  // What is held names the roles that it is held for.
  const auto by_role = [](const auto& resources) {
    std::map<std::string, google::protobuf::RepeatedPtrField<model::v1::Resource>> parts;
    for (const auto& resource : resources) *parts[resource.allocation_role()].Add() = resource;
    return parts;
  };
  if (event.has_quota_set()) {
    const auto& set = event.quota_set();
    account->quotas.erase(set.role());
    const RoleQuota quota = RoleQuota::From(set.guarantees(), set.limits());
    if (!quota.IsNone()) account->quotas[set.role()] = quota;
  } else if (event.has_agent_added()) {
    const auto& added = event.agent_added();
    const std::string& id = added.info().id();
    // It may have been there before: what is told now takes the place of that.
    Remove(account, id);
    account->agents[id];
    ChangeAgent(account, id, [&](Agent* agent) {
      agent->total = CountedAmounts(added.total());
      agent->active = added.active();
    });
    for (const auto& holding : added.holdings()) {
      for (const auto& [role, part] : by_role(holding.resources())) {
        Hold(account, id, holding.framework_id(), role, CountedAmounts(part), 1);
      }
    }
  } else if (event.has_agent_updated()) {
    ChangeAgent(account, event.agent_updated().info().id(), [&](Agent* agent) {
      agent->total = CountedAmounts(event.agent_updated().total());
    });
  } else if (event.has_agent_activated()) {
    ChangeAgent(account, event.agent_activated().agent_id(),
                [](Agent* agent) { agent->active = true; });
  } else if (event.has_agent_deactivated()) {
    ChangeAgent(account, event.agent_deactivated().agent_id(),
                [](Agent* agent) { agent->active = false; });
  } else if (event.has_agent_removed()) {
    Remove(account, event.agent_removed().agent_id());
  } else if (event.has_recovered()) {
    const auto& recovered = event.recovered();
    for (const auto& [role, part] : by_role(recovered.resources())) {
      Hold(account, recovered.agent_id(), recovered.framework_id(), role, CountedAmounts(part), -1);
    }
  }
}

void QuotaChecker::Told(uint64_t stream, const allocator::v1::AllocateRequest& request) {
  Account& account = streams_[stream];
  account.epoch = request.epoch();
  for (const auto& event : request.events()) Take(&account, event);
}

void QuotaChecker::Judge(Account* account, const allocator::v1::Allocation& allocation) {
  const auto it = account->agents.find(allocation.agent_id());
  if (it == account->agents.end() || !it->second.active) {
    verdict_->Fail("what is allocated is there",
                   absl::StrCat("the allocator gives resources of ", allocation.agent_id(),
                                ", which takes no part in offers"));
    return;
  }
  const NamedAmounts given = CountedAmounts(allocation.resources());
  const NamedAmounts free_there = FreeOn(it->second);
  const std::string what = absl::StrCat("an allocation of ", allocation.agent_id(), " to ",
                                        allocation.framework_id(), " in role ", allocation.role());
  for (const auto& [name, amount] : given) {
    if (amount <= At(free_there, name)) continue;
    verdict_->Fail("no resource is allocated twice",
                   absl::StrCat(what, " gives ", amount, " of ", name, ", where ",
                                At(free_there, name), " are free"));
  }
  const NamedAmounts owed_before = Owed(*account);
  const NamedAmounts free_before = account->free;
  Hold(account, allocation.agent_id(), allocation.framework_id(), allocation.role(), given, 1);
  if (account->quotas.empty()) return;
  ++judged_;
  for (const auto& [role, quota] : account->quotas) {
    if (quota.limit.empty() || !IsAtOrAbove(role, allocation.role())) continue;
    const NamedAmounts consumed = ConsumedBeneath(*account, role);
    for (const auto& [name, limit] : quota.limit) {
      if (At(given, name) == 0 || At(consumed, name) <= limit) continue;
      verdict_->Fail("limits are not exceeded",
                     absl::StrCat(what, " gives ", At(given, name), " of ", name, ": ", role,
                                  " then has ", At(consumed, name), " of at most ", limit));
    }
  }
  const NamedAmounts owed = Owed(*account);
  for (const std::string& name : NamesOf(owed_before, given)) {
    const int64_t left_before = At(free_before, name) - At(owed_before, name);
    const int64_t left = At(account->free, name) - At(owed, name);
    if (left >= std::min<int64_t>(0, left_before)) continue;
    verdict_->Fail("guarantees are not broken by others",
                   absl::StrCat(what, " gives ", At(given, name), " of ", name, ": ",
                                At(account->free, name), " are left free in the cluster, and ",
                                At(owed, name), " are guaranteed and not there yet"));
  }
}

void QuotaChecker::Allocated(uint64_t stream, const allocator::v1::AllocateResponse& response) {
  const auto it = streams_.find(stream);
  if (it == streams_.end()) return;
  for (const auto& allocation : response.allocations()) Judge(&it->second, allocation);
}

const Quotas* QuotaChecker::KnownTo(uint64_t epoch) const {
  for (auto it = streams_.rbegin(); it != streams_.rend(); ++it) {
    if (it->second.epoch == epoch) return &it->second.quotas;
  }
  return nullptr;
}

// ---- LimitChecker

void LimitChecker::Stored(const std::string& key, const std::optional<std::string>& value) {
  if (!absl::StartsWith(key, kQuotaKeys)) return;
  const std::string role = key.substr(sizeof(kQuotaKeys) - 1);
  stored_.erase(role);
  registry::v1::Quota record;
  if (!value || !record.ParseFromString(*value)) return;
  const RoleQuota quota = RoleQuota::From(record.guarantees(), record.limits());
  if (!quota.IsNone()) stored_[role] = quota;
}

void LimitChecker::Recovered(const std::map<std::string, std::string>& content) {
  stored_.clear();
  for (const auto& [key, value] : content) Stored(key, value);
}

void LimitChecker::Promised(const std::string& role, const RoleQuota& quota) {
  in_force_.erase(role);
  if (!quota.IsNone()) in_force_[role] = quota;
}

void LimitChecker::Judge(const std::map<std::string, NamedAmounts>& roles,
                         const std::map<std::string, NamedAmounts>& consumed, const Quotas* known) {
  ++judged_;
  if (known != nullptr && *known != in_force_) {
    verdict_->Fail("what operators were promised is in force",
                   absl::StrCat("the allocator goes by the quotas of ", known->size(),
                                " roles; those of ", in_force_.size(), " were promised"));
  }
  for (const auto& [role, quota] : in_force_) {
    NamedAmounts offered, sum;
    for (const auto& [consumer, amounts] : roles) {
      if (IsAtOrAbove(role, consumer)) AddTo(&offered, amounts, 1);
    }
    for (const auto& [consumer, amounts] : consumed) {
      if (IsAtOrAbove(role, consumer)) AddTo(&sum, amounts, 1);
    }
    for (const auto& [name, limit] : quota.limit) {
      if (At(offered, name) == 0 || At(sum, name) <= limit) continue;
      verdict_->Fail("limits are not exceeded",
                     absl::StrCat("the master offers ", At(offered, name), " of ", name, " to ",
                                  role, ", which then has ", At(sum, name), " of at most ", limit));
    }
  }
}

}  // namespace tessera::sim
