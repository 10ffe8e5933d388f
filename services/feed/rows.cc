#include "services/feed/rows.h"

#include <utility>

#include "services/model/wire/description.h"
#include "services/model/wire/fields.h"

namespace tessera::feed {

std::string_view Status::uuid() const {
  return model::wire::LastBytesField(bytes, pb::TaskStatus::kUuidFieldNumber)
      .value_or(std::string_view());
}

StatusPtr MakeStatus(const pb::TaskStatus& message) {
  auto status = std::make_shared<Status>();
  status->state = message.state();
  status->timestamp = absl::FromUnixSeconds(message.timestamp().seconds()) +
                      absl::Nanoseconds(message.timestamp().nanos());
  if (message.data().empty()) {
    status->bytes = message.SerializeAsString();
  } else {
    pb::TaskStatus without = message;
    without.clear_data();
    status->bytes = without.SerializeAsString();
  }
  return status;
}

OfferPtr MakeOffer(const pb::Offer& offer, model::Resources resources) {
  auto row = std::make_shared<OfferRow>();
  row->id = offer.id();
  row->framework_id = offer.framework_id();
  row->agent_id = offer.agent_id();
  row->role = offer.role();
  row->resources = std::move(resources);
  row->offer = model::wire::Describe(offer);
  return row;
}

}  // namespace tessera::feed
