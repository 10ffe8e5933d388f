// Statuses of tasks in AgentCore: made, written down, noted as durable, acknowledged.

#include <utility>

#include "services/agent/core/agent_core.h"
#include "services/agent/core/wire_time.h"

namespace tessera::agent {

using agentlink::v1::MasterMessage;
using checkpoint::Record;
using model::v1::FrameworkInfo;
using model::v1::TaskStatus;

TaskStatus AgentCore::MakeStatus(const Task& task, model::v1::TaskState state,
                                 model::v1::TaskStatusReason reason, const std::string& message) {
  TaskStatus status;
  status.set_task_id(task.info.id());
  status.set_state(state);
  status.set_message(message);
  status.set_source(model::v1::SOURCE_AGENT);
  status.set_reason(reason);
  status.set_agent_id(info_.id());
  status.set_executor_id(task.executor_id);
  *status.mutable_timestamp() = ToTimestamp(now_);
  status.set_uuid(uuids_());
  if (!task.container_id.empty()) {
    status.mutable_container_status()->set_container_id(task.container_id);
    status.mutable_container_status()->set_init_pid(task.init_pid);
  }
  const bool by_kill = state == model::v1::TASK_KILLING || state == model::v1::TASK_KILLED;
  if (drain_.has_value() && by_kill) {
    status.set_reason(model::v1::REASON_AGENT_DRAINING);
    const Framework* framework = tasks_.FindFramework(task.framework_id);
    if (drain_->mark_gone() && state == model::v1::TASK_KILLED && framework != nullptr &&
        framework->Has(FrameworkInfo::PARTITION_AWARE)) {
      status.set_state(model::v1::TASK_GONE_BY_OPERATOR);
    }
  }
  return status;
}

// Writes the status down; it is sent when that is durable and those before it are acknowledged.
void AgentCore::RecordStatus(Task& task, TaskStatus status) {
  if (task.silent()) return;
  ++counters_.status_updates;
  task.state = status.state();
  Record record;
  record.mutable_status()->set_framework_id(task.framework_id);
  *record.mutable_status()->mutable_status() = status;
  Write(std::move(record));
  task.stream.Add(std::move(status));
  AfterDurable(HeldStatus{task.serial});
}

void AgentCore::NoteDurableStatus(Task& task) {
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

void AgentCore::OnAcknowledge(const MasterMessage::AcknowledgeUpdate& message) {
  Task* task = tasks_.Find(message.framework_id(), message.task_id());
  if (task == nullptr || !task->stream.Acknowledge(message.uuid())) {
    ++counters_.ignored_messages;
    return;
  }
  ++counters_.acknowledgements;
  deadlines_.Clear({DeadlineKind::kStatusRetry, task->serial});
  Record record;
  record.mutable_acknowledged()->set_framework_id(message.framework_id());
  record.mutable_acknowledged()->set_task_id(message.task_id());
  record.mutable_acknowledged()->set_uuid(message.uuid());
  Write(std::move(record));
  AfterDurable(HeldAcknowledgement{task->serial});
}

}  // namespace tessera::agent
