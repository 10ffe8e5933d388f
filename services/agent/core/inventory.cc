#include "services/agent/core/inventory.h"

#include <utility>

#include "services/model/ids.h"
#include "services/model/wire/incarnation.h"
#include "services/model/wire/resources.h"

namespace tessera::agent {
namespace {

using agentlink::v1::AgentMessage;
using agentlink::v1::ExecutorEntry;
using agentlink::v1::TaskEntry;
using model::wire::ToProto;

// Statuses about tasks that never were the agent's (unknown frameworks, impossible ids) are
// delivered, too, but the master could not book them.
bool IsListed(const AgentState& state, const Task& task) {
  return !task.silent() && state.frameworks.Find(task.framework_id) != nullptr &&
         model::ValidateId("task id", task.task_id).ok() &&
         model::ValidateId("framework id", task.framework_id).ok();
}

TaskEntry EntryOf(const Task& task) {
  TaskEntry entry;
  entry.set_framework_id(task.framework_id);
  entry.set_task_id(task.task_id);
  *entry.mutable_incarnation() = ToProto(task.incarnation);
  entry.set_info(task.info.bytes());
  ToProto(task.holding.resources, entry.mutable_resources());
  entry.set_executor_id(task.executor_id);
  if (task.executor.valid()) *entry.mutable_executor() = ToProto(task.executor);
  entry.set_state(task.durable_state);
  for (const model::v1::TaskStatus& status : task.history) *entry.add_statuses() = status;
  if (task.sent_state != model::v1::TASK_STATE_UNSPECIFIED) {
    entry.set_status_update_state(task.sent_state);
    entry.set_status_update_uuid(task.sent_uuid);
  }
  entry.set_durable(task.durable);
  return entry;
}

ExecutorEntry EntryOf(const Executor& executor) {
  ExecutorEntry entry;
  entry.set_framework_id(executor.framework_id);
  entry.set_executor_id(executor.executor_id);
  *entry.mutable_incarnation() = ToProto(executor.incarnation);
  entry.set_info(executor.info.bytes());
  ToProto(executor.holding.resources, entry.mutable_resources());
  return entry;
}

}  // namespace

void WriteInventory(const AgentState& state, absl::FunctionRef<void(AgentMessage)> send) {
  AgentMessage message;
  size_t entries = 0;
  size_t bytes = 0;
  const auto count = [&](size_t entry_bytes) {
    bytes += entry_bytes;
    if (++entries < state.config.inventory_entries_max &&
        bytes < state.config.inventory_bytes_max) {
      return;
    }
    send(std::exchange(message, AgentMessage()));
    entries = bytes = 0;
  };
  for (const auto& [id, framework] : state.frameworks.frameworks()) {
    if (framework.tasks == 0) continue;
    message.mutable_inventory()->add_frameworks(framework.info.bytes());
    count(framework.info.size());
  }
  for (const auto& [incarnation, task] : state.tasks.tasks()) {
    if (!IsListed(state, task)) continue;
    TaskEntry* entry = message.mutable_inventory()->add_tasks();
    *entry = EntryOf(task);
    count(entry->ByteSizeLong());
  }
  for (const auto& [incarnation, executor] : state.executors.executors()) {
    if (executor.holding.withdrawn) continue;
    ExecutorEntry* entry = message.mutable_inventory()->add_executors();
    *entry = EntryOf(executor);
    count(entry->ByteSizeLong());
  }
  message.mutable_inventory()->set_last(true);
  send(std::move(message));
}

}  // namespace tessera::agent
