#include "services/allocator/core/holdings.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace tessera::allocator {

const Holding* FindHolding(const Agent& agent, ClientNum client) {
  for (const Holding& holding : agent.holdings) {
    if (holding.client == client) return &holding;
  }
  return nullptr;
}

int64_t CopiesHeld(const Agent& agent, KindNum shared) {
  int64_t copies = 0;
  for (const Holding& holding : agent.holdings) copies += CopiesOf(shared, holding.bag);
  return copies;
}

Holding& Holdings::Get(Agent* agent, ClientNum client) {
  for (Holding& holding : agent->holdings) {
    if (holding.client == client) return holding;
  }
  ++tables_.frameworks.client(client).agents_held;
  return agent->holdings.emplace_back(Holding{client, Bag()});
}

Amounts Holdings::QuantityNotShared(const Agent& agent, const Bag& bag) const {
  Amounts quantity = bag.Quantity();
  if (bag.extras == nullptr || !bag.extras->any_shared()) return quantity;
  for (const Item& item : bag.extras->items()) {
    const Kind& kind = tables_.words.kind(item.kind);
    if (!kind.shared || !kind.is_scalar()) continue;
    if (CopiesHeld(agent, item.kind) > 0) quantity[kind.scalar_name] -= kind.piece;
  }
  return quantity;
}

void Holdings::Charge(const Agent& agent, ClientNum client, const Bag& bag, bool give) {
  const RoleNum role = RoleOf(client);
  Amounts of_client = bag.Quantity();
  Amounts of_role = of_client;
  std::vector<std::pair<RoleNum, Amounts>> counted_above;
  if (bag.extras != nullptr && bag.extras->any_shared()) {
    for (const Item& item : bag.extras->items()) {
      const Kind& kind = tables_.words.kind(item.kind);
      if (!kind.shared || !kind.is_scalar()) continue;
      Amounts once;
      once[kind.scalar_name] = kind.piece;
      bool by_itself = false;
      bool in_role = false;
      std::vector<RoleNum> others;
      for (const Holding& holding : agent.holdings) {
        const bool own = holding.client == client;
        const int64_t copies = CopiesOf(item.kind, holding.bag) - (own && give ? item.amount : 0);
        if (copies <= 0) continue;
        const RoleNum holder = RoleOf(holding.client);
        by_itself |= own;
        in_role |= holder == role;
        others.push_back(holder);
      }
      if (by_itself) of_client -= once;
      if (in_role) {
        of_role -= once;
        continue;
      }
      for (RoleNum at = role; at != kRootRole; at = tables_.words.role(at).parent) {
        const bool counted = std::any_of(others.begin(), others.end(), [&](RoleNum holder) {
          return tables_.words.IsWithin(holder, at);
        });
        if (!counted) continue;
        counted_above.emplace_back(at, once);
        break;
      }
    }
  }
  Sorter& roles = tables_.roles.sorter();
  Sorter& clients = *tables_.roles.at(role).clients;
  if (give) {
    clients.Allocated(Index(client), of_client);
    roles.Allocated(Index(role), of_role);
  } else {
    clients.Unallocated(Index(client), of_client);
    roles.Unallocated(Index(role), of_role);
  }
  for (const auto& [at, once] : counted_above) {
    roles.Correct(tables_.words.role(at).path, once, !give);
  }
}

void Holdings::ChargeSorters(AgentNum number, ClientNum client, const Bag& bag) {
  Charge(tables_.agents.at(number), client, bag, /*give=*/true);
}

void Holdings::Claim(AgentNum number, ClientNum client, const Bag& bag) {
  Agent& agent = tables_.agents.at(number);
  tables_.held += QuantityNotShared(agent, bag);
  AddTo(&Get(&agent, client).bag, bag, tables_.words);
  tables_.quotas.Consume(RoleOf(client), bag.Unreserved());
  Charge(agent, client, bag, /*give=*/true);
}

void Holdings::Take(AgentNum number, ClientNum client, const Bag& bag) {
  Agent& agent = tables_.agents.at(number);
  const Amounts unreserved = bag.Unreserved();
  capacity_.Take(&agent, bag, unreserved);
  tables_.held += QuantityNotShared(agent, bag);
  AddTo(&Get(&agent, client).bag, bag, tables_.words);
  tables_.quotas.Consume(RoleOf(client), unreserved);
}

void Holdings::Release(AgentNum number, ClientNum client, const Bag& bag) {
  Agent& agent = tables_.agents.at(number);
  const auto holding = std::find_if(agent.holdings.begin(), agent.holdings.end(),
                                    [client](const Holding& one) { return one.client == client; });
  // `bag` may be the holding's own.
  const Bag given = bag;
  TakeFrom(&holding->bag, given, tables_.words);
  const bool all = holding->bag.IsEmpty();
  if (all) {
    std::swap(*holding, agent.holdings.back());
    agent.holdings.pop_back();
    --tables_.frameworks.client(client).agents_held;
  }
  const Amounts unreserved = given.Unreserved();
  capacity_.GiveBack(&agent, given, unreserved);
  tables_.held -= QuantityNotShared(agent, given);
  tables_.quotas.Release(RoleOf(client), unreserved);
  Charge(agent, client, given, /*give=*/false);
  // What was refused as part of more need not be asked again.
  if (Contains(agent.closed_for, agent.free, tables_.words)) {
    agent.settled_at = 0;
  } else {
    tables_.closed.ReopenAgent(&agent);
  }
  capacity_.AnnounceRoom();
  if (all) subscriptions_.ForgetIfUnused(client);
}

void Holdings::ReleaseAll(AgentNum number) {
  const Agent& agent = tables_.agents.at(number);
  while (!agent.holdings.empty()) {
    const Holding holding = agent.holdings.back();
    Release(number, holding.client, holding.bag);
  }
}

void Holdings::Convert(AgentNum number, ClientNum client, const Bag& consumed,
                       const Bag& converted) {
  Agent& agent = tables_.agents.at(number);
  Holding& holding = Get(&agent, client);
  tables_.quotas.Release(RoleOf(client), consumed.Unreserved());
  TakeFrom(&holding.bag, consumed, tables_.words);
  AddTo(&holding.bag, converted, tables_.words);
  tables_.quotas.Consume(RoleOf(client), converted.Unreserved());
  capacity_.Convert(&agent, consumed, converted);
  tables_.closed.ReopenAgent(&agent);
  capacity_.AnnounceRoom();
}

void Holdings::AddCopies(AgentNum number, ClientNum client, const Bag& copies) {
  AddTo(&Get(&tables_.agents.at(number), client).bag, copies, tables_.words);
}

}  // namespace tessera::allocator
