// Whether quotas fit together: each role's with those above and beneath it, and all with the
// cluster. Pure functions.
#pragma once

#include <map>
#include <set>
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
// which it has one, or its limit. Looks at `changed` roles and those above them: others that have
// contradicted one another before stand in nobody's way.
absl::Status CheckHierarchy(const Quotas& quotas, const std::set<std::string>& changed);

// What all guarantees together ask of a cluster.
model::Quantities GuaranteedIn(const Quotas& quotas);

// What roles have of the scalars of agents, revocable ones apart: all that is reserved to them, and
// what they use of the unreserved.
class RoleConsumption {
 public:
  // What is reserved of an agent's total.
  void AddTotal(const model::Resources& total);
  // What a framework uses of it, with allocation roles.
  void AddUsed(const model::Resources& used);
  // Of the role and those beneath it.
  model::Quantities Within(const std::string& role) const;

 private:
  std::map<std::string, model::Quantities> by_role_;
};

}  // namespace tessera::master
