// What the allocator is told, and what it answers. Numbers are the Vocabulary's.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "services/allocator/core/bag.h"
#include "services/allocator/core/ids.h"
#include "services/allocator/core/minimum.h"
#include "services/allocator/core/offer_constraints.h"
#include "services/allocator/core/quota_table.h"

namespace tessera::allocator {

// ---- What frameworks and agents are.

struct FrameworkCapabilities {
  bool gpu_resources = false;
  bool revocable_resources = false;
  bool shared_resources = false;
  bool reservation_refinement = false;
  bool region_aware = false;
  friend bool operator==(const FrameworkCapabilities&, const FrameworkCapabilities&) = default;
};

struct RoleSubscription {
  RoleNum role;
  bool suppressed = false;
  // Replaces the configured minimum when set.
  std::optional<Minimum> min_allocatable = std::nullopt;
  // Null: any agent.
  std::shared_ptr<const OfferConstraints> constraints = nullptr;
};

struct FrameworkSpec {
  std::vector<RoleSubscription> roles;  // each role once
  FrameworkCapabilities capabilities;
};

struct AgentSpec {
  std::string hostname;
  // A change drops all filters.
  AttributeTexts attributes = {};
  // In another region than the master.
  bool remote = false;
};

struct Claim {
  FrameworkNum framework;
  RoleNum role;
  Bag bag;
};

// ---- Events.

struct FrameworkAdded {
  FrameworkNum framework;
  FrameworkSpec spec;
  bool active = true;
  // Offers that it has not answered yet.
  uint32_t outstanding_offers = 0;
};
// Replaces roles, suppression and capabilities. What a role no longer subscribed still holds stays.
struct FrameworkUpdated {
  FrameworkNum framework;
  FrameworkSpec spec;
};
// What it holds comes back by Recovered events, before or after.
struct FrameworkRemoved {
  FrameworkNum framework;
};
struct FrameworkActivated {
  FrameworkNum framework;
};
// Clears its filters.
struct FrameworkDeactivated {
  FrameworkNum framework;
};
struct AgentAdded {
  AgentNum agent;
  AgentSpec spec;
  Bag total;
  // In use or offered already. Frameworks need not be known yet.
  std::vector<Claim> claims;
  bool active = true;
  // To be unavailable at some time: frameworks on it get inverse offers.
  bool unavailable = false;
  // An agent that is known comes back as described here. Refusals of it hold on unless its
  // attributes have changed. Without effect when it is not known; otherwise, without this, an agent
  // that is known is a contradiction.
  bool replaces = false;
};
struct AgentUpdated {
  AgentNum agent;
  AgentSpec spec;
  Bag total;
};
// Forgets all that is held on it.
struct AgentRemoved {
  AgentNum agent;
};
struct AgentActivated {
  AgentNum agent;
};
struct AgentDeactivated {
  AgentNum agent;
};
// What a framework no longer holds. Unknown agents and frameworks are let pass: they may have been
// removed in between.
struct Recovered {
  AgentNum agent;
  Claim claim;
  // Set when the framework refused the resources; zero leaves no filter. A run is not made on
  // behalf of such a refusal: it would offer the same to the same framework at once, for ever.
  std::optional<absl::Duration> refuse_duration;
};
// `claim.bag` in the framework's hands becomes `converted`, of the same quantities. With nothing in
// `claim.bag`, `converted` are more copies of shared volumes that it holds already.
struct Converted {
  AgentNum agent;
  Claim claim;
  Bag converted;
};
// An empty list of roles means all roles of the framework.
struct Revived {
  FrameworkNum framework;
  std::vector<RoleNum> roles;
};
struct Suppressed {
  FrameworkNum framework;
  std::vector<RoleNum> roles;
};
// Ends suppression and leaves filters alone.
struct Unsuppressed {
  FrameworkNum framework;
  std::vector<RoleNum> roles;
};
struct FiltersCleared {
  FrameworkNum framework;
  std::vector<RoleNum> roles;
};
// What the role still wants; allocations lower it, refusals raise it again. At zero in every name
// the role is offered nothing until more is stated. No effect when it is not subscribed.
struct DemandStated {
  FrameworkNum framework;
  RoleNum role;
  std::optional<Amounts> wanted;  // none: no bound
  Minimum smallest;               // the least of use on one agent
  // What is left of `wanted` beside what has been allocated since it was stated; none: all of it.
  std::optional<Amounts> left = std::nullopt;
};
// Offers of a framework that are outstanding no longer. Let pass when it is gone.
struct OffersEnded {
  FrameworkNum framework;
  uint32_t offers = 0;
  uint32_t accepted = 0;   // it took something of them
  uint32_t withdrawn = 0;  // the master took them back: they tell nothing of the framework
  // How long the others lay without an answer, the longest of them.
  absl::Duration lay = absl::ZeroDuration();
};
// Another unavailability of the agent than before, or none. Wipes what was asked and answered.
struct UnavailabilitySet {
  AgentNum agent;
  bool unavailable = false;
};
// The framework is not asked again before `refuse_duration` has passed.
struct InverseOfferAnswered {
  FrameworkNum framework;
  AgentNum agent;
  absl::Duration refuse_duration;
};
// Taken back, or out of time.
struct InverseOfferEnded {
  FrameworkNum framework;
  AgentNum agent;
};
// In millionths, positive.
struct WeightSet {
  RoleNum role;
  int64_t weight = 0;
};
struct QuotaSet {
  RoleNum role;
  Quota quota;
};
// No list: all agents.
struct WhitelistSet {
  std::optional<std::vector<std::string>> hostnames;
};
// After a fail-over, with a quota set: allocate nothing before `agents` agents are known or
// `timeout` has passed.
struct RecoveryExpected {
  uint32_t agents = 0;
  absl::Duration timeout;
};
// The end of the snapshot. Nothing is allocated before it.
struct SnapshotCompleted {};
// Time has passed NextDeadline().
struct Wake {};

using Event = std::variant<FrameworkAdded, FrameworkUpdated, FrameworkRemoved, FrameworkActivated,
                           FrameworkDeactivated, AgentAdded, AgentUpdated, AgentRemoved,
                           AgentActivated, AgentDeactivated, Recovered, Converted, Revived,
                           Suppressed, Unsuppressed, FiltersCleared, DemandStated, OffersEnded,
                           UnavailabilitySet, InverseOfferAnswered, InverseOfferEnded, WeightSet,
                           QuotaSet, WhitelistSet, RecoveryExpected, SnapshotCompleted, Wake>;

// ---- Effects.

struct Allocation {
  FrameworkNum framework;
  RoleNum role;
  AgentNum agent;
  Bag bag;
};
// Ask the framework to leave the agent.
struct InverseAllocation {
  FrameworkNum framework;
  AgentNum agent;
};
// One run. All its allocations are charged already.
struct AllocationBatch {
  std::vector<Allocation> allocations;  // in the order they were made
  std::vector<InverseAllocation> inverse;
  // All agents, or those with news only.
  bool full = false;
  uint32_t agents_considered = 0;
  // Clients looked at on some agent, over the whole run.
  uint64_t pairs_considered = 0;
  // From the first cause of the run to its start.
  absl::Duration waited;
};

enum class RefusalReason {
  kUnknownFramework,
  kDuplicateFramework,
  kUnknownAgent,
  kDuplicateAgent,
  kNegativeAmount,
  // More is given back or converted than is held.
  kNotHeld,
  kQuantityChanged,
  kDuplicateRole,
  kNotSubscribed,
  kBadWeight,
  kBadQuota,
};
const char* RefusalReasonName(RefusalReason reason);

// The event contradicts the tables and changed nothing. The sender's view and this one have
// parted: only a new snapshot mends that.
struct Refused {
  RefusalReason reason;
  std::string detail;
};
// The number stands for nothing any longer and may be given anew.
struct FrameworkForgotten {
  FrameworkNum framework;
};
struct AgentForgotten {
  AgentNum agent;
};

using Effect = std::variant<AllocationBatch, Refused, FrameworkForgotten, AgentForgotten>;
using Effects = std::vector<Effect>;

}  // namespace tessera::allocator
