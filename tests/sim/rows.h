// The rows of the cluster's state as anybody could keep them who has read the contract of the feed
// (protos/tessera/state/v1): maps of facts, built from the public messages.
//
// It shares no code with services/feed: what that drops, or takes for something else, is different
// here. What is kept of a row is what its readers act on; `facts()` stands for all of it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "protos/tessera/state/v1/state_feed_service.pb.h"

namespace tessera::sim {

// Epoch and number of what lives once.
using Life = std::pair<uint64_t, uint64_t>;
Life LifeOf(const model::v1::Incarnation& incarnation);

// Whether the state is one that no task comes back from.
bool IsTerminal(model::v1::TaskState state);

// Thousandths of what can be counted.
struct Amounts {
  int64_t cpus = 0;
  int64_t mem = 0;
  Amounts& operator+=(const Amounts& other) {
    cpus += other.cpus;
    mem += other.mem;
    return *this;
  }
  friend bool operator==(const Amounts&, const Amounts&) = default;
};
std::string ToString(const Amounts& amounts);
// Of a list of model.v1.Resource.
template <typename List>
Amounts AmountsOf(const List& resources) {
  Amounts amounts;
  for (const model::v1::Resource& resource : resources) {
    if (resource.name() == "cpus") amounts.cpus += resource.scalar().milli();
    if (resource.name() == "mem") amounts.mem += resource.scalar().milli();
  }
  return amounts;
}

struct TaskRow {
  std::string task_id;
  std::string agent_id;
  std::string executor_id;
  Life executor{0, 0};
  std::string role;
  Amounts resources;
  std::string name;
  std::string command;
  state::v1::TaskPlace place = state::v1::TASK_PLACE_UNSPECIFIED;
  model::v1::TaskState state = model::v1::TASK_STATE_UNSPECIFIED;
  // The newest status.
  model::v1::TaskState told = model::v1::TASK_STATE_UNSPECIFIED;
  std::string uuid;

  // It uses its resources on its agent.
  bool holds() const { return place == state::v1::TASK_PLACE_ACTIVE && !IsTerminal(state); }
};

struct ExecutorRow {
  std::string executor_id;
  std::string agent_id;
  Amounts resources;
};

struct AgentRow {
  std::string hostname;
  model::v1::AgentState state = model::v1::AGENT_STATE_UNSPECIFIED;
  bool deactivated = false;
  bool unavailable = false;
  Amounts total;
};

struct FrameworkRow {
  std::string name;
  model::v1::FrameworkState state = model::v1::FRAMEWORK_STATE_UNSPECIFIED;
  std::string roles;
};

struct OfferRow {
  std::string framework_id;
  std::string agent_id;
  std::string role;
  Amounts resources;
};

class Rows {
 public:
  // By framework id and incarnation.
  using Key = std::pair<std::string, Life>;

  // Nothing is known; versions of this epoch follow.
  void Reset(uint64_t epoch);
  // Empty when the change fits; otherwise what is wrong with it.
  std::string Apply(const state::v1::Change& change);
  void set_version(uint64_t version) { version_ = version; }

  uint64_t epoch() const { return epoch_; }
  uint64_t version() const { return version_; }
  // A number that stands for all rows, in whichever order they came.
  uint64_t facts() const { return facts_; }

  const std::map<std::string, AgentRow>& agents() const { return agents_; }
  const std::map<std::string, FrameworkRow>& frameworks() const { return frameworks_; }
  const std::map<Key, TaskRow>& tasks() const { return tasks_; }
  const std::map<Key, ExecutorRow>& executors() const { return executors_; }
  const std::map<std::string, OfferRow>& offers() const { return offers_; }
  // The weight of each role that has a record, in thousandths.
  const std::map<std::string, std::string>& roles() const { return roles_; }

  // What tasks and executors hold on the agent.
  Amounts UsedOn(const std::string& agent_id) const;

  // Each row as a line for people, by its key.
  std::map<std::string, std::string> Describe() const;

 private:
  template <typename Map, typename Row>
  void Put(Map* map, const typename Map::key_type& key, Row row);
  template <typename Map>
  bool Erase(Map* map, const typename Map::key_type& key);
  // Everything of the framework.
  void Forget(const std::string& framework_id);
  std::string ApplyTask(const state::v1::Change& change);

  uint64_t epoch_ = 0;
  uint64_t version_ = 0;
  uint64_t facts_ = 0;
  std::string cluster_;
  std::map<std::string, AgentRow> agents_;
  std::map<std::string, FrameworkRow> frameworks_;
  std::map<Key, TaskRow> tasks_;
  std::map<Key, ExecutorRow> executors_;
  std::map<std::string, OfferRow> offers_;
  std::map<std::string, std::string> roles_;
};

// Where the two first say something different, epochs and versions left aside; empty: nowhere.
std::string FirstDifference(const Rows& truth, const Rows& shown);

}  // namespace tessera::sim
