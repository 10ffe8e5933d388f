#include "services/agent/core/executor_flow.h"

#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/model/wire/incarnation.h"
#include "services/model/wire/resources.h"

namespace tessera::agent {

using checkpoint::Record;

Record RecordOf(const Executor& executor) {
  Record record;
  Record::Executor* entry = record.mutable_executor();
  entry->set_framework_id(executor.framework_id);
  entry->set_executor_id(executor.executor_id);
  *entry->mutable_incarnation() = model::wire::ToProto(executor.incarnation);
  entry->set_info(executor.info.bytes());
  model::wire::ToProto(executor.holding.resources, entry->mutable_resources());
  entry->set_pod_id(executor.pod_id);
  return record;
}

Executor& ExecutorFlow::Begin(Executor executor, PodSpec spec) {
  Pod pod;
  pod.id = executor.pod_id;
  pod.framework_id = executor.framework_id;
  pod.sandbox = spec.sandbox;
  pod.shared = true;
  pod.executor = executor.incarnation;
  pod.spec = std::make_unique<PodSpec>(std::move(spec));
  pods_.AddPod(std::move(pod));
  state_.journal.Write(RecordOf(executor));
  Executor& added = state_.executors.Add(std::move(executor));
  state_.book.Promise(&added.holding);
  return added;
}

void ExecutorFlow::Refuse(const std::string& framework_id, const std::string& executor_id,
                          model::Incarnation executor) {
  state_.journal.After(after::ExecutorExit{framework_id, executor_id, executor, true});
}

void ExecutorFlow::OnTaskBegins(const Task& task) {
  Executor* executor = state_.executors.Find(task.executor);
  if (executor != nullptr) executor->tasks.insert(task.incarnation);
}

void ExecutorFlow::OnTaskEnded(const Task& task) {
  Executor* executor = state_.executors.Find(task.executor);
  if (executor == nullptr || executor->tasks.erase(task.incarnation) == 0) return;
  if (executor->tasks.empty()) {
    End(*executor);
  } else {
    pods_.UpdateLimits(executor->pod_id);
  }
}

void ExecutorFlow::End(Executor& executor) {
  executor.ending = true;
  pods_.EndPod(executor.pod_id);
}

void ExecutorFlow::OnPodEnded(model::Incarnation incarnation) {
  Executor* executor = state_.executors.Find(incarnation);
  if (executor == nullptr) return;
  Record record;
  *record.mutable_executor_ended()->mutable_incarnation() = model::wire::ToProto(incarnation);
  state_.journal.Write(std::move(record));
  state_.book.Free(&executor->holding);
  state_.journal.After(
      after::ExecutorExit{executor->framework_id, executor->executor_id, incarnation, false});
  state_.executors.Remove(incarnation);
  pods_.LaunchWaiting();
}

void ExecutorFlow::Withdraw(const std::string& framework_id) {
  for (auto& [incarnation, executor] : state_.executors.executors()) {
    if (executor.framework_id == framework_id) state_.book.Withdraw(&executor.holding);
  }
}

void ExecutorFlow::Recover() {
  std::map<model::Incarnation, size_t> wanted;
  for (const auto& [incarnation, task] : state_.tasks.tasks()) {
    if (!task.ended && !task.silent() && task.executor.valid()) ++wanted[task.executor];
  }
  std::vector<model::Incarnation> over;
  for (auto& [incarnation, executor] : state_.executors.executors()) {
    if (executor.tasks.empty()) {
      over.push_back(incarnation);
    } else if (wanted.count(incarnation) == 0) {
      state_.book.Withdraw(&executor.holding);
    }
  }
  for (const model::Incarnation& incarnation : over) End(*state_.executors.Find(incarnation));
}

void ExecutorFlow::TellExit(const after::ExecutorExit& exit) {
  // Without a registration the inventory that comes with the next one says the same.
  if (!state_.session.registered()) return;
  agentlink::v1::AgentMessage message;
  auto* exited = message.mutable_executor_exited();
  exited->set_framework_id(exit.framework_id);
  exited->set_executor_id(exit.executor_id);
  *exited->mutable_incarnation() = model::wire::ToProto(exit.executor);
  exited->set_refused(exit.refused);
  state_.Send(std::move(message));
}

}  // namespace tessera::agent
