// The agent's brain: registers with the leading master, runs the tasks that it is told to run, and
// sees to it that every status reaches its framework, through restarts of either side.
//
// Place: Step() is fed by server/ (one strand) or by the simulator; agent_events.h is the seam.
//
// Invariants:
//   - resources of accepted tasks and executors never exceed the total;
//   - a task's records are durable before its container is asked for, and a status is durable
//   before
//     it is sent; an acknowledged status is durably gone before the next one is sent;
//   - a kill waits for nothing: it may be what frees the disk that its record needs. The runtime
//     remembers with the container that it was killed, for an agent that ends before the record;
//   - every accepted task reaches exactly one terminal state, and is forgotten when that one is
//     acknowledged (or when its framework or the agent was shut down);
//   - nothing that a master of a lower epoch says is done, and nothing of a higher one before that
//     epoch is durable;
//   - the runtime is told to release a container only when its end is durable here.
//
// Threads: none of its own; one caller at a time.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "services/agent/core/agent_config.h"
#include "services/agent/core/agent_events.h"
#include "services/agent/core/agent_view.h"
#include "services/agent/core/deadlines.h"
#include "services/agent/core/master_session.h"
#include "services/agent/core/sandbox_gc.h"
#include "services/agent/core/task_table.h"
#include "services/base/rng.h"

namespace tessera::agent {

struct Outcome;

class AgentCore {
 public:
  // `config.info.resources` must be valid (ParseTotal of resource_book.h says whether they are).
  AgentCore(AgentConfig config, UuidSource uuids, base::Rng rng);

  void Step(absl::Time now, const Event& event, Effects* effects);
  absl::Time NextDeadline() const;

  // The present state for readers, shared with earlier views where nothing has changed.
  std::shared_ptr<const AgentView> View() const;
  // Grows with every change of what View() shows.
  uint64_t view_version() const { return view_version_; }

 private:
  // What waits until the records before it are durable.
  struct HeldLaunch {
    uint64_t serial;
  };
  struct HeldStatus {
    uint64_t serial;
  };
  struct HeldAcknowledgement {
    uint64_t serial;
  };
  struct HeldForget {
    uint64_t serial;
    // Told once to the master, without a uuid; no state: nothing to tell.
    model::v1::TaskStatus last_words;
  };
  struct HeldRelease {
    std::string container_id;
  };
  struct HeldExecutorExit {
    TaskTable::ExecutorKey executor;
  };
  struct HeldRegistration {
    uint64_t link;
  };
  using HeldAction = std::variant<HeldLaunch, HeldStatus, HeldAcknowledgement, HeldForget,
                                  HeldRelease, HeldExecutorExit, HeldRegistration>;
  struct Held {
    uint64_t persist_id;
    HeldAction action;
  };

  enum class Stage { kNew, kRecovering, kRunning, kFailed };

  // agent_core.cc: dispatch, durability, deadlines, views.
  void On(const Wake&) {}
  void On(const Persisted& event);
  void On(const SandboxDeleted& event);
  void On(const DiskUsed& event);
  void On(const LogSpace& event) { log_space_low_ = event.low; }
  void On(const OperatorSignal& event);
  void On(const OperatorWait& event);
  void On(const OperatorGone& event);
  void RunDeadline(const DeadlineKey& key);
  void DeleteOldSandboxes();
  void Write(checkpoint::Record record) { records_.push_back(std::move(record)); }
  void AfterDurable(HeldAction action);
  void RunHeld();
  void FlushRecords();
  bool Gated() const { return durable_ < gate_; }
  void RefreshView(Task& task);
  void FinishView(Task& task, const std::optional<ContainerTermination>& termination);

  // agent_recovery.cc: the log and the runtime's findings become state; state becomes a log.
  void On(const Started& event);
  void On(const ContainersRecovered& event);
  bool Replay(const checkpoint::Record& record);
  bool ReplayTask(const checkpoint::Record::Task& record);
  bool ReplayStatus(const checkpoint::Record::Status& record);
  bool ReplayAcknowledged(const checkpoint::Record::Acknowledged& record);
  void Resume(Task& task, const RecoveredContainer::Running& running);
  std::vector<checkpoint::Record> Essence() const;

  // agent_link.cc: the session with the master.
  void On(const LinkReceived& event);
  void On(const LinkClosed& event);
  void Dial();
  void EndLink(const absl::Status& reason);
  void LinkLost(const absl::Status& status);
  void ObeyHeldMessages();
  void Obey(const agentlink::v1::MasterMessage& message);
  void OnRegistered(const agentlink::v1::MasterMessage::Registered& message);
  void CompleteRegistration(uint64_t link);
  void OnPing(uint64_t sequence);
  void OnDrain(const model::v1::DrainConfig& config);
  void OnReconcile(const agentlink::v1::MasterMessage::ReconcileTasks& message);
  void LeaveCluster(const std::string& why);
  void ForgetWhenLeft();
  void RefuseOperation(const agentlink::v1::MasterMessage::ApplyOperation& message);
  void SendInventory();
  void Send(agentlink::v1::AgentMessage message);
  void SendHead(Task& task);
  model::v1::TaskRecord RecordOf(const Task& task) const;

