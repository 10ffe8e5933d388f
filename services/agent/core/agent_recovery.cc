// How AgentCore gets its state back: the log and what the runtime found become state again, and
// state becomes the short log that replaces a long one.

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/agent/core/agent_compatibility.h"
#include "services/agent/core/agent_core.h"
#include "services/agent/core/task_outcome.h"
#include "services/agent/core/task_validation.h"
#include "services/agent/core/wire_time.h"

namespace tessera::agent {

using checkpoint::Record;
using model::v1::TaskStatus;

// ---- From the log ----

bool AgentCore::ReplayTask(const Record::Task& record) {
  if (tasks_.Find(record.framework_id(), record.info().id()) != nullptr) return false;
  Task task;
  task.framework_id = record.framework_id();
  task.info = record.info();
  task.container_id = record.container_id();
  task.sandbox = record.sandbox();
  task.accepted = FromTimestamp(record.accepted_time());
  task.group = record.group();
  task.executor_id = record.executor_id();
  task.durable = true;
  last_group_ = std::max(last_group_, task.group);
  if (task.container_id.empty()) {
    task.phase = Task::Phase::kEnded;
  } else {
    auto resources = ResourcesOf(task.info.resources());
    if (!resources.ok()) return false;
    task.resources = *std::move(resources);
    // How far it came, the runtime will tell. Until then it may have a container.
    task.phase = Task::Phase::kLaunching;
  }
  tasks_.Add(std::move(task));
  return true;
}

bool AgentCore::ReplayStatus(const Record::Status& record) {
  Task* task = tasks_.Find(record.framework_id(), record.status().task_id());
  if (task == nullptr) return false;
  task->stream.Add(record.status());
  task->state = record.status().state();
  NoteDurableStatus(*task);
  if (IsTerminal(task->state) && !task->ended()) tasks_.MarkEnded(*task);
  return true;
}

bool AgentCore::ReplayAcknowledged(const Record::Acknowledged& record) {
  Task* task = tasks_.Find(record.framework_id(), record.task_id());
  if (task == nullptr || !task->stream.Acknowledge(record.uuid())) return false;
  const TaskStatus head = task->stream.PopHead();
  task->sent_state = head.state();
  task->sent_uuid = head.uuid();
  if (IsTerminal(head.state())) tasks_.Remove(task->serial);
  return true;
}

// False when the record contradicts those before it.
bool AgentCore::Replay(const Record& record) {
  switch (record.kind_case()) {
    case Record::kIdentity:
      info_ = record.identity().info();
      return true;
    case Record::kEpoch:
      session_.RaiseEpoch(record.epoch().highest());
      return true;
    case Record::kFramework:
      tasks_.PutFramework(record.framework().info());
      return true;
    case Record::kExecutor: {
      auto resources = ResourcesOf(record.executor().info().resources());
      tasks_.PutExecutor(record.executor().info(),
                         resources.ok() ? *std::move(resources) : model::Resources());
      return resources.ok() || record.executor().info().resources().empty();
    }
    case Record::kTask:
      return ReplayTask(record.task());
    case Record::kRunning: {
      Task* task = tasks_.Find(record.running().framework_id(), record.running().task_id());
      if (task == nullptr || task->ended()) return false;
      task->phase = Task::Phase::kRunning;
      task->started = FromTimestamp(record.running().start_time());
      task->init_pid = record.running().init_pid();
      return true;
    }
    case Record::kStatus:
      return ReplayStatus(record.status());
    case Record::kAcknowledged:
      return ReplayAcknowledged(record.acknowledged());
    case Record::kKill: {
      Task* task = tasks_.Find(record.kill().framework_id(), record.kill().task_id());
      if (task == nullptr) return false;
      task->kill = Task::Kill{record.kill().cause(), FromTimestamp(record.kill().deadline())};
      if (task->silent()) task->stream.Clear();
      return true;
    }
    case Record::kForgotten: {
      Task* task = tasks_.Find(record.forgotten().framework_id(), record.forgotten().task_id());
      if (task == nullptr) return true;
      if (!task->ended()) tasks_.MarkEnded(*task);
      tasks_.Remove(task->serial);
      return true;
    }
    case Record::kSandboxEnded:
      sandboxes_.Add(record.sandbox_ended().container_id(), record.sandbox_ended().path(),
                     FromTimestamp(record.sandbox_ended().ended_time()));
      return true;
    case Record::kSandboxDeleted:
      sandboxes_.Remove(record.sandbox_deleted().container_id());
      return true;
    case Record::kDrain:
      drain_.reset();
      if (record.drain().has_config()) drain_ = record.drain().config();
      return true;
    case Record::KIND_NOT_SET:
      // Of a newer version.
      return true;
  }
  return true;
}

void AgentCore::On(const Started& event) {
  if (stage_ != Stage::kNew) return;
  started_ = now_;
  rebooted_ = event.rebooted;
  tasks_.BeginReplay();
  for (const Record& record : event.records) {
    if (!Replay(record)) ++counters_.recovery_errors;
  }
  tasks_.EndReplay();
  records_in_log_ = event.records.size();

  const std::string id = info_.id();
  const model::v1::AgentInfo before = std::exchange(info_, config_.info);
  info_.clear_id();
  if (!id.empty()) {
    const absl::Status compatible = CheckCompatible(before, config_.info);
    if (compatible.ok()) {
      info_.set_id(id);
    } else if (!rebooted_) {
      stage_ = Stage::kFailed;
      effects_->push_back(Fatal{absl::StrCat(
          "The agent's description does not fit the one that it is registered with as ", id, ": ",
          std::string(compatible.message()),
          ". Set --resources, --attributes and --hostname back, or drain the agent and empty its "
          "work directory so that it registers as a new agent.")});
      return;
    } else {
      // Nothing runs any more: the changed machine becomes a new agent.
      for (const auto& [serial, task] : tasks_.tasks()) {
        if (!task.ended()) sandboxes_.Add(task.container_id, task.sandbox, now_);
      }
      tasks_ = TaskTable();
      drain_.reset();
      gate_ = last_persist_ + 1;
      Persist persist{++last_persist_, Essence(), true};
      records_in_log_ = persist.records.size();
      effects_->push_back(std::move(persist));
    }
  }
  if (!info_.id().empty() && before.SerializeAsString() != info_.SerializeAsString()) {
    Record record;
    *record.mutable_identity()->mutable_info() = info_;
    Write(std::move(record));
  }

  stage_ = Stage::kRecovering;
  std::vector<std::string> expected;
  for (auto& [serial, task] : tasks_.tasks()) {
    if (task.ended()) continue;
    expected.push_back(task.container_id);
    RefreshView(task);
  }
  effects_->push_back(RecoverContainers{std::move(expected)});
}

// ---- From the runtime ----

void AgentCore::On(const ContainersRecovered& event) {
  if (stage_ != Stage::kRecovering) return;
  if (!event.result.ok()) {
    stage_ = Stage::kFailed;
    ++counters_.recovery_errors;
    effects_->push_back(Fatal{absl::StrCat("The containers of the agent could not be found again: ",
                                           event.result.status().ToString())});
    return;
  }
  stage_ = Stage::kRunning;
  recovery_time_ = now_ - started_;
  leaving_ = info_.id().empty() && !tasks_.tasks().empty();
  // What each end means is settled before any of them is acted on: the end of one task of a group
  // kills the others, but not those that had ended before.
  struct End {
    uint64_t serial;
    Outcome outcome;
    std::optional<ContainerTermination> termination;
  };
  std::vector<End> ends;
  for (const RecoveredContainer& container : event.result->containers) {
    Task* task = tasks_.FindByContainer(container.container_id);
    if (task == nullptr || task->ended()) continue;
    if (const auto* running = std::get_if<RecoveredContainer::Running>(&container.state)) {
      Resume(*task, *running);
    } else if (const auto* ended = std::get_if<RecoveredContainer::Terminated>(&container.state)) {
      if (ended->termination.kill_requested && !task->kill.has_value()) {
        const absl::Time when = ended->termination.ended;
        task->kill = Task::Kill{CauseOfForgottenKill(*task, when), when};
      }
      ends.push_back({task->serial, OutcomeOf(*task, ended->termination), ended->termination});
    } else {
      const auto& lost = std::get<RecoveredContainer::Lost>(container.state);
      ends.push_back({task->serial, OutcomeOfLost(*task, lost.reason, rebooted_), std::nullopt});
    }
  }
  for (const End& end : ends) {
    Task* task = tasks_.Find(end.serial);
    if (task != nullptr && !task->ended()) EndTask(*task, end.outcome, end.termination);
  }
  if (drain_.has_value()) OnDrain(model::v1::DrainConfig(*drain_));
  if (leaving_) {
    for (const uint64_t serial : LiveTasks()) {
      Task* task = tasks_.Find(serial);
      if (task != nullptr) KillTask(*task, Record::KILL_AGENT_SHUTDOWN, config_.shutdown_grace);
    }
    ForgetWhenLeft();
  }
  if (!leaving_) deadlines_.Set({DeadlineKind::kDial, 0}, now_ + session_.FirstWait());
}

// The container runs on: what was going on with it goes on.
void AgentCore::Resume(Task& task, const RecoveredContainer::Running& running) {
  const bool told = task.started != absl::InfinitePast();
  const absl::Time started = told ? task.started : running.container.started;
  LaunchedContainer container = running.container;
  container.started = started;
  RecordRunning(task, container);
  if (!told && !task.kill.has_value() && !running.kill_requested) {
    RecordStatus(task, MakeStatus(task, model::v1::TASK_RUNNING,
                                  model::v1::TASK_STATUS_REASON_UNSPECIFIED, ""));
  }
  if (task.kill.has_value()) {
    kills_.insert(task.serial);
  } else if (running.kill_requested) {
    KillTask(task, CauseOfForgottenKill(task, now_), GraceOf(task));
  }
}

// ---- To the log ----

// Records that stand for the present state, for a log that starts anew.
std::vector<Record> AgentCore::Essence() const {
  std::vector<Record> records;
  const auto add = [&records]() -> Record& { return records.emplace_back(); };
  *add().mutable_identity()->mutable_info() = info_;
  add().mutable_epoch()->set_highest(session_.highest_epoch());
  if (drain_.has_value()) *add().mutable_drain()->mutable_config() = *drain_;
  for (const auto& [id, framework] : tasks_.frameworks()) {
    *add().mutable_framework()->mutable_info() = framework.info;
  }
  for (const auto& [key, executor] : tasks_.executors()) {
    *add().mutable_executor()->mutable_info() = executor.info;
  }
  for (const auto& [serial, task] : tasks_.tasks()) {
    // About to be forgotten.
    if (task.ended() && task.stream.empty()) continue;
    Record::Task* entry = add().mutable_task();
    entry->set_framework_id(task.framework_id);
    *entry->mutable_info() = task.info;
    entry->set_container_id(task.container_id);
    entry->set_sandbox(task.sandbox);
    *entry->mutable_accepted_time() = ToTimestamp(task.accepted);
    entry->set_group(task.group);
    entry->set_executor_id(task.executor_id);
    if (task.started != absl::InfinitePast()) {
      Record::Running* running = add().mutable_running();
      running->set_framework_id(task.framework_id);
      running->set_task_id(task.info.id());
      *running->mutable_start_time() = ToTimestamp(task.started);
      running->set_init_pid(task.init_pid);
    }
    if (task.kill.has_value()) {
      Record::Kill* kill = add().mutable_kill();
      kill->set_framework_id(task.framework_id);
      kill->set_task_id(task.info.id());
      kill->set_cause(task.kill->cause);
      *kill->mutable_deadline() = ToTimestamp(task.kill->deadline);
    }
    // History that was delivered, then what is still to be.
    const size_t pending_durable = task.stream.durable();
    for (const TaskStatus& status : task.history) {
      const auto& pending = task.stream.pending();
      const bool undelivered =
          std::any_of(pending.begin(), pending.begin() + pending_durable,
                      [&](const TaskStatus& other) { return other.uuid() == status.uuid(); });
      if (undelivered || task.silent()) continue;
      add().mutable_status()->set_framework_id(task.framework_id);
      *records.back().mutable_status()->mutable_status() = status;
      Record::Acknowledged* acknowledged = add().mutable_acknowledged();
      acknowledged->set_framework_id(task.framework_id);
      acknowledged->set_task_id(task.info.id());
      acknowledged->set_uuid(status.uuid());
    }
    for (const TaskStatus& status : task.stream.pending()) {
      add().mutable_status()->set_framework_id(task.framework_id);
      *records.back().mutable_status()->mutable_status() = status;
    }
    if (task.stream.head_acknowledged()) {
      Record::Acknowledged* acknowledged = add().mutable_acknowledged();
      acknowledged->set_framework_id(task.framework_id);
      acknowledged->set_task_id(task.info.id());
      acknowledged->set_uuid(task.stream.pending().front().uuid());
    }
  }
  for (const auto& [id, sandbox] : sandboxes_.sandboxes()) {
    Record::SandboxEnded* ended = add().mutable_sandbox_ended();
    ended->set_container_id(id);
    ended->set_path(sandbox.path);
    *ended->mutable_ended_time() = ToTimestamp(sandbox.ended);
  }
  return records;
}

}  // namespace tessera::agent
