#include "services/feed/core/snapshot.h"

#include <algorithm>

namespace tessera::feed {
namespace {

// A number so that longer ones come after shorter ones, and bytes decide among equally long ones.
void AppendOrdered(uint64_t number, std::string* key) {
  char bytes[8];
  int size = 0;
  for (uint64_t rest = number; rest != 0; rest >>= 8) bytes[size++] = static_cast<char>(rest);
  key->push_back(static_cast<char>(size));
  while (size > 0) key->push_back(bytes[--size]);
}

model::Resources Sum(const Framework& framework, const model::Resources& scalars,
                     model::Resources Holding::*part) {
  model::Resources sum = scalars;
  if (framework.holdings_with_non_scalars == 0) return sum;
  framework.holdings.ForEach([&](const auto& entry) { sum += (entry.value.*part).NonScalars(); });
  return sum;
}

}  // namespace

std::string IncarnationKey(std::string_view id, model::Incarnation incarnation) {
  std::string key;
  key.reserve(id.size() + 10);
  key += id;
  key.push_back('\0');
  AppendOrdered(incarnation.epoch, &key);
  AppendOrdered(incarnation.number, &key);
  return key;
}

bool Holding::IsEmpty() const {
  return executors.empty() && offers == 0 &&
         std::all_of(tasks.begin(), tasks.end(), [](uint32_t count) { return count == 0; });
}

model::Resources Framework::Used() const { return Sum(*this, used_scalars, &Holding::used); }
model::Resources Framework::Offered() const {
  return Sum(*this, offered_scalars, &Holding::offered);
}

const TaskRow* Framework::FindTask(std::string_view task_id, model::Incarnation incarnation) const {
  const std::string key = IncarnationKey(task_id, incarnation);
  for (const auto* list : {&tasks, &unreachable_tasks, &completed_tasks}) {
    if (const TaskRow* task = list->Find(key)) return task;
  }
  return nullptr;
}

bool Agent::listed() const {
  return record != nullptr && (record->state() == pb::AGENT_STATE_CONNECTED ||
                               record->state() == pb::AGENT_STATE_DISCONNECTED);
}

const TaskRow* Snapshot::FindTask(std::string_view framework_id, std::string_view task_id,
                                  model::Incarnation incarnation) const {
  const Framework* framework = frameworks.Find(framework_id);
  return framework == nullptr ? nullptr : framework->FindTask(task_id, incarnation);
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
