// Dense numbers by which the core's tables know one another's rows. A number is reused after its
// row is gone; what must not mistake a new row for an old one keeps the row's generation beside it.
#pragma once

#include <cstdint>

#include "services/base/strong_id.h"

namespace tessera::master {

using FrameworkIndex = base::StrongId<struct FrameworkIndexTag, uint32_t>;
using AgentIndex = base::StrongId<struct AgentIndexTag, uint32_t>;
using TaskIndex = base::StrongId<struct TaskIndexTag, uint32_t>;
// The number at the end of an offer's id; never reused within an epoch.
using OfferNumber = base::StrongId<struct OfferNumberTag, uint64_t>;
using InverseOfferNumber = base::StrongId<struct InverseOfferNumberTag, uint64_t>;

}  // namespace tessera::master
