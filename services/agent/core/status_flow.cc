#include "services/agent/core/status_flow.h"

#include <utility>

#include "services/agent/core/task_outcome.h"
#include "services/agent/core/wire_time.h"
#include "services/model/wire/incarnation.h"

namespace tessera::agent {

using checkpoint::Record;
using model::v1::TaskStatus;
using model::wire::ToProto;

TaskStatus StatusFlow::Make(const Task& task, model::v1::TaskState state,
                            model::v1::TaskStatusReason reason, const std::string& message) const {
  TaskStatus status;
  status.set_task_id(task.task_id);
  status.set_state(state);
  status.set_message(message);
  status.set_source(model::v1::SOURCE_AGENT);
  status.set_reason(reason);
  status.set_agent_id(state_.info->id());
  status.set_executor_id(task.executor_id);
  *status.mutable_timestamp() = ToTimestamp(state_.now);
  status.set_uuid(state_.uuids());
  if (!task.container_id.empty()) {
    status.mutable_container_status()->set_container_id(task.container_id);
    status.mutable_container_status()->set_init_pid(task.init_pid);
  }
  const bool by_kill = state == model::v1::TASK_KILLING || state == model::v1::TASK_KILLED;
  if (state_.drain.has_value() && by_kill) {
    status.set_reason(model::v1::REASON_AGENT_DRAINING);
    const Framework* framework = state_.frameworks.Find(task.framework_id);
    if (state_.drain->mark_gone() && state == model::v1::TASK_KILLED && framework != nullptr &&
        framework->partition_aware) {
      status.set_state(model::v1::TASK_GONE_BY_OPERATOR);
    }
  }
  return status;
}

void StatusFlow::Record(Task& task, TaskStatus status) {
  if (task.silent()) return;
  ++state_.Count().status_updates;
  state_.tasks.SetState(task, status.state());
  state_.tasks.CountPending(1);
  checkpoint::Record record;
  *record.mutable_status()->mutable_task() = ToProto(task.incarnation);
  *record.mutable_status()->mutable_status() = status;
  state_.journal.Write(std::move(record));
  task.stream.Add(std::move(status));
  state_.journal.After(after::Status{task.incarnation});
}

void StatusFlow::Record(Task& task, model::v1::TaskState state) {
  if (task.silent()) return;
  Record(task, Make(task, state, model::v1::TASK_STATUS_REASON_UNSPECIFIED, ""));
}

void StatusFlow::TellOnce(const Task& task, TaskStatus status) {
  if (!state_.session.registered()) return;
  agentlink::v1::AgentMessage message;
  auto* update = message.mutable_status_update();
  update->set_framework_id(task.framework_id);
  *update->mutable_incarnation() = ToProto(task.incarnation);
  update->set_latest_state(status.state());
  status.clear_uuid();
  *update->mutable_status() = std::move(status);
  state_.Send(std::move(message));
}

void StatusFlow::NoteDurable(Task& task) {
  if (task.stream.durable() >= task.stream.pending().size()) return;
  task.stream.MarkOneDurable();
  const TaskStatus& status = task.stream.pending()[task.stream.durable() - 1];
  task.durable_state = status.state();
  if (!task.history.empty() && task.history.back().state() == status.state()) {
    task.history.back() = status;
  } else {
    task.history.push_back(status);
  }
}

void StatusFlow::OnDurable(Task& task) {
  task.durable = true;
  NoteDurable(task);
  if (task.stream.durable() == 1) SendHead(task);
}

void StatusFlow::OnAcknowledge(const agentlink::v1::MasterMessage::AcknowledgeUpdate& message) {
  Task* task = state_.tasks.Find(model::wire::FromProto(message.incarnation()));
  if (task == nullptr || !task->stream.Acknowledge(message.uuid())) {
    ++state_.Count().ignored_messages;
    return;
  }
  ++state_.Count().acknowledgements;
  state_.deadlines.Clear(DeadlineKey::OfTask(DeadlineKind::kStatusRetry, task->incarnation));
  checkpoint::Record record;
  *record.mutable_acknowledged()->mutable_task() = message.incarnation();
  record.mutable_acknowledged()->set_uuid(message.uuid());
  state_.journal.Write(std::move(record));
  state_.journal.After(after::Acknowledgement{task->incarnation});
}

bool StatusFlow::OnAcknowledgementDurable(Task& task) {
  if (task.stream.empty()) return false;
  const TaskStatus head = task.stream.PopHead();
  state_.tasks.CountPending(-1);
  if (IsTerminal(head.state())) return true;
  SendHead(task);
  return false;
}

void StatusFlow::Clear(Task& task) {
  state_.deadlines.Clear(DeadlineKey::OfTask(DeadlineKind::kStatusRetry, task.incarnation));
  state_.tasks.CountPending(-static_cast<int64_t>(task.stream.pending().size()));
  task.stream.Clear();
}

void StatusFlow::SendHead(Task& task) {
  const TaskStatus* head = task.stream.Head();
  if (!state_.session.registered() || head == nullptr) return;
  if (task.stream.sent()) ++state_.Count().status_update_retries;
  agentlink::v1::AgentMessage message;
  auto* update = message.mutable_status_update();
  update->set_framework_id(task.framework_id);
  *update->mutable_incarnation() = ToProto(task.incarnation);
  *update->mutable_status() = *head;
  update->set_latest_state(task.durable_state);
  task.sent_state = head->state();
  task.sent_uuid = head->uuid();
  state_.Send(std::move(message));
  const absl::Duration wait =
      task.stream.NextWait(state_.config.status_retry_min, state_.config.status_retry_max);
  state_.deadlines.Set(DeadlineKey::OfTask(DeadlineKind::kStatusRetry, task.incarnation),
                       state_.now + wait);
}

void StatusFlow::SendAllHeads() {
  for (auto& [incarnation, task] : state_.tasks.tasks()) {
    task.stream.ResetWait();
    SendHead(task);
  }
}

void StatusFlow::StopRetries() {
  for (auto& [incarnation, task] : state_.tasks.tasks()) {
    state_.deadlines.Clear(DeadlineKey::OfTask(DeadlineKind::kStatusRetry, incarnation));
    task.stream.ResetWait();
  }
}

}  // namespace tessera::agent
