// How each change is taken over; what follows from it is in state_tally.cc. Which function takes
// which change over is said by the table of kinds (kinds.h), in whose file Apply() is.
#include "services/feed/core/state_table.h"

#include <memory>
#include <utility>
#include <vector>

#include "services/model/wire/description.h"
#include "services/model/wire/resources.h"

namespace tessera::feed {
namespace {

PersistentMap<TaskRow>* ListOf(Framework* framework, TaskPlace place) {
  switch (place) {
    case TASK_PLACE_UNREACHABLE:
      return &framework->unreachable_tasks;
    case TASK_PLACE_COMPLETED:
      return &framework->completed_tasks;
    default:
      return &framework->tasks;
  }
}

// The list that has the task, null when none has.
PersistentMap<TaskRow>* ListWith(Framework* framework, const std::string& key) {
  for (auto* list :
       {&framework->tasks, &framework->unreachable_tasks, &framework->completed_tasks}) {
    if (list->Find(key) != nullptr) return list;
  }
  return nullptr;
}

// A task that flaps for ever has no endless history.
constexpr size_t kStatusesMax = 64;

void AppendStatus(StatusPtr status, std::vector<StatusPtr>* statuses) {
  const std::string_view uuid = status->uuid();
  if (!uuid.empty()) {
    for (const StatusPtr& known : *statuses) {
      if (known->uuid() == uuid) return;
    }
  }
  if (!statuses->empty() && statuses->back()->state == status->state) {
    statuses->back() = std::move(status);
    return;
  }
  if (statuses->size() >= kStatusesMax) statuses->erase(statuses->begin());
  statuses->push_back(std::move(status));
}

}  // namespace

void StateTable::Reset(uint64_t epoch) {
  state_ = Snapshot();
  state_.epoch = epoch;
}

bool StateTable::SetCluster(ClusterSet&& set) {
  state_.cluster = std::move(set.cluster);
  return true;
}

// ---- agents -------------------------------------------------------------------------------------

bool StateTable::SetAgent(AgentSet&& set) {
  const std::string id = set.agent->info().id();
  if (id.empty()) return false;
  Agent& agent = state_.agents.GetOrAdd(id);
  if (agent.record != nullptr) --state_.agent_counts[agent.record->state()];
  agent.record = std::move(set.agent);
  ++state_.agent_counts[agent.record->state()];
  auto total = model::wire::FromProto(agent.record->total_resources().empty()
                                          ? agent.record->info().resources()
                                          : agent.record->total_resources());
  if (!total.ok()) ++ignored_;
  agent.total =
      std::make_shared<const model::Resources>(total.ok() ? *std::move(total) : model::Resources());
  if (!agent.listed()) DropOffersOfAgent(id);
  return true;
}

bool StateTable::RemoveAgent(AgentRemoved&& removed) {
  const std::string& id = removed.agent_id;
  Agent* agent = state_.agents.Mutable(id);
  if (agent == nullptr || agent->record == nullptr) return false;
  --state_.agent_counts[agent->record->state()];
  agent->record = nullptr;
  agent->total = nullptr;
  DropOffersOfAgent(id);
  DropExecutorsOfAgent(id);
  DropAgentIfForgotten(id);
  return true;
}

// ---- frameworks ---------------------------------------------------------------------------------

Framework& StateTable::FrameworkFor(const std::string& id) {
  if (Framework* framework = state_.frameworks.Mutable(id)) return *framework;
  pb::FrameworkInfo info;
  info.set_id(id);
  auto row = std::make_shared<FrameworkRow>();
  row->id = id;
  row->state = pb::FRAMEWORK_STATE_RECOVERED;
  row->info = model::wire::Describe(info);
  SetFramework({std::move(row)});
  return *state_.frameworks.Mutable(id);
}

bool StateTable::SetFramework(FrameworkSet&& set) {
  const std::string id = set.framework->id;
  if (id.empty()) return false;
  Framework& framework = state_.frameworks.GetOrAdd(id);
  const bool was_completed = framework.row != nullptr && framework.completed();
  if (framework.row != nullptr) {
    --state_.framework_counts[framework.row->state];
    SetRoles(*framework.row, false);
  }
  framework.row = std::move(set.framework);
  ++state_.framework_counts[framework.row->state];
  if (framework.completed() != was_completed) {
    TallyRegistered(framework, was_completed ? 1 : -1);
  }
  if (framework.completed()) {
    DropOffersOfFramework(id);
  } else {
    SetRoles(*framework.row, true);
  }
  return true;
}

bool StateTable::RemoveFramework(FrameworkRemoved&& removed) {
  const std::string& id = removed.framework_id;
  if (state_.frameworks.Find(id) == nullptr) return false;
  DropOffersOfFramework(id);
  const Framework gone = *state_.frameworks.Find(id);
  Framework* framework = state_.frameworks.Mutable(id);
  for (const auto* list : {&gone.tasks, &gone.unreachable_tasks, &gone.completed_tasks}) {
    list->ForEach([&](const auto& entry) {
      const Standing before = StandingOf(entry.value);
      Tally(framework, *entry.value.facts, &before, nullptr);
    });
  }
  gone.executors.ForEach(
      [&](const auto& entry) { TallyExecutor(framework, *entry.value, entry.key, -1); });
  SetRoles(*gone.row, false);
  --state_.framework_counts[gone.row->state];
  state_.frameworks.Erase(id);
  return true;
}

void StateTable::SetRoles(const FrameworkRow& row, bool subscribed) {
  for (const std::string& name : row.roles) {
    if (subscribed) {
      state_.roles.GetOrAdd(name).frameworks.Set(row.id, true);
    } else if (Role* role = state_.roles.Mutable(name)) {
      role->frameworks.Erase(row.id);
      DropRoleIfForgotten(name);
    }
  }
}

// ---- tasks --------------------------------------------------------------------------------------

bool StateTable::SetTask(TaskSet&& set) {
  TaskRow& row = set.task;
  if (row.facts->framework_id.empty() || row.facts->task_id.empty() ||
      !row.facts->incarnation.valid()) {
    return false;
  }
  Framework& framework = FrameworkFor(row.facts->framework_id);
  const std::string key = IncarnationKey(row.facts->task_id, row.facts->incarnation);
  PersistentMap<TaskRow>* to = ListOf(&framework, row.place);
  if (PersistentMap<TaskRow>* list = ListWith(&framework, key)) {
    const TaskRow old = *list->Find(key);
    const Standing before = StandingOf(old);
    Tally(&framework, *old.facts, &before, nullptr);
    if (list != to) list->Erase(key);
  }
  TaskRow& task = to->GetOrAdd(key);
  task = std::move(row);
  if (task.statuses.size() > kStatusesMax) {
    task.statuses.erase(task.statuses.begin(), task.statuses.end() - kStatusesMax);
  }
  const Standing after = StandingOf(task);
  Tally(&framework, *task.facts, nullptr, &after);
  return true;
}

bool StateTable::AddTaskStatus(TaskStatusAdded&& added) {
  Framework* framework = state_.frameworks.Mutable(added.framework_id);
  const std::string key = IncarnationKey(added.task_id, added.incarnation);
  PersistentMap<TaskRow>* list = framework == nullptr ? nullptr : ListWith(framework, key);
  if (list == nullptr) return false;
  TaskRow* task = list->Mutable(key);
  const Standing before = StandingOf(*task);
  task->state = added.state;
  task->status_update_state = added.status->state;
  task->status_update_uuid = std::string(added.status->uuid());
  AppendStatus(std::move(added.status), &task->statuses);
  const Standing after = StandingOf(*task);
  Tally(framework, *task->facts, &before, &after);
  return true;
}

bool StateTable::MoveTask(TaskMoved&& moved) {
  Framework* framework = state_.frameworks.Mutable(moved.framework_id);
  const std::string key = IncarnationKey(moved.task_id, moved.incarnation);
  PersistentMap<TaskRow>* from = framework == nullptr ? nullptr : ListWith(framework, key);
  if (from == nullptr) return false;
  PersistentMap<TaskRow>* to = ListOf(framework, moved.place);
  if (to == from) return true;
  TaskRow task = *from->Find(key);
  const Standing before = StandingOf(task);
  task.place = moved.place;
  const Standing after = StandingOf(task);
  Tally(framework, *task.facts, &before, &after);
  from->Erase(key);
  to->Set(key, std::move(task));
  return true;
}

bool StateTable::RemoveTask(TaskRemoved&& removed) {
  Framework* framework = state_.frameworks.Mutable(removed.framework_id);
  const std::string key = IncarnationKey(removed.task_id, removed.incarnation);
  PersistentMap<TaskRow>* list = framework == nullptr ? nullptr : ListWith(framework, key);
  if (list == nullptr) return false;
  const TaskRow task = *list->Find(key);
  const Standing before = StandingOf(task);
  Tally(framework, *task.facts, &before, nullptr);
  list->Erase(key);
  return true;
}

// ---- executors ----------------------------------------------------------------------------------

bool StateTable::SetExecutor(ExecutorSet&& set) {
  const ExecutorRow& row = *set.executor;
  const Agent* agent = state_.agents.Find(row.agent_id);
  if (row.framework_id.empty() || !row.incarnation.valid() || agent == nullptr ||
      agent->record == nullptr) {
    return false;
  }
  Framework& framework = FrameworkFor(row.framework_id);
  const std::string key = IncarnationKey(row.executor_id, row.incarnation);
  if (const ExecutorPtr* known = framework.executors.Find(key)) {
    const ExecutorPtr old = *known;
    TallyExecutor(&framework, *old, key, -1);
  }
  framework.executors.Set(key, set.executor);
  TallyExecutor(&framework, row, key, 1);
  return true;
}

bool StateTable::RemoveExecutor(ExecutorRemoved&& removed) {
  return DropExecutor(removed.framework_id,
                      IncarnationKey(removed.executor_id, removed.incarnation));
}

bool StateTable::DropExecutor(const std::string& framework_id, const std::string& key) {
  Framework* framework = state_.frameworks.Mutable(framework_id);
  const ExecutorPtr* known = framework == nullptr ? nullptr : framework->executors.Find(key);
  if (known == nullptr) return false;
  const ExecutorPtr executor = *known;
  framework->executors.Erase(key);
  TallyExecutor(framework, *executor, key, -1);
  return true;
}

void StateTable::DropExecutorsOfAgent(const std::string& agent_id) {
  const Agent* agent = state_.agents.Find(agent_id);
  if (agent == nullptr) return;
  std::vector<std::pair<std::string, std::string>> dropped;
  agent->frameworks.ForEach([&](const auto& of_agent) {
    const Holding* holding = state_.frameworks.Find(of_agent.key)->holdings.Find(agent_id);
    if (holding == nullptr) return;
    holding->executors.ForEach(
        [&](const auto& executor) { dropped.emplace_back(of_agent.key, executor.key); });
  });
  for (const auto& [framework_id, key] : dropped) DropExecutor(framework_id, key);
}

// ---- offers -------------------------------------------------------------------------------------

bool StateTable::SetOffer(OfferSet&& set) {
  const OfferRow& row = *set.offer;
  const Agent* agent = state_.agents.Find(row.agent_id);
  const Framework* known = state_.frameworks.Find(row.framework_id);
  if (agent == nullptr || !agent->listed() || known == nullptr || known->completed()) return false;
  DropOffer(row.id);
  state_.offers.Set(row.id, row.framework_id);
  Framework& framework = *state_.frameworks.Mutable(row.framework_id);
  framework.offers.Set(row.id, set.offer);
  TallyOffer(&framework, row, 1);
  return true;
}

bool StateTable::RemoveOffer(OfferRemoved&& removed) { return DropOffer(removed.offer_id); }

bool StateTable::DropOffer(const std::string& id) {
  const std::string* framework_id = state_.offers.Find(id);
  if (framework_id == nullptr) return false;
  Framework* framework = state_.frameworks.Mutable(*framework_id);
  const OfferPtr offer = *framework->offers.Find(id);
  framework->offers.Erase(id);
  TallyOffer(framework, *offer, -1);
  state_.offers.Erase(id);
  return true;
}

void StateTable::DropOffersOfAgent(const std::string& agent_id) {
  const Agent* agent = state_.agents.Find(agent_id);
  if (agent == nullptr) return;
  std::vector<std::string> dropped;
  agent->frameworks.ForEach([&](const auto& of_agent) {
    const Framework* framework = state_.frameworks.Find(of_agent.key);
    const Holding* holding = framework->holdings.Find(agent_id);
    if (holding == nullptr || holding->offers == 0) return;
    framework->offers.ForEach([&](const auto& entry) {
      if (entry.value->agent_id == agent_id) dropped.push_back(entry.key);
    });
  });
  for (const std::string& id : dropped) DropOffer(id);
}

void StateTable::DropOffersOfFramework(const std::string& framework_id) {
  std::vector<std::string> dropped;
  state_.frameworks.Find(framework_id)->offers.ForEach([&](const auto& entry) {
    dropped.push_back(entry.key);
  });
  for (const std::string& id : dropped) DropOffer(id);
}

// ---- roles --------------------------------------------------------------------------------------

bool StateTable::SetRole(RoleSet&& set) {
  if (set.role->name().empty()) return false;
  const std::string& name = set.role->name();
  state_.roles.GetOrAdd(name).record = set.role;
  return true;
}

bool StateTable::RemoveRole(RoleRemoved&& removed) {
  Role* role = state_.roles.Mutable(removed.role);
  if (role == nullptr || role->record == nullptr) return false;
  role->record = nullptr;
  DropRoleIfForgotten(removed.role);
  return true;
}

void StateTable::DropRoleIfForgotten(const std::string& name) {
  const Role* role = state_.roles.Find(name);
  if (role->record == nullptr && role->frameworks.empty()) state_.roles.Erase(name);
}

}  // namespace tessera::feed
