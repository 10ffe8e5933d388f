// The state that the feed tells of: applies changes, keeps what is derived from them, and gives out
// immutable snapshots.
//
// Invariants: those of snapshot.h after every Apply(); changes are absolute, so applying one again
// changes nothing; a snapshot costs a few counters, whatever the size of the cluster, and a change
// costs the nodes on its path once per snapshot.
//
// Pure. Threads: one writer; snapshots go to any thread.
#pragma once

#include <cstdint>
#include <string>

#include "services/feed/core/snapshot.h"
#include "services/feed/rows.h"

namespace tessera::feed {

class StateTable {
 public:
  StateTable() = default;
  // What it held is given up; a copy would share it.
  StateTable(const StateTable&) = delete;
  StateTable& operator=(const StateTable&) = delete;
  StateTable(StateTable&&) = default;
  StateTable& operator=(StateTable&&) = default;

  // Forgets everything.
  void Reset(uint64_t epoch);

  // Takes over the parts of the change. A change that names something unknown changes nothing and
  // is counted by ignored().
  void Apply(Change&& change);
  void set_version(uint64_t version) { state_.version = version; }

  uint64_t epoch() const { return state_.epoch; }
  uint64_t version() const { return state_.version; }
  uint64_t ignored() const { return ignored_; }

  const Snapshot& state() const { return state_; }
  SnapshotPtr Publish() const { return std::make_shared<const Snapshot>(state_); }

 private:
  friend struct Kinds;

  // One for each kind of change (kinds.h). False: it names something unknown.
  bool SetCluster(ClusterSet&& set);
  bool SetAgent(AgentSet&& set);
  bool RemoveAgent(AgentRemoved&& removed);
  bool SetFramework(FrameworkSet&& set);
  bool RemoveFramework(FrameworkRemoved&& removed);
  bool SetTask(TaskSet&& set);
  bool AddTaskStatus(TaskStatusAdded&& added);
  bool MoveTask(TaskMoved&& moved);
  bool RemoveTask(TaskRemoved&& removed);
  bool SetExecutor(ExecutorSet&& set);
  bool RemoveExecutor(ExecutorRemoved&& removed);
  bool SetOffer(OfferSet&& set);
  bool RemoveOffer(OfferRemoved&& removed);
  bool SetRole(RoleSet&& set);
  bool RemoveRole(RoleRemoved&& removed);

  // The framework, made up when it is not known: agents may tell of its tasks first.
  Framework& FrameworkFor(const std::string& id);
  bool DropExecutor(const std::string& framework_id, const std::string& key);
  bool DropOffer(const std::string& id);
  void DropOffersOfAgent(const std::string& agent_id);
  void DropOffersOfFramework(const std::string& framework_id);
  void DropExecutorsOfAgent(const std::string& agent_id);
  void DropAgentIfForgotten(const std::string& id);
  void SetRoles(const FrameworkRow& row, bool subscribed);
  void DropRoleIfForgotten(const std::string& name);

  // How a task counts: nothing before it is there and after it is gone.
  struct Standing {
    pb::TaskState state = pb::TASK_STATE_UNSPECIFIED;
    bool active = false;
    bool holds = false;
  };
  static Standing StandingOf(const TaskRow& task);
  // The task counts as `after` instead of `before`; null: it does not count.
  void Tally(Framework* framework, const TaskFacts& task, const Standing* before,
             const Standing* after);
  // Counts in (sign 1) or out (-1).
  void TallyExecutor(Framework* framework, const ExecutorRow& executor, const std::string& key,
                     int sign);
  void TallyOffer(Framework* framework, const OfferRow& offer, int sign);
  // What the framework has on its agents counts as that of a registered one (sign 1), or no more.
  void TallyRegistered(const Framework& framework, int sign);
  // Runs change(Holding*, Agent*) on the holding of the framework on the agent.
  template <typename Change>
  void ChangeHolding(Framework* framework, const std::string& agent_id, Change change);

  Snapshot state_;
  uint64_t ignored_ = 0;
};

}  // namespace tessera::feed
