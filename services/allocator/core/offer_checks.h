// What stands between one client and one agent: the questions that a run asks of each pair before
// it offers, and that an explanation asks again afterwards. One place for both, so that what is
// explained is what is done.
//
// Pure functions of the tables; nothing is changed. Not thread safe.
#pragma once

#include "services/allocator/core/cluster_tables.h"
#include "services/base/rng.h"

namespace tessera::allocator {

// What keeps a client from an agent for as long as both stay what they are.
enum class Gate { kNone, kConstraint, kRegion, kGpu };
Gate GateBetween(const Client& client, const Framework& framework, const Agent& agent,
                 const AllocatorConfig& config);

// A resource beyond plain scalars may go to a framework with these capabilities, or to this role.
bool SuitsCapabilities(const Kind& kind, const FrameworkCapabilities& can);
bool SuitsRole(const Kind& kind, RoleNum role, const Vocabulary& words);

// What a client may have of `from`, before quota.
Bag SuitablePart(const Bag& from, RoleNum role, const FrameworkCapabilities& can,
                 const Vocabulary& words);

// What a client would be offered of an agent.
struct Candidate {
  Bag bag;
  bool cut = false;          // some of it was kept back, for now
  bool may_differ = false;   // a look after others have taken something may find other parts
  bool contributes = false;  // some of it serves a guarantee
};

// What quota leaves a role of unreserved scalars, cluster-wide.
struct QuotaRoom {
  Amounts guaranteed;  // in the name of a guarantee; a part of `room`
  Amounts room;
};
QuotaRoom QuotaRoomOf(RoleNum role, bool for_guarantee, const ClusterTables& tables);

// Cuts the unreserved scalars of `candidate` to `room`. Disks and the like in random order, each as
// far as there is room, pieces whole or not at all.
void CutToRoom(QuotaRoom room, const Vocabulary& words, base::Rng* random, Candidate* candidate);

// Cuts the unreserved ranges and sets of a candidate on an agent with `free` to the same part of
// them as it has of the agent's cpus or memory, whichever part is larger, rounded up. All of
// them when the agent has neither.
void ShareValues(const Bag& free, const Vocabulary& words, Candidate* candidate);

// Why a candidate is not offered.
enum class Verdict { kOffer, kTooLittle, kFiltered };
// Worth offering, to anybody and to this client.
bool IsEnough(const Client& client, const Bag& bag, const ClusterTables& tables);
Verdict Judge(ClientNum client, AgentNum agent, const Bag& bag, const ClusterTables& tables);

}  // namespace tessera::allocator
