#include "tests/sim/books_view.h"

#include <set>

#include "absl/strings/str_cat.h"

namespace tessera::sim {

namespace pb = model::v1;

namespace {

Amounts AmountsOf(const model::Resources& resources) {
  return {resources.SumOf("cpus").thousandths(), resources.SumOf("mem").thousandths()};
}

Life LifeOf(const model::Incarnation& incarnation) {
  return {incarnation.epoch, incarnation.number};
}

std::string CompareTask(const master::Task& task, const TaskRow& shown) {
  const auto place =
      task.unreachable() ? state::v1::TASK_PLACE_UNREACHABLE : state::v1::TASK_PLACE_ACTIVE;
  if (shown.place != place) {
    return absl::StrCat("is shown among ", state::v1::TaskPlace_Name(shown.place));
  }
  if (shown.state != task.state) {
    return absl::StrCat("is ", pb::TaskState_Name(task.state), " and shown as ",
                        pb::TaskState_Name(shown.state));
  }
  if (shown.task_id != task.id()) return "is shown with another id";
  if (shown.agent_id != task.agent_id()) return "is shown on another agent";
  if (shown.executor_id != task.facts->executor_id ||
      shown.executor != LifeOf(task.facts->executor)) {
    return "is shown under another executor";
  }
  if (shown.resources != AmountsOf(task.resources())) {
    return absl::StrCat("has ", ToString(AmountsOf(task.resources())), " and is shown with ",
                        ToString(shown.resources));
  }
  pb::TaskInfo info;
  if (!info.ParseFromString(task.facts->info.bytes())) return "has a description that is none";
  if (shown.name != info.name() || shown.command != info.command().value()) {
    return "is described otherwise";
  }
  return "";
}

std::string CompareTasks(const master::Books& books, const master::Framework& framework,
                         const Rows& rows) {
  size_t booked = 0;
  for (const auto& [incarnation, index] : framework.tasks) {
    const master::Task& task = *books.tasks.Find(index);
    ++booked;
    const auto it = rows.tasks().find({framework.id, LifeOf(incarnation)});
    const std::string wrong =
        it == rows.tasks().end() ? "is not shown" : CompareTask(task, it->second);
    if (!wrong.empty()) {
      return absl::StrCat("has a task ", task.id(), " (", incarnation.ToString(), ") that ", wrong);
    }
  }
  for (const auto& completed : framework.completed) {
    ++booked;
    const auto it = rows.tasks().find({framework.id, LifeOf(completed->incarnation)});
    const bool shown =
        it != rows.tasks().end() && it->second.place == state::v1::TASK_PLACE_COMPLETED;
    if (!shown) {
      return absl::StrCat("has a completed task ", completed->task_id, " that is not shown as one");
    }
  }
  size_t shown = 0;
  for (auto it = rows.tasks().lower_bound({framework.id, {0, 0}});
       it != rows.tasks().end() && it->first.first == framework.id; ++it) {
    ++shown;
  }
  return shown == booked
             ? ""
             : absl::StrCat("has ", booked, " tasks, completed ones among them, and is shown with ",
                            shown);
}

std::string CompareFramework(const master::Books& books, const master::Framework& framework,
                             const Rows& rows) {
  const auto it = rows.frameworks().find(framework.id);
  if (it == rows.frameworks().end()) return "is not shown";
  pb::FrameworkState state = pb::FRAMEWORK_STATE_DISCONNECTED;
  if (framework.phase == master::FrameworkPhase::kActive) state = pb::FRAMEWORK_STATE_ACTIVE;
  if (framework.phase == master::FrameworkPhase::kRecovered) state = pb::FRAMEWORK_STATE_RECOVERED;
  if (it->second.state != state) {
    return absl::StrCat("is ", pb::FrameworkState_Name(state), " and shown as ",
                        pb::FrameworkState_Name(it->second.state));
  }
  if (it->second.name != framework.info.name()) return "is described otherwise";
  return CompareTasks(books, framework, rows);
}

std::string CompareAgent(const master::Books& books, const master::Agent& agent, const Rows& rows,
                         size_t* executors) {
  const auto it = rows.agents().find(agent.id);
  if (it == rows.agents().end()) return "is not shown";
  const AgentRow& shown = it->second;
  pb::AgentState state = pb::AGENT_STATE_DISCONNECTED;
  if (agent.phase == master::AgentPhase::kConnected) state = pb::AGENT_STATE_CONNECTED;
  if (agent.phase == master::AgentPhase::kRecovered) state = pb::AGENT_STATE_RECOVERED;
  if (shown.state != state) {
    return absl::StrCat("is ", pb::AgentState_Name(state), " and shown as ",
                        pb::AgentState_Name(shown.state));
  }
  if (shown.hostname != agent.info.hostname()) return "is described otherwise";
  if (shown.deactivated != agent.deactivated) return "is shown as (not) deactivated";
  if (shown.unavailable != agent.unavailability.has_value()) {
    return "is shown as (not) to be unavailable";
  }
  if (shown.total != AmountsOf(agent.total)) return "is shown with another total";
  for (const auto& [key, executor] : agent.executors) {
    ++*executors;
    const master::Framework* framework = books.frameworks.Find(key.first);
    const auto row = rows.executors().find({framework->id, LifeOf(executor->incarnation)});
    const bool same = row != rows.executors().end() && row->second.agent_id == agent.id &&
                      row->second.executor_id == executor->executor_id &&
                      row->second.resources == AmountsOf(executor->resources);
    if (!same)
      return absl::StrCat("has an executor ", executor->executor_id, " that is not shown so");
  }
  const Amounts used = UsedOn(agent), told = rows.UsedOn(agent.id);
  if (used != told) {
    return absl::StrCat("has ", ToString(used), " in use, and is shown with ", ToString(told));
  }
  return "";
}

std::string CompareOffers(const master::Books& books, const Rows& rows) {
  if (rows.offers().size() != books.offers.size()) return "other offers are shown";
  for (const auto& [id, shown] : rows.offers()) {
    const master::Offer* offer = const_cast<master::Books&>(books).offers.FindById(id);
    if (offer == nullptr) return absl::StrCat("offer ", id, " is shown and not there");
    const bool same = shown.framework_id == books.frameworks.Find(offer->framework)->id &&
                      shown.role == offer->role && shown.resources == AmountsOf(offer->resources);
    if (!same) return absl::StrCat("offer ", id, " is shown otherwise");
  }
  return "";
}

}  // namespace

Amounts UsedOn(const master::Agent& agent) {
  Amounts used;
  for (const auto& [framework, resources] : agent.used) used += AmountsOf(resources);
  return used;
}

std::string DifferenceFromBooks(const master::Books& books, const Rows& rows) {
  std::string wrong;
  size_t frameworks = 0, agents = 0, executors = 0;
  books.frameworks.ForEach([&](const master::Framework& framework) {
    if (framework.phase == master::FrameworkPhase::kAdmitting) return;
    ++frameworks;
    if (!wrong.empty()) return;
    const std::string what = CompareFramework(books, framework, rows);
    if (!what.empty()) wrong = absl::StrCat("framework ", framework.id, " ", what);
  });
  books.agents.ForEach([&](const master::Agent& agent) {
    if (agent.phase == master::AgentPhase::kAdmitting) return;
    ++agents;
    if (!wrong.empty()) return;
    const std::string what = CompareAgent(books, agent, rows, &executors);
    if (!what.empty()) wrong = absl::StrCat("agent ", agent.id, " ", what);
  });
  if (wrong.empty()) wrong = CompareOffers(books, rows);
  if (!wrong.empty()) return wrong;

  // Nothing else is shown.
  for (const auto& [id, framework] : rows.frameworks()) {
    if (framework.state != pb::FRAMEWORK_STATE_COMPLETED) {
      --frameworks;
    } else if (!books.frameworks.IsCompleted(id)) {
      wrong = absl::StrCat("framework ", id, " is shown as completed");
    }
  }
  for (const auto& [id, agent] : rows.agents()) {
    if (agent.state != pb::AGENT_STATE_UNREACHABLE) {
      --agents;
    } else if (!books.agents.UnreachableSince(id).has_value()) {
      wrong = absl::StrCat("agent ", id, " is shown as unreachable");
    }
  }
  if (frameworks != 0) wrong = "frameworks are shown that are not there";
  if (agents != 0) wrong = "agents are shown that are not there";
  if (executors != rows.executors().size()) wrong = "executors are shown that are not there";
  std::set<std::string> roles;
  for (const auto& [name, role] : books.roles.roles()) {
    roles.insert(name);
    if (!rows.roles().contains(name)) wrong = absl::StrCat("role ", name, " is not shown");
  }
  if (roles.size() != rows.roles().size()) wrong = "roles are shown that are not there";
  return wrong;
}

}  // namespace tessera::sim
