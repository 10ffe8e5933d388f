// What operators change: weights, quotas, agents' settings, and the end of agents, frameworks and
// tasks. Everything is in the registry before it is answered.
#pragma once

#include "absl/container/btree_set.h"
#include "services/master/core/agent_loss.h"
#include "services/master/core/books.h"
#include "services/master/core/quota_validation.h"
#include "services/master/core/session_flow.h"
#include "services/master/core/task_flow.h"

namespace tessera::master {

class OperatorFlow {
 public:
  OperatorFlow(Books* books, SessionFlow* sessions, TaskFlow* tasks, AgentLoss* losses)
      : books_(*books), sessions_(*sessions), tasks_(*tasks), losses_(*losses) {}

  void OnCall(CallId call, const ops::UpdateWeightsRequest& request);
  void OnCall(CallId call, const ops::UpdateQuotaRequest& request);
  void OnCall(CallId call, const ops::DrainAgentRequest& request);
  void OnCall(CallId call, const ops::DeactivateAgentRequest& request);
  void OnCall(CallId call, const ops::ReactivateAgentRequest& request);
  void OnCall(CallId call, const ops::MarkAgentGoneRequest& request);
  void OnCall(CallId call, const ops::TeardownFrameworkRequest& request);
  void OnCall(CallId call, const ops::KillTaskRequest& request);
  // Not offered by this master yet.
  void OnCall(CallId call, const ops::ReserveResourcesRequest&) { RefuseUnsupported(call); }
  void OnCall(CallId call, const ops::UnreserveResourcesRequest&) { RefuseUnsupported(call); }
  void OnCall(CallId call, const ops::CreateVolumesRequest&) { RefuseUnsupported(call); }
  void OnCall(CallId call, const ops::DestroyVolumesRequest&) { RefuseUnsupported(call); }
  void OnCall(CallId call, const ops::ResizeVolumeRequest&) { RefuseUnsupported(call); }

  void OnWeightsChanged(const WeightsChanged& changed);
  void OnQuotaChanged(const QuotaChanged& changed);
  void OnSettingsChanged(const AgentSettingsChanged& changed);
  void OnMarkedGone(const AgentMarkedGone& marked);

  // Drains that are finished go on to their next state. To be called at the end of a Step.
  void FinishDrains();
  // A drain goes on after a fail-over.
  void ResumeDrain(const Agent& agent) { draining_.insert(agent.index); }

 private:
  void RefuseUnsupported(CallId call);
  void Refuse(CallId call, absl::Status status);
  // FAILED_PRECONDITION (INSUFFICIENT_RESOURCES) when the guarantees exceed the cluster, or a role
  // has more already than a limit that is to be set.
  absl::Status CheckAgainstCluster(const ops::UpdateQuotaRequest& request, const Quotas& after);
  // The agent whose settings may be changed now; otherwise the call is refused and null returned.
  Agent* AgentForChange(CallId call, const std::string& id);
  void ChangeSettings(CallId call, Agent& agent, reg::AdmittedAgent settings,
                      OperatorAnswer answer);
  void KillTasksOf(Agent& agent);

  Books& books_;
  SessionFlow& sessions_;
  TaskFlow& tasks_;
  AgentLoss& losses_;
  absl::btree_set<AgentIndex> draining_;
  // One at a time: each is checked against those that are in force.
  bool quota_change_under_way_ = false;
};

}  // namespace tessera::master
