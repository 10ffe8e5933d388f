// Whether quotas fit together: each role's with those above and beneath it, and all with the
// cluster. Pure functions.
#pragma once

#include <map>
#include <string>

#include "absl/status/status.h"
#include "services/master/core/contracts.h"
#include "services/model/quantities.h"
#include "services/model/resources.h"

namespace tessera::master {

// By role; what operators have set, or would.
using Quotas = std::map<std::string, reg::Quota>;

// Guarantees of roles beneath a role are part of its own, and of what its limits allow.
// INVALID_ARGUMENT (INVALID_FIELD) names the roles that contradict one another: a role's own
// guarantee is above its limit, the guarantees beneath a role exceed its guarantee of a resource of
// which it has one, or its limit.
absl::Status CheckHierarchy(const Quotas& quotas);

// What all guarantees together ask of a cluster. `quotas` passed CheckHierarchy.
model::Quantities GuaranteedIn(const Quotas& quotas);

// What `role` and those beneath it have of an agent's scalars, revocable ones apart: all that is
// reserved to them, of `total`, and what they use of the unreserved, of `used` (with allocation
// roles).
model::Quantities ConsumedBy(const std::string& role, const model::Resources& total,
                             const model::Resources& used);

}  // namespace tessera::master
