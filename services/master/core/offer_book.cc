#include "services/master/core/offer_book.h"

#include <algorithm>
#include <utility>

#include "services/base/bug.h"
#include "services/master/core/books.h"
#include "services/model/wire/resources.h"

namespace tessera::master {
namespace {

// As the allocator does with what it allocates.
void LowerDemand(Framework& framework, const std::string& role, const model::Resources& resources) {
  const auto demand = framework.demands.find(role);
  if (demand == framework.demands.end() || demand->second.left.empty()) return;
  demand->second.left -= model::Quantities::OfScalars(resources);
}

}  // namespace

pb::Offer OfferBook::AddOffer(Framework& framework, Agent& agent, std::string role,
                              model::Resources resources) {
  Offer& offer = books_.offers.Add(
      {OfferNumber(), framework.index, agent.index, std::move(role), resources, books_.now(), {}});
  LowerDemand(framework, offer.role, offer.resources);
  framework.offers.insert(offer.number);
  agent.offers.insert(offer.number);
  agent.offered[framework.index] += offer.resources;
  agent.held += offer.resources.UnallocatedCopy();
  ++framework.counters.offers_sent;
  ++books_.counters().offers_sent;
  if (books_.config().offer_timeout != absl::InfiniteDuration()) {
    books_.timers.Arm(books_.now() + books_.config().offer_timeout, TimerKind::kOfferTimeout,
                      offer.number.value());
  }

  pb::Offer message;
  message.set_id(books_.offers.IdOf(offer.number));
  message.set_framework_id(framework.id);
  message.set_agent_id(agent.id);
  message.set_hostname(agent.info.hostname());
  message.set_agent_address(agent.info.address());
  if (agent.info.has_domain()) *message.mutable_domain() = agent.info.domain();
  model::wire::ToProto(offer.resources, message.mutable_resources());
  message.set_role(offer.role);
  *message.mutable_attributes() = agent.info.attributes();
  for (std::string& id : agent.executors.IdsOf(framework.index)) {
    message.add_executor_ids(std::move(id));
  }
  if (agent.unavailability.has_value()) *message.mutable_unavailability() = *agent.unavailability;
  offer.shown = feed::MakeOffer(message, std::move(resources));
  books_.changed.OfferAdded(offer.number);
  return message;
}

void OfferBook::RemoveOffer(Offer& offer, OfferEnd end, std::optional<absl::Duration> refuse) {
  Framework* framework = books_.frameworks.Find(offer.framework);
  Agent* agent = books_.agents.Find(offer.agent);
  if (TESSERA_BUG_IF(framework == nullptr || agent == nullptr, "an offer without its parties")) {
    return;
  }
  const std::string id = books_.offers.IdOf(offer.number);
  framework->offers.erase(offer.number);
  agent->offers.erase(offer.number);
  SubtractFrom(agent->offered, framework->index, offer.resources);
  agent->held -= offer.resources.UnallocatedCopy();
  switch (end) {
    case OfferEnd::kAccepted:
      ++framework->counters.offers_accepted;
      ++books_.counters().offers_accepted;
      break;
    case OfferEnd::kDeclined:
      ++framework->counters.offers_declined;
      ++books_.counters().offers_declined;
      break;
    case OfferEnd::kTimedOut:
    case OfferEnd::kRescinded: {
      ++framework->counters.offers_rescinded;
      ++books_.counters().offers_rescinded;
      sched::Event event;
      event.mutable_rescind()->add_offer_ids(id);
      books_.Tell(*framework, std::move(event));
      break;
    }
    case OfferEnd::kDropped:
      break;
  }
  if (end != OfferEnd::kAccepted) {
    RaiseDemand(*framework, offer.role, offer.resources);
    // What was taken back is still wanted, too.
    books_.allocator_view.GiveBack(framework->id, *agent, offer.resources,
                                   refuse.value_or(absl::ZeroDuration()));
    const bool left = end == OfferEnd::kDeclined || end == OfferEnd::kTimedOut;
    books_.allocator_view.EndAllocations(framework->id, 1,
                                         left ? AllocationEnd::kLeft : AllocationEnd::kWithdrawn,
                                         books_.now() - offer.made);
    // It forgot, or will, what was offered of the agent, and does not hear that it comes back.
    if (!agent->in_allocator) books_.allocator_view.RestateDemand(*framework, offer.role);
  }
  books_.changed.OfferRemoved(offer.number);
  books_.offers.Remove(offer.number);
}

void OfferBook::RaiseDemand(Framework& framework, const std::string& role,
                            const model::Resources& resources) {
  const auto demand = framework.demands.find(role);
  if (demand == framework.demands.end()) return;
  const model::Quantities back = model::Quantities::OfScalars(resources);
  for (const auto& [name, wanted] : demand->second.wanted) {
    demand->second.left.Set(name, std::min(wanted, demand->second.left.Get(name) + back.Get(name)));
  }
}

void OfferBook::RemoveOffersOf(Framework& framework, OfferEnd end) {
  while (!framework.offers.empty())
    RemoveOffer(*books_.offers.Find(*framework.offers.begin()), end);
}

void OfferBook::RescindOffersOf(Agent& agent) {
  while (!agent.offers.empty()) {
    RemoveOffer(*books_.offers.Find(*agent.offers.begin()), OfferEnd::kRescinded);
  }
  if (!agent.active()) RescindInverseOffersOf(agent);
}

pb::InverseOffer OfferBook::AddInverseOffer(Framework& framework, Agent& agent) {
  InverseOffer& offer =
      books_.inverse_offers.Add({InverseOfferNumber(), framework.index, agent.index});
  framework.inverse_offers.insert(offer.number);
  agent.inverse_offers[framework.index] = offer.number;
  ++books_.counters().inverse_offers_sent;
  if (books_.config().offer_timeout != absl::InfiniteDuration()) {
    books_.timers.Arm(books_.now() + books_.config().offer_timeout, TimerKind::kInverseOfferTimeout,
                      offer.number.value());
  }
  pb::InverseOffer message;
  message.set_id(books_.inverse_offers.IdOf(offer.number));
  message.set_framework_id(framework.id);
  message.set_agent_id(agent.id);
  *message.mutable_unavailability() = *agent.unavailability;
  return message;
}

void OfferBook::RemoveInverseOffer(InverseOffer& offer, InverseOfferEnd end) {
  Framework* framework = books_.frameworks.Find(offer.framework);
  Agent* agent = books_.agents.Find(offer.agent);
  if (TESSERA_BUG_IF(framework == nullptr || agent == nullptr,
                     "an inverse offer without its parties")) {
    return;
  }
  const std::string id = books_.inverse_offers.IdOf(offer.number);
  framework->inverse_offers.erase(offer.number);
  agent->inverse_offers.erase(framework->index);
  books_.inverse_offers.Remove(offer.number);
  switch (end) {
    case InverseOfferEnd::kAccepted:
      ++books_.counters().inverse_offers_accepted;
      return;
    case InverseOfferEnd::kDeclined:
      ++books_.counters().inverse_offers_declined;
      return;
    case InverseOfferEnd::kRescinded: {
      ++books_.counters().inverse_offers_rescinded;
      sched::Event event;
      event.mutable_rescind()->add_inverse_offer_ids(id);
      books_.Tell(*framework, std::move(event));
      break;
    }
    case InverseOfferEnd::kDropped:
      break;
  }
  books_.allocator_view.EndInverseOffer(*framework, *agent);
}

void OfferBook::DropInverseOffersOf(Framework& framework) {
  while (!framework.inverse_offers.empty()) {
    RemoveInverseOffer(*books_.inverse_offers.Find(*framework.inverse_offers.begin()),
                       InverseOfferEnd::kDropped);
  }
}

void OfferBook::RescindInverseOffersOf(Agent& agent) {
  while (!agent.inverse_offers.empty()) {
    RemoveInverseOffer(*books_.inverse_offers.Find(agent.inverse_offers.begin()->second),
                       InverseOfferEnd::kRescinded);
  }
}

bool OfferBook::UpdateUnavailability(Agent& agent) {
  std::optional<pb::Unavailability> now = books_.machines.UnavailabilityOf(agent.machine);
  if (now.has_value() == agent.unavailability.has_value() &&
      (!now.has_value() || SameUnavailability(*now, *agent.unavailability))) {
    return false;
  }
  // They tell of another time, or of none.
  RescindOffersOf(agent);
  RescindInverseOffersOf(agent);
  agent.unavailability = std::move(now);
  books_.allocator_view.UnavailabilityUpdated(agent);
  return true;
}

}  // namespace tessera::master
