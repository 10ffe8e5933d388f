#include "services/allocator/core/agent_flow.h"

#include <algorithm>
#include <cstdint>

namespace tessera::allocator {

void AgentFlow::Add(const AgentAdded& event) {
  Agent& agent = state_.tables.agents.Add(event.agent, event.spec, event.active);
  state_.capacity.SetTotal(&agent, event.total);
  for (const Claim& claim : event.claims) {
    if (claim.bag.IsEmpty()) continue;
    const ClientNum client = state_.subscriptions.Get(claim.framework, claim.role);
    state_.holdings.Claim(event.agent, client, claim.bag);
  }
  state_.capacity.RecomputeFree(&agent);
  state_.capacity.AnnounceRoom();
}

void AgentFlow::TakeOut(AgentNum number) {
  state_.holdings.ReleaseAll(number);
  state_.capacity.TakeOut(&state_.tables.agents.at(number));
  state_.capacity.AnnounceRoom();
  state_.tables.agents.Remove(number);
}

void AgentFlow::SetActive(AgentNum number, bool active) {
  Agent& agent = state_.tables.agents.at(number);
  const bool was_offered = agent.IsOffered();
  agent.active = active;
  state_.capacity.NoteOffered(agent, was_offered);
}

void AgentFlow::On(const AgentAdded& event) {
  ClusterTables& tables = state_.tables;
  const Agent* const known = tables.agents.Find(event.agent);
  const bool is_known = known != nullptr;
  if (is_known && !event.replaces) {
    state_.Refuse(RefusalReason::kDuplicateAgent, state_.words().AgentId(event.agent));
    return;
  }
  const auto is_negative = [](const Claim& claim) { return claim.bag.plain.AnyNegative(); };
  if (event.total.plain.AnyNegative() ||
      std::any_of(event.claims.begin(), event.claims.end(), is_negative)) {
    state_.Refuse(RefusalReason::kNegativeAmount, state_.words().AgentId(event.agent));
    return;
  }
  if (is_known) {
    // Refusals hold on unless attributes have changed.
    const bool is_another = known->spec.attributes != event.spec.attributes;
    TakeOut(event.agent);
    if (is_another) {
      tables.filters.ClearAgent(event.agent);
      tables.inverse_offers.ForgetFilters(event.agent);
    }
  }
  Add(event);
  // An agent that comes back to be as unavailable as before has its inverse offers out.
  if (!is_known || event.unavailable != tables.inverse_offers.IsUnavailable(event.agent)) {
    tables.inverse_offers.Set(event.agent, event.unavailable);
  }
  state_.WantRunOn(event.agent);
  state_.runs.ResumeIfEnoughAgents(state_.now);
}

void AgentFlow::On(const AgentUpdated& event) {
  if (!state_.CheckAgent(event.agent)) return;
  if (event.total.plain.AnyNegative()) {
    state_.Refuse(RefusalReason::kNegativeAmount, state_.words().AgentId(event.agent));
    return;
  }
  ClusterTables& tables = state_.tables;
  Agent& agent = tables.agents.at(event.agent);
  bool changed = false;
  if (agent.spec.attributes != event.spec.attributes) {
    tables.filters.ClearAgent(event.agent);
    tables.inverse_offers.ForgetFilters(event.agent);
    changed = true;
  }
  changed |= agent.spec.remote != event.spec.remote || agent.spec.hostname != event.spec.hostname;
  const bool was_offered = agent.IsOffered();
  agent.spec = event.spec;
  tables.agents.UpdateWhitelisted(&agent);
  state_.capacity.NoteOffered(agent, was_offered);
  changed |= state_.capacity.ChangeTotal(&agent, event.total);
  if (!changed) return;
  tables.closed.ReopenAgent(&agent);
  state_.capacity.AnnounceRoom();
  state_.WantRunOn(event.agent);
}

void AgentFlow::On(const AgentRemoved& event) {
  if (!state_.CheckAgent(event.agent)) return;
  TakeOut(event.agent);
  state_.tables.filters.ClearAgent(event.agent);
  state_.tables.inverse_offers.Set(event.agent, false);
  state_.effects->push_back(AgentForgotten{event.agent});
}

void AgentFlow::On(const AgentActivated& event) {
  if (!state_.CheckAgent(event.agent)) return;
  SetActive(event.agent, true);
  state_.WantRunOn(event.agent);
}

void AgentFlow::On(const AgentDeactivated& event) {
  if (state_.CheckAgent(event.agent)) SetActive(event.agent, false);
}

void AgentFlow::On(const WhitelistSet& event) {
  AgentTable& agents = state_.tables.agents;
  agents.SetWhitelist(event.hostnames);
  for (uint32_t index = 0; index < agents.slots(); ++index) {
    Agent& agent = agents.at(AgentNum{index});
    if (!agent.known) continue;
    const bool was_offered = agent.IsOffered();
    agents.UpdateWhitelisted(&agent);
    state_.capacity.NoteOffered(agent, was_offered);
  }
}

}  // namespace tessera::allocator
