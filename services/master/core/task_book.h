// Tasks and executors with what they hold: rows, their agents' and frameworks' rows, counts by
// state, and the resources that are used.
//
// Invariants: a task is in its framework's row, and in its agent's row unless it is unreachable;
// `used` of an agent is the sum of what its tasks and executors hold.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "services/feed/rows.h"
#include "services/master/core/agent_table.h"
#include "services/master/core/framework_table.h"
#include "services/master/core/task_table.h"

namespace tessera::master {

class Books;

class TaskBook {
 public:
  explicit TaskBook(Books* books) : books_(*books) {}

  // Books a task: `task` says what is launched, and its state. It holds its resources unless that
  // is terminal. Of two tasks of one id the older one is superseded. `history` is what readers see
  // beside that.
  Task& AddTask(Framework& framework, Agent& agent, Task task,
                std::vector<feed::StatusPtr> history = {});
  // The newest state of a task, with the status that tells it. False, and nothing changes, when the
  // task has ended already. A task that ends gives its resources back.
  // `shown` is the status as readers see it; null: it is made.
  bool SetTaskState(Task& task, pb::TaskState state, const pb::TaskStatus& status,
                    feed::StatusPtr shown = nullptr);
  // The agent of the task does not answer: it is kept apart, without resources and agent.
  void MoveToUnreachable(Task& task, const pb::TaskStatus& status);
  // An ended or unreachable task leaves for the ring of completed ones. The row is gone afterwards.
  void CompleteTask(Task& task);
  // The task is forgotten without a trace; it must hold nothing.
  void ForgetTask(Task& task);
  // The task without what follows from where it is booked.
  static Task Rebooked(const Task& task);
  // The newest task of this id. Null when there is none.
  Task* FindTask(Framework& framework, const std::string& task_id);
  Task* FindTask(Framework& framework, const model::Incarnation& incarnation);
  // The tasks that went unreachable with this agent, oldest first.
  std::vector<TaskIndex> UnreachableTasksOf(const std::string& agent_id) const;

  void AddExecutor(Agent& agent, Framework& framework, feed::ExecutorPtr executor);
  // False when the agent has no such executor.
  bool RemoveExecutor(Agent& agent, const ExecutorTable::Key& key);

  // INTERNAL names the first broken invariant.
  absl::Status CheckInvariants() const;

 private:
  // Resources are used, or no longer used, by a framework on an agent.
  void Use(Agent& agent, FrameworkIndex framework, const model::Resources& resources);
  void Release(Agent& agent, FrameworkIndex framework, const model::Resources& resources);
  void CountState(Framework& framework, pb::TaskState from, pb::TaskState to,
                  const pb::TaskStatus& status);
  // The task leaves the state that it is counted in.
  void UncountState(Framework& framework, const Task& task);
  // The task and its agent's row, which is there, know of one another no longer.
  static void TakeFromAgent(Agent& agent, const Task& task);
  void DetachTask(Task& task);

  Books& books_;
  uint64_t unreachable_order_ = 0;
  // Unreachable tasks in their order, by agent: one that comes back asks only for its own.
  absl::flat_hash_map<std::string, absl::btree_map<uint64_t, TaskIndex>> unreachable_;
};

}  // namespace tessera::master
