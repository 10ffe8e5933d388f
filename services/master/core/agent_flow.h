// Agents: their streams, admission, return, health and loss.
//
// An agent is admitted when the registry says so, and its tasks are booked when its whole inventory
// is here. Transitions of one agent exclude one another (AgentTransition). How agents come is in
// agent_registration.cc, what their inventory changes in agent_return.cc, how they are watched in
// agent_health.cc, how they go in agent_loss.cc.
#pragma once

#include <deque>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "services/master/core/books.h"
#include "services/master/core/session_flow.h"
#include "services/master/core/task_flow.h"

namespace tessera::master {

class AgentFlow {
 public:
  AgentFlow(Books* books, SessionFlow* sessions, TaskFlow* tasks)
      : books_(*books), sessions_(*sessions), tasks_(*tasks) {}

  void OnStreamOpened(AgentStreamId stream);
  void OnMessages(AgentStreamId stream, const link::ConnectRequest& batch);
  void OnStreamClosed(AgentStreamId stream);

  void OnAdmitted(const AgentAdmitted& admitted);
  void OnReadmitted(const AgentReadmitted& readmitted);
  void OnMarkedUnreachable(const AgentMarkedUnreachable& marked);
  // Takes an admitted or unreachable agent's id away for good. `why` is kGone when an operator says
  // so, kUnregistered when it leaves, kReplaced when another registered in its place, and
  // kMaintenance when its machine was taken down. `call` is answered when that is durable.
  void MarkGone(const std::string& id, AgentRemoval why, CallId call);
  void OnMarkedGone(const AgentMarkedGone& marked);

  // The machine of an agent, admitted or unreachable, is down: it takes no part in offers, and is
  // declared gone by FinishTakingDown once no other change of it is under way. Repeats do nothing.
  void TakeDown(const std::string& id);
  // To be called at the end of a Step.
  void FinishTakingDown();

  void OnPingDue(const Timer& timer);
  // A stream has said nothing for a while, or brings its inventory for too long.
  void OnInventoryDue(const Timer& timer);
  void OnMarkingDue();
  // The time for agents to come back after a fail-over is over.
  void OnRecoveryTimeout(size_t agents_at_recovery);

  // Deactivation, drain: applies what is durable and tells whoever needs to know.
  void ApplySettings(Agent& agent, const reg::AdmittedAgent& settings);
  // The record of the agent with its settings, as the registry keeps it.
  static reg::AdmittedAgent Record(const Agent& agent);

  void CloseAll(const absl::Status& status);

  // An agent has obeyed a higher epoch than ours: the lease must be looked at.
  bool TakeEpochDoubt() { return std::exchange(epoch_doubt_, false); }

 private:
  enum class SessionPhase : uint8_t {
    kNew,        // nothing has come yet
    kInventory,  // re-registers; chunks are on their way
    kWaiting,    // for the registry
    kAttached,   // is an agent's stream
  };

  struct ReturningTask {
    feed::TaskFacts facts;
    pb::TaskState state = pb::TASK_STATE_UNSPECIFIED;
    // Task::told_before.
    pb::TaskState told_before = pb::TASK_STATE_UNSPECIFIED;
    std::vector<feed::StatusPtr> history;
  };
  struct ReturningFramework {
    pb::FrameworkInfo info;
    // As the agent has it.
    model::Description description;
  };
  struct Session {
    SessionPhase phase = SessionPhase::kNew;
    AgentIndex agent;
    link::AgentMessage::Register registration;
    model::Resources total;
    uint64_t resource_version = 0;
    std::vector<ReturningFramework> frameworks;
    std::vector<ReturningTask> tasks;
    std::vector<feed::ExecutorRow> executors;
    size_t inventory_bytes = 0;
    // When it was opened, and when it said something last; until it waits for the registry.
    absl::Time opened;
    absl::Time heard;
    // Which count it is in while it is on its way back.
    size_t* returning = nullptr;
    // The stream ended while the registry was asked.
    bool closed = false;
    // It left while the registry was asked.
    bool leaves = false;
  };

