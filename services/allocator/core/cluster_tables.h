// The allocator's view of the cluster: its tables, and the sums over them.
//
// Each table keeps its own invariants. What holds between them is kept by three classes, through
// which every change goes: Subscriptions (which clients there are and take part), Capacity (what
// agents have and what of it is free) and Holdings (who holds what). CheckInvariants of
// cluster_invariants.h works all of it out anew. Readers take this struct as const.
// Not thread safe.
#pragma once

#include <cstddef>
#include <vector>

#include "services/allocator/core/agent_table.h"
#include "services/allocator/core/allocator_config.h"
#include "services/allocator/core/amounts.h"
#include "services/allocator/core/closed_pairs.h"
#include "services/allocator/core/filter_table.h"
#include "services/allocator/core/framework_table.h"
#include "services/allocator/core/inverse_offers.h"
#include "services/allocator/core/quota_table.h"
#include "services/allocator/core/role_table.h"
#include "services/allocator/core/sorter.h"
#include "services/allocator/core/vocabulary.h"

namespace tessera::allocator {

struct ClusterTables {
  // `vocabulary` must outlive the tables.
  ClusterTables(const AllocatorConfig& allocator_config, const Vocabulary* vocabulary);
  ClusterTables(const ClusterTables&) = delete;
  ClusterTables& operator=(const ClusterTables&) = delete;

  // The number of filters of each role's clients, by role. Looks at every client.
  std::vector<size_t> FiltersByRole() const;

  const AllocatorConfig config;
  const Vocabulary& words;

  // What all known agents have. Changed by Capacity.
  ClusterTotals totals;
  // Unreserved, not revocable scalars that nobody holds, on all agents that take part in offers.
  // Changed by Capacity.
  Amounts available_headroom;
  // All that is held, by name. Changed by Holdings.
  Amounts held;

  AgentTable agents;
  FrameworkTable frameworks;
  RoleTable roles;
  QuotaTable quotas;
  FilterTable filters;
  InverseOffers inverse_offers;
  ClosedPairs closed;
};

}  // namespace tessera::allocator
