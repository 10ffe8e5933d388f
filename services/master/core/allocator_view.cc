#include "services/master/core/allocator_view.h"

#include <algorithm>
#include <utility>

#include "absl/container/btree_map.h"
#include "services/master/core/books.h"
#include "services/master/core/times.h"
#include "services/model/wire/resources.h"

namespace tessera::master {

void AllocatorView::AddToAllocator(Framework& framework) {
  auto* added = link_.Add().mutable_framework_added();
  *added->mutable_info() = framework.info;
  for (const std::string& role : framework.suppressed_roles) added->add_suppressed_roles(role);
  added->set_active(framework.connected());
  *added->mutable_offer_constraints() = framework.offer_constraints;
  added->set_outstanding_offers(static_cast<uint32_t>(framework.offers.size()));
}

void AllocatorView::RestateDemand(const Framework& framework, const std::string& role) {
  const auto found = framework.demands.find(role);
  if (found == framework.demands.end()) return;
  const Framework::Demand& demand = found->second;
  auto* stated = link_.Add().mutable_demand_stated();
  stated->set_framework_id(framework.id);
  stated->set_role(role);
  if (demand.stated.has_wanted()) {
    *stated->mutable_wanted() = demand.stated.wanted();
    model::wire::ToProto(demand.left, stated->mutable_left());
  }
  if (demand.stated.has_smallest()) *stated->mutable_smallest() = demand.stated.smallest();
}

void AllocatorView::AddToAllocator(Agent& agent) {
  agent.in_allocator = true;
  agent.active_in_allocator = agent.active();
  agent.allocator_sequence = link_.NextSequence();
  auto* added = link_.Add().mutable_agent_added();
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
    holding->set_framework_id(books_.frameworks.Find(framework)->id);
    model::wire::ToProto(resources, holding->mutable_resources());
  }
}

void AllocatorView::RemoveFromAllocator(Agent& agent) {
  if (!agent.in_allocator) return;
  agent.in_allocator = false;
  agent.active_in_allocator = false;
  link_.Add().mutable_agent_removed()->set_agent_id(agent.id);
}

void AllocatorView::BeginReplacement(Agent& agent) {
  agent.to_be_replaced = std::exchange(agent.in_allocator, false);
}

void AllocatorView::UpdateActivity(Agent& agent) {
  if (!agent.in_allocator || agent.active() == agent.active_in_allocator) return;
  agent.active_in_allocator = agent.active();
  if (agent.active_in_allocator) {
    link_.Add().mutable_agent_activated()->set_agent_id(agent.id);
  } else {
    link_.Add().mutable_agent_deactivated()->set_agent_id(agent.id);
  }
}

void AllocatorView::EndAllocations(const std::string& framework_id, uint32_t count,
                                   AllocationEnd end, absl::Duration lay) {
  auto* ended = link_.Add().mutable_offers_ended();
  ended->set_framework_id(framework_id);
  ended->set_offers(count);
  ended->set_accepted(end == AllocationEnd::kTaken ? count : 0);
  ended->set_withdrawn(end == AllocationEnd::kWithdrawn ? count : 0);
  SetDuration(std::max(lay, absl::ZeroDuration()), ended->mutable_lay());
}

void AllocatorView::GiveBack(const std::string& framework_id, const Agent& agent,
                             const model::Resources& resources,
                             std::optional<absl::Duration> refuse) {
  if (!agent.in_allocator || resources.empty()) return;
  auto* recovered = link_.Add().mutable_recovered();
  recovered->set_framework_id(framework_id);
  recovered->set_agent_id(agent.id);
  model::wire::ToProto(resources, recovered->mutable_resources());
  // Zero is a refusal, too: without a filter, but not to be offered again at once.
  if (refuse.has_value()) SetDuration(*refuse, recovered->mutable_refuse_duration());
}

void AllocatorView::EndInverseOffer(const Framework& framework, const Agent& agent) {
  if (!agent.in_allocator && !agent.to_be_replaced) return;
  auto* ended = link_.Add().mutable_inverse_offer_ended();
  ended->set_framework_id(framework.id);
  ended->set_agent_id(agent.id);
}

void AllocatorView::SendWhitelist() {
  auto* set = link_.Add().mutable_whitelist_set();
  set->set_all(!whitelist_.has_value());
  if (whitelist_) *set->mutable_hostnames() = {whitelist_->begin(), whitelist_->end()};
}

void AllocatorView::SetWhitelist(std::optional<std::vector<std::string>> hostnames) {
  if (whitelist_ == hostnames) return;
  whitelist_ = std::move(hostnames);
  SendWhitelist();
}

