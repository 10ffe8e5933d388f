#include "services/feed/core/recompute.h"

#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "services/feed/core/change_cursor.h"

namespace tessera::feed {
namespace {

struct AgentSums {
  model::Resources used;
  model::Resources offered;
  TaskCounts tasks{};
  uint32_t active_tasks = 0;
  std::map<std::string, bool> frameworks;
};

// Sums everything up, in an order of its own and without any of the increments.
struct Sums {
  std::map<std::string, AgentSums> agents;
  std::map<std::string, std::map<std::string, Holding>> holdings;
  std::map<std::string, TaskCounts> framework_tasks;
  std::map<std::string, std::set<std::string>> role_frameworks;
  std::map<std::string, std::string> offers;
  TaskCounts tasks{};
  decltype(Snapshot::agent_counts) agent_counts{};
  decltype(Snapshot::framework_counts) framework_counts{};
};

void SumTask(const Framework& framework, const Task& task, Sums* sums) {
  const auto state = task.rest.state();
  ++sums->tasks[state];
  ++sums->framework_tasks[framework.id()][state];
  const std::string& agent_id = task.info->agent_id();
  if (agent_id.empty()) return;
  AgentSums& agent = sums->agents[agent_id];
  Holding& holding = sums->holdings[framework.id()][agent_id];
  agent.frameworks[framework.id()] = !framework.completed();
  ++holding.tasks[state];
  if (!framework.completed()) ++agent.tasks[state];
  if (task.place == v1::TASK_PLACE_ACTIVE) ++agent.active_tasks;
  if (task.place != v1::TASK_PLACE_ACTIVE || IsTerminal(state)) return;
  holding.used += *task.resources;
  agent.used += *task.resources;
}

void SumFramework(const Framework& framework, Sums* sums) {
  ++sums->framework_counts[framework.record->state()];
  sums->framework_tasks[framework.id()];
  for (const auto* list :
       {&framework.tasks, &framework.unreachable_tasks, &framework.completed_tasks}) {
    list->ForEach([&](const auto& entry) { SumTask(framework, entry.value, sums); });
  }
  framework.executors.ForEach([&](const auto& entry) {
    const Executor& executor = entry.value;
    Holding& holding = sums->holdings[framework.id()][executor.agent_id];
    AgentSums& agent = sums->agents[executor.agent_id];
    agent.frameworks[framework.id()] = !framework.completed();
    ++holding.executors;
    holding.used += *executor.resources;
    agent.used += *executor.resources;
  });
  framework.offers.ForEach([&](const auto& entry) {
    const std::string& agent_id = entry.value.record->agent_id();
    Holding& holding = sums->holdings[framework.id()][agent_id];
    AgentSums& agent = sums->agents[agent_id];
    agent.frameworks[framework.id()] = !framework.completed();
    ++holding.offers;
    holding.offered += *entry.value.resources;
    agent.offered += *entry.value.resources;
    sums->offers[entry.key] = framework.id();
  });
  if (framework.completed()) return;
  for (const std::string& role : framework.record->info().roles()) {
    sums->role_frameworks[role].insert(framework.id());
  }
}

std::string CompareAgents(const Snapshot& snapshot, const Sums& sums) {
  std::string wrong;
  size_t spoken_of = 0;
  snapshot.agents.ForEach([&](const auto& entry) {
    const Agent& agent = entry.value;
    const auto found = sums.agents.find(entry.key);
    const AgentSums none;
    const AgentSums& expected = found == sums.agents.end() ? none : found->second;
    spoken_of += found != sums.agents.end();
    std::map<std::string, bool> frameworks;
    agent.frameworks.ForEach([&](const auto& of) { frameworks[of.key] = of.value; });
    const char* what = nullptr;
    if (agent.used != expected.used) what = "used";
    if (agent.offered != expected.offered) what = "offered";
    if (agent.task_counts != expected.tasks) what = "task counts";
    if (agent.active_tasks != expected.active_tasks) what = "active tasks";
    if (frameworks != expected.frameworks) what = "frameworks";
    if (agent.record == nullptr && frameworks.empty()) what = "an entry without any use";
    if (what != nullptr) wrong = absl::StrCat("agent ", entry.key, ": ", what);
  });
  if (spoken_of != sums.agents.size()) wrong = "an agent that is spoken of is missing";
  return wrong;
}

std::string CompareFrameworks(const Snapshot& snapshot, const Sums& sums) {
  std::string wrong;
  snapshot.frameworks.ForEach([&](const auto& entry) {
    const Framework& framework = entry.value;
    const char* what = nullptr;
    if (framework.task_counts != sums.framework_tasks.at(entry.key)) what = "task counts";
    const auto found = sums.holdings.find(entry.key);
    const std::map<std::string, Holding> none;
    const auto& expected = found == sums.holdings.end() ? none : found->second;
    if (framework.holdings.size() != expected.size()) what = "number of holdings";
    model::Resources used;
    model::Resources offered;
    for (const auto& [agent_id, holding] : expected) {
      used += holding.used;
      offered += holding.offered;
      const Holding* kept = framework.holdings.Find(agent_id);
      if (kept == nullptr || kept->used != holding.used || kept->offered != holding.offered ||
          kept->tasks != holding.tasks || kept->executors != holding.executors ||
          kept->offers != holding.offers) {
        what = "a holding";
      }
    }
    if (framework.Used() != used) what = "used";
    if (framework.Offered() != offered) what = "offered";
    if (what != nullptr) wrong = absl::StrCat("framework ", entry.key, ": ", what);
  });
  return wrong;
}

std::string CompareRest(const Snapshot& snapshot, const Sums& sums) {
  if (snapshot.task_counts != sums.tasks) return "task counts";
  if (snapshot.agent_counts != sums.agent_counts) return "agent counts";
  if (snapshot.framework_counts != sums.framework_counts) return "framework counts";
  std::map<std::string, std::string> offers;
  snapshot.offers.ForEach([&](const auto& entry) { offers[entry.key] = entry.value; });
  if (offers != sums.offers) return "the index of offers";
  std::string wrong;
  size_t with_frameworks = 0;
  snapshot.roles.ForEach([&](const auto& entry) {
    std::set<std::string> frameworks;
    entry.value.frameworks.ForEach([&](const auto& of) { frameworks.insert(of.key); });
    const auto found = sums.role_frameworks.find(entry.key);
    with_frameworks += found != sums.role_frameworks.end();
    if (frameworks !=
        (found == sums.role_frameworks.end() ? std::set<std::string>() : found->second)) {
      wrong = absl::StrCat("frameworks of role ", entry.key);
    }
    if (entry.value.record == nullptr && frameworks.empty()) wrong = "a role without any use";
  });
  if (with_frameworks != sums.role_frameworks.size()) return "a role is missing";
  return wrong;
}

}  // namespace

std::string FindDisagreement(const Snapshot& snapshot) {
  Sums sums;
  snapshot.agents.ForEach([&](const auto& entry) {
    if (entry.value.record != nullptr) ++sums.agent_counts[entry.value.record->state()];
  });
  snapshot.frameworks.ForEach([&](const auto& entry) { SumFramework(entry.value, &sums); });
  std::string wrong = CompareAgents(snapshot, sums);
  if (wrong.empty()) wrong = CompareFrameworks(snapshot, sums);
  if (wrong.empty()) wrong = CompareRest(snapshot, sums);
  return wrong;
}

std::string Describe(const SnapshotPtr& snapshot) {
  std::string text;
  ChangeCursor cursor(snapshot);
  google::protobuf::RepeatedPtrField<v1::Change> changes;
  while (cursor.Next(1000, &changes)) {
  }
  for (const v1::Change& change : changes) {
    absl::StrAppend(&text, change.ShortDebugString(), "\n");
  }
  snapshot->agents.ForEach([&](const auto& entry) {
    absl::StrAppend(&text, entry.key, " uses ", ToString(entry.value.used), ", is offered ",
                    ToString(entry.value.offered), "\n");
  });
  return text;
}

}  // namespace tessera::feed
