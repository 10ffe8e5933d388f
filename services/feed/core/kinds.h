// The one table of what the feed tells of: a new kind of row is a new entry here, and the compiler
// names what the entry lacks.
//
// An entry says of its rows how a snapshot tells them to a follower, and how what is derived from
// them is summed up anew; and of each change of them its number on the wire, how the table applies
// it, and whom it concerns. All who go through rows or changes go through this table: none has a
// list of kinds of its own. What the readers of state-svc show of a row is in a table of its own,
// which has to have the same rows (services/state/json/shown.h).
//
// Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <variant>
#include <vector>

#include "services/feed/core/snapshot.h"
#include "services/feed/core/state_table.h"
#include "services/feed/rows.h"
#include "services/feed/wire/carried.pb.h"

namespace tessera::feed {

// ---- whom a change concerns ---------------------------------------------------------------------

struct ChangeScope {
  // Whatever is watched, as changes of roles.
  bool everybody = false;
  // Empty: of no framework, or of no agent; whoever watches one is not concerned.
  std::string framework_id;
  std::string agent_id;

  // Whether it concerns who watches the framework and the agent; an empty one is any.
  bool Concerns(std::string_view framework, std::string_view agent) const {
    return everybody || ((framework.empty() || framework == framework_id) &&
                         (agent.empty() || agent == agent_id));
  }
  friend bool operator==(const ChangeScope&, const ChangeScope&) = default;
};

// ---- how a snapshot is told ---------------------------------------------------------------------

// A piece of a snapshot that is being told.
class Telling {
 public:
  Telling(size_t changes_max, std::vector<Change>* changes)
      : changes_max_(changes_max), changes_(changes) {}

  // It has all that it may have.
  bool full() const { return told_ >= changes_max_ || bytes_ >= kBytesMax; }
  // `bytes`: about as many as the change has on the wire.
  void Add(Change change, size_t bytes) {
    ++told_;
    bytes_ += bytes;
    changes_->push_back(std::move(change));
  }

 private:
  // A piece is a message; one change is at most a few MiB, a message at most 64.
  static constexpr size_t kBytesMax = 4 << 20;

  const size_t changes_max_;
  size_t told_ = 0;
  size_t bytes_ = 0;
  std::vector<Change>* const changes_;
};

// How far the rows of one kind have been told.
struct TellingPlace {
  // The last key of the map that is gone through, and of frameworks when it is one of theirs.
  std::optional<std::string> key;
  std::optional<std::string> framework;
  // The framework is not done: it is at this one of its lists.
  bool in_framework = false;
  size_t list = 0;
};

// ---- entries ------------------------------------------------------------------------------------

struct Sums;

// One kind of change.
template <typename C>
struct Told {
  using Change = C;
  // Of the field of Change.kind.
  int number;
  bool (StateTable::*apply)(C&&);
  // In the state that the change is about to be applied to, which may not know what it names.
  ChangeScope (*scope)(const Snapshot&, const C&);
};

// One kind of row, and all that is done to it.
template <typename R, typename... Cs>
struct Kind {
  using Row = R;
  std::string_view name;
  // Tells all rows after the place, which moves on; true when the last one has been told.
  bool (*tell)(const Snapshot&, TellingPlace*, Telling*);
  // Adds up what is derived from the rows, without any of the increments (recompute.cc).
  void (*sum)(const Snapshot&, Sums*);
  std::tuple<Told<Cs>...> changes;
};

bool TellCluster(const Snapshot& state, TellingPlace* place, Telling* telling);
bool TellRoles(const Snapshot& state, TellingPlace* place, Telling* telling);
bool TellAgents(const Snapshot& state, TellingPlace* place, Telling* telling);
bool TellFrameworks(const Snapshot& state, TellingPlace* place, Telling* telling);
bool TellTasks(const Snapshot& state, TellingPlace* place, Telling* telling);
bool TellExecutors(const Snapshot& state, TellingPlace* place, Telling* telling);
bool TellOffers(const Snapshot& state, TellingPlace* place, Telling* telling);

// The cluster's record derives nothing.
inline void SumCluster(const Snapshot&, Sums*) {}
void SumRoles(const Snapshot& state, Sums* sums);
void SumAgents(const Snapshot& state, Sums* sums);
void SumFrameworks(const Snapshot& state, Sums* sums);
void SumTasks(const Snapshot& state, Sums* sums);
void SumExecutors(const Snapshot& state, Sums* sums);
void SumOffers(const Snapshot& state, Sums* sums);

template <typename C>
ChangeScope ScopeOfEverybody(const Snapshot&, const C&) {
  return {.everybody = true};
}
ChangeScope ScopeOfAgent(const Snapshot& state, const AgentSet& set);
ChangeScope ScopeOfAgentRemoved(const Snapshot& state, const AgentRemoved& removed);
ChangeScope ScopeOfFramework(const Snapshot& state, const FrameworkSet& set);
ChangeScope ScopeOfFrameworkRemoved(const Snapshot& state, const FrameworkRemoved& removed);
ChangeScope ScopeOfTask(const Snapshot& state, const TaskSet& set);
// Of a change that names a task.
template <typename C>
ChangeScope ScopeOfNamedTask(const Snapshot& state, const C& change) {
  const TaskRow* task = state.FindTask(change.framework_id, change.task_id, change.incarnation);
  return {.framework_id = change.framework_id,
          .agent_id = task == nullptr ? std::string() : task->facts->agent_id};
}
ChangeScope ScopeOfExecutor(const Snapshot& state, const ExecutorSet& set);
ChangeScope ScopeOfExecutorRemoved(const Snapshot& state, const ExecutorRemoved& removed);
ChangeScope ScopeOfOffer(const Snapshot& state, const OfferSet& set);
ChangeScope ScopeOfOfferRemoved(const Snapshot& state, const OfferRemoved& removed);

struct Kinds {
  using C = wire::Change;
  using T = StateTable;

