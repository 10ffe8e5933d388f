// The allocator's view of the cluster: frameworks, agents, who holds what, and the sums over it.
//
// Every change of who holds what goes through Hold, Release and Convert, which keep all sums in
// step: the agent's free resources, the sorters' charges, the quota consumption and the head-room.
//
// Invariants (CheckInvariants works each out anew and compares):
//   free = total - held, clipped at nothing, on every agent; shared volumes are part of neither:
//   they are there for everybody, whoever holds copies of them; a client exists while its framework
//   subscribes to its role or holds something in it; a role is in the role sorter while it has a
//   client; a client is active in its sorter iff its framework is known and active, and the role is
//   subscribed, not suppressed and not sated, and the framework is not kept from offers: it holds
//   fewer of them than it may, and has not let them lie.
// Not thread safe.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "services/allocator/core/allocator_config.h"
#include "services/allocator/core/allocator_events.h"
#include "services/allocator/core/filter_table.h"
#include "services/allocator/core/inverse_offers.h"
#include "services/allocator/core/quota_table.h"
#include "services/allocator/core/sorter.h"
#include "services/allocator/core/vocabulary.h"

namespace tessera::allocator {

struct Client {
  FrameworkNum framework{kNoNumber};
  RoleNum role = kNoRole;
  bool subscribed = false;
  bool suppressed = false;
  bool active = false;        // in the sorter
  bool maybe_closed = false;  // some agent may have it closed
  uint32_t agents_held = 0;   // on how many agents it holds something
  std::optional<Minimum> min_allocatable;
  std::shared_ptr<const OfferConstraints> constraints;  // null: any agent
  // Demand: none stated, or what was stated and what is left of it.
  std::optional<Amounts> wanted;
  Amounts wanted_left;
  Minimum smallest;

  bool IsSated() const { return wanted && !wanted_left.AnyPositive(); }
};

struct Framework {
  bool known = false;  // added and not removed; else it only holds something still
  bool active = false;
  FrameworkCapabilities capabilities;
  std::vector<ClientNum> clients;  // in order of creation
  uint32_t outstanding_offers = 0;
  int silences = 0;             // in a row
  uint64_t silences_total = 0;  // over its life
  // It let offers lie, and is not asked until then; infinite past when it is.
  absl::Time quiet_until = absl::InfinitePast();
  // The runs that it asked for are paid for until then.
  absl::Time runs_paid_until = absl::InfinitePast();
  // Refusals that were made longer than the framework had asked for.
  uint64_t refusals_lengthened = 0;
};

struct Holding {
  ClientNum client;
  Bag bag;
};

struct Agent {
  bool known = false;
  bool active = false;
  bool whitelisted = true;
  bool queued = false;         // in the list of agents with news
  bool overcommitted = false;  // more is held than there is
  AgentSpec spec;
  Bag total;
  Bag free;          // without shared volumes
  ExtrasPtr shared;  // shared volumes, a copy of each; null: none
  // What is left of `shared` in the run of that number: each goes to one client in a run.
  ExtrasPtr shared_left;
  uint64_t shared_run = 0;
  // The last run in which somebody took something, and the last one in which somebody was refused
  // what may look different after that.
  uint64_t taken_run = 0;
  uint64_t differed_run = 0;
  std::vector<Holding> holdings;  // at most one for each client
  // Equal to ClusterTables::news() when nobody could take anything at the last look and nothing
  // has changed since.
  uint64_t settled_at = 0;
  // Bit per client: known to refuse, or not to be allowed, `closed_for` and so every part of it.
  // While a bit is set, what is free is such a part.
  std::vector<uint64_t> closed;
  Bag closed_for;

  // It takes part in offers at all.
  bool IsOffered() const { return known && active && whitelisted; }
  bool IsClosed(ClientNum client) const {
    const size_t word = Index(client) / 64;
    return word < closed.size() && (closed[word] >> (Index(client) % 64) & 1) != 0;
  }
  void Open(ClientNum client) {
    const size_t word = Index(client) / 64;
    if (word < closed.size()) closed[word] &= ~(uint64_t{1} << (Index(client) % 64));
  }
};

struct RoleState {
  std::unique_ptr<Sorter> clients;  // null while the role has no client
  uint32_t client_count = 0;
};

class ClusterTables {
 public:
  ClusterTables(const AllocatorConfig& config, const Vocabulary* words);

