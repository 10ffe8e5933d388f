// What becomes of tasks and executors: updates and their acknowledgement, kills, reconciliation,
// messages.
//
// An update is forwarded to the framework if it is connected; otherwise the agent repeats it. The
// master acknowledges by itself what nobody can: updates of frameworks that ended, of tasks whose
// end was acknowledged before, and of tasks whose id a newer one has.
//
// Frameworks name tasks and executors by their ids and mean the newest; agents are told, and tell,
// incarnations.
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
  enum class Booking : uint8_t {
    kBooked,
    // The agent runs a task that is not in the books: its inventory has to be read again.
    kNotBooked,
  };
  Booking OnStatusUpdate(Agent& agent, const link::AgentMessage::StatusUpdate& update);
  void OnOperationUpdate(Agent& agent, const link::AgentMessage::OperationUpdate& update);
  void OnExecutorExited(Agent& agent, const link::AgentMessage::ExecutorExited& exited);
  // The framework hears of an executor's end, unless the executor never began.
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
  void SendAcknowledgement(Agent& agent, const std::string& framework_id,
                           const std::string& task_id, const model::Incarnation& incarnation,
                           const std::string& uuid);
  // Of a task that is in no row of the agent; `elsewhere`: it is another agent's.
  Booking OnUnbookedStatus(Agent& agent, const Framework* framework, bool elsewhere,
                           const link::AgentMessage::StatusUpdate& update);
  // The framework is told, or hears it by a repetition, or the agent is told that nobody will.
  void Forward(Framework& framework, Agent& agent, Task& task, pb::TaskStatus status,
               feed::StatusPtr shown);
  // The agent of a call about an executor, when it can be reached; otherwise the call is refused.
  Agent* AgentFor(CallId call, const std::string& agent_id);
  void Refuse(CallId call, absl::Status status);

  Books& books_;
  SessionFlow& sessions_;
};

}  // namespace tessera::master
