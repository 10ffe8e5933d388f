#include "services/master/core/inverse_offer_flow.h"

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "services/master/core/framework_validation.h"
#include "services/master/core/refusals.h"
#include "services/master/core/times.h"

namespace tessera::master {

void InverseOfferFlow::OnAllocations(const alloc::AllocateResponse& response) {
  // In the order in which frameworks first occur.
  std::vector<std::pair<FrameworkIndex, sched::Event>> events;
  std::map<FrameworkIndex, size_t> where;
  for (const alloc::InverseAllocation& asked : response.inverse_allocations()) {
    Agent* agent = books_.agents.FindById(asked.agent_id());
    Framework* framework = books_.frameworks.FindById(asked.framework_id());
    // The allocator has been told, and has forgotten the question with the agent or its time.
    if (agent == nullptr || framework == nullptr || !agent->in_allocator ||
        !agent->unavailability.has_value()) {
      continue;
    }
    if (agent->inverse_offers.contains(framework->index)) continue;
    if (!framework->connected() || framework->removing || !agent->active() ||
        books_.inverse_offers.size() >= books_.config().inverse_offers_max) {
      books_.allocator_view.EndInverseOffer(*framework, *agent);
      continue;
    }
    auto [place, fresh] = where.try_emplace(framework->index, events.size());
    if (fresh) events.emplace_back(framework->index, sched::Event());
    *events[place->second].second.mutable_inverse_offers()->add_inverse_offers() =
        books_.offer_book.AddInverseOffer(*framework, *agent);
  }
  for (auto& [index, event] : events) {
    books_.Tell(*books_.frameworks.Find(index), std::move(event));
  }
}

void InverseOfferFlow::OnTimeout(const Timer& timer) {
  InverseOffer* offer = books_.inverse_offers.Find(InverseOfferNumber(timer.subject));
  if (offer != nullptr) books_.offer_book.RemoveInverseOffer(*offer, InverseOfferEnd::kRescinded);
}

void InverseOfferFlow::OnCall(CallId call, const sched::AnswerInverseOffersRequest& request) {
  Framework* framework = sessions_.Enter(call, request.session(), CallType::kAnswerInverseOffers);
  if (framework == nullptr) return;
  const auto refuse = RefuseDuration(books_.config(), request.filters());
  absl::Status refusal = refuse.status();
  if (request.inverse_offer_ids_size() > static_cast<int>(books_.config().offers_per_call_max)) {
    refusal = TooMany("inverse offers in one call");
  }
  if (!refusal.ok()) {
    ++books_.counters().calls_refused;
    return books_.out.RefuseCall(call, refusal);
  }
  sched::AnswerInverseOffersResponse response;
  for (const std::string& id : request.inverse_offer_ids()) {
    InverseOffer* offer = books_.inverse_offers.FindById(id);
    if (offer == nullptr || offer->framework != framework->index) {
      response.add_unknown_inverse_offer_ids(id);
      continue;
    }
    const Agent& agent = *books_.agents.Find(offer->agent);
    books_.machines.NoteAnswer(agent.machine, framework->id, {request.accept(), books_.now()});
    books_.allocator_view.InverseOfferAnswered(*framework, agent, request.accept(), *refuse);
    books_.offer_book.RemoveInverseOffer(
        *offer, request.accept() ? InverseOfferEnd::kAccepted : InverseOfferEnd::kDeclined);
  }
  books_.out.Reply(call, std::move(response));
}

}  // namespace tessera::master
