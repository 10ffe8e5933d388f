#include "tests/sim/rows.h"

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tests/sim/digest.h"

namespace tessera::sim {

namespace pb = model::v1;

namespace {

std::string Text(const std::string& key) { return key; }
std::string Text(const Life& life) { return absl::StrCat(life.first, ".", life.second); }
std::string Text(const Rows::Key& key) { return absl::StrCat(key.first, "/", Text(key.second)); }

std::string Line(const TaskRow& task) {
  return absl::StrCat("task ", task.task_id, " '", task.name, "' `", task.command, "` on ",
                      task.agent_id, " under '", task.executor_id, "' ", Text(task.executor),
                      " for ", task.role, " with ", ToString(task.resources), " in ",
                      state::v1::TaskPlace_Name(task.place), " is ", pb::TaskState_Name(task.state),
                      ", told ", pb::TaskState_Name(task.told), " by ",
                      absl::BytesToHexString(task.uuid));
}
std::string Line(const ExecutorRow& executor) {
  return absl::StrCat("executor ", executor.executor_id, " on ", executor.agent_id, " with ",
                      ToString(executor.resources));
}
std::string Line(const AgentRow& agent) {
  return absl::StrCat("agent ", agent.hostname, " ", pb::AgentState_Name(agent.state),
                      agent.deactivated ? " deactivated" : "",
                      agent.unavailable ? " to be unavailable" : "", " with ",
                      ToString(agent.total));
}
std::string Line(const FrameworkRow& framework) {
  return absl::StrCat("framework '", framework.name, "' ", pb::FrameworkState_Name(framework.state),
                      " in ", framework.roles);
}
std::string Line(const OfferRow& offer) {
  return absl::StrCat("offer to ", offer.framework_id, " of ", offer.agent_id, " for ", offer.role,
                      " of ", ToString(offer.resources));
}
std::string Line(const std::string& role) { return absl::StrCat("role ", role); }

// The kind of a row is part of what it is known by.
template <typename Key, typename Row>
uint64_t FactsOf(const Key& key, const Row& row) {
  Digest digest;
  digest.Add(Text(key));
  digest.Add(Line(row));
  return digest.value();
}

}  // namespace

Life LifeOf(const pb::Incarnation& incarnation) {
  return {incarnation.epoch(), incarnation.number()};
}

bool IsTerminal(pb::TaskState state) {
  switch (state) {
    case pb::TASK_FINISHED:
    case pb::TASK_FAILED:
    case pb::TASK_KILLED:
    case pb::TASK_ERROR:
    case pb::TASK_LOST:
    case pb::TASK_DROPPED:
    case pb::TASK_GONE:
    case pb::TASK_GONE_BY_OPERATOR:
      return true;
    default:
      return false;
  }
}

std::string ToString(const Amounts& amounts) {
  return absl::StrCat(amounts.cpus, " millicpus and ", amounts.mem, " milli-MiB");
}

// ---- Changes

template <typename Map, typename Row>
void Rows::Put(Map* map, const typename Map::key_type& key, Row row) {
  Erase(map, key);
  facts_ += FactsOf(key, row);
  map->emplace(key, std::move(row));
}

template <typename Map>
bool Rows::Erase(Map* map, const typename Map::key_type& key) {
  const auto it = map->find(key);
  if (it == map->end()) return false;
  facts_ -= FactsOf(key, it->second);
  map->erase(it);
  return true;
}

void Rows::Reset(uint64_t epoch) {
  *this = Rows();
  epoch_ = epoch;
}

void Rows::Forget(const std::string& framework_id) {
  const auto of_framework = [&](auto* map) {
    for (auto it = map->lower_bound({framework_id, {0, 0}});
         it != map->end() && it->first.first == framework_id;) {
      const Key key = it->first;
      ++it;
      Erase(map, key);
    }
  };
  of_framework(&tasks_);
  of_framework(&executors_);
  for (auto it = offers_.begin(); it != offers_.end();) {
    const std::string id = it->first;
    const bool its = it->second.framework_id == framework_id;
    ++it;
    if (its) Erase(&offers_, id);
  }
  Erase(&frameworks_, framework_id);
}

// Changes are absolute: to remove what is not there is no harm. To change a part of it is.
std::string Rows::Apply(const state::v1::Change& change) {
  using C = state::v1::Change;
  switch (change.kind_case()) {
    case C::kClusterSet:
      cluster_ = change.cluster_set().cluster().master_id();
      return "";
    case C::kAgentSet: {
      const pb::AgentRecord& record = change.agent_set().agent();
      AgentRow row;
      row.hostname = record.info().hostname();
      row.state = record.state();
      row.deactivated = record.deactivated();
      row.unavailable = record.has_unavailability();
      row.total = AmountsOf(record.total_resources());
      Put(&agents_, record.info().id(), std::move(row));
      return "";
    }
    case C::kAgentRemoved:
      Erase(&agents_, change.agent_removed().agent_id());
      return "";
    case C::kFrameworkSet: {
      const pb::FrameworkRecord& record = change.framework_set().framework();
      FrameworkRow row;
      row.name = record.info().name();
      row.state = record.state();
      row.roles = absl::StrJoin(record.info().roles(), ",");
      Put(&frameworks_, record.info().id(), std::move(row));
      return "";
    }
    case C::kFrameworkRemoved:
      Forget(change.framework_removed().framework_id());
      return "";
    case C::kTaskSet:
    case C::kTaskStatusAdded:
    case C::kTaskMoved:
    case C::kTaskRemoved:
      return ApplyTask(change);
    case C::kExecutorSet: {
      const pb::ExecutorRecord& record = change.executor_set().executor();
      ExecutorRow row;
      row.executor_id = record.executor_id();
      row.agent_id = record.agent_id();
      row.resources = AmountsOf(record.resources());
      Put(&executors_, {record.framework_id(), LifeOf(record.incarnation())}, std::move(row));
      return "";
    }
    case C::kExecutorRemoved: {
      const auto& removed = change.executor_removed();
      Erase(&executors_, {removed.framework_id(), LifeOf(removed.incarnation())});
      return "";
    }
    case C::kOfferSet: {
      const pb::Offer& offer = change.offer_set().offer();
      OfferRow row;
      row.framework_id = offer.framework_id();
      row.agent_id = offer.agent_id();
      row.role = offer.role();
      row.resources = AmountsOf(offer.resources());
      Put(&offers_, offer.id(), std::move(row));
      return "";
    }
    case C::kOfferRemoved:
      return Erase(&offers_, change.offer_removed().offer_id()) ? ""
                                                                : "an unknown offer is removed";
    case C::kRoleSet: {
      const state::v1::RoleRecord& record = change.role_set().role();
      Put(&roles_, record.name(), absl::StrCat("weight ", record.weight_milli()));
      return "";
    }
    case C::kRoleRemoved:
      Erase(&roles_, change.role_removed().role());
      return "";
    case C::KIND_NOT_SET:
      return "a change of no known kind";
  }
  return "a change of no known kind";
}

std::string Rows::ApplyTask(const state::v1::Change& change) {
  using C = state::v1::Change;
  if (change.kind_case() == C::kTaskSet) {
    const pb::TaskRecord& record = change.task_set().task();
    TaskRow row;
    row.task_id = record.info().id();
    row.agent_id = record.agent_id();
    row.executor_id = record.executor_id();
    row.executor = LifeOf(record.executor());
    if (!record.resources().empty()) row.role = record.resources(0).allocation_role();
    row.resources = AmountsOf(record.resources());
    row.name = record.info().name();
    row.command = record.info().command().value();
    row.place = change.task_set().place();
    row.state = record.state();
    // What was told last need not be the newest of its history: an agent that comes back brings
    // that whole, and repeats what nobody has acknowledged.
    if (record.status_update_state() != pb::TASK_STATE_UNSPECIFIED) {
      row.told = record.status_update_state();
      row.uuid = record.status_update_uuid();
    } else if (!record.statuses().empty()) {
      row.told = record.statuses().rbegin()->state();
      row.uuid = record.statuses().rbegin()->uuid();
    }
    Put(&tasks_, {record.framework_id(), LifeOf(record.incarnation())}, std::move(row));
    return "";
  }
  Key key;
  if (change.has_task_status_added()) {
    const auto& added = change.task_status_added();
    key = {added.framework_id(), LifeOf(added.incarnation())};
  } else if (change.has_task_moved()) {
    key = {change.task_moved().framework_id(), LifeOf(change.task_moved().incarnation())};
  } else {
    key = {change.task_removed().framework_id(), LifeOf(change.task_removed().incarnation())};
  }
  const auto it = tasks_.find(key);
  if (change.has_task_removed()) {
    Erase(&tasks_, key);
    return "";
  }
  if (it == tasks_.end()) return absl::StrCat("an unknown task ", Text(key), " changes");
  TaskRow row = it->second;
  if (change.has_task_moved()) {
    row.place = change.task_moved().place();
  } else {
    row.state = change.task_status_added().state();
    row.told = change.task_status_added().status().state();
    row.uuid = change.task_status_added().status().uuid();
  }
  Put(&tasks_, key, std::move(row));
  return "";
}

// ---- Questions

Amounts Rows::UsedOn(const std::string& agent_id) const {
  Amounts used;
  for (const auto& [key, task] : tasks_) {
    if (task.agent_id == agent_id && task.holds()) used += task.resources;
  }
  for (const auto& [key, executor] : executors_) {
    if (executor.agent_id == agent_id) used += executor.resources;
  }
  return used;
}

std::map<std::string, std::string> Rows::Describe() const {
  std::map<std::string, std::string> lines;
  const auto add = [&lines](const std::string& kind, const auto& map) {
    for (const auto& [key, row] : map) lines[absl::StrCat(kind, " ", Text(key))] = Line(row);
  };
  add("agent", agents_);
  add("framework", frameworks_);
  add("task", tasks_);
  add("executor", executors_);
  add("offer", offers_);
  add("role", roles_);
  return lines;
}

std::string FirstDifference(const Rows& truth, const Rows& shown) {
  if (truth.facts() == shown.facts()) return "";
  const auto expected = truth.Describe(), actual = shown.Describe();
  for (const auto& [key, line] : expected) {
    const auto it = actual.find(key);
    if (it == actual.end()) return absl::StrCat(key, " is not shown: ", line);
    if (it->second != line)
      return absl::StrCat(key, " is shown as: ", it->second, "; true: ", line);
  }
  for (const auto& [key, line] : actual) {
    if (!expected.contains(key)) return absl::StrCat(key, " is shown and not there: ", line);
  }
  return "the facts differ, and no row does";
}

}  // namespace tessera::sim
