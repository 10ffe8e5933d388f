#include "services/master/core/offer_flow.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/master/core/framework_validation.h"
#include "services/master/core/refusals.h"
#include "services/model/wire/resources.h"
#include "services/rpc/error.h"

namespace tessera::master {

namespace {

// The refusal that silence stands for lasts at most 2^6 time-outs.
constexpr int kSilenceDoublingsMax = 6;

}  // namespace

void OfferFlow::Refuse(CallId call, absl::Status status) {
  ++books_.counters().calls_refused;
  books_.out.RefuseCall(call, std::move(status));
}

void OfferFlow::OnAllocations(const alloc::AllocateResponse& response) {
  // In the order in which frameworks first occur.
  std::vector<std::pair<FrameworkIndex, sched::Event>> events;
  std::map<FrameworkIndex, size_t> where;
  absl::Status malformed;
  for (const alloc::Allocation& allocation : response.allocations()) {
    Agent* agent = books_.agents.FindById(allocation.agent_id());
    if (agent == nullptr || !agent->in_allocator ||
        response.through_sequence() < agent->allocator_sequence) {
      books_.allocator_view.EndAllocations(allocation.framework_id(), 1, AllocationEnd::kWithdrawn);
      // The allocator forgot the allocation with the agent, but not that it lowered the demand.
      if (const Framework* framework = books_.frameworks.FindById(allocation.framework_id())) {
        books_.allocator_view.RestateDemand(*framework, allocation.role());
      }
      continue;
    }
    auto resources = model::wire::FromProto(allocation.resources());
    if (!resources.ok() || resources->empty()) {
      // What was booked before it is outstanding all the same.
      malformed = absl::InvalidArgumentError(
          absl::StrCat("a malformed allocation: ", resources.status().ToString()));
      break;
    }
    Framework* framework = books_.frameworks.FindById(allocation.framework_id());
    const bool usable =
        framework != nullptr && framework->connected() && !framework->removing &&
        framework->roles.contains(allocation.role()) && agent->active() &&
        books_.offers.size() < books_.config().offers_max &&
        agent->total.NonShared().Contains((agent->held + resources->UnallocatedCopy()).NonShared());
    if (!usable) {
      ++books_.counters().allocations_given_back;
      books_.allocator_view.GiveBack(allocation.framework_id(), *agent, *resources,
                                     absl::ZeroDuration());
      books_.allocator_view.EndAllocations(allocation.framework_id(), 1, AllocationEnd::kWithdrawn);
      continue;
    }
    auto [place, fresh] = where.try_emplace(framework->index, events.size());
    if (fresh) events.emplace_back(framework->index, sched::Event());
    *events[place->second].second.mutable_offers()->add_offers() =
        books_.offer_book.AddOffer(*framework, *agent, allocation.role(), *std::move(resources));
  }
  for (auto& [index, event] : events) {
    books_.Tell(*books_.frameworks.Find(index), std::move(event));
  }
  if (!malformed.ok()) books_.allocator.Restart(malformed.ToString());
}

void OfferFlow::OnOfferTimeout(const Timer& timer) {
  Offer* offer = books_.offers.Find(OfferNumber(timer.subject));
  if (offer == nullptr) return;
  // Silence counts as a refusal, of growing length while it lasts. Offered to the same framework
  // again at once, the pieces of an agent would come back at different times for ever and never be
  // whole for anybody else.
  Framework& framework = *books_.frameworks.Find(offer->framework);
  const int doublings = std::min(framework.offers_unanswered++, kSilenceDoublingsMax);
  books_.offer_book.RemoveOffer(*offer, OfferEnd::kTimedOut,
                                books_.config().offer_timeout * std::exp2(doublings));
}

void OfferFlow::OnCall(CallId call, const sched::DeclineOffersRequest& request) {
  Framework* framework = sessions_.Enter(call, request.session(), CallType::kDecline);
  if (framework == nullptr) return;
  if (request.offer_ids_size() > static_cast<int>(books_.config().offers_per_call_max)) {
    return Refuse(call, TooMany("offers in one call"));
  }
  const auto refuse = RefuseDuration(books_.config(), request.filters());
  if (!refuse.ok()) return Refuse(call, refuse.status());
  sched::DeclineOffersResponse response;
  for (const std::string& id : request.offer_ids()) {
    Offer* offer = books_.offers.FindById(id);
    if (offer == nullptr || offer->framework != framework->index) {
      response.add_unknown_offer_ids(id);
    } else {
      framework->offers_unanswered = 0;
      books_.offer_book.RemoveOffer(*offer, OfferEnd::kDeclined, *refuse);
    }
  }
  books_.out.Reply(call, std::move(response));
}

bool OfferFlow::ReadRoles(CallId call, const Framework& framework, const Roles& roles,
                          std::vector<std::string>* read) {
  const std::set<std::string> named(roles.begin(), roles.end());
  for (const std::string& role : named) {
    if (!framework.roles.contains(role)) {
      Refuse(call, rpc::InvalidField("roles", absl::StrCat("the framework is not subscribed to '",
                                                           role, "'; nothing was changed")));
      return false;
    }
  }
  const std::set<std::string>& meant = named.empty() ? framework.roles : named;
  read->assign(meant.begin(), meant.end());
  return true;
}

void OfferFlow::OnCall(CallId call, const sched::ReviveOffersRequest& request) {
  Framework* framework = sessions_.Enter(call, request.session(), CallType::kRevive);
  std::vector<std::string> roles;
  if (framework == nullptr || !ReadRoles(call, *framework, request.roles(), &roles)) return;
  for (const std::string& role : roles) framework->suppressed_roles.erase(role);
  books_.allocator_view.Revived(*framework, roles);
  books_.changed.FrameworkChanged(framework->id);
  books_.out.Reply(call, sched::ReviveOffersResponse());
}

void OfferFlow::OnCall(CallId call, const sched::SuppressOffersRequest& request) {
  Framework* framework = sessions_.Enter(call, request.session(), CallType::kSuppress);
  std::vector<std::string> roles;
  if (framework == nullptr || !ReadRoles(call, *framework, request.roles(), &roles)) return;
  framework->suppressed_roles.insert(roles.begin(), roles.end());
  books_.allocator_view.Suppressed(*framework, roles);
  books_.changed.FrameworkChanged(framework->id);
  books_.out.Reply(call, sched::SuppressOffersResponse());
}

void OfferFlow::OnCall(CallId call, const sched::UnsuppressOffersRequest& request) {
  Framework* framework = sessions_.Enter(call, request.session(), CallType::kUnsuppress);
  std::vector<std::string> roles;
  if (framework == nullptr || !ReadRoles(call, *framework, request.roles(), &roles)) return;
  for (const std::string& role : roles) framework->suppressed_roles.erase(role);
  books_.allocator_view.Unsuppressed(*framework, roles);
  books_.changed.FrameworkChanged(framework->id);
  books_.out.Reply(call, sched::UnsuppressOffersResponse());
}

void OfferFlow::OnCall(CallId call, const sched::ClearFiltersRequest& request) {
  Framework* framework = sessions_.Enter(call, request.session(), CallType::kClearFilters);
  std::vector<std::string> roles;
  if (framework == nullptr || !ReadRoles(call, *framework, request.roles(), &roles)) return;
  books_.allocator_view.FiltersCleared(*framework, roles);
  books_.out.Reply(call, sched::ClearFiltersResponse());
}

void OfferFlow::OnCall(CallId call, const sched::SetDemandRequest& request) {
  Framework* framework = sessions_.Enter(call, request.session(), CallType::kSetDemand);
  if (framework == nullptr) return;
  if (request.demands_size() > static_cast<int>(books_.config().roles_per_framework_max)) {
    return Refuse(call, TooManyInOneCall("demands", books_.config().roles_per_framework_max));
  }
  for (const auto& demand : request.demands()) {
    if (!framework->roles.contains(demand.role())) {
      return Refuse(call, rpc::InvalidField("demands.role",
                                            absl::StrCat("the framework is not subscribed to '",
                                                         demand.role(), "'")));
    }
    for (const auto* quantities : {&demand.wanted(), &demand.smallest()}) {
      if (absl::Status status = model::wire::FromProto(*quantities).status(); !status.ok()) {
        return Refuse(call, rpc::InvalidField("demands", std::string(status.message())));
      }
    }
  }
  for (const auto& demand : request.demands()) {
    Framework::Demand& row = framework->demands[demand.role()];
    row.stated = demand;
    row.wanted = *model::wire::FromProto(demand.wanted());
    row.left = row.wanted;
    books_.allocator_view.DemandStated(*framework, demand);
  }
  books_.out.Reply(call, sched::SetDemandResponse());
}

}  // namespace tessera::master
