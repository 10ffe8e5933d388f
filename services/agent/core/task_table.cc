#include "services/agent/core/task_table.h"

#include <google/protobuf/util/message_differencer.h>

#include <algorithm>

#include "services/base/bug.h"

namespace tessera::agent {

using google::protobuf::util::MessageDifferencer;

bool Framework::Has(model::v1::FrameworkInfo::Capability capability) const {
  return std::find(info.capabilities().begin(), info.capabilities().end(), capability) !=
         info.capabilities().end();
}

Task& TaskTable::Add(Task task) {
  task.serial = ++last_serial_;
  by_task_id_[{task.framework_id, task.info.id()}] = task.serial;
  if (!task.container_id.empty()) by_container_[task.container_id] = task.serial;
  ++frameworks_[task.framework_id].tasks;
  if (!task.ended()) {
    used_ += task.resources;
    if (!task.executor_id.empty()) {
      Executor& executor = executors_[{task.framework_id, task.executor_id}];
      if (executor.live_tasks++ == 0) used_ += executor.resources;
    }
  }
  const uint64_t serial = task.serial;
  return tasks_.emplace(serial, std::move(task)).first->second;
}

std::optional<TaskTable::ExecutorKey> TaskTable::MarkEnded(Task& task) {
  if (TESSERA_BUG_IF(task.ended(), "a task ended twice")) return std::nullopt;
  task.phase = Task::Phase::kEnded;
  used_ -= task.resources;
  if (task.executor_id.empty()) return std::nullopt;
  ExecutorKey key{task.framework_id, task.executor_id};
  auto found = executors_.find(key);
  if (found == executors_.end() || --found->second.live_tasks > 0) return std::nullopt;
  used_ -= found->second.resources;
  if (!replaying_) executors_.erase(found);
  return key;
}

void TaskTable::Remove(uint64_t serial) {
  auto found = tasks_.find(serial);
  if (found == tasks_.end()) return;
  Task& task = found->second;
  if (TESSERA_BUG_IF(!task.ended(), "a live task was removed")) MarkEnded(task);
  by_task_id_.erase({task.framework_id, task.info.id()});
  by_container_.erase(task.container_id);
  auto framework = frameworks_.find(task.framework_id);
  if (framework != frameworks_.end() && --framework->second.tasks == 0 && !replaying_) {
    frameworks_.erase(framework);
  }
  tasks_.erase(found);
}

void TaskTable::EndReplay() {
  replaying_ = false;
  std::erase_if(frameworks_, [](const auto& entry) { return entry.second.tasks == 0; });
  std::erase_if(executors_, [](const auto& entry) { return entry.second.live_tasks == 0; });
}

Task* TaskTable::Find(uint64_t serial) {
  auto found = tasks_.find(serial);
  return found == tasks_.end() ? nullptr : &found->second;
}

Task* TaskTable::Find(const std::string& framework_id, const std::string& task_id) {
  auto found = by_task_id_.find(std::make_pair(framework_id, task_id));
  return found == by_task_id_.end() ? nullptr : Find(found->second);
}

Task* TaskTable::FindByContainer(const std::string& container_id) {
  auto found = by_container_.find(container_id);
  return found == by_container_.end() ? nullptr : Find(found->second);
}

bool TaskTable::PutFramework(const model::v1::FrameworkInfo& info) {
  Framework& framework = frameworks_[info.id()];
  if (MessageDifferencer::Equals(framework.info, info)) return false;
  framework.info = info;
  return true;
}

const Framework* TaskTable::FindFramework(const std::string& framework_id) const {
  auto found = frameworks_.find(framework_id);
  return found == frameworks_.end() ? nullptr : &found->second;
}

bool TaskTable::PutExecutor(const model::v1::ExecutorInfo& info, model::Resources resources) {
  Executor& executor = executors_[ExecutorKey(info.framework_id(), info.id())];
  // What runs keeps the description, and the resources that are counted, of its start.
  if (executor.live_tasks > 0) return false;
  executor.info = info;
  executor.resources = std::move(resources);
  return true;
}

const Executor* TaskTable::FindExecutor(const ExecutorKey& key) const {
  auto found = executors_.find(key);
  return found == executors_.end() ? nullptr : &found->second;
}

model::Resources TaskTable::Promised() const {
  model::Resources promised = used_;
  std::map<ExecutorKey, size_t> silent_members;
  for (const auto& [serial, task] : tasks_) {
    if (task.ended() || !task.silent()) continue;
    promised -= task.resources;
    if (!task.executor_id.empty()) ++silent_members[{task.framework_id, task.executor_id}];
  }
  for (const auto& [key, members] : silent_members) {
    const Executor* executor = FindExecutor(key);
    if (executor != nullptr && executor->live_tasks == members) promised -= executor->resources;
  }
  return promised;
}

}  // namespace tessera::agent
