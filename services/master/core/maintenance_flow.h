// Maintenance: the schedule of machines, taking them down and bringing them back.
//
// A change is validated against the schedule as it is, written to the registry as the difference,
// all or nothing, and applied when that is durable. One change at a time; a second one has to come
// again. Agents of machines that went down are declared gone, whatever state they are in: one that
// is cut off must not come back with tasks that were started elsewhere meanwhile.
#pragma once

#include <string>

#include "services/master/core/agent_loss.h"
#include "services/master/core/books.h"

namespace tessera::master {

class MaintenanceFlow {
 public:
  MaintenanceFlow(Books* books, AgentLoss* losses) : books_(*books), losses_(*losses) {}

  void OnCall(CallId call, const ops::UpdateMaintenanceScheduleRequest& request);
  void OnCall(CallId call, const ops::GetMaintenanceScheduleRequest& request);
  void OnCall(CallId call, const ops::GetMaintenanceStatusRequest& request);
  void OnCall(CallId call, const ops::StartMaintenanceRequest& request);
  void OnCall(CallId call, const ops::StopMaintenanceRequest& request);

  void OnChanged(const MaintenanceChanged& changed);

  // Takes down what is on machines that are down. After a fail-over, too: the leader before may
  // have ended between the two writes.
  void TakeDownAgents();

 private:
  // Another change is on its way: the call is refused and true returned.
  bool RefuseWhileChanging(CallId call);
  // Makes `machines` the schedule and gives `answer` when that is durable.
  void Change(CallId call, MachineRows machines, OperatorAnswer answer, bool dry_run);

  Books& books_;
  AgentLoss& losses_;
  bool changing_ = false;
};

}  // namespace tessera::master
