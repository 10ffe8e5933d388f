#include "services/agent/core/task_flow.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/agent/core/task_validation.h"
#include "services/agent/core/wire_time.h"
#include "services/base/bug.h"
#include "services/base/overloaded.h"
#include "services/model/wire/description.h"
#include "services/model/wire/incarnation.h"
#include "services/model/wire/resources.h"

namespace tessera::agent {

using agentlink::v1::MasterMessage;
using checkpoint::Record;
using model::v1::TaskStatus;
using model::wire::FromProto;
using model::wire::ToProto;

Record RecordOf(const Task& task) {
  Record record;
  Record::Task* entry = record.mutable_task();
  entry->set_framework_id(task.framework_id);
  entry->set_task_id(task.task_id);
  *entry->mutable_incarnation() = ToProto(task.incarnation);
  entry->set_info(task.info.bytes());
  ToProto(task.holding.resources, entry->mutable_resources());
  entry->set_executor_id(task.executor_id);
  if (task.executor.valid()) *entry->mutable_executor() = ToProto(task.executor);
  entry->set_container_id(task.container_id);
  *entry->mutable_accepted_time() = ToTimestamp(task.accepted);
  entry->set_group(task.group);
  return record;
}

bool ReadTask(const Record::Task& record, const AgentConfig& config, Task* task) {
  task->framework_id = record.framework_id();
  task->task_id = record.task_id();
  task->incarnation = FromProto(record.incarnation());
  task->info = model::Description(record.info());
  task->executor_id = record.executor_id();
  if (record.has_executor()) task->executor = FromProto(record.executor());
  task->container_id = record.container_id();
  task->accepted = FromTimestamp(record.accepted_time());
  task->group = record.group();
  task->durable = true;
  const auto info = model::wire::ReadDescription<model::v1::TaskInfo>(task->info);
  auto resources = FromProto(record.resources());
  if (!task->incarnation.valid() || !info.ok() || !resources.ok()) return false;
  NoteTaskInfo(*info, task);
  task->holding.resources = *std::move(resources);
  task->limits = LimitsOf(task->holding.resources, *info, config);
  return true;
}

// ---- Admission and refusal ----

void TaskFlow::LogFramework(const std::string& framework_id, bool only_with_tasks) {
  Framework* framework = state_.frameworks.Find(framework_id);
  if (framework == nullptr || framework->logged) return;
  if (only_with_tasks && framework->tasks == 0) return;
  framework->logged = true;
  Record record;
  record.mutable_framework()->set_framework_id(framework_id);
  record.mutable_framework()->set_info(framework->info.bytes());
  state_.journal.Write(std::move(record));
}

Task& TaskFlow::Admit(Task task) {
  LogFramework(task.framework_id, /*only_with_tasks=*/false);
  state_.journal.Write(RecordOf(task));
  state_.frameworks.AddTask(task.framework_id);
  Task& added = state_.tasks.Add(std::move(task));
  if (!added.ended) {
    state_.book.Promise(&added.holding);
    executors_.OnTaskBegins(added);
  }
  return added;
}

void TaskFlow::Refuse(Task task, model::v1::TaskState state, model::v1::TaskStatusReason reason,
                      const std::string& message) {
  ++state_.Count().tasks_refused;
  ++state_.Count().terminal_tasks[state][reason];
  task.ended = true;
  task.holding = {};
  Task& refused = Admit(std::move(task));
  statuses_.Record(refused, statuses_.Make(refused, state, reason, message));
}

void TaskFlow::OnReconcile(const MasterMessage::ReconcileTasks& message) {
  for (const auto& asked : message.tasks()) {
    const model::Incarnation incarnation = FromProto(asked.incarnation());
    if (Task* task = state_.tasks.Find(incarnation); task != nullptr) {
      statuses_.SendHead(*task);
      continue;
    }
    if (!incarnation.valid() || state_.tasks.size() >= state_.config.tasks_max) {
      ++state_.Count().ignored_messages;
      continue;
    }
    Task unknown;
    unknown.framework_id = asked.framework_id();
    unknown.task_id = asked.task_id();
    unknown.incarnation = incarnation;
    unknown.accepted = state_.now;
    Refuse(std::move(unknown), model::v1::TASK_DROPPED, model::v1::REASON_RECONCILIATION,
           "The agent knows no such task");
  }
}

// ---- Kill ----

absl::Duration TaskFlow::GraceOf(const Task& task) const {
  absl::Duration grace = task.kill_grace.value_or(state_.config.kill_grace);
  if (state_.drain.has_value() && state_.drain->has_max_grace_period()) {
    grace = std::min(grace, FromDuration(state_.drain->max_grace_period()));
  }
  return std::max(grace, absl::ZeroDuration());
}

void TaskFlow::OnKillTask(const MasterMessage::KillTask& message) {
  const model::Incarnation incarnation = FromProto(message.incarnation());
  Task* task = state_.tasks.Find(incarnation);
  if (task == nullptr) {
    if (!incarnation.valid() || state_.tasks.size() >= state_.config.tasks_max) {
      ++state_.Count().ignored_messages;
      return;
    }
    Task unknown;
    unknown.framework_id = message.framework_id();
    unknown.task_id = message.task_id();
    unknown.incarnation = incarnation;
    unknown.accepted = state_.now;
    return Refuse(std::move(unknown), model::v1::TASK_DROPPED,
                  model::v1::REASON_EXECUTOR_TERMINATED, "The agent knows no such task");
  }
  absl::Duration grace = GraceOf(*task);
  if (message.has_kill_policy() && message.kill_policy().has_grace_period()) {
    grace = std::max(FromDuration(message.kill_policy().grace_period()), absl::ZeroDuration());
  }
  Kill(*task, Record::KILL_REQUESTED, grace);
}

void TaskFlow::Kill(Task& task, KillCause cause, absl::Duration grace) {
  if (task.ended) return;
  Container* container = state_.containers.Find(task.container_id);
  // It has ended already, which is about to be told.
  if (container == nullptr) return;
  const absl::Time deadline = state_.now + grace;
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
  if (task.silent()) state_.book.Withdraw(&task.holding);
  state_.deadlines.Clear(DeadlineKey::OfTask(DeadlineKind::kCompletion, task.incarnation));
  const bool running = container->phase == Container::Phase::kRunning;
  if (pods_.Kill(*container, task.kill->deadline)) return;
  Record record;
  *record.mutable_kill()->mutable_task() = ToProto(task.incarnation);
  record.mutable_kill()->set_cause(task.kill->cause);
  *record.mutable_kill()->mutable_deadline() = ToTimestamp(task.kill->deadline);
  state_.journal.Write(std::move(record));
  const Framework* framework = state_.frameworks.Find(task.framework_id);
  if (first && running && cause != Record::KILL_COMPLETION_TIME && framework != nullptr &&
      framework->hears_killing) {
    statuses_.Record(task, model::v1::TASK_KILLING);
  }
}

void TaskFlow::KillAll(KillCause cause) {
  for (const model::Incarnation& incarnation : state_.tasks.Live()) {
    Task* task = state_.tasks.Find(incarnation);
    if (task == nullptr) continue;
    Kill(*task, cause,
         cause == Record::KILL_AGENT_SHUTDOWN ? state_.config.shutdown_grace : GraceOf(*task));
  }
}

KillCause TaskFlow::CauseOfForgottenKill(const Task& task, absl::Time when) const {
  const bool ran_out = task.completion_time.has_value() && task.started != absl::InfinitePast() &&
                       when >= task.started + *task.completion_time;
  return ran_out ? Record::KILL_COMPLETION_TIME : Record::KILL_REQUESTED;
}

void TaskFlow::OnShutdownFramework(const std::string& framework_id) {
  for (auto& [incarnation, task] : state_.tasks.tasks()) {
    if (task.framework_id != framework_id) continue;
    const bool was_ended = task.ended;
    Kill(task, Record::KILL_FRAMEWORK_SHUTDOWN, state_.config.shutdown_grace);
    // Statuses that wait for an acknowledgement wait for nobody.
    statuses_.Clear(task);
    if (!was_ended || task.silent()) continue;
    WriteForgotten(task);
    state_.journal.After(after::Forget{incarnation, {}});
  }
  executors_.Withdraw(framework_id);
}

void TaskFlow::OnShutdownExecutor(const MasterMessage::ShutdownExecutor& message) {
  const Executor* executor = state_.executors.Find(FromProto(message.incarnation()));
  if (executor == nullptr) {
    ++state_.Count().ignored_messages;
    return;
  }
  const absl::Duration grace = executor->shutdown_grace.value_or(state_.config.shutdown_grace);
  for (const model::Incarnation& live :
       std::vector(executor->tasks.begin(), executor->tasks.end())) {
    if (Task* task = state_.tasks.Find(live); task != nullptr) {
      Kill(*task, Record::KILL_REQUESTED, grace);
    }
  }
}

void TaskFlow::OnCompletionDeadline(Task& task) {
  if (!task.kill.has_value()) Kill(task, Record::KILL_COMPLETION_TIME, absl::ZeroDuration());
}

void TaskFlow::OnLaunchDeadline(model::Incarnation incarnation) {
  Task* task = state_.tasks.Find(incarnation);
  if (task == nullptr || task->ended || task->kill.has_value()) return;
  ++state_.Count().launch_timeouts;
  Kill(*task, Record::KILL_LAUNCH_DEADLINE, absl::ZeroDuration());
}

// ---- What becomes of containers ----

void TaskFlow::OnContainer(const ContainerChange& change) {
  Task* task = state_.tasks.Find(change.task);
  if (task == nullptr || task->ended) {
    state_.views.Drop(change.serial);
    return;
  }
  std::visit(base::Overloaded{
                 [&](const ContainerChange::Started& started) { OnStarted(*task, started); },
                 [&](const ContainerChange::Ended& ended) {
                   const ContainerTermination& termination = ended.termination;
                   if (termination.kill_requested && !task->kill.has_value()) {
                     task->kill = Task::Kill{CauseOfForgottenKill(*task, termination.ended),
                                             termination.ended};
                   }
                   End(*task, OutcomeOf(*task, termination), change);
                 },
                 [&](const ContainerChange::NotStarted& failed) {
                   End(*task, OutcomeOf(*task, failed.failure), change);
                 },
                 [&](const ContainerChange::Lost& lost) {
                   End(*task, OutcomeOfLost(*task, lost.why, state_.rebooted), change);
                 },
             },
             change.what);
}

void TaskFlow::OnStarted(Task& task, const ContainerChange::Started& started) {
  // After a restart of the agent it may have been told before.
  const bool told = task.started != absl::InfinitePast();
  if (!told) task.started = started.container.started;
  task.init_pid = static_cast<uint32_t>(started.container.identity.init_pid);
  if (task.kill.has_value()) return;
  if (task.completion_time.has_value()) {
    state_.deadlines.Set(DeadlineKey::OfTask(DeadlineKind::kCompletion, task.incarnation),
                         task.started + *task.completion_time);
  }
  if (started.kill_requested) {
    return Kill(task, CauseOfForgottenKill(task, state_.now), GraceOf(task));
  }
  if (!told) statuses_.Record(task, model::v1::TASK_RUNNING);
}

void TaskFlow::End(Task& task, const Outcome& outcome, const ContainerChange& change) {
  TaskStatus status = statuses_.Make(task, outcome.state, outcome.reason, outcome.message);
  for (const model::v1::Resource& resource : outcome.limitation) {
    *status.add_limitation() = resource;
  }
  if (outcome.wait_status.has_value()) status.set_wait_status(*outcome.wait_status);
  ++state_.Count().terminal_tasks[status.state()][status.reason()];
  state_.deadlines.Clear(DeadlineKey::OfTask(DeadlineKind::kCompletion, task.incarnation));
  const auto* ended = std::get_if<ContainerChange::Ended>(&change.what);
  state_.views.End(change.serial,
                   ended == nullptr ? std::nullopt : std::make_optional(ended->termination),
                   status.state(), status.reason());
  const bool kills_group = task.group != 0 && status.state() != model::v1::TASK_FINISHED;
  state_.tasks.MarkEnded(task);
  state_.book.Free(&task.holding);
  if (task.silent()) {
    WriteForgotten(task);
    state_.tasks.SetState(task, status.state());
    state_.journal.After(after::Forget{task.incarnation, std::move(status)});
  } else {
    statuses_.Record(task, std::move(status));
  }
  if (kills_group) EndGroup(task.group);
  executors_.OnTaskEnded(task);
  pods_.LaunchWaiting();
}

void TaskFlow::EndGroup(uint64_t group) {
  for (const model::Incarnation& member : state_.tasks.Group(group)) {
    Task* task = state_.tasks.Find(member);
    if (task != nullptr && !task->kill.has_value()) {
      Kill(*task, Record::KILL_GROUP, GraceOf(*task));
    }
  }
}

// ---- Forgetting ----

void TaskFlow::WriteForgotten(const Task& task) {
  Record record;
  *record.mutable_forgotten()->mutable_task() = ToProto(task.incarnation);
  state_.journal.Write(std::move(record));
}

void TaskFlow::OnForgotten(const after::Forget& forgotten) {
  Task* task = state_.tasks.Find(forgotten.task);
  if (task == nullptr) return;
  if (forgotten.last_words.state() != model::v1::TASK_STATE_UNSPECIFIED && task->kill.has_value() &&
      task->kill->cause == Record::KILL_FRAMEWORK_SHUTDOWN) {
    statuses_.TellOnce(*task, forgotten.last_words);
  }
  Forget(forgotten.task);
}

void TaskFlow::Forget(model::Incarnation incarnation) {
  Task* task = state_.tasks.Find(incarnation);
  if (task == nullptr) return;
  state_.deadlines.Clear(DeadlineKey::OfTask(DeadlineKind::kStatusRetry, incarnation));
  const std::string framework_id = task->framework_id;
  state_.tasks.Remove(incarnation);
  state_.frameworks.RemoveTask(framework_id, state_.session.link());
}

}  // namespace tessera::agent
