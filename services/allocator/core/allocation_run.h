// One run of allocation over some agents.
//
// Stage 1 serves roles whose guarantee, or that of a role above them, is not consumed yet: an agent
// is taken only if it contributes to the guarantee; along with that part go the role's
// reservations, ranges and sets, and what limits and the cluster's surplus allow of the rest. Stage
// 2 serves all roles: the first client in order takes all of the agent that it may have; unreserved
// scalars are cut to the role's limits and to the surplus,
//
//   surplus = unreserved scalars that are free in the cluster - required head-room of guarantees.
//
// Shared volumes go along with something else, each to one client in a run, whoever holds copies.
// A framework that holds as many offers without an answer as it may is passed over.
//
// Agents come in random order, anew for each stage. Within one agent the order of clients is that
// of the moment the agent's turn began. What a run hands out is charged before it returns.
#pragma once

#include <cstdint>
#include <vector>

#include "services/allocator/core/allocator_events.h"
#include "services/allocator/core/cluster_tables.h"
#include "services/allocator/core/holdings.h"
#include "services/allocator/core/offer_checks.h"
#include "services/allocator/core/subscriptions.h"
#include "services/base/rng.h"

namespace tessera::allocator {

class AllocationRun {
 public:
  // All must outlive it.
  AllocationRun(ClusterTables* tables, Holdings* holdings, Subscriptions* subscriptions,
                base::Rng* random)
      : tables_(*tables), holdings_(*holdings), subscriptions_(*subscriptions), random_(*random) {}

  // Agents that cannot be offered, or had nothing for anybody at the last look, are passed over.
  void Run(const std::vector<AgentNum>& agents, AllocationBatch* batch);
  // Agents that the last run did not reach, because it cost as much as one may.
  const std::vector<AgentNum>& left_over() const { return left_over_; }

 private:
  // The turns from there on are for the next run.
  void LeaveOver(size_t from);
  bool IsDue(const Agent& agent) const;
  void ServeGuarantees(AgentNum number);
  void ServeAll(AgentNum number);
  // Offers to one client; true when it took something.
  bool Offer(AgentNum number, ClientNum client_number, bool for_guarantee);
  Candidate MakeCandidate(const Agent& agent, const Client& client, const Framework& framework,
                          bool for_guarantee);
  // Whether the role's limits leave it anything that the cluster has.
  bool HasLimitRoom(RoleNum role);
  // Asks for the memory of agents whose turn comes soon: in random order no other one guesses it.
  void FetchAhead(size_t turn) const;
  // What is left of the agent's shared volumes in this run.
  const ExtrasPtr& SharedLeft(const Agent& agent) const {
    return agent.shared_run == run_ ? agent.shared_left : agent.shared;
  }
  // Adds what is left of the agent's shared volumes in this run.
  void AddShared(Agent* agent, const Client& client, const Framework& framework,
                 Candidate* candidate);
  // The sorters hear of an agent's allocations when its turn is over.
  void EndTurn();

  ClusterTables& tables_;
  Holdings& holdings_;
  Subscriptions& subscriptions_;
  base::Rng& random_;
  AllocationBatch* batch_ = nullptr;
  std::vector<AgentNum> due_;
  std::vector<AgentNum> left_over_;
  uint64_t effort_ = 0;
  std::vector<ClientNum> takers_;  // of the last allocations of the batch, this turn
  // By role, within one run: no guarantee or limit leaves room. Room never grows within a run.
  std::vector<char> no_guarantee_room_;
  std::vector<char> no_limit_room_;
  // No role's limits leave room.
  bool no_room_for_any_ = false;
  bool any_quota_ = false;
  uint64_t run_ = 0;  // counts runs
};

}  // namespace tessera::allocator
