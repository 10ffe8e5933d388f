// Outstanding offers by number. An offer's id is `<master id>-O<number>`.
#pragma once

#include <string>

#include "absl/time/time.h"
#include "services/feed/rows.h"
#include "services/master/core/indexes.h"
#include "services/master/core/numbered_table.h"
#include "services/model/resources.h"

namespace tessera::master {

struct Offer {
  OfferNumber number;
  FrameworkIndex framework;
  AgentIndex agent;
  std::string role;
  // Allocated to `role`.
  model::Resources resources;
  absl::Time made = absl::InfinitePast();
  // As readers see it.
  feed::OfferPtr shown;
};

using OfferTable = NumberedTable<OfferNumber, Offer>;

}  // namespace tessera::master
