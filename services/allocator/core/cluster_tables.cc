#include "services/allocator/core/cluster_tables.h"

#include <algorithm>
#include <utility>

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
      filters_(config.filters_max) {}

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
                      !client.suppressed && !client.IsSated();
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
  for (Agent& agent : agents_) agent.Open(number);
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
  // A copy: forgetting a client takes it off the framework's list.
  const std::vector<ClientNum> all = framework.clients;
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

void ClusterTables::AddFramework(FrameworkNum number, const FrameworkSpec& spec, bool active) {
  Framework& framework = FrameworkAt(number);
  framework.known = true;
  framework.active = active;
  ApplySpec(number, spec);
}

void ClusterTables::UpdateFramework(FrameworkNum number, const FrameworkSpec& spec) {
  ApplySpec(number, spec);
}

void ClusterTables::RemoveFramework(FrameworkNum number) {
  Framework& framework = FrameworkAt(number);
  framework.known = false;
  framework.active = false;
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
  for (ClientNum client : framework.clients) {
    if (!active && filters_.ClearClient(client)) Reopen(client);
    UpdateActivity(client);
  }
}

void ClusterTables::SetSuppressed(ClientNum number, bool suppressed) {
  clients_[Index(number)].suppressed = suppressed;
  UpdateActivity(number);
}

std::vector<size_t> ClusterTables::FiltersByRole() const {
  std::vector<size_t> counts(roles_.size());
  for (uint32_t index = 0; index < clients_.size(); ++index) {
    if (clients_[index].role == kNoRole) continue;
    counts[Index(clients_[index].role)] += filters_.CountOf(ClientNum{index});
  }
  return counts;
}

void ClusterTables::StateDemand(ClientNum number, const std::optional<Amounts>& wanted,
                                const Minimum& smallest) {
  Client& client = clients_[Index(number)];
  client.wanted = wanted;
  client.wanted_left = wanted.value_or(Amounts());
  client.smallest = smallest;
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

void ClusterTables::SetFree(Agent* agent, Bag free) {
  available_headroom_ -= agent->free.Unreserved();
  agent->free = std::move(free);
  available_headroom_ += agent->free.Unreserved();
}

void ClusterTables::RecomputeFree(Agent* agent) {
  Bag free = agent->total;
  agent->overcommitted = false;
  for (const Holding& holding : agent->holdings) {
    agent->overcommitted |= !TakeFrom(&free, holding.bag, words_);
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
    AddTo(&HoldingAt(number, client).bag, claim.bag, words_);
    held_ += claim.bag.Quantity();
    ChargeQuota(client, claim.bag, 1);
    ChargeSorters(client, claim.bag);
  }
  RecomputeFree(&agent);
  if (quotas_.AnyQuota()) Announce();
}

bool ClusterTables::UpdateAgent(AgentNum number, const AgentSpec& spec, const Bag& total) {
  Agent& agent = agents_[Index(number)];
  bool changed = false;
  if (agent.spec.attributes != spec.attributes) {
    filters_.ClearAgent(number);
    changed = true;
  }
  changed |= agent.spec.remote != spec.remote || agent.spec.hostname != spec.hostname;
  agent.spec = spec;
  agent.whitelisted = IsWhitelisted(agent);
  if (!Equal(agent.total, total, words_)) {
    CountTotals(agent.total, total);
    Bag more = total;
    const bool only_more = TakeFrom(&more, agent.total, words_);
    agent.total = total;
    if (only_more && !agent.overcommitted) {
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

void ClusterTables::RemoveAgent(AgentNum number) {
  Agent& agent = agents_[Index(number)];
  while (!agent.holdings.empty()) {
    const Holding holding = agent.holdings.back();
    Release(number, holding.client, holding.bag);
  }
  filters_.ClearAgent(number);
  SetFree(&agent, Bag());
  CountTotals(agent.total, Bag());
  --agent_count_;
  if (quotas_.AnyQuota()) Announce();
  const bool queued = agent.queued;
  agent = Agent();
  agent.queued = queued;
}

void ClusterTables::SetWhitelist(const std::optional<std::vector<std::string>>& hostnames) {
  whitelist_ = hostnames;
  if (whitelist_) std::sort(whitelist_->begin(), whitelist_->end());
  for (Agent& agent : agents_) {
    if (agent.known) agent.whitelisted = IsWhitelisted(agent);
  }
}

// ---- Who holds what.

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

void ClusterTables::ChargeSorters(ClientNum client, const Bag& bag) {
  const RoleNum role = clients_[Index(client)].role;
  const Amounts quantity = bag.Quantity();
  roles_[Index(role)].clients->Allocated(Index(client), quantity);
  role_sorter_->Allocated(Index(role), quantity);
}

void ClusterTables::Take(AgentNum number, ClientNum client, const Bag& bag) {
  Agent& agent = agents_[Index(number)];
  available_headroom_ -= bag.Unreserved();
  TakeFrom(&agent.free, bag, words_);
  AddTo(&HoldingAt(number, client).bag, bag, words_);
  held_ += bag.Quantity();
  ChargeQuota(client, bag, 1);
}

void ClusterTables::Release(AgentNum number, ClientNum client, const Bag& bag) {
  Agent& agent = agents_[Index(number)];
  const auto holding = std::find_if(agent.holdings.begin(), agent.holdings.end(),
                                    [client](const Holding& one) { return one.client == client; });
  const Amounts quantity = bag.Quantity();
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
    available_headroom_ += given.Unreserved();
    AddTo(&agent.free, given, words_);
  }
  held_ -= quantity;
  ChargeQuota(client, given, -1);
  const RoleNum role = clients_[Index(client)].role;
  roles_[Index(role)].clients->Unallocated(Index(client), quantity);
  role_sorter_->Unallocated(Index(role), quantity);
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

void ClusterTables::SetWeight(RoleNum role, int64_t weight) {
  role_sorter_->SetWeight(words_.role(role).path, weight);
}

}  // namespace tessera::allocator
