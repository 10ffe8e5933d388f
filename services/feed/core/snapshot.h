// The whole cluster at one version, immutable, in maps that share what did not change with the
// snapshots before and after it.
//
// Tasks and executors are rows by incarnation, in the order of their ids: all launches of one id
// are neighbours, the newest last.
//
// Invariants: every offer is of a listed agent and a registered framework; a task is in exactly one
// list of its framework; what is derived (used, offered, counts, frameworks of roles) agrees with
// the records (recompute.h computes it anew, for tests).
//
// Threads: any number of readers, each holding a shared_ptr<const Snapshot>. No lock anywhere.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "services/feed/core/persistent_map.h"
#include "services/feed/rows.h"
#include "services/model/resources.h"
#include "services/model/wire/task_state.h"

namespace tessera::feed {

// How many tasks are in each state; indexed by pb::TaskState.
using TaskCounts = std::array<uint32_t, pb::TaskState_ARRAYSIZE>;

// What one framework has on one agent.
struct Holding {
  model::Resources used;
  model::Resources offered;
  // Tasks of all three lists.
  TaskCounts tasks{};
  // By IncarnationKey().
  PersistentMap<bool> executors;
  uint32_t offers = 0;

  bool IsEmpty() const;
};

struct Framework {
  // Made up from its id while only tasks have told of it.
  FrameworkPtr row;
  // By IncarnationKey(), tasks and executors alike.
  PersistentMap<TaskRow> tasks;
  PersistentMap<TaskRow> unreachable_tasks;
  PersistentMap<TaskRow> completed_tasks;
  PersistentMap<ExecutorPtr> executors;
  PersistentMap<OfferPtr> offers;
  // By agent id.
  PersistentMap<Holding> holdings;
  // Sums over the holdings, scalars only: ranges of two agents would run into one another.
  model::Resources used_scalars;
  model::Resources offered_scalars;
  // Holdings that have more than scalars.
  uint32_t holdings_with_non_scalars = 0;
  TaskCounts task_counts{};

  bool completed() const { return row->state == pb::FRAMEWORK_STATE_COMPLETED; }
  const std::string& id() const { return row->id; }
  model::Resources Used() const;
  model::Resources Offered() const;

  // The task in whichever list it is; null when there is none.
  const TaskRow* FindTask(std::string_view task_id, model::Incarnation incarnation) const;
};

struct Agent {
  // Null while only tasks speak of it (an unreachable or removed agent).
  AgentPtr record;
  std::shared_ptr<const model::Resources> total;
  model::Resources used;
  model::Resources offered;
  // Of registered frameworks, all three lists.
  TaskCounts task_counts{};
  // Of all frameworks: live, or ended and not acknowledged.
  uint32_t active_tasks = 0;
  // By id: frameworks with a holding here. The value says whether the framework is registered.
  PersistentMap<bool> frameworks;

  // Connected, or not connected right now; its offers may be outstanding.
  bool listed() const;
};

struct Role {
  // Null when only frameworks name it.
  RolePtr record;
  // Ids of registered frameworks that are subscribed to it.
  PersistentMap<bool> frameworks;
};

struct Snapshot {
  uint64_t epoch = 0;
  uint64_t version = 0;
  ClusterPtr cluster;
  PersistentMap<Agent> agents;
  PersistentMap<Framework> frameworks;
  PersistentMap<Role> roles;
  // Id of the framework that each offer was made to.
  PersistentMap<std::string> offers;
  // Of all frameworks and lists.
  TaskCounts task_counts{};
  // Indexed by pb::AgentState and pb::FrameworkState.
  std::array<uint32_t, pb::AgentState_ARRAYSIZE> agent_counts{};
  std::array<uint32_t, pb::FrameworkState_ARRAYSIZE> framework_counts{};

  // The task in whichever list it is; null when there is none.
  const TaskRow* FindTask(std::string_view framework_id, std::string_view task_id,
                          model::Incarnation incarnation) const;
};

using SnapshotPtr = std::shared_ptr<const Snapshot>;

using model::wire::IsTerminal;

// It uses its resources on its agent.
inline bool Holds(const TaskRow& task) {
  return task.place == TASK_PLACE_ACTIVE && !IsTerminal(task.state);
}

// Orders by id, then by age. Ids have no control characters, so no key of one id stands among those
// of another.
std::string IncarnationKey(std::string_view id, model::Incarnation incarnation);

// Calls visit(entry) for the rows of one id in a list of tasks or executors, oldest first, that
// come after the key *after (all of them when it is null), until it returns false. Returns false
// when it did.
template <typename Row, typename Visit>
bool ForEachOfId(const PersistentMap<Row>& list, std::string_view id, const std::string* after,
                 Visit visit) {
  std::string first(id);
  first.push_back('\0');
  const auto is_of_id = [&](const std::string& key) { return key.starts_with(first); };
  bool went_on = true;
  list.ForEachAfter(after != nullptr && *after > first ? after : &first, [&](const auto& entry) {
    went_on = !is_of_id(entry.key) || visit(entry);
    return went_on && is_of_id(entry.key);
  });
  return went_on;
}

// Used (by tasks and executors) and offered resources that are allocated to the role.
model::Resources AllocatedToRole(const Snapshot& snapshot, const std::string& role);

}  // namespace tessera::feed
