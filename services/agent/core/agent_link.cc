// AgentCore's session with the master: dialling, registration, epochs, pings, and the commands that
// are not about one task.

#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/agent/core/agent_core.h"
#include "services/agent/core/task_outcome.h"
#include "services/agent/core/wire_time.h"
#include "services/model/ids.h"
#include "services/rpc/error.h"

namespace tessera::agent {

using agentlink::v1::AgentMessage;
using agentlink::v1::MasterMessage;
using checkpoint::Record;
using model::v1::ErrorDetail;

void AgentCore::Dial() {
  if (stage_ != Stage::kRunning || session_.link() != 0 || leaving_) return;
  const uint64_t link = session_.Open();
  ++counters_.dials;
  effects_->push_back(OpenLink{link, session_.address()});
  AgentMessage message;
  AgentMessage::Register* registration = message.mutable_register_();
  *registration->mutable_info() = info_;
  registration->set_highest_epoch(session_.highest_epoch());
  *registration->mutable_total_resources() = info_.resources();
  Send(std::move(message));
  if (!info_.id().empty()) SendInventory();
  deadlines_.Set({DeadlineKind::kRegistration, 0}, now_ + config_.registration_timeout);
}

void AgentCore::Send(AgentMessage message) {
  if (session_.link() != 0) effects_->push_back(SendToMaster{session_.link(), std::move(message)});
}

// Ends the current link from this side and dials again later.
void AgentCore::EndLink(const absl::Status& reason) {
  if (session_.link() == 0) return;
  effects_->push_back(CloseLink{session_.link(), reason});
  LinkLost(reason);
}

void AgentCore::LinkLost(const absl::Status& status) {
  deadlines_.Clear({DeadlineKind::kRegistration, 0});
  deadlines_.Clear({DeadlineKind::kPing, 0});
  held_messages_.clear();
  const absl::Duration wait = session_.Failed(status);
  for (auto& [serial, task] : tasks_.tasks()) {
    deadlines_.Clear({DeadlineKind::kStatusRetry, serial});
    task.stream.ResetWait();
  }
  if (!leaving_) deadlines_.Set({DeadlineKind::kDial, 0}, now_ + wait);
}

void AgentCore::On(const LinkClosed& event) {
  if (!session_.IsCurrent(event.link)) return;
  const bool gone = rpc::ReasonOf(event.status) == ErrorDetail::AGENT_GONE;
  LinkLost(event.status.ok() ? absl::UnavailableError("the master ended the link") : event.status);
  if (gone) LeaveCluster("the master says that this agent is gone");
}

void AgentCore::On(const LinkReceived& event) {
  if (!session_.IsCurrent(event.link)) return;
  if (event.batch.epoch() < session_.highest_epoch()) {
    ++counters_.stale_batches;
    EndLink(rpc::Error(absl::StatusCode::kFailedPrecondition, ErrorDetail::STALE_EPOCH,
                       absl::StrCat("the master's epoch ", event.batch.epoch(), " is lower than ",
                                    session_.highest_epoch(), ", which this agent has obeyed")));
    return;
  }
  if (session_.RaiseEpoch(event.batch.epoch())) {
    Record record;
    record.mutable_epoch()->set_highest(event.batch.epoch());
    Write(std::move(record));
    gate_ = last_persist_ + 1;
  }
  for (const MasterMessage& message : event.batch.messages()) {
    // Only the gate holds messages back, and it opens with the next sync: this much never waits.
    if (held_messages_.size() >= config_.held_batches_max * 64) {
      EndLink(rpc::Overloaded("messages that wait for the agent's log"));
      return;
    }
    if (Gated() || !held_messages_.empty()) {
      held_messages_.push_back(message);
    } else {
      Obey(message);
      if (!session_.IsCurrent(event.link)) return;
    }
  }
}

void AgentCore::ObeyHeldMessages() {
  while (!held_messages_.empty() && !Gated()) {
    const MasterMessage message = std::move(held_messages_.front());
    held_messages_.pop_front();
    Obey(message);
  }
}

void AgentCore::Obey(const MasterMessage& message) {
  switch (message.kind_case()) {
    case MasterMessage::kRegistered:
      return OnRegistered(message.registered());
    case MasterMessage::kPing:
      return OnPing(message.ping().sequence());
    case MasterMessage::kShutdown:
      return LeaveCluster(message.shutdown().message());
    default:
      break;
  }
  if (!session_.registered()) {
    ++counters_.ignored_messages;
    return;
  }
  switch (message.kind_case()) {
    case MasterMessage::kRunTask:
      return OnRunTask(message.run_task());
    case MasterMessage::kRunTaskGroup:
      return OnRunTaskGroup(message.run_task_group());
    case MasterMessage::kKillTask:
      return OnKillTask(message.kill_task());
    case MasterMessage::kAcknowledgeUpdate:
      return OnAcknowledge(message.acknowledge_update());
    case MasterMessage::kShutdownExecutor:
      return OnShutdownExecutor(message.shutdown_executor().framework_id(),
                                message.shutdown_executor().executor_id());
    case MasterMessage::kShutdownFramework:
      return OnShutdownFramework(message.shutdown_framework().framework_id());
    case MasterMessage::kUpdateFramework:
      if (tasks_.FindFramework(message.update_framework().framework().id()) != nullptr) {
        NoteFramework(message.update_framework().framework());
      }
      return;
    case MasterMessage::kReconcileTasks:
      return OnReconcile(message.reconcile_tasks());
    case MasterMessage::kDrain:
      return OnDrain(message.drain().config());
    case MasterMessage::kApplyOperation:
      return RefuseOperation(message.apply_operation());
    default:
      ++counters_.ignored_messages;
  }
}

void AgentCore::OnRegistered(const MasterMessage::Registered& message) {
  if (session_.registered() || message.agent_id().empty()) {
    ++counters_.ignored_messages;
    return;
  }
  if (info_.id().empty()) {
    info_.set_id(message.agent_id());
    Record record;
    *record.mutable_identity()->mutable_info() = info_;
    Write(std::move(record));
    gate_ = last_persist_ + 1;
  } else if (info_.id() != message.agent_id()) {
    EndLink(absl::InternalError(absl::StrCat("the master calls this agent ", message.agent_id(),
                                             ", its id is ", info_.id())));
    return;
  }
  const absl::Duration timeout = FromDuration(message.ping_timeout());
  session_.set_ping_timeout(timeout > absl::ZeroDuration() ? timeout : config_.ping_timeout);
  deadlines_.Clear({DeadlineKind::kRegistration, 0});
  deadlines_.Set({DeadlineKind::kPing, 0}, now_ + session_.ping_timeout());
  if (Gated()) {
    AfterDurable(HeldRegistration{session_.link()});
  } else {
    CompleteRegistration(session_.link());
  }
}

void AgentCore::CompleteRegistration(uint64_t link) {
  if (!session_.IsCurrent(link) || session_.registered()) return;
  session_.Registered();
  ++counters_.registrations;
  for (auto& [serial, task] : tasks_.tasks()) {
    task.stream.ResetWait();
    SendHead(task);
  }
}

void AgentCore::OnPing(uint64_t sequence) {
  deadlines_.Clear({DeadlineKind::kRegistration, 0});
  deadlines_.Set({DeadlineKind::kPing, 0}, now_ + session_.ping_timeout());
  if (!session_.registered()) {
    deadlines_.Set({DeadlineKind::kRegistration, 0}, now_ + config_.registration_timeout);
  }
  AgentMessage message;
  message.mutable_pong()->set_sequence(sequence);
  Send(std::move(message));
}

void AgentCore::SendHead(Task& task) {
  const model::v1::TaskStatus* head = task.stream.Head();
  if (!session_.registered() || head == nullptr) return;
  if (task.stream.sent()) ++counters_.status_update_retries;
  AgentMessage message;
  AgentMessage::StatusUpdate* update = message.mutable_status_update();
  update->set_framework_id(task.framework_id);
  *update->mutable_status() = *head;
  update->set_latest_state(task.durable_state);
  task.sent_state = head->state();
  task.sent_uuid = head->uuid();
  Send(std::move(message));
  deadlines_.Set({DeadlineKind::kStatusRetry, task.serial},
                 now_ + task.stream.NextWait(config_.status_retry_min, config_.status_retry_max));
}

model::v1::TaskRecord AgentCore::RecordOf(const Task& task) const {
  model::v1::TaskRecord record;
  record.set_framework_id(task.framework_id);
  *record.mutable_info() = task.info;
  record.mutable_info()->set_agent_id(info_.id());
  record.set_state(task.durable_state);
  for (const model::v1::TaskStatus& status : task.history) *record.add_statuses() = status;
  if (task.sent_state != model::v1::TASK_STATE_UNSPECIFIED) {
    record.set_status_update_state(task.sent_state);
    record.set_status_update_uuid(task.sent_uuid);
  }
  return record;
}

// What is durable, in chunks; the last one is marked.
void AgentCore::SendInventory() {
  AgentMessage message;
  size_t entries = 0;
  size_t bytes = 0;
  const auto count = [&](const google::protobuf::Message& entry) {
    bytes += entry.ByteSizeLong();
    if (++entries < config_.inventory_entries_max && bytes < config_.inventory_bytes_max) return;
    Send(std::move(message));
    message = AgentMessage();
    entries = bytes = 0;
  };
  std::set<std::string> frameworks;
  std::set<TaskTable::ExecutorKey> live_executors;
  // Statuses about tasks that never were the agent's (unknown frameworks, impossible ids) are
  // delivered, too, but the master could not book them.
  const auto listed = [this](const Task& task) {
    const Framework* framework = tasks_.FindFramework(task.framework_id);
    return task.durable && !task.silent() && framework != nullptr &&
           !framework->info.id().empty() && model::ValidateId("task id", task.info.id()).ok() &&
           model::ValidateId("framework id", task.framework_id).ok();
  };
  for (const auto& [serial, task] : tasks_.tasks()) {
    if (!listed(task)) continue;
    frameworks.insert(task.framework_id);
    if (!task.executor_id.empty() && !IsTerminal(task.durable_state)) {
      live_executors.insert({task.framework_id, task.executor_id});
    }
  }
  for (const std::string& id : frameworks) {
    const Framework* framework = tasks_.FindFramework(id);
    *message.mutable_inventory()->add_frameworks() = framework->info;
    count(framework->info);
  }
  for (const auto& [serial, task] : tasks_.tasks()) {
    if (!listed(task)) continue;
    const model::v1::TaskRecord record = RecordOf(task);
    *message.mutable_inventory()->add_tasks() = record;
    count(record);
  }
  for (const TaskTable::ExecutorKey& key : live_executors) {
    const Executor* executor = tasks_.FindExecutor(key);
    if (executor == nullptr) continue;
    *message.mutable_inventory()->add_executors() = executor->info;
    count(executor->info);
  }
  message.mutable_inventory()->set_last(true);
  Send(std::move(message));
}

// The master books these here, and the agent did not list them.
void AgentCore::OnReconcile(const MasterMessage::ReconcileTasks& message) {
  for (const auto& asked : message.tasks()) {
    if (Task* task = tasks_.Find(asked.framework_id(), asked.task_id()); task != nullptr) {
      SendHead(*task);
      continue;
    }
    model::v1::TaskInfo info;
    info.set_id(asked.task_id());
    Refuse(asked.framework_id(), info, "", model::v1::TASK_DROPPED,
           model::v1::REASON_RECONCILIATION, "The agent knows no such task");
  }
}

void AgentCore::OnDrain(const model::v1::DrainConfig& config) {
  if (tasks_.tasks().empty()) return;
  drain_ = config;
  Record record;
  *record.mutable_drain()->mutable_config() = config;
  Write(std::move(record));
  for (const uint64_t serial : LiveTasks()) {
    Task* task = tasks_.Find(serial);
    if (task != nullptr) KillTask(*task, Record::KILL_DRAINING, GraceOf(*task));
  }
}

void AgentCore::FinishDrain() {
  if (!drain_.has_value() || !tasks_.tasks().empty()) return;
  drain_.reset();
  Record record;
  record.mutable_drain();
  Write(std::move(record));
}

// Kills everything. When nothing is left, the agent registers as a new one.
void AgentCore::LeaveCluster(const std::string& why) {
  if (leaving_) return;
  leaving_ = true;
  if (session_.link() != 0) EndLink(absl::CancelledError(why));
  deadlines_.Clear({DeadlineKind::kDial, 0});
  info_.clear_id();
  drain_.reset();
  Record record;
  *record.mutable_identity()->mutable_info() = info_;
  Write(std::move(record));
  for (const uint64_t serial : LiveTasks()) {
    Task* task = tasks_.Find(serial);
    if (task != nullptr) KillTask(*task, Record::KILL_AGENT_SHUTDOWN, config_.shutdown_grace);
  }
  ForgetWhenLeft();
}

void AgentCore::ForgetWhenLeft() {
  if (!leaving_) return;
  std::vector<uint64_t> ended;
  for (const auto& [serial, task] : tasks_.tasks()) {
    if (!task.ended()) return;
    ended.push_back(serial);
  }
  // Statuses of the old agent interest nobody: the master has declared its tasks dead.
  for (const uint64_t serial : ended) {
    const Task& task = *tasks_.Find(serial);
    Record record;
    record.mutable_forgotten()->set_framework_id(task.framework_id);
    record.mutable_forgotten()->set_task_id(task.info.id());
    Write(std::move(record));
    deadlines_.Clear({DeadlineKind::kStatusRetry, serial});
    tasks_.Remove(serial);
  }
  leaving_ = false;
  deadlines_.Set({DeadlineKind::kDial, 0}, now_ + session_.FirstWait());
}

void AgentCore::RefuseOperation(const MasterMessage::ApplyOperation& message) {
  AgentMessage answer;
  AgentMessage::OperationUpdate* update = answer.mutable_operation_update();
  update->set_framework_id(message.framework_id());
  update->set_latest_state(model::v1::OPERATION_ERROR);
  update->mutable_status()->set_operation_id(message.operation().id());
  update->mutable_status()->set_state(model::v1::OPERATION_ERROR);
  update->mutable_status()->set_message("this agent applies no operations to its resources");
  update->mutable_status()->set_agent_id(info_.id());
  Send(std::move(answer));
}

}  // namespace tessera::agent
