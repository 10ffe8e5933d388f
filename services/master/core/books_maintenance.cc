// What maintenance changes in the books: inverse offers, and the times of agents' unavailability.
#include <string>
#include <utility>

#include "services/base/bug.h"
#include "services/master/core/books.h"

namespace tessera::master {

pb::InverseOffer Books::AddInverseOffer(Framework& framework, Agent& agent) {
  InverseOffer& offer = inverse_offers.Add({InverseOfferNumber(), framework.index, agent.index});
  framework.inverse_offers.insert(offer.number);
  agent.inverse_offers[framework.index] = offer.number;
  ++counters_->inverse_offers_sent;
  if (config_->offer_timeout != absl::InfiniteDuration()) {
    timers.Arm(now_ + config_->offer_timeout, TimerKind::kInverseOfferTimeout,
               offer.number.value());
  }
  pb::InverseOffer message;
  message.set_id(inverse_offers.IdOf(offer.number));
  message.set_framework_id(framework.id);
  message.set_agent_id(agent.id);
  *message.mutable_unavailability() = *agent.unavailability;
  return message;
}

void Books::RemoveInverseOffer(InverseOffer& offer, InverseOfferEnd end) {
  Framework* framework = frameworks.Find(offer.framework);
  Agent* agent = agents.Find(offer.agent);
  if (TESSERA_BUG_IF(framework == nullptr || agent == nullptr,
                     "an inverse offer without its parties")) {
    return;
  }
  const std::string id = inverse_offers.IdOf(offer.number);
  framework->inverse_offers.erase(offer.number);
  agent->inverse_offers.erase(framework->index);
  inverse_offers.Remove(offer.number);
  switch (end) {
    case InverseOfferEnd::kAccepted:
      ++counters_->inverse_offers_accepted;
      return;
    case InverseOfferEnd::kDeclined:
      ++counters_->inverse_offers_declined;
      return;
    case InverseOfferEnd::kRescinded: {
      ++counters_->inverse_offers_rescinded;
      sched::Event event;
      event.mutable_rescind()->add_inverse_offer_ids(id);
      Tell(*framework, std::move(event));
      break;
    }
    case InverseOfferEnd::kDropped:
      break;
  }
  EndInverseOffer(*framework, *agent);
}

void Books::DropInverseOffersOf(Framework& framework) {
  while (!framework.inverse_offers.empty()) {
    RemoveInverseOffer(*inverse_offers.Find(*framework.inverse_offers.begin()),
                       InverseOfferEnd::kDropped);
  }
}

void Books::RescindInverseOffersOf(Agent& agent) {
  while (!agent.inverse_offers.empty()) {
    RemoveInverseOffer(*inverse_offers.Find(agent.inverse_offers.begin()->second),
                       InverseOfferEnd::kRescinded);
  }
}

void Books::EndInverseOffer(const Framework& framework, const Agent& agent) {
  if (!agent.in_allocator && !agent.to_be_replaced) return;
  auto* ended = allocator.Add().mutable_inverse_offer_ended();
  ended->set_framework_id(framework.id);
  ended->set_agent_id(agent.id);
}

bool Books::UpdateUnavailability(Agent& agent) {
  std::optional<pb::Unavailability> now = machines.UnavailabilityOf(agent.machine);
  if (now.has_value() == agent.unavailability.has_value() &&
      (!now.has_value() || SameUnavailability(*now, *agent.unavailability))) {
    return false;
  }
  // They tell of another time, or of none.
  RescindOffersOf(agent);
  RescindInverseOffersOf(agent);
  agent.unavailability = std::move(now);
  if (agent.in_allocator) {
    auto* updated = allocator.Add().mutable_unavailability_updated();
    updated->set_agent_id(agent.id);
    if (agent.unavailability.has_value()) {
      *updated->mutable_unavailability() = *agent.unavailability;
    }
  }
  return true;
}

}  // namespace tessera::master