void AllocatorView::SendSnapshot(size_t expected_agents, absl::Duration expectation_timeout) {
  if (expected_agents > 0) {
    auto* expected = link_.Add().mutable_recovery_expected();
    expected->set_agents(static_cast<uint32_t>(expected_agents));
    SetDuration(expectation_timeout, expected->mutable_timeout());
  }
  if (whitelist_.has_value()) SendWhitelist();
  for (const auto& [name, role] : books_.roles.roles()) {
    if (role.weight_milli.has_value()) WeightSet(name, *role.weight_milli);
    if (role.quota.has_value()) QuotaSet(name, role.quota->guarantees(), role.quota->limits());
  }
  books_.frameworks.ForEach([this](Framework& framework) {
    if (framework.phase != FrameworkPhase::kAdmitting) AddToAllocator(framework);
  });
  books_.agents.ForEach([this](Agent& agent) {
    if (agent.phase == AgentPhase::kConnected || agent.phase == AgentPhase::kDisconnected) {
      AddToAllocator(agent);
    }
  });
  // After the agents, which bring the names of the resources that demands speak of.
  books_.frameworks.ForEach([this](Framework& framework) {
    if (framework.phase == FrameworkPhase::kAdmitting) return;
    for (const auto& [role, demand] : framework.demands) RestateDemand(framework, role);
  });
  link_.CompleteSnapshot();
}

void AllocatorView::FrameworkActivated(const Framework& framework) {
  link_.Add().mutable_framework_activated()->set_framework_id(framework.id);
}

void AllocatorView::FrameworkDeactivated(const Framework& framework) {
  link_.Add().mutable_framework_deactivated()->set_framework_id(framework.id);
}

void AllocatorView::FrameworkUpdated(const Framework& framework) {
  auto* updated = link_.Add().mutable_framework_updated();
  *updated->mutable_info() = framework.info;
  *updated->mutable_suppressed_roles() = {framework.suppressed_roles.begin(),
                                          framework.suppressed_roles.end()};
  *updated->mutable_offer_constraints() = framework.offer_constraints;
}

void AllocatorView::FrameworkRemoved(const Framework& framework) {
  link_.Add().mutable_framework_removed()->set_framework_id(framework.id);
}

void AllocatorView::Revived(const Framework& framework, const std::vector<std::string>& roles) {
  auto* revived = link_.Add().mutable_revived();
  revived->set_framework_id(framework.id);
  *revived->mutable_roles() = {roles.begin(), roles.end()};
}

void AllocatorView::Suppressed(const Framework& framework, const std::vector<std::string>& roles) {
  auto* suppressed = link_.Add().mutable_suppressed();
  suppressed->set_framework_id(framework.id);
  *suppressed->mutable_roles() = {roles.begin(), roles.end()};
}

void AllocatorView::Unsuppressed(const Framework& framework,
                                 const std::vector<std::string>& roles) {
  auto* unsuppressed = link_.Add().mutable_unsuppressed();
  unsuppressed->set_framework_id(framework.id);
  *unsuppressed->mutable_roles() = {roles.begin(), roles.end()};
}

void AllocatorView::FiltersCleared(const Framework& framework,
                                   const std::vector<std::string>& roles) {
  auto* cleared = link_.Add().mutable_filters_cleared();
  cleared->set_framework_id(framework.id);
  *cleared->mutable_roles() = {roles.begin(), roles.end()};
}

void AllocatorView::DemandStated(const Framework& framework,
                                 const sched::SetDemandRequest::Demand& demand) {
  auto* stated = link_.Add().mutable_demand_stated();
  stated->set_framework_id(framework.id);
  stated->set_role(demand.role());
  if (demand.has_wanted()) *stated->mutable_wanted() = demand.wanted();
  if (demand.has_smallest()) *stated->mutable_smallest() = demand.smallest();
}

void AllocatorView::InverseOfferAnswered(const Framework& framework, const Agent& agent,
                                         bool accepted, absl::Duration refuse) {
  auto* answered = link_.Add().mutable_inverse_offer_answered();
  answered->set_framework_id(framework.id);
  answered->set_agent_id(agent.id);
  answered->set_accepted(accepted);
  SetDuration(refuse, answered->mutable_refuse_duration());
}

void AllocatorView::AgentUpdated(const Agent& agent) {
  auto* updated = link_.Add().mutable_agent_updated();
  *updated->mutable_info() = agent.info;
  model::wire::ToProto(agent.total, updated->mutable_total());
}

void AllocatorView::UnavailabilityUpdated(const Agent& agent) {
  if (!agent.in_allocator) return;
  auto* updated = link_.Add().mutable_unavailability_updated();
  updated->set_agent_id(agent.id);
  if (agent.unavailability.has_value()) *updated->mutable_unavailability() = *agent.unavailability;
}

void AllocatorView::WeightSet(const std::string& role, int64_t weight_milli) {
  auto* set = link_.Add().mutable_weight_set();
  set->set_role(role);
  set->set_weight_milli(weight_milli);
}

void AllocatorView::QuotaSet(const std::string& role, const pb::Quantities& guarantees,
                             const pb::Quantities& limits) {
  auto* set = link_.Add().mutable_quota_set();
  set->set_role(role);
  *set->mutable_guarantees() = guarantees;
  *set->mutable_limits() = limits;
}

}  // namespace tessera::master
