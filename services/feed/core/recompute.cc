#include "services/feed/core/recompute.h"

#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "services/feed/core/change_cursor.h"
#include "services/feed/core/kinds.h"
#include "services/feed/wire/codec.h"

namespace tessera::feed {

struct AgentSums {
  model::Resources used;
  model::Resources offered;
  TaskCounts tasks{};
  uint32_t active_tasks = 0;
  std::map<std::string, bool> frameworks;
};

struct HoldingSums {
  model::Resources used;
  model::Resources offered;
  TaskCounts tasks{};
  std::set<std::string> executors;
  uint32_t offers = 0;
};

// Sums everything up, in an order of its own and without any of the increments.
struct Sums {
  std::map<std::string, AgentSums> agents;
  std::map<std::string, std::map<std::string, HoldingSums>> holdings;
  std::map<std::string, TaskCounts> framework_tasks;
  std::map<std::string, std::set<std::string>> role_frameworks;
  std::map<std::string, std::string> offers;
  // Roles that have a record of their own.
  std::set<std::string> roles;
  TaskCounts tasks{};
  decltype(Snapshot::agent_counts) agent_counts{};
  decltype(Snapshot::framework_counts) framework_counts{};

  // What the framework has on the agent; both are told of one another.
  HoldingSums& On(const Framework& framework, const std::string& agent_id) {
    agents[agent_id].frameworks[framework.id()] = !framework.completed();
    return holdings[framework.id()][agent_id];
  }
};

namespace {

void SumTask(const Framework& framework, const TaskRow& task, Sums* sums) {
  ++sums->tasks[task.state];
  ++sums->framework_tasks[framework.id()][task.state];
  const std::string& agent_id = task.facts->agent_id;
  if (agent_id.empty()) return;
  HoldingSums& holding = sums->On(framework, agent_id);
  AgentSums& agent = sums->agents[agent_id];
  ++holding.tasks[task.state];
  if (!framework.completed()) ++agent.tasks[task.state];
  if (task.place == TASK_PLACE_ACTIVE) ++agent.active_tasks;
  if (task.place != TASK_PLACE_ACTIVE || IsTerminal(task.state)) return;
  holding.used += task.facts->resources;
  agent.used += task.facts->resources;
}

}  // namespace

void SumRoles(const Snapshot& snapshot, Sums* sums) {
  snapshot.roles.ForEach([&](const auto& entry) {
    if (entry.value.record != nullptr) sums->roles.insert(entry.key);
  });
}

void SumAgents(const Snapshot& snapshot, Sums* sums) {
  snapshot.agents.ForEach([&](const auto& entry) {
    if (entry.value.record != nullptr) ++sums->agent_counts[entry.value.record->state()];
  });
}

void SumFrameworks(const Snapshot& snapshot, Sums* sums) {
  snapshot.frameworks.ForEach([&](const auto& entry) {
    const Framework& framework = entry.value;
    ++sums->framework_counts[framework.row->state];
    sums->framework_tasks[framework.id()];
    if (framework.completed()) return;
    for (const std::string& role : framework.row->roles) {
      sums->role_frameworks[role].insert(framework.id());
    }
  });
}

void SumTasks(const Snapshot& snapshot, Sums* sums) {
  snapshot.frameworks.ForEach([&](const auto& entry) {
    const Framework& framework = entry.value;
    for (const auto* list :
         {&framework.tasks, &framework.unreachable_tasks, &framework.completed_tasks}) {
      list->ForEach([&](const auto& task) { SumTask(framework, task.value, sums); });
    }
  });
}

void SumExecutors(const Snapshot& snapshot, Sums* sums) {
  snapshot.frameworks.ForEach([&](const auto& entry) {
    entry.value.executors.ForEach([&](const auto& of_framework) {
      const ExecutorRow& executor = *of_framework.value;
      HoldingSums& holding = sums->On(entry.value, executor.agent_id);
      holding.executors.insert(of_framework.key);
      holding.used += executor.resources;
      sums->agents[executor.agent_id].used += executor.resources;
    });
  });
}

void SumOffers(const Snapshot& snapshot, Sums* sums) {
  snapshot.frameworks.ForEach([&](const auto& entry) {
    entry.value.offers.ForEach([&](const auto& of_framework) {
      const OfferRow& offer = *of_framework.value;
      HoldingSums& holding = sums->On(entry.value, offer.agent_id);
      ++holding.offers;
      holding.offered += offer.resources;
      sums->agents[offer.agent_id].offered += offer.resources;
      sums->offers[of_framework.key] = entry.key;
    });
  });
}

namespace {

bool Agrees(const Holding* kept, const HoldingSums& expected) {
  if (kept == nullptr) return false;
  std::set<std::string> executors;
  kept->executors.ForEach([&](const auto& entry) { executors.insert(entry.key); });
  return kept->used == expected.used && kept->offered == expected.offered &&
         kept->tasks == expected.tasks && executors == expected.executors &&
         kept->offers == expected.offers;
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
    const std::map<std::string, HoldingSums> none;
    const auto& expected = found == sums.holdings.end() ? none : found->second;
    if (framework.holdings.size() != expected.size()) what = "number of holdings";
    model::Resources used;
    model::Resources offered;
    for (const auto& [agent_id, holding] : expected) {
      used += holding.used;
      offered += holding.offered;
      if (!Agrees(framework.holdings.Find(agent_id), holding)) what = "a holding";
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
    if (frameworks.empty() && !sums.roles.contains(entry.key)) wrong = "a role without any use";
  });
  if (with_frameworks != sums.role_frameworks.size()) return "a role is missing";
  return wrong;
}

}  // namespace

std::string FindDisagreement(const Snapshot& snapshot) {
  Sums sums;
  Kinds::ForEach([&](const auto& kind) { kind.sum(snapshot, &sums); });
  std::string wrong = CompareAgents(snapshot, sums);
  if (wrong.empty()) wrong = CompareFrameworks(snapshot, sums);
  if (wrong.empty()) wrong = CompareRest(snapshot, sums);
  return wrong;
}

std::string Describe(const SnapshotPtr& snapshot) {
  std::string text;
  for (const Change& change : ChangesOf(snapshot)) {
    absl::StrAppend(&text, ToPublic(change).ShortDebugString(), "\n");
  }
  snapshot->agents.ForEach([&](const auto& entry) {
    absl::StrAppend(&text, entry.key, " uses ", ToString(entry.value.used), ", is offered ",
                    ToString(entry.value.offered), "\n");
  });
  return text;
}

}  // namespace tessera::feed
