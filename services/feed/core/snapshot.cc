#include "services/feed/core/snapshot.h"

#include <algorithm>

namespace tessera::feed {

std::string ExecutorKey(const std::string& agent_id, const std::string& executor_id) {
  std::string key = agent_id;
  key.push_back('\0');
  key += executor_id;
  return key;
}

bool Task::holds() const { return place == v1::TASK_PLACE_ACTIVE && !IsTerminal(rest.state()); }

pb::TaskRecord Task::ToRecord() const {
  pb::TaskRecord record = rest;
  *record.mutable_info() = *info;
  return record;
}

bool Holding::IsEmpty() const {
  return executors == 0 && offers == 0 &&
         std::all_of(tasks.begin(), tasks.end(), [](uint32_t count) { return count == 0; });
}

namespace {

model::Resources Sum(const Framework& framework, const model::Resources& scalars,
                     model::Resources Holding::*part) {
  model::Resources sum = scalars;
  if (framework.holdings_with_non_scalars == 0) return sum;
  framework.holdings.ForEach([&](const auto& entry) { sum += (entry.value.*part).NonScalars(); });
  return sum;
}

}  // namespace

model::Resources Framework::Used() const { return Sum(*this, used_scalars, &Holding::used); }
model::Resources Framework::Offered() const {
  return Sum(*this, offered_scalars, &Holding::offered);
}

bool Agent::listed() const {
  return record != nullptr && (record->state() == pb::AGENT_STATE_CONNECTED ||
                               record->state() == pb::AGENT_STATE_DISCONNECTED);
}

const Task* Snapshot::FindTask(const std::string& framework_id, const std::string& task_id) const {
  const Framework* framework = frameworks.Find(framework_id);
  if (framework == nullptr) return nullptr;
  if (const Task* task = framework->tasks.Find(task_id)) return task;
  if (const Task* task = framework->unreachable_tasks.Find(task_id)) return task;
  return framework->completed_tasks.Find(task_id);
}

model::Resources AllocatedToRole(const Snapshot& snapshot, const std::string& role) {
  model::Resources sum;
  snapshot.frameworks.ForEach([&](const auto& entry) {
    const Framework& framework = entry.value;
    if (framework.completed()) return;
    sum += framework.Used().AllocatedTo(role);
    sum += framework.Offered().AllocatedTo(role);
  });
  return sum;
}

}  // namespace tessera::feed
