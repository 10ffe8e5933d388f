// Which frameworks take part in which roles: a client comes with the first subscription or holding,
// is active in its role's sorter while it may be offered something, and goes when it is of no use.
//
// Invariants: a client exists while its framework subscribes to its role or holds something in it;
// it is active in its sorter iff its framework is known and active, and the role is subscribed, not
// suppressed and not sated, and the framework is not kept from offers: it holds fewer of them than
// it may, and has not let them lie.
// Not thread safe.
#pragma once

#include "services/allocator/core/allocator_events.h"
#include "services/allocator/core/cluster_tables.h"

namespace tessera::allocator {

class Subscriptions {
 public:
  // `tables` must outlive it.
  explicit Subscriptions(ClusterTables* tables) : tables_(*tables) {}

  // What a framework, known in its table, asks for from now on. Roles that are not listed any
  // longer keep what they hold.
  void Apply(FrameworkNum framework, const FrameworkSpec& spec);
  // The framework, known no longer, subscribes to nothing.
  void End(FrameworkNum framework);

  // The client of a framework, known or not, in a role; a new one when there is none.
  ClientNum Get(FrameworkNum framework, RoleNum role);
  // The client may hold nothing any longer.
  void ForgetIfUnused(ClientNum client);

  // Something that decides whether clients are active has changed: of one, or of a framework.
  void UpdateActivity(ClientNum client);
  void UpdateActivityOf(FrameworkNum framework);
  void SetSuppressed(ClientNum client, bool suppressed);

  void StateDemand(ClientNum client, const DemandStated& demand);
  // A client got `bag`, or did not want it. No effect without a stated demand.
  void LowerDemand(ClientNum client, const Bag& bag);
  void RaiseDemand(ClientNum client, const Bag& bag);

 private:
  ClusterTables& tables_;
};

}  // namespace tessera::allocator
