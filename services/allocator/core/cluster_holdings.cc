// ClusterTables: who holds what, and the sums that follow from it.
#include <algorithm>
#include <utility>
#include <vector>

#include "services/allocator/core/cluster_tables.h"

namespace tessera::allocator {

const Holding* ClusterTables::FindHolding(AgentNum number, ClientNum client) const {
  for (const Holding& holding : agents_[Index(number)].holdings) {
    if (holding.client == client) return &holding;
  }
  return nullptr;
}

Holding& ClusterTables::HoldingAt(AgentNum number, ClientNum client) {
  std::vector<Holding>& holdings = agents_[Index(number)].holdings;
  for (Holding& holding : holdings) {
    if (holding.client == client) return holding;
  }
  ++clients_[Index(client)].agents_held;
  return holdings.emplace_back(Holding{client, Bag()});
}

void ClusterTables::ChargeQuota(ClientNum client, const Bag& bag, int sign) {
  const RoleNum role = clients_[Index(client)].role;
  if (sign > 0) {
    quotas_.Consume(role, bag.Unreserved());
  } else {
    quotas_.Release(role, bag.Unreserved());
  }
}

int64_t ClusterTables::CopiesHeld(const Agent& agent, KindNum shared) const {
  int64_t copies = 0;
  for (const Holding& holding : agent.holdings) copies += CopiesOf(shared, holding.bag);
  return copies;
}

Amounts ClusterTables::QuantityNotShared(const Agent& agent, const Bag& bag) const {
  Amounts quantity = bag.Quantity();
  if (bag.extras == nullptr || !bag.extras->any_shared()) return quantity;
  for (const Item& item : bag.extras->items()) {
    const Kind& kind = words_.kind(item.kind);
    if (!kind.shared || !kind.is_scalar()) continue;
    if (CopiesHeld(agent, item.kind) > 0) quantity[kind.scalar_name] -= kind.piece;
  }
  return quantity;
}

void ClusterTables::Charge(AgentNum number, ClientNum client, const Bag& bag, bool give) {
  const RoleNum role = clients_[Index(client)].role;
  Amounts of_client = bag.Quantity();
  Amounts of_role = of_client;
  std::vector<std::pair<RoleNum, Amounts>> counted_above;
  if (bag.extras != nullptr && bag.extras->any_shared()) {
    for (const Item& item : bag.extras->items()) {
      const Kind& kind = words_.kind(item.kind);
      if (!kind.shared || !kind.is_scalar()) continue;
      Amounts once;
      once[kind.scalar_name] = kind.piece;
      bool by_itself = false;
      bool in_role = false;
      std::vector<RoleNum> others;
      for (const Holding& holding : agents_[Index(number)].holdings) {
        const bool own = holding.client == client;
        const int64_t copies = CopiesOf(item.kind, holding.bag) - (own && give ? item.amount : 0);
        if (copies <= 0) continue;
        const RoleNum holder = clients_[Index(holding.client)].role;
        by_itself |= own;
        in_role |= holder == role;
        others.push_back(holder);
      }
      if (by_itself) of_client -= once;
      if (in_role) {
        of_role -= once;
        continue;
      }
      for (RoleNum at = role; at != kRootRole; at = words_.role(at).parent) {
        const bool counted = std::any_of(others.begin(), others.end(), [&](RoleNum holder) {
          return words_.IsWithin(holder, at);
        });
        if (!counted) continue;
        counted_above.emplace_back(at, once);
        break;
      }
    }
  }
  Sorter& clients = *roles_[Index(role)].clients;
  if (give) {
    clients.Allocated(Index(client), of_client);
    role_sorter_->Allocated(Index(role), of_role);
  } else {
    clients.Unallocated(Index(client), of_client);
    role_sorter_->Unallocated(Index(role), of_role);
  }
  for (const auto& [at, once] : counted_above) {
    role_sorter_->Correct(words_.role(at).path, once, !give);
  }
}

void ClusterTables::ChargeSorters(AgentNum agent, ClientNum client, const Bag& bag) {
  Charge(agent, client, bag, /*give=*/true);
}

void ClusterTables::Take(AgentNum number, ClientNum client, const Bag& bag) {
  Agent& agent = agents_[Index(number)];
  if (agent.IsOffered()) available_headroom_ -= bag.Unreserved();
  // Shared volumes are not among what is free.
  TakeFrom(&agent.free, bag, words_);
  held_ += QuantityNotShared(agent, bag);
  AddTo(&HoldingAt(number, client).bag, bag, words_);
  ChargeQuota(client, bag, 1);
}

void ClusterTables::Release(AgentNum number, ClientNum client, const Bag& bag) {
  Agent& agent = agents_[Index(number)];
  const auto holding = std::find_if(agent.holdings.begin(), agent.holdings.end(),
                                    [client](const Holding& one) { return one.client == client; });
  // `bag` may be the holding's own.
  const Bag given = bag;
  TakeFrom(&holding->bag, given, words_);
  const bool all = holding->bag.IsEmpty();
  if (all) {
    std::swap(*holding, agent.holdings.back());
    agent.holdings.pop_back();
    --clients_[Index(client)].agents_held;
  }
  if (agent.overcommitted) {
    RecomputeFree(&agent);
  } else {
    if (agent.IsOffered()) available_headroom_ += given.Unreserved();
    AddTo(&agent.free, NonShared(given, words_), words_);
  }
  held_ -= QuantityNotShared(agent, given);
  ChargeQuota(client, given, -1);
  Charge(number, client, given, /*give=*/false);
  // What was refused as part of more need not be asked again.
  if (Contains(agent.closed_for, agent.free, words_)) {
    agent.settled_at = 0;
  } else {
    ReopenAgent(number);
  }
  // Guarantees and limits leave more room now, here and elsewhere.
  if (quotas_.AnyQuota()) Announce();
  if (all) ForgetClientIfUnused(client);
}

void ClusterTables::Convert(AgentNum number, ClientNum client, const Bag& consumed,
                            const Bag& converted) {
  Agent& agent = agents_[Index(number)];
  Holding& holding = HoldingAt(number, client);
  ChargeQuota(client, consumed, -1);
  TakeFrom(&holding.bag, consumed, words_);
  AddTo(&holding.bag, converted, words_);
  ChargeQuota(client, converted, 1);

  Bag total = agent.total;
  TakeFrom(&total, consumed, words_);
  AddTo(&total, converted, words_);
  CountTotals(agent.total, total);
  agent.total = std::move(total);
  RecomputeFree(&agent);
  ReopenAgent(number);
  if (quotas_.AnyQuota()) Announce();
}

void ClusterTables::AddCopies(AgentNum number, ClientNum client, const Bag& copies) {
  AddTo(&HoldingAt(number, client).bag, copies, words_);
}

}  // namespace tessera::allocator
