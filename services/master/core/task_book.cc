#include "services/master/core/task_book.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/base/bug.h"
#include "services/master/core/books.h"

namespace tessera::master {

void TaskBook::Use(Agent& agent, FrameworkIndex framework, const model::Resources& resources) {
  if (resources.empty()) return;
  agent.used[framework] += resources;
  agent.held += resources.UnallocatedCopy();
}

void TaskBook::Release(Agent& agent, FrameworkIndex framework, const model::Resources& resources) {
  if (resources.empty()) return;
  SubtractFrom(agent.used, framework, resources);
  agent.held -= resources.UnallocatedCopy();
  books_.allocator_view.GiveBack(books_.frameworks.Find(framework)->id, agent, resources,
                                 std::nullopt);
}

void TaskBook::UncountState(Framework& framework, const Task& task) {
  // A task that was called lost with its agent has been counted as ended.
  if (IsTerminal(task.state)) return;
  --framework.counters.tasks[task.state];
  --books_.counters().tasks[task.state];
}

void TaskBook::CountState(Framework& framework, pb::TaskState from, pb::TaskState to,
                          const pb::TaskStatus& status) {
  if (from != pb::TASK_STATE_UNSPECIFIED && !IsTerminal(from)) {
    --framework.counters.tasks[from];
    --books_.counters().tasks[from];
  }
  if (IsTerminal(to)) {
    ++framework.counters.tasks_terminated[to];
    ++books_.counters().tasks_terminated[{to, status.source(), status.reason()}];
  } else {
    ++framework.counters.tasks[to];
    ++books_.counters().tasks[to];
  }
}

Task& TaskBook::AddTask(Framework& framework, Agent& agent, Task row,
                        std::vector<feed::StatusPtr> history) {
  const TaskIndex index = books_.tasks.Add(std::move(row));
  Task& task = *books_.tasks.Find(index);
  task.index = index;
  task.framework = framework.index;
  task.agent = agent.index;
  if (Task* older = books_.tasks.Find(framework.tasks.Add(task)); older != nullptr) {
    older->superseded = true;
  }
  agent.tasks.insert(index);
  agent.described_bytes += task.facts->info.size();
  if (task.holds()) Use(agent, framework.index, task.resources());
  if (!IsTerminal(task.state)) {
    ++framework.counters.tasks[task.state];
    ++books_.counters().tasks[task.state];
  }
  if (framework.completed_set.erase(task.incarnation()) > 0) {
    auto& ring = framework.completed;
    ring.erase(std::find_if(ring.begin(), ring.end(), [&task](const auto& completed) {
      return completed->incarnation == task.incarnation();
    }));
  }
  books_.changed.TaskAdded(task.facts, task.state, std::move(history));
  return task;
}

bool TaskBook::SetTaskState(Task& task, pb::TaskState state, const pb::TaskStatus& status,
                            feed::StatusPtr shown) {
  Framework* framework = books_.frameworks.Find(task.framework);
  if (IsTerminal(task.state) && !task.unreachable()) return false;
  const pb::TaskState from = task.state;
  const bool held = task.holds();
  task.state = state;
  if (from != state) CountState(*framework, from, state, status);
  if (held && IsTerminal(state)) {
    Agent* agent = books_.agents.Find(task.agent);
    if (!TESSERA_BUG_IF(agent == nullptr, "a task that holds resources has no agent")) {
      Release(*agent, task.framework, task.resources());
    }
  }
  books_.changed.TaskStatus(task.facts, task.state,
                            shown != nullptr ? std::move(shown) : feed::MakeStatus(status));
  return true;
}

void TaskBook::MoveToUnreachable(Task& task, const pb::TaskStatus& status) {
  Framework* framework = books_.frameworks.Find(task.framework);
  Agent* agent = books_.agents.Find(task.agent);
  if (TESSERA_BUG_IF(agent == nullptr || !task.holds(), "moved a task that is not live")) return;
  SetTaskState(task, Books::StateFor(*framework, pb::TASK_UNREACHABLE), status);
  // Ending as LOST has released already.
  if (task.holds()) Release(*agent, task.framework, task.resources());
  TakeFromAgent(*agent, task);
  task.agent = AgentIndex();
  task.unreachable_since = books_.now();
  task.unreachable_order = ++unreachable_order_;
  framework->unreachable[task.unreachable_order] = task.index;
  unreachable_[task.agent_id()][task.unreachable_order] = task.index;
  books_.changed.TaskMoved(task.facts, feed::TASK_PLACE_UNREACHABLE);
  if (framework->unreachable.size() > books_.config().unreachable_tasks_per_framework_max) {
    Task* oldest = books_.tasks.Find(framework->unreachable.begin()->second);
    books_.changed.TaskMoved(oldest->facts, std::nullopt);
    ForgetTask(*oldest);
  }
}

void TaskBook::TakeFromAgent(Agent& agent, const Task& task) {
  if (agent.tasks.erase(task.index) > 0) agent.described_bytes -= task.facts->info.size();
}

void TaskBook::DetachTask(Task& task) {
  Framework* framework = books_.frameworks.Find(task.framework);
  if (Agent* agent = books_.agents.Find(task.agent); agent != nullptr) TakeFromAgent(*agent, task);
  framework->tasks.Remove(task);
  if (!task.unreachable()) return;
  framework->unreachable.erase(task.unreachable_order);
  auto of_agent = unreachable_.find(task.agent_id());
  of_agent->second.erase(task.unreachable_order);
  if (of_agent->second.empty()) unreachable_.erase(of_agent);
}

void TaskBook::ForgetTask(Task& task) {
  UncountState(*books_.frameworks.Find(task.framework), task);
  DetachTask(task);
  books_.tasks.Remove(task.index);
}

void TaskBook::CompleteTask(Task& task) {
  Framework* framework = books_.frameworks.Find(task.framework);
  if (TESSERA_BUG_IF(task.holds(), "completed a task that holds resources")) return;
  std::shared_ptr<const feed::TaskFacts> facts = task.facts;
  ForgetTask(task);
  books_.changed.TaskMoved(facts, feed::TASK_PLACE_COMPLETED);
  framework->completed_set.insert(facts->incarnation);
  framework->completed.push_back(std::move(facts));
  while (framework->completed.size() > books_.config().completed_tasks_per_framework_max) {
    books_.changed.TaskMoved(framework->completed.front(), std::nullopt);
    framework->completed_set.erase(framework->completed.front()->incarnation);
    framework->completed.pop_front();
  }
}

Task TaskBook::Rebooked(const Task& task) {
  Task row;
  row.facts = task.facts;
  row.kill_wanted = task.kill_wanted;
  row.kill_policy = task.kill_policy;
  return row;
}

Task* TaskBook::FindTask(Framework& framework, const std::string& task_id) {
  return books_.tasks.Find(framework.tasks.Newest(task_id));
}

Task* TaskBook::FindTask(Framework& framework, const model::Incarnation& incarnation) {
  return books_.tasks.Find(framework.tasks.Find(incarnation));
}

std::vector<TaskIndex> TaskBook::UnreachableTasksOf(const std::string& agent_id) const {
  std::vector<TaskIndex> tasks_of_it;
  auto of_agent = unreachable_.find(agent_id);
  if (of_agent == unreachable_.end()) return tasks_of_it;
  tasks_of_it.reserve(of_agent->second.size());
  for (const auto& [order, index] : of_agent->second) tasks_of_it.push_back(index);
  return tasks_of_it;
}

void TaskBook::AddExecutor(Agent& agent, Framework& framework, feed::ExecutorPtr executor) {
  Use(agent, framework.index, executor->resources);
  ++framework.executors[agent.index];
  agent.described_bytes += executor->info.size();
  books_.changed.ExecutorAdded(executor);
  agent.executors.Add(framework.index, std::move(executor));
}

bool TaskBook::RemoveExecutor(Agent& agent, const ExecutorTable::Key& key) {
  feed::ExecutorPtr executor = agent.executors.Find(key);
  if (executor == nullptr) return false;
  agent.described_bytes -= executor->info.size();
  agent.executors.Remove(key);
  Framework& framework = *books_.frameworks.Find(key.first);
  auto count = framework.executors.find(agent.index);
  if (--count->second == 0) framework.executors.erase(count);
  Release(agent, key.first, executor->resources);
  books_.changed.ExecutorRemoved(std::move(executor));
  return true;
}

absl::Status TaskBook::CheckInvariants() const {
  absl::Status broken;
  auto report = [&broken](const std::string& what) {
    if (broken.ok()) broken = absl::InternalError(what);
  };
  size_t unreachable = 0;
  books_.tasks.ForEach([&](const Task& task) {
    const Framework* framework = books_.frameworks.Find(task.framework);
    if (framework == nullptr || framework->tasks.Find(task.incarnation()) != task.index) {
      return report(absl::StrCat("task ", task.id(), " is in no framework's row"));
    }
    if (task.superseded == (framework->tasks.Newest(task.id()) == task.index)) {
      report(absl::StrCat("task ", task.id(), ": it is superseded and the newest, or neither"));
    }
    if (task.unreachable() != (framework->unreachable.count(task.unreachable_order) > 0)) {
      report(absl::StrCat("task ", task.id(), ": its place among the unreachable ones is wrong"));
    }
    if (!task.unreachable()) {
      const Agent* agent = books_.agents.Find(task.agent);
      if (agent == nullptr || !agent->tasks.contains(task.index)) {
        report(absl::StrCat("task ", task.id(), " is not in its agent's row"));
      }
      return;
    }
    ++unreachable;
    auto of_agent = unreachable_.find(task.agent_id());
    if (of_agent == unreachable_.end() || !of_agent->second.contains(task.unreachable_order)) {
      report(absl::StrCat("unreachable task ", task.id(), " is not found by its agent"));
    }
  });
  for (const auto& [agent, of_agent] : unreachable_) unreachable -= of_agent.size();
  if (unreachable != 0) report("a task that is not unreachable is found by an agent's id");
  return broken;
}

}  // namespace tessera::master