  const AllocatorConfig& config() const { return config_; }
  const Vocabulary& words() const { return words_; }

  // ---- Frameworks.
  const Framework* FindFramework(FrameworkNum number) const;
  void AddFramework(FrameworkNum number, const FrameworkSpec& spec, bool active,
                    uint32_t outstanding_offers = 0);
  void UpdateFramework(FrameworkNum number, const FrameworkSpec& spec);
  void RemoveFramework(FrameworkNum number);
  void SetFrameworkActive(FrameworkNum number, bool active);
  void SetSuppressed(ClientNum client, bool suppressed);
  // The framework holds as many offers without an answer as it may.
  bool IsAtOfferCap(const Framework& framework) const {
    return config_.outstanding_offers_max != 0 &&
           framework.outstanding_offers >= config_.outstanding_offers_max;
  }
  static bool IsQuiet(const Framework& framework) {
    return framework.quiet_until != absl::InfinitePast();
  }
  bool IsKeptFromOffers(const Framework& framework) const {
    return IsAtOfferCap(framework) || IsQuiet(framework);
  }
  // One more offer, at once; the sorters hear of it by UpdateOfferCap.
  void CountOffer(FrameworkNum framework) { ++FrameworkAt(framework).outstanding_offers; }
  void UpdateOfferCap(FrameworkNum framework);
  // Returns whether the framework may be offered more again. One that let its offers lie is not:
  // see Framework::quiet_until.
  bool EndOffers(const OffersEnded& ended, absl::Time now);
  // Whether the framework may ask for a run over all agents now; if so, it has.
  bool PayForRun(FrameworkNum framework, absl::Time now);
  // Asks the framework again, whatever it let lie. Returns whether that changes anything.
  bool EndQuiet(FrameworkNum framework);
  void NoteLengthened(FrameworkNum framework) { ++FrameworkAt(framework).refusals_lengthened; }
  size_t framework_slots() const { return frameworks_.size(); }
  void StateDemand(ClientNum client, const DemandStated& demand);
  // A client got `bag`, or did not want it. No effect without a stated demand.
  void LowerDemand(ClientNum client, const Bag& bag);
  void RaiseDemand(ClientNum client, const Bag& bag);
  // Lets a client be asked again, everywhere or on one agent: something about it has changed. On
  // each agent that takes effect with OpenReopened.
  void Reopen(ClientNum client);
  void ReopenOn(ClientNum client, AgentNum agent);
  bool any_reopened() const { return any_reopened_; }
  void OpenReopened(Agent* agent);
  // OpenReopened was called for all agents.
  void ForgetReopened();
  // Notes that a client cannot take what is free on the agent now, whatever else changes.
  void Close(ClientNum client, Agent* agent);

  std::optional<ClientNum> FindClient(FrameworkNum framework, RoleNum role) const;
  const Client& client(ClientNum number) const { return clients_[Index(number)]; }

  // ---- Agents.
  const Agent* FindAgent(AgentNum number) const;
  Agent& agent(AgentNum number) { return agents_[Index(number)]; }
  const Agent& agent(AgentNum number) const { return agents_[Index(number)]; }
  size_t agent_slots() const { return agents_.size(); }
  size_t agents() const { return agent_count_; }
  void AddAgent(AgentNum number, const AgentSpec& spec, const Bag& total, bool active,
                const std::vector<Claim>& claims);
  // Returns whether anything changed.
  bool UpdateAgent(AgentNum number, const AgentSpec& spec, const Bag& total);
  void RemoveAgent(AgentNum number);
  // RemoveAgent and AddAgent, but refusals hold on unless attributes have changed.
  void ReplaceAgent(AgentNum number, const AgentSpec& spec, const Bag& total, bool active,
                    const std::vector<Claim>& claims);
  void SetAgentActive(AgentNum number, bool active);
  void SetWhitelist(const std::optional<std::vector<std::string>>& hostnames);
  // Who may take something on the agent has changed.
  void ReopenAgent(AgentNum number);

