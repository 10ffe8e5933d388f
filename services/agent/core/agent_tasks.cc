// The life of tasks in AgentCore: accepted, launched, running, killed, ended, acknowledged.

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "services/agent/core/agent_core.h"
#include "services/agent/core/task_outcome.h"
#include "services/agent/core/task_validation.h"
#include "services/agent/core/wire_time.h"
#include "services/base/bug.h"

namespace tessera::agent {

using agentlink::v1::MasterMessage;
using checkpoint::Record;
using model::v1::FrameworkInfo;
using model::v1::TaskInfo;
using model::v1::TaskStatus;

// ---- Acceptance ----

Task AgentCore::NewTask(const std::string& framework_id, const TaskInfo& info) {
  Task task;
  task.framework_id = framework_id;
  task.info = info;
  task.info.clear_data();
  task.accepted = now_;
  return task;
}

void AgentCore::NoteFramework(const FrameworkInfo& framework) {
  if (!tasks_.PutFramework(framework)) return;
  Record record;
  *record.mutable_framework()->mutable_info() = framework;
  Write(std::move(record));
}

// Puts the task into the table and into the log.
Task& AgentCore::Admit(Task task) {
  Record record;
  Record::Task* entry = record.mutable_task();
  entry->set_framework_id(task.framework_id);
  *entry->mutable_info() = task.info;
  entry->set_container_id(task.container_id);
  entry->set_sandbox(task.sandbox);
  *entry->mutable_accepted_time() = ToTimestamp(task.accepted);
  entry->set_group(task.group);
  entry->set_executor_id(task.executor_id);
  Write(std::move(record));
  return tasks_.Add(std::move(task));
}

bool AgentCore::KnowsTask(const std::string& framework_id, const std::string& task_id) {
  if (tasks_.Find(framework_id, task_id) == nullptr) return false;
  // A repeated command: the task's own statuses tell what became of it.
  ++counters_.ignored_messages;
  return true;
}

std::string AgentCore::WhyNoRoomFor(size_t tasks) const {
  if (tasks_.tasks().size() + tasks > config_.tasks_max) {
    return absl::StrCat("the agent holds ", tasks_.tasks().size(), " tasks and may hold ",
                        config_.tasks_max);
  }
  if (log_space_low_) return "the disk of the agent's log is full";
  return "";
}

// For a task that the agent cannot even keep a status for: the master hears of it once.
void AgentCore::Drop(const std::string& framework_id, const TaskInfo& info,
                     const std::string& executor_id, const std::string& why) {
  ++counters_.tasks_refused;
  agentlink::v1::AgentMessage message;
  auto* update = message.mutable_status_update();
  update->set_framework_id(framework_id);
  update->set_latest_state(model::v1::TASK_DROPPED);
  Task unknown = NewTask(framework_id, info);
  unknown.executor_id = executor_id;
  *update->mutable_status() =
      MakeStatus(unknown, model::v1::TASK_DROPPED, model::v1::REASON_INVALID_OFFERS, why);
  update->mutable_status()->clear_uuid();
  Send(std::move(message));
}

// A task that never gets a container: only its one status is delivered.
void AgentCore::Refuse(const std::string& framework_id, const TaskInfo& info,
                       const std::string& executor_id, model::v1::TaskState state,
                       model::v1::TaskStatusReason reason, const std::string& message) {
  ++counters_.tasks_refused;
  Task refused;
  refused.framework_id = framework_id;
  refused.info.set_id(info.id());
  refused.info.set_name(info.name().substr(0, 256));
  refused.executor_id = executor_id;
  refused.accepted = now_;
  refused.phase = Task::Phase::kEnded;
  Task& task = Admit(std::move(refused));
  TaskStatus status = MakeStatus(task, state, reason, message);
  counters_.terminal_tasks[state % kTaskStates][status.reason() % kTaskReasons]++;
  RecordStatus(task, std::move(status));
}

void AgentCore::OnRunTask(const MasterMessage::RunTask& message) {
  const FrameworkInfo& framework = message.framework();
  const TaskInfo& info = message.task();
  if (KnowsTask(framework.id(), info.id())) return;
  if (const std::string why = WhyNoRoomFor(1); !why.empty()) {
    return Drop(framework.id(), info, "", why);
  }
  const auto refuse = [&](model::v1::TaskState state, model::v1::TaskStatusReason reason,
                          const std::string& why) {
    NoteFramework(framework);
    Refuse(framework.id(), info, "", state, reason, why);
  };
  if (drain_.has_value()) {
    return refuse(model::v1::TASK_DROPPED, model::v1::REASON_AGENT_DRAINING,
                  "the agent is drained");
  }
  absl::Status valid = ValidateTask(framework.id(), info, config_);
  Task task = NewTask(framework.id(), info);
  if (valid.ok()) {
    auto resources = ResourcesOf(info.resources());
    valid = resources.status();
    if (resources.ok()) task.resources = *std::move(resources);
  }
  task.container_id = absl::BytesToHexString(uuids_());
  task.sandbox = absl::StrCat(config_.sandbox_root, "/", framework.id(), "/", info.id(), "/",
                              task.container_id);
  if (valid.ok()) valid = PlanContainer(task, framework, info_.id(), config_).status();
  if (!valid.ok()) {
    return refuse(model::v1::TASK_ERROR, model::v1::REASON_TASK_INVALID,
                  std::string(valid.message()));
  }
  if (!total_.Contains(task.resources)) {
    return refuse(model::v1::TASK_DROPPED, model::v1::REASON_RESOURCES_UNKNOWN,
                  absl::StrCat("the agent does not have ", model::ToString(task.resources)));
  }
  if (!total_.Contains(tasks_.Promised() + task.resources)) {
    return refuse(model::v1::TASK_DROPPED, model::v1::REASON_INVALID_OFFERS,
                  absl::StrCat("the agent has no ", model::ToString(task.resources), " left of ",
                               model::ToString(total_)));
  }
  ++counters_.tasks_accepted;
  NoteFramework(framework);
  Task& admitted = Admit(std::move(task));
  RefreshView(admitted);
  AfterDurable(HeldLaunch{admitted.serial});
  RecordStatus(admitted, MakeStatus(admitted, model::v1::TASK_STARTING,
                                    model::v1::TASK_STATUS_REASON_UNSPECIFIED, ""));
}

void AgentCore::OnRunTaskGroup(const MasterMessage::RunTaskGroup& message) {
  const FrameworkInfo& framework = message.framework();
  const auto& infos = message.group().tasks();
  if (infos.empty()) {
    ++counters_.ignored_messages;
    return;
  }
  for (const TaskInfo& info : infos) {
    if (KnowsTask(framework.id(), info.id())) return;
  }
  // All tasks of the group start, or none; each is answered for.
  if (const std::string why = WhyNoRoomFor(infos.size()); !why.empty()) {
    for (const TaskInfo& info : infos) Drop(framework.id(), info, message.executor().id(), why);
    return;
  }
  const auto refuse = [&](model::v1::TaskState state, model::v1::TaskStatusReason reason,
                          const std::string& why) {
    NoteFramework(framework);
    for (const TaskInfo& info : infos) {
      if (tasks_.Find(framework.id(), info.id()) != nullptr) continue;
      Refuse(framework.id(), info, message.executor().id(), state, reason, why);
    }
  };
  if (drain_.has_value()) {
    return refuse(model::v1::TASK_DROPPED, model::v1::REASON_AGENT_DRAINING,
                  "the agent is drained");
  }
  model::v1::ExecutorInfo executor = message.executor();
  executor.set_framework_id(framework.id());
  executor.clear_data();
  absl::Status valid = ValidateGroupExecutor(executor);
  model::Resources executor_resources;
  if (valid.ok() && executor.resources_size() > 0) {
    auto resources = ResourcesOf(executor.resources());
    valid = resources.status();
    if (resources.ok()) executor_resources = *std::move(resources);
  }
  const TaskTable::ExecutorKey executor_key(framework.id(), executor.id());
  model::Resources needed;
  if (tasks_.FindExecutor(executor_key) == nullptr) needed += executor_resources;
  std::vector<Task> group;
  for (const TaskInfo& info : infos) {
    if (valid.ok()) valid = ValidateTask(framework.id(), info, config_);
    Task task = NewTask(framework.id(), info);
    task.executor_id = executor.id();
    task.group = last_group_ + 1;
    task.container_id = absl::BytesToHexString(uuids_());
    task.sandbox = absl::StrCat(config_.sandbox_root, "/", framework.id(), "/", info.id(), "/",
                                task.container_id);
    if (valid.ok()) {
      auto resources = ResourcesOf(info.resources());
      valid = resources.status();
      if (resources.ok()) task.resources = *std::move(resources);
    }
    if (valid.ok()) valid = PlanContainer(task, framework, info_.id(), config_).status();
    const bool twice = std::any_of(group.begin(), group.end(),
                                   [&](const Task& other) { return other.info.id() == info.id(); });
    if (twice && valid.ok()) {
      valid = absl::InvalidArgumentError(absl::StrCat("two tasks of the group are ", info.id()));
    }
    needed += task.resources;
    group.push_back(std::move(task));
  }
  if (!valid.ok()) {
    return refuse(model::v1::TASK_ERROR, model::v1::REASON_TASK_GROUP_INVALID,
                  std::string(valid.message()));
  }
  if (!total_.Contains(needed)) {
    return refuse(model::v1::TASK_DROPPED, model::v1::REASON_RESOURCES_UNKNOWN,
                  absl::StrCat("the agent does not have ", model::ToString(needed)));
  }
  if (!total_.Contains(tasks_.Promised() + needed)) {
    return refuse(model::v1::TASK_DROPPED, model::v1::REASON_INVALID_OFFERS,
                  absl::StrCat("the agent has no ", model::ToString(needed), " left of ",
                               model::ToString(total_)));
  }
  ++last_group_;
  NoteFramework(framework);
  if (tasks_.PutExecutor(executor, executor_resources)) {
    Record record;
    *record.mutable_executor()->mutable_info() = executor;
    Write(std::move(record));
  }
  for (Task& task : group) {
    ++counters_.tasks_accepted;
    Task& admitted = Admit(std::move(task));
    RefreshView(admitted);
    AfterDurable(HeldLaunch{admitted.serial});
    RecordStatus(admitted, MakeStatus(admitted, model::v1::TASK_STARTING,
                                      model::v1::TASK_STATUS_REASON_UNSPECIFIED, ""));
  }
}

// ---- Launch ----

// The master counts resources of a framework that was shut down as free at once, while its
// containers still get their time to end: what it gives away meanwhile waits for them.
void AgentCore::LaunchOrWait(Task& task) {
  if (task.phase != Task::Phase::kAccepted || task.kill.has_value()) return;
  if (waiting_.empty() && total_.Contains(tasks_.used())) {
    Launch(task);
  } else {
    waiting_.push_back(task.serial);
    LaunchWaiting();
  }
}

void AgentCore::LaunchWaiting() {
  while (!waiting_.empty()) {
    Task* next = tasks_.Find(waiting_.front());
    if (next == nullptr || next->phase != Task::Phase::kAccepted) {
      waiting_.pop_front();
      continue;
    }
    model::Resources occupied = tasks_.used();
    for (const uint64_t serial : waiting_) {
      const Task* task = tasks_.Find(serial);
      if (task != nullptr && !task->ended()) occupied -= task->resources;
    }
    if (!total_.Contains(occupied + next->resources)) return;
    waiting_.pop_front();
    Launch(*next);
  }
}

void AgentCore::Launch(Task& task) {
  const Framework* framework = tasks_.FindFramework(task.framework_id);
  auto spec = PlanContainer(task, framework == nullptr ? FrameworkInfo() : framework->info,
                            info_.id(), config_);
  if (!spec.ok()) {
    // It was planned before it was accepted; only an operator's change of flags can come between.
    LaunchFailure failure;
    failure.message = std::string(spec.status().message());
    return EndTask(task, OutcomeOf(task, failure), std::nullopt);
  }
  ++counters_.launches;
  task.phase = Task::Phase::kLaunching;
  effects_->push_back(LaunchContainer{*std::move(spec)});
}

void AgentCore::On(const ContainerLaunched& event) {
  Task* task = tasks_.FindByContainer(event.container_id);
  if (task == nullptr || task->phase != Task::Phase::kLaunching) {
    // Only a container of an agent that has left can come here: nobody wants it.
    if (std::holds_alternative<LaunchedContainer>(event.result)) {
      effects_->push_back(DestroyContainer{event.container_id});
    }
    return;
  }
  if (const auto* failure = std::get_if<LaunchFailure>(&event.result)) {
    if (!task->kill.has_value()) ++counters_.launch_errors;
    return EndTask(*task, OutcomeOf(*task, *failure), std::nullopt);
  }
  RecordRunning(*task, std::get<LaunchedContainer>(event.result));
  if (task->kill.has_value()) {
    // The kill came during the launch: it had no time to start anything of worth.
    effects_->push_back(DestroyContainer{task->container_id});
    return;
  }
  RecordStatus(*task, MakeStatus(*task, model::v1::TASK_RUNNING,
                                 model::v1::TASK_STATUS_REASON_UNSPECIFIED, ""));
}

void AgentCore::RecordRunning(Task& task, const LaunchedContainer& container) {
  task.phase = Task::Phase::kRunning;
  task.started = container.started;
  task.init_pid = static_cast<uint32_t>(container.identity.init_pid);
  Record record;
  record.mutable_running()->set_framework_id(task.framework_id);
  record.mutable_running()->set_task_id(task.info.id());
  *record.mutable_running()->mutable_start_time() = ToTimestamp(task.started);
  record.mutable_running()->set_init_pid(task.init_pid);
  Write(std::move(record));
  if (task.info.has_max_completion_time() && !task.kill.has_value()) {
    const absl::Duration limit = FromDuration(task.info.max_completion_time());
    if (limit > absl::ZeroDuration()) {
      deadlines_.Set({DeadlineKind::kCompletion, task.serial}, task.started + limit);
    }
  }
  RefreshView(task);
}

void AgentCore::On(const ContainerEnded& event) {
  Task* task = tasks_.FindByContainer(event.termination.container_id);
  if (task == nullptr || task->ended()) {
    effects_->push_back(ReleaseContainer{event.termination.container_id});
    return;
  }
  EndTask(*task, OutcomeOf(*task, event.termination), event.termination);
}

// ---- Kill ----

std::vector<uint64_t> AgentCore::LiveTasks() const {
  std::vector<uint64_t> serials;
  for (const auto& [serial, task] : tasks_.tasks()) {
    if (!task.ended()) serials.push_back(serial);
  }
  return serials;
}

absl::Duration AgentCore::GraceOf(const Task& task) const {
  absl::Duration grace = config_.kill_grace;
  if (task.info.has_kill_policy() && task.info.kill_policy().has_grace_period()) {
    grace = FromDuration(task.info.kill_policy().grace_period());
  }
  if (drain_.has_value() && drain_->has_max_grace_period()) {
    grace = std::min(grace, FromDuration(drain_->max_grace_period()));
  }
  return std::max(grace, absl::ZeroDuration());
}

void AgentCore::OnKillTask(const MasterMessage::KillTask& message) {
  Task* task = tasks_.Find(message.framework_id(), message.task_id());
  if (task == nullptr) {
    TaskInfo info;
    info.set_id(message.task_id());
    if (tasks_.tasks().size() >= config_.tasks_max) {
      ++counters_.ignored_messages;
      return;
    }
    return Refuse(message.framework_id(), info, "", model::v1::TASK_DROPPED,
                  model::v1::REASON_EXECUTOR_TERMINATED, "The agent knows no such task");
  }
  if (task->ended()) return;
  absl::Duration grace = GraceOf(*task);
  if (message.has_kill_policy() && message.kill_policy().has_grace_period()) {
    grace = std::max(FromDuration(message.kill_policy().grace_period()), absl::ZeroDuration());
  }
  KillTask(*task, Record::KILL_REQUESTED, grace);
}

void AgentCore::KillTask(Task& task, KillCause cause, absl::Duration grace) {
  if (task.ended()) return;
  const absl::Time deadline = now_ + grace;
  const bool first = !task.kill.has_value();
  const bool was_silent = task.silent();
  if (first) {
    task.kill = Task::Kill{cause, deadline};
  } else {
    const bool silences = !was_silent && (cause == Record::KILL_FRAMEWORK_SHUTDOWN ||
                                          cause == Record::KILL_AGENT_SHUTDOWN);
    if (deadline >= task.kill->deadline && !silences) return;
    task.kill->deadline = std::min(deadline, task.kill->deadline);
    if (silences) task.kill->cause = cause;
  }
  deadlines_.Clear({DeadlineKind::kCompletion, task.serial});
  if (task.phase == Task::Phase::kAccepted) {
    LaunchFailure never_started;
    never_started.step = LaunchStep::kAborted;
    return EndTask(task, OutcomeOf(task, never_started), std::nullopt);
  }
  Record record;
  record.mutable_kill()->set_framework_id(task.framework_id);
  record.mutable_kill()->set_task_id(task.info.id());
  record.mutable_kill()->set_cause(task.kill->cause);
  *record.mutable_kill()->mutable_deadline() = ToTimestamp(task.kill->deadline);
  Write(std::move(record));
  kills_.insert(task.serial);
  RefreshView(task);
  const Framework* framework = tasks_.FindFramework(task.framework_id);
  if (first && task.phase == Task::Phase::kRunning && !task.silent() &&
      cause != Record::KILL_COMPLETION_TIME && framework != nullptr &&
      framework->Has(FrameworkInfo::TASK_KILLING_STATE)) {
    RecordStatus(task, MakeStatus(task, model::v1::TASK_KILLING,
                                  model::v1::TASK_STATUS_REASON_UNSPECIFIED, ""));
  }
}

KillCause AgentCore::CauseOfForgottenKill(const Task& task, absl::Time when) const {
  const absl::Duration limit = FromDuration(task.info.max_completion_time());
  const bool ran_out = task.info.has_max_completion_time() && limit > absl::ZeroDuration() &&
                       task.started != absl::InfinitePast() && when >= task.started + limit;
  return ran_out ? Record::KILL_COMPLETION_TIME : Record::KILL_REQUESTED;
}

void AgentCore::ActOnKills() {
  for (const uint64_t serial : std::exchange(kills_, {})) {
    const Task* task = tasks_.Find(serial);
    if (task == nullptr || task->ended()) continue;
    const absl::Duration grace = task->kill->deadline - now_;
    if (task->phase == Task::Phase::kLaunching || grace <= absl::ZeroDuration()) {
      effects_->push_back(DestroyContainer{task->container_id});
    } else {
      effects_->push_back(KillContainer{task->container_id, grace});
    }
    deadlines_.Set({DeadlineKind::kKill, serial},
                   std::max(task->kill->deadline, now_) + config_.destroy_retry);
  }
}

void AgentCore::OnShutdownFramework(const std::string& framework_id) {
  for (const uint64_t serial : LiveTasks()) {
    Task* task = tasks_.Find(serial);
    if (task != nullptr && task->framework_id == framework_id) {
      KillTask(*task, Record::KILL_FRAMEWORK_SHUTDOWN, config_.shutdown_grace);
    }
  }
  // Statuses that wait for an acknowledgement wait for nobody.
  for (auto& [serial, task] : tasks_.tasks()) {
    if (task.framework_id != framework_id) continue;
    deadlines_.Clear({DeadlineKind::kStatusRetry, serial});
    task.stream.Clear();
    if (!task.ended() || task.silent()) continue;
    Record record;
    record.mutable_forgotten()->set_framework_id(task.framework_id);
    record.mutable_forgotten()->set_task_id(task.info.id());
    Write(std::move(record));
    AfterDurable(HeldForget{serial, {}});
  }
}

void AgentCore::OnShutdownExecutor(const std::string& framework_id,
                                   const std::string& executor_id) {
  const Executor* executor = tasks_.FindExecutor({framework_id, executor_id});
  if (executor == nullptr) {
    ++counters_.ignored_messages;
    return;
  }
  const absl::Duration grace = executor->info.has_shutdown_grace_period()
                                   ? FromDuration(executor->info.shutdown_grace_period())
                                   : config_.shutdown_grace;
  for (const uint64_t serial : LiveTasks()) {
    Task* task = tasks_.Find(serial);
    if (task != nullptr && task->framework_id == framework_id && task->executor_id == executor_id) {
      KillTask(*task, Record::KILL_REQUESTED, std::max(grace, absl::ZeroDuration()));
    }
  }
}

// ---- End ----

void AgentCore::EndTask(Task& task, const Outcome& outcome,
                        const std::optional<ContainerTermination>& termination) {
  TaskStatus status = MakeStatus(task, outcome.state, outcome.reason, outcome.message);
  for (const model::v1::Resource& resource : outcome.limitation) {
    *status.add_limitation() = resource;
  }
  if (outcome.wait_status.has_value()) status.set_wait_status(*outcome.wait_status);
  EndTask(task, std::move(status), termination);
}

void AgentCore::EndTask(Task& task, TaskStatus status,
                        const std::optional<ContainerTermination>& termination) {
  if (task.ended()) return;
  const uint64_t serial = task.serial;
  const uint64_t group = task.group;
  const bool kills_group = group != 0 && status.state() != model::v1::TASK_FINISHED;
  counters_.terminal_tasks[status.state() % kTaskStates][status.reason() % kTaskReasons]++;
  deadlines_.Clear({DeadlineKind::kKill, serial});
  deadlines_.Clear({DeadlineKind::kCompletion, serial});
  const auto ended_executor = tasks_.MarkEnded(task);
  if (task.silent()) {
    Record record;
    record.mutable_forgotten()->set_framework_id(task.framework_id);
    record.mutable_forgotten()->set_task_id(task.info.id());
    Write(std::move(record));
    task.state = status.state();
    status.clear_uuid();
    AfterDurable(HeldForget{serial, std::move(status)});
  } else {
    RecordStatus(task, std::move(status));
  }
  const bool launched = task.started != absl::InfinitePast() || termination.has_value();
  if (launched || task.durable) {
    sandboxes_.Add(task.container_id, task.sandbox, now_);
    Record record;
    record.mutable_sandbox_ended()->set_container_id(task.container_id);
    record.mutable_sandbox_ended()->set_path(task.sandbox);
    *record.mutable_sandbox_ended()->mutable_ended_time() = ToTimestamp(now_);
    Write(std::move(record));
  }
  FinishView(task, termination);
  if (termination.has_value()) AfterDurable(HeldRelease{task.container_id});
  if (ended_executor.has_value()) AfterDurable(HeldExecutorExit{*ended_executor});
  if (kills_group) KillRestOfGroup(group);
  LaunchWaiting();
  ForgetWhenLeft();
}

void AgentCore::KillRestOfGroup(uint64_t group) {
  for (const uint64_t serial : LiveTasks()) {
    Task* task = tasks_.Find(serial);
    if (task != nullptr && task->group == group && !task->kill.has_value()) {
      KillTask(*task, Record::KILL_GROUP, GraceOf(*task));
    }
  }
}

void AgentCore::Forget(const HeldForget& held) {
  Task* task = tasks_.Find(held.serial);
  if (task == nullptr) return;
  if (held.last_words.state() != model::v1::TASK_STATE_UNSPECIFIED && session_.registered() &&
      task->kill->cause == Record::KILL_FRAMEWORK_SHUTDOWN) {
    agentlink::v1::AgentMessage message;
    auto* update = message.mutable_status_update();
    update->set_framework_id(task->framework_id);
    *update->mutable_status() = held.last_words;
    update->set_latest_state(held.last_words.state());
    Send(std::move(message));
  }
  tasks_.Remove(held.serial);
  FinishDrain();
}

}  // namespace tessera::agent
