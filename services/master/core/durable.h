// What becomes true when a write of the registry is durable. Data, not code: the reign looks at the
// kind and tells the flow that asked.
#pragma once

#include <string>
#include <variant>

#include "services/master/core/counters.h"
#include "services/master/core/indexes.h"
#include "services/master/core/machine_table.h"
#include "services/master/core/master_events.h"

namespace tessera::master {

// The cell's record counts this leader.
struct CellCounted {};
// A new agent may be told its id.
struct AgentAdmitted {
  AgentIndex agent;
};
// The agent behind this stream may go on with its re-registration.
struct AgentReadmitted {
  AgentStreamId stream;
};
struct AgentMarkedUnreachable {
  AgentIndex agent;
  AgentRemoval why;
};
struct AgentMarkedGone {
  std::string agent_id;
  // kGone, kUnregistered, kReplaced or kMaintenance.
  AgentRemoval why;
  // Not valid when no call waits (a finished drain, an agent that was replaced or taken down).
  CallId call;
};
// Deactivation or drain of an agent.
struct AgentSettingsChanged {
  AgentIndex agent;
  reg::AdmittedAgent settings;
  CallId call;
  // The type of the answer that `call` waits for.
  OperatorAnswer answer;
};
// The subscription behind this stream may begin.
struct FrameworkSaved {
  FrameworkIndex framework;
  StreamId stream;
};
struct FrameworkInfoChanged {
  FrameworkIndex framework;
  CallId call;
  sched::UpdateFrameworkRequest request;
};
struct FrameworkCompleted {
  FrameworkIndex framework;
};
struct WeightsChanged {
  CallId call;
  ops::UpdateWeightsRequest request;
};
struct QuotaChanged {
  CallId call;
  ops::UpdateQuotaRequest request;
};
// These are all machines of the maintenance schedule now.
struct MaintenanceChanged {
  MachineRows machines;
  CallId call;
  // The type of the answer that `call` waits for.
  OperatorAnswer answer;
};
// Nobody waits for it.
struct Noted {};

using Durable =
    std::variant<CellCounted, AgentAdmitted, AgentReadmitted, AgentMarkedUnreachable,
                 AgentMarkedGone, AgentSettingsChanged, FrameworkSaved, FrameworkInfoChanged,
                 FrameworkCompleted, WeightsChanged, QuotaChanged, MaintenanceChanged, Noted>;

}  // namespace tessera::master
