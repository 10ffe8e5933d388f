#include "services/allocator/core/agent_flow.h"

#include <algorithm>

namespace tessera::allocator {

void AgentFlow::On(const AgentAdded& event) {
  ClusterTables& tables = state_.tables;
  const bool is_known = tables.FindAgent(event.agent) != nullptr;
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
    tables.ReplaceAgent(event.agent, event.spec, event.total, event.active, event.claims);
  } else {
    tables.AddAgent(event.agent, event.spec, event.total, event.active, event.claims);
  }
  // An agent that comes back to be as unavailable as before has its inverse offers out.
  if (!is_known || event.unavailable != tables.inverse_offers().IsUnavailable(event.agent)) {
    tables.inverse_offers().Set(event.agent, event.unavailable);
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
  if (state_.tables.UpdateAgent(event.agent, event.spec, event.total)) {
    state_.WantRunOn(event.agent);
  }
}

void AgentFlow::On(const AgentRemoved& event) {
  if (!state_.CheckAgent(event.agent)) return;
  state_.tables.RemoveAgent(event.agent);
  state_.effects->push_back(AgentForgotten{event.agent});
}

void AgentFlow::On(const AgentActivated& event) {
  if (!state_.CheckAgent(event.agent)) return;
  state_.tables.SetAgentActive(event.agent, true);
  state_.WantRunOn(event.agent);
}

void AgentFlow::On(const AgentDeactivated& event) {
  if (state_.CheckAgent(event.agent)) state_.tables.SetAgentActive(event.agent, false);
}

void AgentFlow::On(const WhitelistSet& event) { state_.tables.SetWhitelist(event.hostnames); }

}  // namespace tessera::allocator
