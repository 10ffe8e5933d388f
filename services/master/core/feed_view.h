// What followers of the state feed see: at the end of a Step the changes that the ledger has noted
// become rows, read from the tables, and one version of the feed; and the heartbeats that prove to
// the followers how new they are.
//
// Invariants: versions begin at 1 with a reset and have no gaps; the changes of one Step are one
// version; a heartbeat comes after the changes of its Step. What comes first in a version is what
// the rest refers to.
#pragma once

#include <cstdint>

#include "services/master/core/agent_table.h"
#include "services/master/core/framework_table.h"
#include "services/master/core/ledger.h"
#include "services/master/core/offer_table.h"
#include "services/master/core/outbox.h"
#include "services/master/core/role_table.h"

namespace tessera::master {

class FeedView {
 public:
  // The tables that rows are read from.
  FeedView(uint64_t epoch, const AgentTable* agents, const FrameworkTable* frameworks,
           const RoleTable* roles, const OfferTable* offers, Outbox* outbox)
      : epoch_(epoch),
        agents_(*agents),
        frameworks_(*frameworks),
        roles_(*roles),
        offers_(*offers),
        outbox_(*outbox) {}

  // The facts about this master; they go first.
  void SetCluster(feed::v1::ClusterRecord cluster);
  // A heartbeat goes with the next Flush().
  void Beat() { beat_ = true; }
  // Makes a version of what was noted.
  void Flush(Ledger::Notes notes);

  // A framework that ends now, as it is shown from then on.
  static feed::FrameworkPtr CompletedRow(const Framework& framework, absl::Time now);

 private:
  void ShowAgent(const std::string& id);
  void ShowFramework(const std::string& id);
  void ShowRole(const std::string& name);
  void ShowTask(Ledger::TaskNote& note);

  const uint64_t epoch_;
  const AgentTable& agents_;
  const FrameworkTable& frameworks_;
  const RoleTable& roles_;
  const OfferTable& offers_;
  Outbox& outbox_;
  // Roles that readers have a row of: one that came and went within a step is not told of.
  absl::btree_set<std::string> shown_roles_;
  uint64_t version_ = 0;
  feed::Delta delta_;
  bool beat_ = false;
};

}  // namespace tessera::master
