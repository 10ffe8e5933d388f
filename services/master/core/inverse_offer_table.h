// Outstanding inverse offers by number. An inverse offer's id is `<master id>-I<number>`.
//
// Invariant: a framework has at most one for an agent.
#pragma once

#include "services/master/core/indexes.h"
#include "services/master/core/numbered_table.h"

namespace tessera::master {

struct InverseOffer {
  InverseOfferNumber number;
  FrameworkIndex framework;
  AgentIndex agent;
};

using InverseOfferTable = NumberedTable<InverseOfferNumber, InverseOffer>;

}  // namespace tessera::master