  // In the order in which a snapshot tells them: what a row names comes before it.
  static constexpr std::tuple kTable{
      Kind<ClusterPtr, ClusterSet>{
          "cluster",
          TellCluster,
          SumCluster,
          {{C::kClusterSetFieldNumber, &T::SetCluster, ScopeOfEverybody<ClusterSet>}}},
      Kind<RolePtr, RoleSet, RoleRemoved>{
          "role",
          TellRoles,
          SumRoles,
          {{C::kRoleSetFieldNumber, &T::SetRole, ScopeOfEverybody<RoleSet>},
           {C::kRoleRemovedFieldNumber, &T::RemoveRole, ScopeOfEverybody<RoleRemoved>}}},
      Kind<AgentPtr, AgentSet, AgentRemoved>{
          "agent",
          TellAgents,
          SumAgents,
          {{C::kAgentSetFieldNumber, &T::SetAgent, ScopeOfAgent},
           {C::kAgentRemovedFieldNumber, &T::RemoveAgent, ScopeOfAgentRemoved}}},
      Kind<FrameworkPtr, FrameworkSet, FrameworkRemoved>{
          "framework",
          TellFrameworks,
          SumFrameworks,
          {{C::kFrameworkSetFieldNumber, &T::SetFramework, ScopeOfFramework},
           {C::kFrameworkRemovedFieldNumber, &T::RemoveFramework, ScopeOfFrameworkRemoved}}},
      Kind<TaskRow, TaskSet, TaskStatusAdded, TaskMoved, TaskRemoved>{
          "task",
          TellTasks,
          SumTasks,
          {{C::kTaskSetFieldNumber, &T::SetTask, ScopeOfTask},
           {C::kTaskStatusAddedFieldNumber, &T::AddTaskStatus, ScopeOfNamedTask<TaskStatusAdded>},
           {C::kTaskMovedFieldNumber, &T::MoveTask, ScopeOfNamedTask<TaskMoved>},
           {C::kTaskRemovedFieldNumber, &T::RemoveTask, ScopeOfNamedTask<TaskRemoved>}}},
      Kind<ExecutorPtr, ExecutorSet, ExecutorRemoved>{
          "executor",
          TellExecutors,
          SumExecutors,
          {{C::kExecutorSetFieldNumber, &T::SetExecutor, ScopeOfExecutor},
           {C::kExecutorRemovedFieldNumber, &T::RemoveExecutor, ScopeOfExecutorRemoved}}},
      Kind<OfferPtr, OfferSet, OfferRemoved>{
          "offer",
          TellOffers,
          SumOffers,
          {{C::kOfferSetFieldNumber, &T::SetOffer, ScopeOfOffer},
           {C::kOfferRemovedFieldNumber, &T::RemoveOffer, ScopeOfOfferRemoved}}},
  };
  static constexpr size_t kCount = std::tuple_size_v<decltype(kTable)>;

  // Calls visit(kind) for each entry, in order.
  template <typename Visit>
  static constexpr void ForEach(Visit visit) {
    std::apply([&](const auto&... kind) { (visit(kind), ...); }, kTable);
  }

  // All changes of the table, in its order.
  static constexpr auto kChanges =
      std::apply([](const auto&... kind) { return std::tuple_cat(kind.changes...); }, kTable);

  // The entry of a kind of change; does not compile when it has none, or two.
  template <typename Change>
  static constexpr const Told<Change>& Of() {
    return std::get<Told<Change>>(kChanges);
  }
};

// ---- what the compiler checks -------------------------------------------------------------------

namespace kinds_internal {

// Each alternative of Change has its entry, and its place in the variant is that on the wire.
template <size_t... I>
constexpr bool AreNumbered(std::index_sequence<I...>) {
  return ((Kinds::Of<std::variant_alternative_t<I, Change>>().number == static_cast<int>(I) + 1) &&
          ...);
}
static_assert(AreNumbered(std::make_index_sequence<std::variant_size_v<Change>>()),
              "changes are listed in the order of their numbers on the wire");
static_assert(std::tuple_size_v<decltype(Kinds::kChanges)> == std::variant_size_v<Change>,
              "the table has changes that are none");

}  // namespace kinds_internal

// In the state that the change is about to be applied to.
ChangeScope ScopeOf(const Snapshot& state, const Change& change);

}  // namespace tessera::feed
