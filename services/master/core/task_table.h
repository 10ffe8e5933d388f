// Tasks in dense rows. A task is one launch: what names it is its incarnation, by which its
// framework's row finds it. The id that the framework gave it finds the newest task of that id.
//
// Invariants: a task holds resources on its agent exactly while `holds()` is true, which turns
// false once, at the first terminal state or UNREACHABLE, and true again only when its agent brings
// it back.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "services/feed/rows.h"
#include "services/master/core/indexes.h"
#include "services/master/core/master_events.h"
#include "services/master/core/slots.h"
#include "services/model/incarnation.h"
#include "services/model/resources.h"
#include "services/model/wire/task_state.h"

namespace tessera::master {

using model::wire::IsTerminal;
// Forwarded only to frameworks that are PARTITION_AWARE.
bool NeedsPartitionAware(pb::TaskState state);

struct Task {
  TaskIndex index;
  FrameworkIndex framework;
  // Not valid once its agent has left the table.
  AgentIndex agent;
  // Shared with the readers of the feed. Never null.
  std::shared_ptr<const feed::TaskFacts> facts;
  pb::TaskState state = pb::TASK_STAGING;
  // The newest status forwarded to the framework by this master.
  feed::StatusPtr forwarded;
  // While nothing was forwarded: the newest status that its agent brought, if any.
  feed::StatusPtr brought;
  // While nothing was forwarded: the state that the framework may be told out of turn. It is behind
  // `state` while statuses wait for their turn.
  pb::TaskState told_before = pb::TASK_STAGING;
  absl::Time unreachable_since = absl::InfinitePast();
  // Its number in the framework's order of unreachable tasks; 0 when it is none.
  uint64_t unreachable_order = 0;
  // A kill was asked for; repeated when the agent comes back.
  bool kill_wanted = false;
  // A newer task has its id: the framework means that one and is told nothing of this one, which is
  // killed where it runs.
  bool superseded = false;
  std::optional<pb::KillPolicy> kill_policy;

  const std::string& id() const { return facts->task_id; }
  const std::string& agent_id() const { return facts->agent_id; }
  const model::Incarnation& incarnation() const { return facts->incarnation; }
  // With allocation roles.
  const model::Resources& resources() const { return facts->resources; }

  bool unreachable() const { return unreachable_order != 0; }
  bool holds() const { return !unreachable() && !IsTerminal(state); }
  // What the framework has heard of it, or will have heard first.
  pb::TaskState told() const {
    if (unreachable()) return state;
    return forwarded != nullptr ? forwarded->state : told_before;
  }
};

// Adds to a word of the master on the task what tells frameworks which launch of its id it means:
// executor and container, as far as they are known.
void SayWhichLaunch(const Task& task, pb::TaskStatus* status);

using TaskTable = Slots<TaskIndex, Task>;

// The tasks of one framework.
class TasksOfFramework {
 public:
  using Rows = absl::btree_map<model::Incarnation, TaskIndex>;

  // Adds a row. The task of this id that was the newest until now, if any, unless the one that is
  // added is older: then that one itself. Not valid when the id was free.
  TaskIndex Add(const Task& task) {
    rows_[task.incarnation()] = task.index;
    auto [named, fresh] = newest_.try_emplace(task.id(), task.incarnation());
    if (fresh) return TaskIndex();
    if (task.incarnation() < named->second) return task.index;
    return rows_.at(std::exchange(named->second, task.incarnation()));
  }
  void Remove(const Task& task) {
    rows_.erase(task.incarnation());
    auto named = newest_.find(task.id());
    if (named != newest_.end() && named->second == task.incarnation()) newest_.erase(named);
  }

  // Not valid when there is none.
  TaskIndex Find(const model::Incarnation& incarnation) const {
    auto found = rows_.find(incarnation);
    return found == rows_.end() ? TaskIndex() : found->second;
  }
  TaskIndex Newest(const std::string& id) const {
    auto named = newest_.find(id);
    return named == newest_.end() ? TaskIndex() : rows_.at(named->second);
  }

  // In the order of their launches.
  Rows::const_iterator begin() const { return rows_.begin(); }
  Rows::const_iterator end() const { return rows_.end(); }
  bool empty() const { return rows_.empty(); }
  size_t size() const { return rows_.size(); }

 private:
  Rows rows_;
  // An older task of the id is found by its incarnation only.
  absl::flat_hash_map<std::string, model::Incarnation> newest_;
};

}  // namespace tessera::master
