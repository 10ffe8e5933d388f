// What becomes of tasks and executors: updates and their acknowledgement, kills, reconciliation,
// messages.
//
// An update is forwarded to the framework if it is connected; otherwise the agent repeats it. The
// master acknowledges by itself what nobody can: updates of frameworks that ended.
#pragma once

#include "services/master/core/books.h"
#include "services/master/core/session_flow.h"

namespace tessera::master {

class TaskFlow {
 public:
  TaskFlow(Books* books, SessionFlow* sessions) : books_(*books), sessions_(*sessions) {}

  void OnCall(CallId call, const sched::KillTaskRequest& request);
  void OnCall(CallId call, const sched::AcknowledgeRequest& request);
  void OnCall(CallId call, const sched::ReconcileTasksRequest& request);
  void OnCall(CallId call, const sched::ReconcileOperationsRequest& request);
  void OnCall(CallId call, const sched::SendMessageRequest& request);
  void OnCall(CallId call, const sched::ShutdownExecutorRequest& request);

  // From a connected agent.
  void OnStatusUpdate(Agent& agent, const link::AgentMessage::StatusUpdate& update);
  void OnOperationUpdate(Agent& agent, const link::AgentMessage::OperationUpdate& update);
  void OnExecutorExited(Agent& agent, const link::AgentMessage::ExecutorExited& exited);
  // The framework hears of an executor's end.
  void TellExecutorExited(const std::string& agent_id,
                          const link::AgentMessage::ExecutorExited& exited);
  void OnExecutorMessage(Agent& agent, const link::AgentMessage::ExecutorMessage& message);

  // Wants the task to end; the agent is told now if it is connected, and when it comes back.
  void Kill(Framework& framework, Task& task, std::optional<pb::KillPolicy> policy);
  // Tells the agent of a kill that is wanted.
  void SendKill(Agent& agent, const Framework& framework, const Task& task);

 private:
  void AcknowledgeOne(Framework& framework, const sched::AcknowledgeRequest::Update& update);
  void ReconcileOne(Framework& framework, const std::string& task_id, const std::string& agent_id);
  void TellKnown(Framework& framework, const Task& task);
  void AcknowledgeForNobody(Agent& agent, const std::string& framework_id,
                            const std::string& task_id, const std::string& uuid);
  void Refuse(CallId call, absl::Status status);

  Books& books_;
  SessionFlow& sessions_;
};

}  // namespace tessera::master
