// All tables of one term of leadership, and the ledger of what one Step changes in them.
#pragma once

#include <string>

#include "absl/strings/str_cat.h"
#include "services/master/core/agent_table.h"
#include "services/master/core/framework_table.h"
#include "services/master/core/inverse_offer_table.h"
#include "services/master/core/ledger.h"
#include "services/master/core/machine_table.h"
#include "services/master/core/offer_table.h"
#include "services/master/core/role_table.h"
#include "services/master/core/task_table.h"
#include "services/master/core/timers.h"

namespace tessera::master {

struct Tables {
  explicit Tables(const std::string& master_id)
      : offers(absl::StrCat(master_id, "-O")), inverse_offers(absl::StrCat(master_id, "-I")) {}

  Timers timers;
  FrameworkTable frameworks;
  AgentTable agents;
  TaskTable tasks;
  OfferTable offers;
  InverseOfferTable inverse_offers;
  MachineTable machines;
  RoleTable roles;
  Ledger changed;
};

}  // namespace tessera::master
