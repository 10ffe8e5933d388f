#include "services/allocator/core/inverse_offer_flow.h"

namespace tessera::allocator {

void InverseOfferFlow::On(const UnavailabilitySet& event) {
  if (!state_.CheckAgent(event.agent)) return;
  state_.tables.inverse_offers.Set(event.agent, event.unavailable);
  state_.WantRunOn(event.agent);
}

void InverseOfferFlow::On(const InverseOfferAnswered& event) {
  state_.tables.inverse_offers.Answer(event.agent, event.framework,
                                      state_.now + event.refuse_duration);
}

void InverseOfferFlow::On(const InverseOfferEnded& event) {
  state_.tables.inverse_offers.End(event.agent, event.framework);
}

void InverseOfferFlow::AskToLeave(const std::vector<AgentNum>& agents, AllocationBatch* batch) {
  ClusterTables& tables = state_.tables;
  if (tables.inverse_offers.empty()) return;
  for (AgentNum number : agents) {
    const Agent& agent = tables.agents.at(number);
    // The master sends no inverse offer of an inactive agent; its activation brings the next run.
    if (!tables.inverse_offers.IsUnavailable(number) || !agent.active) continue;
    for (const Holding& holding : agent.holdings) {
      const FrameworkNum who = tables.frameworks.client(holding.client).framework;
      const Framework* framework = tables.frameworks.Find(who);
      if (framework == nullptr || !framework->active) continue;
      if (tables.inverse_offers.Ask(number, who, state_.now)) {
        batch->inverse.push_back({who, number});
      }
    }
  }
}

}  // namespace tessera::allocator