  // ---- agent_registration.cc
  void OnMessage(AgentStreamId stream, Session& session, const link::AgentMessage& message);
  // What an agent says before the registry has answered changes what it brings.
  void OnEarlyMessage(Session& session, const link::AgentMessage& message);
  void OnRegister(AgentStreamId stream, Session& session,
                  const link::AgentMessage::Register& registration);
  void RegisterNew(AgentStreamId stream, Session& session);
  void RegisterAgain(AgentStreamId stream, Session& session);
  // When a stream that does not go on has had its time.
  absl::Time InventoryDue(const Session& session) const;
  void OnInventory(AgentStreamId stream, Session& session,
                   const link::AgentMessage::Inventory& chunk);
  // What is not in the books yet and comes with the inventory has room there.
  absl::Status CheckFrameworks(const Session& session) const;
  static absl::StatusOr<ReturningTask> ReadEntry(const link::TaskEntry& entry);
  absl::Status TakeInventory(Session& session, const link::AgentMessage::Inventory& chunk);
  // What agents on a machine that is down are told.
  absl::Status RefusalOf(const MachineName& machine);
  // OK, or why an agent with this id cannot come back now.
  absl::Status MayReturn(const std::string& id);
  void FinishInventory(AgentStreamId stream, Session& session);
  void Close(AgentStreamId stream, const absl::Status& status);
  // A newer stream takes the place of one that waits for its agent's admission.
  void ReplaceAdmitting(Agent& agent, AgentStreamId stream);
  void Forget(AgentStreamId stream);
  // The session is on its way back no longer.
  void EndReturn(Session& session);
  void Refuse(AgentStreamId stream, const absl::Status& status);
  void SendRegistered(Agent& agent);

  // ---- agent_return.cc
  void Return(AgentStreamId stream, Session& session);
  Framework* FrameworkOf(const std::string& id, const Session& session);
  void ReturnTask(Agent& agent, Framework& framework, ReturningTask& returning,
                  bool tell_framework);
  // Tells the framework that the agent is back with the task.
  void TellReturned(Framework& framework, const Task& task);
  void ReturnExecutors(Agent& agent, Session& session);
  void SettleMissingTasks(Agent& agent, const Session& session);
  absl::StatusOr<model::Resources> CheckTotal(const link::AgentMessage::TotalUpdate& update) const;
  // Refuses the stream of an agent that runs what is not booked: it comes back with its inventory.
  void AskForInventory(AgentStreamId stream, Agent& agent);
  void OnTotalUpdate(Agent& agent, const link::AgentMessage::TotalUpdate& update);
  void FitOffers(Agent& agent);

  // ---- agent_health.cc
  void StartWatch(Agent& agent);
  void OnPong(Agent& agent, const link::AgentMessage::Pong& pong);
  void ScheduleMarking(Agent& agent, AgentRemoval why);
  void CancelMarking(Agent& agent);
  void MarkNext();

  // ---- agent_loss.cc
  void Disconnect(Agent& agent);
  // The agent leaves.
  void Leave(Agent& agent);
  enum class Loss : uint8_t { kUnreachable, kRemoved, kGone, kTakenDown };
  static Loss LossOf(AgentRemoval why);
  pb::TaskStatus StatusOfLoss(const Framework& framework, const Task& task, Loss loss) const;
  void LoseTask(Task& task, Loss loss);
  // Takes the agent's row and everything on it away.
  void Lose(Agent& agent, Loss loss, AgentRemoval why, const absl::Status& close_status);
  void TellFailure(const std::string& agent_id);

  Books& books_;
  SessionFlow& sessions_;
  TaskFlow& tasks_;
  // A map whose elements stay where they are: sessions are held by reference while others end.
  std::map<AgentStreamId, Session> streams_;
  // The newest stream that waits for the registry, by agent id.
  absl::flat_hash_map<std::string, AgentStreamId> waiting_;
  // Ids of agents whose machines are down and that are not declared gone yet.
  absl::btree_set<std::string> taking_down_;
  // Sessions that are on their way back: of ids that are known, and of others.
  size_t returning_ = 0;
  size_t returning_unknown_ = 0;
  // The sum of their `inventory_bytes`.
  size_t inventories_bytes_ = 0;
  bool epoch_doubt_ = false;
  // The highest epoch that an agent has obeyed, when it is higher than ours.
  uint64_t doubted_epoch_ = 0;

  struct Marking {
    AgentIndex agent;
    uint64_t watch;
    AgentRemoval why;
  };
  std::deque<Marking> markings_;
  absl::Time next_marking_ = absl::InfinitePast();
  bool marking_timer_armed_ = false;
};

}  // namespace tessera::master
