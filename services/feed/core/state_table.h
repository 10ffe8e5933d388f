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

  // Takes over the parts of the change. A change that names something unknown, or has no kind that
  // this version knows, changes nothing and is counted by ignored().
  void Apply(v1::Change&& change);
  void set_version(uint64_t version) { state_.version = version; }

  uint64_t epoch() const { return state_.epoch; }
  uint64_t version() const { return state_.version; }
  uint64_t ignored() const { return ignored_; }

  const Snapshot& state() const { return state_; }
  SnapshotPtr Publish() const { return std::make_shared<const Snapshot>(state_); }

 private:
  void SetAgent(pb::AgentRecord&& record);
  void RemoveAgent(const std::string& id);
  void SetFramework(pb::FrameworkRecord&& record);
  void RemoveFramework(const std::string& id);
  void SetTask(pb::TaskRecord&& record, v1::TaskPlace place);
  void AddTaskStatus(v1::Change::TaskStatusAdded&& added);
  void MoveTask(const std::string& framework_id, const std::string& task_id, v1::TaskPlace place);
  void RemoveTask(const std::string& framework_id, const std::string& task_id);
  void SetExecutor(const std::string& agent_id, pb::ExecutorInfo&& info);
  void RemoveExecutor(const std::string& agent_id, const std::string& framework_id,
                      const std::string& executor_id);
  void SetOffer(pb::Offer&& record);
  void RemoveOffer(const std::string& id);
  void SetRole(v1::RoleRecord&& record);
  void RemoveRole(const std::string& name);

  // The framework, made up when it is not known: agents may tell of its tasks first.
  Framework& FrameworkFor(const std::string& id);
  void DropOffersOfAgent(const std::string& agent_id);
  void DropOffersOfFramework(const std::string& framework_id);
  void DropExecutorsOfAgent(const std::string& agent_id);
  void DropAgentIfForgotten(const std::string& id);
  void SetRoles(const pb::FrameworkRecord& record, bool subscribed);
  void DropRoleIfForgotten(const std::string& name);

  // How a task counts: nothing before it is there and after it is gone.
  struct Standing {
    pb::TaskState state = pb::TASK_STATE_UNSPECIFIED;
    bool active = false;
    bool holds = false;
  };
  static Standing StandingOf(const Task& task);
  // The task counts as `after` instead of `before`; null: it does not count.
  void Tally(Framework* framework, const Task& task, const Standing* before, const Standing* after);
  // Counts in (sign 1) or out (-1).
  void TallyExecutor(Framework* framework, const Executor& executor, int sign);
  void TallyOffer(Framework* framework, const Offer& offer, int sign);
  // What the framework has on its agents counts as that of a registered one (sign 1), or no more.
  void TallyRegistered(const Framework& framework, int sign);
  // Runs change(Holding*, Agent*) on the holding of the framework on the agent.
  template <typename Change>
  void ChangeHolding(Framework* framework, const std::string& agent_id, Change change);

  Snapshot state_;
  uint64_t ignored_ = 0;
};

}  // namespace tessera::feed
