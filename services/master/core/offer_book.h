// Offers and inverse offers: rows, their agents' and frameworks' rows, and what is held for them.
//
// Invariants: an offer or inverse offer is in both rows; `offered` of an agent is the sum of its
// offers. The allocator is told of each end, the framework of those that it did not cause.
#pragma once

#include <optional>
#include <string>

#include "absl/time/time.h"
#include "services/master/core/agent_table.h"
#include "services/master/core/framework_table.h"
#include "services/master/core/inverse_offer_table.h"
#include "services/master/core/offer_table.h"
#include "services/model/resources.h"

namespace tessera::master {

class Books;

// Why an offer ends.
enum class OfferEnd : uint8_t {
  // Its taker says what becomes of its resources, and calls EndAllocations.
  kAccepted,
  kDeclined,
  // Nobody answered in time; the framework is told as of any rescinded offer.
  kTimedOut,
  // The framework is told.
  kRescinded,
  // The framework is not told: it is gone or begins anew.
  kDropped,
};

// Why an inverse offer ends.
enum class InverseOfferEnd : uint8_t {
  // The framework has answered.
  kAccepted,
  kDeclined,
  // As OfferEnd.
  kRescinded,
  kDropped,
};

class OfferBook {
 public:
  explicit OfferBook(Books* books) : books_(*books) {}

  // Books an offer; the caller tells the framework.
  pb::Offer AddOffer(Framework& framework, Agent& agent, std::string role,
                     model::Resources resources);
  // Ends an offer. Unless it was accepted its resources are given back, with a filter if
  // `refuse` is set. `offer` is gone afterwards.
  void RemoveOffer(Offer& offer, OfferEnd end, std::optional<absl::Duration> refuse = std::nullopt);
  void RemoveOffersOf(Framework& framework, OfferEnd end);
  // Inverse offers, too, when the agent takes no part in offers.
  void RescindOffersOf(Agent& agent);
  // What of an offer to the framework in the role was not taken is wanted again.
  static void RaiseDemand(Framework& framework, const std::string& role,
                          const model::Resources& resources);

  // Books an inverse offer of an agent that will be unavailable; the caller tells the framework.
  pb::InverseOffer AddInverseOffer(Framework& framework, Agent& agent);
  // Tells the allocator, too, unless the framework has answered, which the caller tells. `offer` is
  // gone afterwards.
  void RemoveInverseOffer(InverseOffer& offer, InverseOfferEnd end);
  void DropInverseOffersOf(Framework& framework);
  void RescindInverseOffersOf(Agent& agent);
  // Takes the agent's unavailability from the schedule. When it changed, what was offered is
  // rescinded, the allocator is told, and true is returned: readers want to see it.
  bool UpdateUnavailability(Agent& agent);

 private:
  Books& books_;
};

}  // namespace tessera::master
