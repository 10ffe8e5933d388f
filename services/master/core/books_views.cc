// What the allocator sees of the books.
#include <algorithm>
#include <utility>

#include "services/master/core/books.h"
#include "services/master/core/times.h"
#include "services/model/wire/resources.h"

namespace tessera::master {
void Books::AddToAllocator(Framework& framework) {
  auto* added = allocator.Add().mutable_framework_added();
  *added->mutable_info() = framework.info;
  for (const std::string& role : framework.suppressed_roles) added->add_suppressed_roles(role);
  added->set_active(framework.connected());
  *added->mutable_offer_constraints() = framework.offer_constraints;
  added->set_outstanding_offers(static_cast<uint32_t>(framework.offers.size()));
}

void Books::RestateDemand(const Framework& framework, const std::string& role) {
  const auto found = framework.demands.find(role);
  if (found == framework.demands.end()) return;
  const Framework::Demand& demand = found->second;
  auto* stated = allocator.Add().mutable_demand_stated();
  stated->set_framework_id(framework.id);
  stated->set_role(role);
  if (demand.stated.has_wanted()) {
    *stated->mutable_wanted() = demand.stated.wanted();
    model::wire::ToProto(demand.left, stated->mutable_left());
  }
  if (demand.stated.has_smallest()) *stated->mutable_smallest() = demand.stated.smallest();
}

void Books::AddToAllocator(Agent& agent) {
  agent.in_allocator = true;
  agent.active_in_allocator = agent.active();
  agent.allocator_sequence = allocator.NextSequence();
  auto* added = allocator.Add().mutable_agent_added();
  *added->mutable_info() = agent.info;
  model::wire::ToProto(agent.total, added->mutable_total());
  added->set_active(agent.active_in_allocator);
  added->set_replaces(std::exchange(agent.to_be_replaced, false));
  if (agent.unavailability.has_value()) *added->mutable_unavailability() = *agent.unavailability;
  // The holdings of each framework, in the order of the rows.
  absl::btree_map<FrameworkIndex, model::Resources> holdings = agent.used;
  for (const auto& [framework, offered] : agent.offered) holdings[framework] += offered;
  for (const auto& [framework, resources] : holdings) {
    auto* holding = added->add_holdings();
    holding->set_framework_id(frameworks.Find(framework)->id);
    model::wire::ToProto(resources, holding->mutable_resources());
  }
}

void Books::RemoveFromAllocator(Agent& agent) {
  if (!agent.in_allocator) return;
  agent.in_allocator = false;
  agent.active_in_allocator = false;
  allocator.Add().mutable_agent_removed()->set_agent_id(agent.id);
}

void Books::BeginReplacement(Agent& agent) {
  agent.to_be_replaced = std::exchange(agent.in_allocator, false);
}

void Books::UpdateActivity(Agent& agent) {
  if (!agent.in_allocator || agent.active() == agent.active_in_allocator) return;
  agent.active_in_allocator = agent.active();
  if (agent.active_in_allocator) {
    allocator.Add().mutable_agent_activated()->set_agent_id(agent.id);
  } else {
    allocator.Add().mutable_agent_deactivated()->set_agent_id(agent.id);
  }
}

FrameworkMetrics Books::MetricsOf(const Framework& framework) {
  FrameworkMetrics row;
  row.id = framework.id;
  row.name = framework.info.name();
  row.principal = framework.info.principal();
  row.user = framework.info.user();
  row.subscribed = framework.connected();
  for (const std::string& role : framework.roles) {
    row.roles_suppressed.emplace_back(role, framework.suppressed_roles.contains(role));
  }
  row.counters = framework.counters;
  return row;
}

void Books::KeepLastNumbers(const Framework& framework) {
  departed_.push_back({now_, MetricsOf(framework)});
  departed_.back().metrics.subscribed = false;
  while (departed_.size() > config_->completed_frameworks_max) departed_.pop_front();
}

void Books::SendWhitelist() {
  auto* set = allocator.Add().mutable_whitelist_set();
  set->set_all(!whitelist_.has_value());
  if (whitelist_) *set->mutable_hostnames() = {whitelist_->begin(), whitelist_->end()};
}

void Books::SetWhitelist(std::optional<std::vector<std::string>> hostnames) {
  if (whitelist_ == hostnames) return;
  whitelist_ = std::move(hostnames);
  SendWhitelist();
}

void Books::SendSnapshot(size_t expected_agents, absl::Duration expectation_timeout) {
  if (expected_agents > 0) {
    auto* expected = allocator.Add().mutable_recovery_expected();
    expected->set_agents(static_cast<uint32_t>(expected_agents));
    SetDuration(expectation_timeout, expected->mutable_timeout());
  }
  if (whitelist_.has_value()) SendWhitelist();
  for (const auto& [name, role] : roles.roles()) {
    if (role.weight_milli.has_value()) {
      auto* set = allocator.Add().mutable_weight_set();
      set->set_role(name);
      set->set_weight_milli(*role.weight_milli);
    }
    if (role.quota.has_value()) {
      auto* set = allocator.Add().mutable_quota_set();
      set->set_role(name);
      *set->mutable_guarantees() = role.quota->guarantees();
      *set->mutable_limits() = role.quota->limits();
    }
  }
  frameworks.ForEach([this](Framework& framework) {
    if (framework.phase != FrameworkPhase::kAdmitting) AddToAllocator(framework);
  });
  agents.ForEach([this](Agent& agent) {
    if (agent.phase == AgentPhase::kConnected || agent.phase == AgentPhase::kDisconnected) {
      AddToAllocator(agent);
    }
  });
  // After the agents, which bring the names of the resources that demands speak of.
  frameworks.ForEach([this](Framework& framework) {
    if (framework.phase == FrameworkPhase::kAdmitting) return;
    for (const auto& [role, demand] : framework.demands) RestateDemand(framework, role);
  });
  allocator.CompleteSnapshot();
}

}  // namespace tessera::master
