// Who holds what on which agent, offered or used.
//
// Every change of it goes through here, and keeps all sums in step: what is free on the agent, the
// sorters' charges, the quota consumption and the head-room.
//
// Invariants: a client has at most one holding on an agent, and none that is empty; sorters and
// quota are charged with the sums over holdings, a shared volume once for each node of the tree of
// roles, however many hold copies beneath it; ClusterTables::held counts it once for its agent.
// Not thread safe.
#pragma once

#include <cstdint>

#include "services/allocator/core/bag.h"
#include "services/allocator/core/capacity.h"
#include "services/allocator/core/cluster_tables.h"
#include "services/allocator/core/subscriptions.h"

namespace tessera::allocator {

// What the client holds on the agent, null when nothing.
const Holding* FindHolding(const Agent& agent, ClientNum client);
// Copies of a shared kind that anybody holds on the agent.
int64_t CopiesHeld(const Agent& agent, KindNum shared);

class Holdings {
 public:
  // All must outlive it.
  Holdings(ClusterTables* tables, Capacity* capacity, Subscriptions* subscriptions)
      : tables_(*tables), capacity_(*capacity), subscriptions_(*subscriptions) {}

  // What a client held before the agent came here; what is free follows with RecomputeFree.
  void Claim(AgentNum agent, ClientNum client, const Bag& bag);
  // From the agent's free resources. The sorters are charged by ChargeSorters.
  void Take(AgentNum agent, ClientNum client, const Bag& bag);
  // For what was taken; the holding has it already.
  void ChargeSorters(AgentNum agent, ClientNum client, const Bag& bag);
  // `bag` must be part of the holding. Forgets the client when it is of no more use.
  void Release(AgentNum agent, ClientNum client, const Bag& bag);
  void ReleaseAll(AgentNum agent);
  // Replaces a part of the holding and of the total by another of equal quantities.
  void Convert(AgentNum agent, ClientNum client, const Bag& consumed, const Bag& converted);
  // More copies of shared volumes that the client holds already; nothing else changes.
  void AddCopies(AgentNum agent, ClientNum client, const Bag& copies);

 private:
  RoleNum RoleOf(ClientNum client) const { return tables_.frameworks.client(client).role; }
  // Of the client on the agent; a new one when there is none.
  Holding& Get(Agent* agent, ClientNum client);
  // The quantity of `bag`, less the shared volumes of which somebody on the agent holds a copy now.
  Amounts QuantityNotShared(const Agent& agent, const Bag& bag) const;
  // `give`: the holding includes `bag`; otherwise not any longer.
  void Charge(const Agent& agent, ClientNum client, const Bag& bag, bool give);

  ClusterTables& tables_;
  Capacity& capacity_;
  Subscriptions& subscriptions_;
};

}  // namespace tessera::allocator
