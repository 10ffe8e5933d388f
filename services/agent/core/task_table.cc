#include "services/agent/core/task_table.h"

#include <algorithm>
#include <utility>

#include "services/base/bug.h"

namespace tessera::agent {

Task& TaskTable::Add(Task task) {
  ++changes_;
  if (task.group != 0) {
    groups_[task.group].push_back(task.incarnation);
    last_group_ = std::max(last_group_, task.group);
  }
  if (!task.ended) {
    ++live_;
    ++states_[static_cast<size_t>(task.state)];
  }
  const model::Incarnation incarnation = task.incarnation;
  const auto [added, is_new] = tasks_.emplace(incarnation, std::move(task));
  TESSERA_BUG_IF(!is_new, "one task was added twice");
  return added->second;
}

void TaskTable::SetState(Task& task, model::v1::TaskState state) {
  ++changes_;
  if (!task.ended) {
    --states_[static_cast<size_t>(task.state)];
    ++states_[static_cast<size_t>(state)];
  }
  task.state = state;
}

void TaskTable::MarkEnded(Task& task) {
  if (TESSERA_BUG_IF(task.ended, "a task ended twice")) return;
  ++changes_;
  task.ended = true;
  --live_;
  --states_[static_cast<size_t>(task.state)];
}

void TaskTable::Remove(model::Incarnation incarnation) {
  auto found = tasks_.find(incarnation);
  if (found == tasks_.end()) return;
  Task& task = found->second;
  if (TESSERA_BUG_IF(!task.ended, "a live task was removed")) MarkEnded(task);
  CountPending(-static_cast<int64_t>(task.stream.pending().size()));
  if (auto group = groups_.find(task.group); group != groups_.end()) {
    std::erase(group->second, incarnation);
    if (group->second.empty()) groups_.erase(group);
  }
  tasks_.erase(found);
}

std::vector<model::Incarnation> TaskTable::Live() const {
  std::vector<model::Incarnation> live;
  live.reserve(live_);
  for (const auto& [incarnation, task] : tasks_) {
    if (!task.ended) live.push_back(incarnation);
  }
  return live;
}

std::vector<model::Incarnation> TaskTable::Group(uint64_t group) const {
  auto found = groups_.find(group);
  return found == groups_.end() ? std::vector<model::Incarnation>() : found->second;
}

}  // namespace tessera::agent