  // ---- Who holds what.
  // The holding of a client on an agent, null when there is none.
  const Holding* FindHolding(AgentNum agent, ClientNum client) const;
  // From the agent's free resources. The sorters are charged by ChargeSorters.
  void Take(AgentNum agent, ClientNum client, const Bag& bag);
  // For what was taken; the holding has it already.
  void ChargeSorters(AgentNum agent, ClientNum client, const Bag& bag);
  // `bag` must be part of the holding. Forgets the client when it is of no more use.
  void Release(AgentNum agent, ClientNum client, const Bag& bag);
  // Replaces a part of the holding and of the total by another of equal quantities.
  void Convert(AgentNum agent, ClientNum client, const Bag& consumed, const Bag& converted);
  // More copies of shared volumes that the client holds already; nothing else changes.
  void AddCopies(AgentNum agent, ClientNum client, const Bag& copies);
  // Copies of a shared kind that anybody holds on the agent.
  int64_t CopiesHeld(const Agent& agent, KindNum shared) const;

  // ---- Sums and orders.
  Sorter& role_sorter() { return *role_sorter_; }
  const Sorter& role_sorter() const { return *role_sorter_; }
  const RoleState& role(RoleNum number) const { return roles_[Index(number)]; }
  size_t role_slots() const { return roles_.size(); }
  const ClusterTotals& totals() const { return totals_; }
  // All that is held, by name.
  const Amounts& held() const { return held_; }
  // Unreserved, not revocable scalars that nobody holds, on all agents that take part in offers.
  const Amounts& available_headroom() const { return available_headroom_; }
  void SetWeight(RoleNum role, int64_t weight);
  QuotaTable& quotas() { return quotas_; }
  const QuotaTable& quotas() const { return quotas_; }
  FilterTable& filters() { return filters_; }
  const FilterTable& filters() const { return filters_; }
  InverseOffers& inverse_offers() { return inverse_offers_; }
  // The number of filters of each role's clients, by role. Looks at every client.
  std::vector<size_t> FiltersByRole() const;

  // Grows with every change that may let a client take what it could not take before.
  uint64_t news() const { return news_; }
  void Announce() { ++news_; }

  // Numbers that nothing refers to any longer; the caller empties the list.
  std::vector<FrameworkNum> forgotten_frameworks;

  // Works every sum out anew. Internal says what does not add up. Slow: for tests.
  absl::Status CheckInvariants() const;

 private:
  // Takes an agent out of all sums; its row is empty afterwards.
  void TakeOut(AgentNum number);
  Framework& FrameworkAt(FrameworkNum number);
  ClientNum GetClient(FrameworkNum framework, RoleNum role);
  void ForgetClientIfUnused(ClientNum number);
  void UpdateActivity(ClientNum number);
  Holding& HoldingAt(AgentNum agent, ClientNum client);
  void ApplySpec(FrameworkNum number, const FrameworkSpec& spec);
  // Replaces an agent's total in all sums, but for what is free.
  void CountTotals(const Bag& before, const Bag& after);
  void CountReservations(const Bag& total, int sign);
  void RecomputeFree(Agent* agent);
  void SetFree(Agent* agent, Bag free);
  // What is free on the agent begins, or ceases, to count as head-room.
  void CountHeadroom(const Agent& agent, bool counts);
  // `change` changes whether the agent takes part in offers.
  template <typename Change>
  void ChangePart(Agent* agent, Change change);
  // The quantity of `bag`, less the shared volumes of which somebody on the agent holds a copy now.
  Amounts QuantityNotShared(const Agent& agent, const Bag& bag) const;
  // `give`: the holding includes `bag`; otherwise not any longer. A shared volume counts once for
  // each node, however many hold copies beneath it.
  void Charge(AgentNum agent, ClientNum client, const Bag& bag, bool give);
  void ChargeQuota(ClientNum client, const Bag& bag, int sign);
  bool IsWhitelisted(const Agent& agent) const;

  const AllocatorConfig config_;
  const Vocabulary& words_;
  ClusterTotals totals_;
  std::unique_ptr<Sorter> role_sorter_;
  QuotaTable quotas_;
  FilterTable filters_;
  InverseOffers inverse_offers_;
  std::vector<Framework> frameworks_;
  std::vector<Client> clients_;
  std::vector<ClientNum> free_clients_;
  // Bit per client: may still be closed on some agent where it should be open.
  std::vector<uint64_t> reopened_;
  bool any_reopened_ = false;
  std::vector<Agent> agents_;
  size_t agent_count_ = 0;
  std::vector<RoleState> roles_;
  std::optional<std::vector<std::string>> whitelist_;  // sorted
  Amounts held_;
  Amounts available_headroom_;
  uint64_t news_ = 1;
};

}  // namespace tessera::allocator
