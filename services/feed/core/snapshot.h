// The whole cluster at one version, immutable, in maps that share what did not change with the
// snapshots before and after it.
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

#include "protos/tessera/state/v1/state_feed_service.pb.h"
#include "services/model/attributes.h"
#include "services/model/resources.h"
#include "services/model/wire/task_state.h"
#include "services/feed/core/persistent_map.h"

namespace tessera::feed {

namespace pb = tessera::model::v1;

// How many tasks are in each state; indexed by pb::TaskState.
using TaskCounts = std::array<uint32_t, pb::TaskState_ARRAYSIZE>;

struct Task {
  // Shared by all versions of the task: only states and statuses change.
  std::shared_ptr<const pb::TaskInfo> info;
  std::shared_ptr<const model::Resources> resources;
  // Everything but `info`.
  pb::TaskRecord rest;
  v1::TaskPlace place = v1::TASK_PLACE_ACTIVE;

  // It uses its resources on its agent.
  bool holds() const;
  pb::TaskRecord ToRecord() const;
};

struct Executor {
  std::string agent_id;
  std::shared_ptr<const pb::ExecutorInfo> info;
  std::shared_ptr<const model::Resources> resources;
};

struct Offer {
  std::shared_ptr<const pb::Offer> record;
  std::shared_ptr<const model::Resources> resources;
};

// What one framework has on one agent.
struct Holding {
  model::Resources used;
  model::Resources offered;
  // Tasks of all three lists.
  TaskCounts tasks{};
  uint32_t executors = 0;
  uint32_t offers = 0;

  bool IsEmpty() const;
};

struct Framework {
  // Made up from its id while only tasks have told of it.
  std::shared_ptr<const pb::FrameworkRecord> record;
  PersistentMap<Task> tasks;
  PersistentMap<Task> unreachable_tasks;
  PersistentMap<Task> completed_tasks;
  // By ExecutorKey().
  PersistentMap<Executor> executors;
  PersistentMap<Offer> offers;
  // By agent id.
  PersistentMap<Holding> holdings;
  // Sums over the holdings, scalars only: ranges of two agents would run into one another.
  model::Resources used_scalars;
  model::Resources offered_scalars;
  // Holdings that have more than scalars.
  uint32_t holdings_with_non_scalars = 0;
  TaskCounts task_counts{};

  bool completed() const { return record->state() == pb::FRAMEWORK_STATE_COMPLETED; }
  const std::string& id() const { return record->info().id(); }
  model::Resources Used() const;
  model::Resources Offered() const;
};

struct Agent {
  // Null while only tasks speak of it (an unreachable or removed agent).
  std::shared_ptr<const pb::AgentRecord> record;
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
  std::shared_ptr<const v1::RoleRecord> record;
  // Ids of registered frameworks that are subscribed to it.
  PersistentMap<bool> frameworks;
};

struct Snapshot {
  uint64_t epoch = 0;
  uint64_t version = 0;
  std::shared_ptr<const v1::ClusterRecord> cluster;
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
  const Task* FindTask(const std::string& framework_id, const std::string& task_id) const;
};

using SnapshotPtr = std::shared_ptr<const Snapshot>;

using model::wire::IsTerminal;

// Agents come first, so that executors of one agent are neighbours.
std::string ExecutorKey(const std::string& agent_id, const std::string& executor_id);

// Used (by tasks and executors) and offered resources that are allocated to the role.
model::Resources AllocatedToRole(const Snapshot& snapshot, const std::string& role);

}  // namespace tessera::feed
