#include "tests/sim/books_view.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace tessera::sim {

namespace {

namespace pb = model::v1;

std::string CompareTask(const master::Task& task, const state::Framework& shown) {
  const auto& list = task.unreachable() ? shown.unreachable_tasks : shown.tasks;
  const state::Task* found = list.Find(task.id());
  if (found == nullptr) return "is not shown where it is";
  if (found->rest.state() != task.state) {
    return absl::StrCat("is ", pb::TaskState_Name(task.state), " and shown as ",
                        pb::TaskState_Name(found->rest.state()));
  }
  if (found->info->agent_id() != task.agent_id) return "is shown on another agent";
  if (found->info->name() != task.info->name()) return "is shown with another name";
  if (task.forwarded == nullptr) return "";
  const auto& statuses = found->rest.statuses();
  const bool told = std::any_of(statuses.begin(), statuses.end(), [&](const auto& status) {
    return status.uuid() == task.forwarded->uuid() && status.state() == task.forwarded->state();
  });
  return told ? "" : "lacks the status that its framework was told last";
}

std::string CompareFramework(const master::Books& books, const master::Framework& framework,
                             const state::Framework* shown) {
  if (shown == nullptr) return "is not shown";
  pb::FrameworkState state = pb::FRAMEWORK_STATE_DISCONNECTED;
  if (framework.phase == master::FrameworkPhase::kActive) state = pb::FRAMEWORK_STATE_ACTIVE;
  if (framework.phase == master::FrameworkPhase::kRecovered) state = pb::FRAMEWORK_STATE_RECOVERED;
  if (shown->record->state() != state) {
    return absl::StrCat("is ", pb::FrameworkState_Name(state), " and shown as ",
                        pb::FrameworkState_Name(shown->record->state()));
  }
  if (shown->record->info().SerializeAsString() != framework.info.SerializeAsString()) {
    return "is described otherwise";
  }
  if (shown->tasks.size() + shown->unreachable_tasks.size() != framework.tasks.size() ||
      shown->unreachable_tasks.size() != framework.unreachable.size()) {
    return absl::StrCat("has ", framework.tasks.size(), " tasks, ", framework.unreachable.size(),
                        " of them unreachable, and is shown with ", shown->tasks.size(), " and ",
                        shown->unreachable_tasks.size());
  }
  for (const auto& [id, index] : framework.tasks) {
    const std::string wrong = CompareTask(*books.tasks.Find(index), *shown);
    if (!wrong.empty()) return absl::StrCat("has a task ", id, " that ", wrong);
  }
  if (shown->completed_tasks.size() != framework.completed.size()) {
    return absl::StrCat("has ", framework.completed.size(), " completed tasks and is shown with ",
                        shown->completed_tasks.size());
  }
  for (const std::string& id : framework.completed) {
    if (shown->completed_tasks.Find(id) == nullptr) {
      return absl::StrCat("has a completed task ", id, " that is not shown as one");
    }
  }
  if (shown->offers.size() != framework.offers.size()) return "is shown with other offers";
  for (const master::OfferNumber number : framework.offers) {
    if (shown->offers.Find(books.offers.IdOf(number)) == nullptr) {
      return absl::StrCat("has an offer ", books.offers.IdOf(number), " that is not shown");
    }
  }
  int executors = 0;
  for (const auto& [agent, count] : framework.executors) executors += count;
  if (shown->executors.size() != static_cast<size_t>(executors)) {
    return "is shown with other executors";
  }
  return "";
}

std::string CompareAgent(const master::Agent& agent, const state::Agent* shown) {
  if (shown == nullptr || shown->record == nullptr) return "is not shown";
  const pb::AgentRecord& record = *shown->record;
  pb::AgentState state = pb::AGENT_STATE_DISCONNECTED;
  if (agent.phase == master::AgentPhase::kConnected) state = pb::AGENT_STATE_CONNECTED;
  if (agent.phase == master::AgentPhase::kRecovered) state = pb::AGENT_STATE_RECOVERED;
  if (record.state() != state) {
    return absl::StrCat("is ", pb::AgentState_Name(state), " and shown as ",
                        pb::AgentState_Name(record.state()));
  }
  if (record.info().SerializeAsString() != agent.info.SerializeAsString()) {
    return "is described otherwise";
  }
  if (record.deactivated() != agent.deactivated) return "is shown as (not) deactivated";
  if (record.has_unavailability() != agent.unavailability.has_value()) {
    return "is shown as (not) to be unavailable";
  }
  if (*shown->total != agent.total) return "is shown with another total";
  return "";
}

}  // namespace

std::string DifferenceFromBooks(const master::Books& books, const state::Snapshot& shown) {
  std::string wrong;
  size_t frameworks = 0, agents = 0, roles = 0;
  books.frameworks.ForEach([&](const master::Framework& framework) {
    if (framework.phase == master::FrameworkPhase::kAdmitting) return;
    ++frameworks;
    if (!wrong.empty()) return;
    const std::string what =
        CompareFramework(books, framework, shown.frameworks.Find(framework.id));
    if (!what.empty()) wrong = absl::StrCat("framework ", framework.id, " ", what);
  });
  books.agents.ForEach([&](const master::Agent& agent) {
    if (agent.phase == master::AgentPhase::kAdmitting) return;
    ++agents;
    if (!wrong.empty()) return;
    const std::string what = CompareAgent(agent, shown.agents.Find(agent.id));
    if (!what.empty()) wrong = absl::StrCat("agent ", agent.id, " ", what);
  });
  if (!wrong.empty()) return wrong;

  shown.frameworks.ForEach([&](const auto& entry) {
    if (!entry.value.completed()) {
      --frameworks;
    } else if (!books.frameworks.IsCompleted(entry.key)) {
      wrong = absl::StrCat("framework ", entry.key, " is shown as completed");
    }
  });
  shown.agents.ForEach([&](const auto& entry) {
    const auto& record = entry.value.record;
    if (record == nullptr) return;
    if (record->state() != pb::AGENT_STATE_UNREACHABLE) {
      --agents;
    } else if (!books.agents.UnreachableSince(entry.key).has_value()) {
      wrong = absl::StrCat("agent ", entry.key, " is shown as unreachable");
    }
  });
  for (const auto& [name, role] : books.roles.roles()) {
    ++roles;
    const state::Role* found = shown.roles.Find(name);
    if (found == nullptr || found->record == nullptr) {
      wrong = absl::StrCat("role ", name, " is not shown");
    }
  }
  shown.roles.ForEach([&](const auto& entry) { roles -= entry.value.record != nullptr; });
  // The counts have come back to nothing when nothing else is shown.
  if (frameworks != 0) wrong = "frameworks are shown that are not there";
  if (agents != 0) wrong = "agents are shown that are not there";
  if (roles != 0) wrong = "roles are shown that are not there";
  if (shown.offers.size() != books.offers.size()) wrong = "other offers are shown";
  return wrong;
}

}  // namespace tessera::sim