  // agent_tasks.cc: the life of tasks; agent_statuses.cc: their statuses.
  void On(const ContainerLaunched& event);
  void On(const ContainerEnded& event);
  void OnRunTask(const agentlink::v1::MasterMessage::RunTask& message);
  void OnRunTaskGroup(const agentlink::v1::MasterMessage::RunTaskGroup& message);
  void OnKillTask(const agentlink::v1::MasterMessage::KillTask& message);
  void OnAcknowledge(const agentlink::v1::MasterMessage::AcknowledgeUpdate& message);
  void OnShutdownFramework(const std::string& framework_id);
  void OnShutdownExecutor(const std::string& framework_id, const std::string& executor_id);
  bool KnowsTask(const std::string& framework_id, const std::string& task_id);
  // Why no more tasks can be taken, whatever they are; empty: they can.
  std::string WhyNoRoomFor(size_t tasks) const;
  void Drop(const std::string& framework_id, const model::v1::TaskInfo& info,
            const std::string& executor_id, const std::string& why);
  void Refuse(const std::string& framework_id, const model::v1::TaskInfo& info,
              const std::string& executor_id, model::v1::TaskState state,
              model::v1::TaskStatusReason reason, const std::string& message);
  void NoteFramework(const model::v1::FrameworkInfo& framework);
  Task NewTask(const std::string& framework_id, const model::v1::TaskInfo& info);
  Task& Admit(Task task);
  void LaunchOrWait(Task& task);
  void Launch(Task& task);
  void LaunchWaiting();
  // Serial numbers of tasks that have not ended.
  std::vector<uint64_t> LiveTasks() const;
  absl::Duration GraceOf(const Task& task) const;
  void KillTask(Task& task, KillCause cause, absl::Duration grace);
  // For a container that the runtime was told to kill, of which the log knows nothing.
  KillCause CauseOfForgottenKill(const Task& task, absl::Time when) const;
  void ActOnKills();
  void EndTask(Task& task, model::v1::TaskStatus status,
               const std::optional<ContainerTermination>& termination);
  void EndTask(Task& task, const Outcome& outcome,
               const std::optional<ContainerTermination>& termination);
  void KillRestOfGroup(uint64_t group);
  void RecordRunning(Task& task, const LaunchedContainer& container);
  void RecordStatus(Task& task, model::v1::TaskStatus status);
  model::v1::TaskStatus MakeStatus(const Task& task, model::v1::TaskState state,
                                   model::v1::TaskStatusReason reason, const std::string& message);
  void FinishDrain();
  void NoteDurableStatus(Task& task);
  void Forget(const HeldForget& held);

  const AgentConfig config_;
  const UuidSource uuids_;
  model::Resources total_;
  Stage stage_ = Stage::kNew;
  bool rebooted_ = false;
  // Set for the duration of a step.
  absl::Time now_;
  Effects* effects_ = nullptr;

  model::v1::AgentInfo info_;  // with the id, once there is one
  MasterSession session_;
  std::deque<agentlink::v1::MasterMessage> held_messages_;
  // Messages wait while records up to this one are not durable.
  uint64_t gate_ = 0;
  // Everything is being killed; afterwards the agent registers as a new one.
  bool leaving_ = false;
  std::optional<model::v1::DrainConfig> drain_;

  TaskTable tasks_;
  uint64_t last_group_ = 0;
  // Accepted tasks whose resources are still being given back by others, oldest first.
  std::deque<uint64_t> waiting_;
  // Tasks whose containers are to be killed at the end of the step, when it is known which have
  // ended anyway.
  std::set<uint64_t> kills_;
  SandboxGc sandboxes_;
  Deadlines deadlines_;

  std::vector<checkpoint::Record> records_;
  uint64_t last_persist_ = 0;
  uint64_t durable_ = 0;
  size_t records_in_log_ = 0;
  size_t compact_at_ = 0;
  std::deque<Held> held_;
  // What space the log has left is for the ends of what runs.
  bool log_space_low_ = false;

  // Calls that wait for a container's end.
  std::map<std::string, std::vector<uint64_t>> waits_;
  std::map<uint64_t, std::string> wait_of_call_;
  std::deque<std::shared_ptr<const ContainerView>> ended_;
  AgentCounters counters_;
  uint64_t view_version_ = 0;
  absl::Time started_ = absl::InfinitePast();
  absl::Duration recovery_time_;
};

}  // namespace tessera::agent
