#include "services/allocator/core/cluster_tables.h"

#include <algorithm>
#include <utility>

#include "absl/container/inlined_vector.h"

namespace tessera::allocator {
namespace {

template <typename T, typename Number>
T& Grown(std::vector<T>* table, Number number) {
  if (Index(number) >= table->size()) table->resize(Index(number) + 1);
  return (*table)[Index(number)];
}

}  // namespace

ClusterTables::ClusterTables(const AllocatorConfig& config, const Vocabulary* words)
    : config_(config),
      words_(*words),
      role_sorter_(NewSorter(config.role_sorter, /*hierarchical=*/true, &totals_)),
      quotas_(words),
      filters_(config.filters_max, config.filters_of_client_max) {}

// ---- Frameworks and clients.

const Framework* ClusterTables::FindFramework(FrameworkNum number) const {
  if (Index(number) >= frameworks_.size() || !frameworks_[Index(number)].known) return nullptr;
  return &frameworks_[Index(number)];
}

Framework& ClusterTables::FrameworkAt(FrameworkNum number) { return Grown(&frameworks_, number); }

std::optional<ClientNum> ClusterTables::FindClient(FrameworkNum framework, RoleNum role) const {
  if (Index(framework) >= frameworks_.size()) return std::nullopt;
  for (ClientNum number : frameworks_[Index(framework)].clients) {
    if (client(number).role == role) return number;
  }
  return std::nullopt;
}

ClientNum ClusterTables::GetClient(FrameworkNum framework, RoleNum role) {
  if (const std::optional<ClientNum> known = FindClient(framework, role)) return *known;
  ClientNum number;
  if (free_clients_.empty()) {
    number = ClientNum(clients_.size());
    clients_.emplace_back();
  } else {
    number = free_clients_.back();
    free_clients_.pop_back();
  }
  Client& made = clients_[Index(number)];
  made.framework = framework;
  made.role = role;
  FrameworkAt(framework).clients.push_back(number);

  RoleState& state = Grown(&roles_, role);
  if (state.client_count++ == 0) {
    state.clients = NewSorter(config_.framework_sorter, /*hierarchical=*/false, &totals_);
    role_sorter_->Add(Index(role), words_.role(role).path);
  }
  state.clients->Add(Index(number), words_.FrameworkId(framework));
  return number;
}

void ClusterTables::ForgetClientIfUnused(ClientNum number) {
  Client& gone = clients_[Index(number)];
  if (gone.subscribed || gone.agents_held > 0) return;
  Framework& framework = FrameworkAt(gone.framework);
  std::erase(framework.clients, number);
  if (framework.clients.empty() && !framework.known) {
    framework = Framework();
    forgotten_frameworks.push_back(gone.framework);
  }
  RoleState& state = roles_[Index(gone.role)];
  state.clients->Remove(Index(number));
  if (--state.client_count == 0) {
    state.clients = nullptr;
    role_sorter_->Remove(Index(gone.role));
  }
  filters_.ClearClient(number);
  Reopen(number);
  gone = Client();
  free_clients_.push_back(number);
}

void ClusterTables::UpdateActivity(ClientNum number) {
  Client& client = clients_[Index(number)];
  const Framework& framework = FrameworkAt(client.framework);
  const bool active = framework.known && framework.active && client.subscribed &&
                      !client.suppressed && !client.IsSated() && !IsKeptFromOffers(framework);
  if (active == client.active) return;
  client.active = active;
  Sorter& sorter = *roles_[Index(client.role)].clients;
  if (active) {
    sorter.Activate(Index(number));
    Announce();
  } else {
    sorter.Deactivate(Index(number));
  }
  if (sorter.active_clients() == 0) {
    role_sorter_->Deactivate(Index(client.role));
  } else {
    role_sorter_->Activate(Index(client.role));
  }
}

void ClusterTables::Reopen(ClientNum number) {
  Announce();
  Client& client = clients_[Index(number)];
  if (!client.maybe_closed) return;
  client.maybe_closed = false;
  const size_t word = Index(number) / 64;
  if (word >= reopened_.size()) reopened_.resize(word + 1);
  reopened_[word] |= uint64_t{1} << (Index(number) % 64);
  any_reopened_ = true;
}

void ClusterTables::OpenReopened(Agent* agent) {
  const size_t words = std::min(agent->closed.size(), reopened_.size());
  for (size_t word = 0; word < words; ++word) agent->closed[word] &= ~reopened_[word];
}

void ClusterTables::ForgetReopened() {
  std::fill(reopened_.begin(), reopened_.end(), 0);
  any_reopened_ = false;
}

void ClusterTables::Close(ClientNum number, Agent* agent) {
  const size_t word = Index(number) / 64;
  if (word >= agent->closed.size()) agent->closed.resize(word + 1);
  agent->closed[word] |= uint64_t{1} << (Index(number) % 64);
  clients_[Index(number)].maybe_closed = true;
  if (agent->closed_for.plain == agent->free.plain &&
      agent->closed_for.extras == agent->free.extras) {
    return;
  }
  agent->closed_for = agent->free;
}

void ClusterTables::ReopenOn(ClientNum number, AgentNum agent_number) {
  Agent& agent = agents_[Index(agent_number)];
  agent.Open(number);
  agent.settled_at = 0;
}

void ClusterTables::ApplySpec(FrameworkNum number, const FrameworkSpec& spec) {
  Framework& framework = FrameworkAt(number);
  const bool capable_of_more = framework.capabilities != spec.capabilities;
  framework.capabilities = spec.capabilities;
  for (const RoleSubscription& subscription : spec.roles) {
    const ClientNum client_number = GetClient(number, subscription.role);
    Client& client = clients_[Index(client_number)];
    // Leaving suppression this way is a revival: refusals are forgotten.
    if (client.suppressed && !subscription.suppressed) filters_.ClearClient(client_number);
    client.subscribed = true;
    client.suppressed = subscription.suppressed;
    client.min_allocatable = subscription.min_allocatable;
    client.constraints = subscription.constraints;
  }
  // A copy: forgetting a client takes it off the framework's list. Most have one role.
  const absl::InlinedVector<ClientNum, 4> all(framework.clients.begin(), framework.clients.end());
  for (ClientNum client_number : all) {
    Client& client = clients_[Index(client_number)];
    const bool listed =
        std::any_of(spec.roles.begin(), spec.roles.end(),
                    [&](const RoleSubscription& one) { return one.role == client.role; });
    if (!listed && client.subscribed) {
      client.subscribed = false;
      client.wanted.reset();
      client.smallest = Minimum();
      client.suppressed = false;
      filters_.ClearClient(client_number);
    }
    if (listed || capable_of_more) Reopen(client_number);
    UpdateActivity(client_number);
    ForgetClientIfUnused(client_number);
  }
}

void ClusterTables::AddFramework(FrameworkNum number, const FrameworkSpec& spec, bool active,
                                 uint32_t outstanding_offers) {
  Framework& framework = FrameworkAt(number);
  framework.known = true;
  framework.active = active;
  framework.outstanding_offers = outstanding_offers;
  framework.silences = 0;
  framework.silences_total = 0;
  framework.quiet_until = absl::InfinitePast();
  framework.refusals_lengthened = 0;
  ApplySpec(number, spec);
}

void ClusterTables::UpdateFramework(FrameworkNum number, const FrameworkSpec& spec) {
  ApplySpec(number, spec);
}

void ClusterTables::RemoveFramework(FrameworkNum number) {
  Framework& framework = FrameworkAt(number);
  framework.known = false;
  framework.active = false;
  framework.outstanding_offers = 0;
  inverse_offers_.ForgetFramework(number);
  const std::vector<ClientNum> all = framework.clients;
  if (all.empty()) {
    framework = Framework();
    forgotten_frameworks.push_back(number);
    return;
  }
  for (ClientNum client_number : all) {
    Client& client = clients_[Index(client_number)];
    client.subscribed = false;
    client.suppressed = false;
    filters_.ClearClient(client_number);
    UpdateActivity(client_number);
    ForgetClientIfUnused(client_number);
  }
}

void ClusterTables::SetFrameworkActive(FrameworkNum number, bool active) {
  Framework& framework = FrameworkAt(number);
  framework.active = active;
  if (!active) inverse_offers_.ForgetFramework(number);
  for (ClientNum client : framework.clients) {
    if (!active && filters_.ClearClient(client)) Reopen(client);
    UpdateActivity(client);
  }
}

void ClusterTables::SetSuppressed(ClientNum number, bool suppressed) {
  clients_[Index(number)].suppressed = suppressed;
  UpdateActivity(number);
}

void ClusterTables::UpdateOfferCap(FrameworkNum number) {
  for (ClientNum client : FrameworkAt(number).clients) UpdateActivity(client);
}

bool ClusterTables::EndOffers(const OffersEnded& ended, absl::Time now) {
  // As long as anybody may think about an offer.
  constexpr absl::Duration kProperAnswer = absl::Seconds(5);
  Framework& framework = FrameworkAt(ended.framework);
  const bool was_kept = IsKeptFromOffers(framework);
  framework.outstanding_offers -= std::min(ended.offers, framework.outstanding_offers);
  if (ended.accepted > 0) {
    framework.silences = 0;
    framework.quiet_until = absl::InfinitePast();
  } else if (ended.withdrawn < ended.offers && !IsQuiet(framework)) {
    if (ended.lay < kProperAnswer) {
      framework.silences = 0;
    } else if (config_.silence_growth_max > absl::ZeroDuration()) {
      absl::Duration quiet = std::min(ended.lay, config_.silence_growth_max);
      for (int i = 0; i < framework.silences && quiet < config_.silence_growth_max; ++i) quiet *= 2;
      framework.quiet_until = now + std::min(quiet, config_.silence_growth_max);
      ++framework.silences;
      ++framework.silences_total;
    }
  }
  const bool is_kept = IsKeptFromOffers(framework);
  if (was_kept != is_kept) UpdateOfferCap(ended.framework);
  return was_kept && !is_kept;
}

bool ClusterTables::PayForRun(FrameworkNum number, absl::Time now) {
  // Each run costs an interval; so many may be paid for ahead.
  Framework& framework = FrameworkAt(number);
  const absl::Duration ahead = config_.allocation_interval * config_.runs_on_demand_max;
  const absl::Time paid = std::max(framework.runs_paid_until, now) + config_.allocation_interval;
  if (paid > now + ahead) return false;
  framework.runs_paid_until = paid;
  return true;
}

bool ClusterTables::EndQuiet(FrameworkNum number) {
  Framework& framework = FrameworkAt(number);
  if (framework.quiet_until == absl::InfinitePast()) return false;
  framework.quiet_until = absl::InfinitePast();
  UpdateOfferCap(number);
  return true;
}

std::vector<size_t> ClusterTables::FiltersByRole() const {
  std::vector<size_t> counts(roles_.size());
  for (uint32_t index = 0; index < clients_.size(); ++index) {
    if (clients_[index].role == kNoRole) continue;
    counts[Index(clients_[index].role)] += filters_.CountOf(ClientNum{index});
  }
  return counts;
}

void ClusterTables::StateDemand(ClientNum number, const DemandStated& demand) {
  Client& client = clients_[Index(number)];
  client.wanted = demand.wanted;
  client.wanted_left = demand.wanted.value_or(Amounts());
  if (demand.left) client.wanted_left = Min(client.wanted_left, *demand.left);
  client.smallest = demand.smallest;
  Reopen(number);
  UpdateActivity(number);
}

void ClusterTables::LowerDemand(ClientNum number, const Bag& bag) {
  Client& client = clients_[Index(number)];
  if (!client.wanted) return;
  client.wanted_left = (client.wanted_left - bag.Quantity()).Clip();
  UpdateActivity(number);
}

void ClusterTables::RaiseDemand(ClientNum number, const Bag& bag) {
  Client& client = clients_[Index(number)];
  if (!client.wanted) return;
  client.wanted_left = Min(*client.wanted, client.wanted_left + bag.Quantity());
  UpdateActivity(number);
}

// ---- Agents.

const Agent* ClusterTables::FindAgent(AgentNum number) const {
  if (Index(number) >= agents_.size() || !agents_[Index(number)].known) return nullptr;
  return &agents_[Index(number)];
}

bool ClusterTables::IsWhitelisted(const Agent& agent) const {
  return !whitelist_ ||
         std::binary_search(whitelist_->begin(), whitelist_->end(), agent.spec.hostname);
}

void ClusterTables::CountReservations(const Bag& total, int sign) {
  if (total.extras == nullptr || !total.extras->any_reserved()) return;
  for (const Item& item : total.extras->items()) {
    const Kind& kind = words_.kind(item.kind);
    if (!kind.is_scalar() || !kind.is_reserved() || kind.revocable) continue;
    Amounts reserved;
    reserved[kind.scalar_name] = kind.piece == 0 ? item.amount
                                 : kind.shared   ? kind.piece
                                                 : kind.piece * item.amount;
    if (sign > 0) {
      quotas_.Consume(kind.reserved_to, reserved);
    } else {
      quotas_.Release(kind.reserved_to, reserved);
    }
  }
}

void ClusterTables::CountTotals(const Bag& before, const Bag& after) {
  CountReservations(before, -1);
  CountReservations(after, 1);
  const Amounts quantity_before = before.Quantity();
  const Amounts quantity_after = after.Quantity();
  if (quantity_before == quantity_after) return;
  totals_.total -= quantity_before;
  totals_.total += quantity_after;
  for (const std::string& name : config_.fair_sharing_excluded_names) {
    if (const std::optional<uint32_t> scalar = words_.FindScalarName(name)) {
      totals_.excluded_names |= 1u << *scalar;
    }
  }
  ++totals_.version;
}

void ClusterTables::CountHeadroom(const Agent& agent, bool counts) {
  if (counts) {
    available_headroom_ += agent.free.Unreserved();
  } else {
    available_headroom_ -= agent.free.Unreserved();
  }
}

void ClusterTables::SetFree(Agent* agent, Bag free) {
  if (agent->IsOffered()) CountHeadroom(*agent, false);
  agent->free = std::move(free);
  if (agent->IsOffered()) CountHeadroom(*agent, true);
}

template <typename Change>
void ClusterTables::ChangePart(Agent* agent, Change change) {
  const bool before = agent->IsOffered();
  change();
  const bool after = agent->IsOffered();
  if (before == after) return;
  CountHeadroom(*agent, after);
  // Others have more room, or less, than at the last look.
  if (quotas_.AnyQuota()) Announce();
}

void ClusterTables::SetAgentActive(AgentNum number, bool active) {
  Agent& agent = agents_[Index(number)];
  ChangePart(&agent, [&] { agent.active = active; });
}

void ClusterTables::RecomputeFree(Agent* agent) {
  Bag free = NonShared(agent->total, words_);
  agent->shared = OnlyShared(agent->total, words_);
  agent->shared_run = 0;
  agent->overcommitted = false;
  for (const Holding& holding : agent->holdings) {
    agent->overcommitted |= !TakeFrom(&free, NonShared(holding.bag, words_), words_);
  }
  SetFree(agent, std::move(free));
}

void ClusterTables::ReopenAgent(AgentNum number) {
  Agent& agent = agents_[Index(number)];
  std::fill(agent.closed.begin(), agent.closed.end(), 0);
  agent.closed_for = Bag();
  agent.settled_at = 0;
}

void ClusterTables::AddAgent(AgentNum number, const AgentSpec& spec, const Bag& total, bool active,
                             const std::vector<Claim>& claims) {
  Agent& agent = Grown(&agents_, number);
  const bool queued = agent.queued;
  agent = Agent();
  agent.queued = queued;
  agent.known = true;
  agent.active = active;
  agent.spec = spec;
  agent.whitelisted = IsWhitelisted(agent);
  agent.total = total;
  ++agent_count_;
  CountTotals(Bag(), total);
  for (const Claim& claim : claims) {
    if (claim.bag.IsEmpty()) continue;
    const ClientNum client = GetClient(claim.framework, claim.role);
    held_ += QuantityNotShared(agent, claim.bag);
    AddTo(&HoldingAt(number, client).bag, claim.bag, words_);
    ChargeQuota(client, claim.bag, 1);
    ChargeSorters(number, client, claim.bag);
  }
  RecomputeFree(&agent);
  if (quotas_.AnyQuota()) Announce();
}

bool ClusterTables::UpdateAgent(AgentNum number, const AgentSpec& spec, const Bag& total) {
  Agent& agent = agents_[Index(number)];
  bool changed = false;
  if (agent.spec.attributes != spec.attributes) {
    filters_.ClearAgent(number);
    inverse_offers_.ForgetFilters(number);
    changed = true;
  }
  changed |= agent.spec.remote != spec.remote || agent.spec.hostname != spec.hostname;
  ChangePart(&agent, [&] {
    agent.spec = spec;
    agent.whitelisted = IsWhitelisted(agent);
  });
  if (!Equal(agent.total, total, words_)) {
    CountTotals(agent.total, total);
    Bag more = total;
    const bool only_more = TakeFrom(&more, agent.total, words_);
    agent.total = total;
    if (only_more && !agent.overcommitted && agent.shared == nullptr &&
        OnlyShared(total, words_) == nullptr) {
      // Nobody holds any of what is new.
      AddTo(&more, agent.free, words_);
      SetFree(&agent, std::move(more));
    } else {
      RecomputeFree(&agent);
    }
    changed = true;
  }
  if (changed) ReopenAgent(number);
  if (changed && quotas_.AnyQuota()) Announce();
  return changed;
}

void ClusterTables::TakeOut(AgentNum number) {
  Agent& agent = agents_[Index(number)];
  while (!agent.holdings.empty()) {
    const Holding holding = agent.holdings.back();
    Release(number, holding.client, holding.bag);
  }
  SetFree(&agent, Bag());
  CountTotals(agent.total, Bag());
  --agent_count_;
  if (quotas_.AnyQuota()) Announce();
  const bool queued = agent.queued;
  agent = Agent();
  agent.queued = queued;
}

void ClusterTables::RemoveAgent(AgentNum number) {
  TakeOut(number);
  filters_.ClearAgent(number);
  inverse_offers_.Set(number, false);
}

void ClusterTables::ReplaceAgent(AgentNum number, const AgentSpec& spec, const Bag& total,
                                 bool active, const std::vector<Claim>& claims) {
  const bool is_another = agents_[Index(number)].spec.attributes != spec.attributes;
  TakeOut(number);
  if (is_another) {
    filters_.ClearAgent(number);
    inverse_offers_.ForgetFilters(number);
  }
  AddAgent(number, spec, total, active, claims);
}

void ClusterTables::SetWhitelist(const std::optional<std::vector<std::string>>& hostnames) {
  whitelist_ = hostnames;
  if (whitelist_) std::sort(whitelist_->begin(), whitelist_->end());
  for (Agent& agent : agents_) {
    if (agent.known) ChangePart(&agent, [&] { agent.whitelisted = IsWhitelisted(agent); });
  }
}

void ClusterTables::SetWeight(RoleNum role, int64_t weight) {
  role_sorter_->SetWeight(words_.role(role).path, weight);
}

}  // namespace tessera::allocator
