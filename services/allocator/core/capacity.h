// What agents have and what of it is free, and the sums that follow: the cluster's total, what
// roles consume by reservations, the head-room that is there for guarantees.
//
// Invariants: free = total - held, clipped at nothing, on every agent; shared volumes are part of
// neither: they are there for everybody, whoever holds copies of them. ClusterTables::totals and
// available_headroom are the sums over known agents and over those that take part in offers.
// Not thread safe.
#pragma once

#include "services/allocator/core/bag.h"
#include "services/allocator/core/cluster_tables.h"

namespace tessera::allocator {

class Capacity {
 public:
  // `tables` must outlive it.
  explicit Capacity(ClusterTables* tables) : tables_(*tables) {}

  // For an agent without a total; what is free on it follows with RecomputeFree.
  void SetTotal(Agent* agent, const Bag& total);
  // Returns whether that is another total than before.
  bool ChangeTotal(Agent* agent, const Bag& total);
  // Replaces a part of the total by another of equal quantities; the holdings have it already.
  void Convert(Agent* agent, const Bag& consumed, const Bag& converted);
  // The agent, on which nothing is held, has nothing any longer.
  void TakeOut(Agent* agent);
  // From the total and the holdings.
  void RecomputeFree(Agent* agent);

  // `bag` is held from now on, or not any longer. `unreserved` is bag.Unreserved(), which callers
  // have at hand for the quota.
  void Take(Agent* agent, const Bag& bag, const Amounts& unreserved) {
    if (agent->IsOffered()) tables_.available_headroom -= unreserved;
    // Shared volumes are not among what is free.
    TakeFrom(&agent->free, bag, tables_.words);
  }
  void GiveBack(Agent* agent, const Bag& bag, const Amounts& unreserved) {
    if (agent->overcommitted) return RecomputeFree(agent);
    if (agent->IsOffered()) tables_.available_headroom += unreserved;
    AddTo(&agent->free, NonShared(bag, tables_.words), tables_.words);
  }

  // The agent takes part in offers now, or ceases to; `was_offered`: before.
  void NoteOffered(const Agent& agent, bool was_offered);
  // Guarantees and limits may leave others more room now, here and elsewhere.
  void AnnounceRoom() {
    if (tables_.quotas.AnyQuota()) tables_.closed.Announce();
  }

 private:
  // Replaces an agent's total in all sums, but for what is free.
  void CountTotals(const Bag& before, const Bag& after);
  void CountReservations(const Bag& total, int sign);
  void SetFree(Agent* agent, Bag free);
  // What is free on the agent begins, or ceases, to count as head-room.
  void CountHeadroom(const Agent& agent, bool counts);

  ClusterTables& tables_;
};

}  // namespace tessera::allocator
