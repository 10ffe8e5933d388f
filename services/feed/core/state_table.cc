// How each change is taken over; what follows from it is in state_tally.cc.
#include "services/feed/core/state_table.h"

#include <memory>
#include <utility>
#include <vector>

#include "services/model/wire/resources.h"

namespace tessera::feed {
namespace {

// A state of a newer version counts as unspecified.
template <typename Record>
void KeepKnownState(Record* record, bool known) {
  if (!known) record->clear_state();
}

std::shared_ptr<const model::Resources> Parse(
    const google::protobuf::RepeatedPtrField<pb::Resource>& messages, uint64_t* malformed) {
  auto parsed = model::wire::FromProto(messages);
  if (!parsed.ok()) {
    ++*malformed;
    return std::make_shared<const model::Resources>();
  }
  return std::make_shared<const model::Resources>(*std::move(parsed));
}

PersistentMap<Task>* ListOf(Framework* framework, v1::TaskPlace place) {
  switch (place) {
    case v1::TASK_PLACE_UNREACHABLE:
      return &framework->unreachable_tasks;
    case v1::TASK_PLACE_COMPLETED:
      return &framework->completed_tasks;
    default:
      return &framework->tasks;
  }
}

v1::TaskPlace KnownPlace(v1::TaskPlace place) {
  return place == v1::TASK_PLACE_UNREACHABLE || place == v1::TASK_PLACE_COMPLETED
             ? place
             : v1::TASK_PLACE_ACTIVE;
}

// The list that has the task, null when none has.
PersistentMap<Task>* ListWith(Framework* framework, const std::string& task_id) {
  for (auto* list :
       {&framework->tasks, &framework->unreachable_tasks, &framework->completed_tasks}) {
    if (list->Find(task_id) != nullptr) return list;
  }
  return nullptr;
}

// A task that flaps for ever has no endless history.
constexpr int kStatusesMax = 64;

void AppendStatus(pb::TaskStatus&& status, pb::TaskRecord* rest) {
  auto* statuses = rest->mutable_statuses();
  if (!status.uuid().empty()) {
    for (const pb::TaskStatus& known : *statuses) {
      if (known.uuid() == status.uuid()) return;
    }
  }
  if (!statuses->empty() && statuses->rbegin()->state() == status.state()) {
    *statuses->rbegin() = std::move(status);
    return;
  }
  if (statuses->size() >= kStatusesMax) statuses->DeleteSubrange(0, 1);
  *statuses->Add() = std::move(status);
}

}  // namespace

void StateTable::Reset(uint64_t epoch) {
  state_ = Snapshot();
  state_.epoch = epoch;
}

void StateTable::Apply(v1::Change&& change) {
  using C = v1::Change;
  switch (change.kind_case()) {
    case C::kClusterSet:
      state_.cluster = std::make_shared<const v1::ClusterRecord>(
          std::move(*change.mutable_cluster_set()->mutable_cluster()));
      return;
    case C::kAgentSet:
      return SetAgent(std::move(*change.mutable_agent_set()->mutable_agent()));
    case C::kAgentRemoved:
      return RemoveAgent(change.agent_removed().agent_id());
    case C::kFrameworkSet:
      return SetFramework(std::move(*change.mutable_framework_set()->mutable_framework()));
    case C::kFrameworkRemoved:
      return RemoveFramework(change.framework_removed().framework_id());
    case C::kTaskSet:
      return SetTask(std::move(*change.mutable_task_set()->mutable_task()),
                     change.task_set().place());
    case C::kTaskStatusAdded:
      return AddTaskStatus(std::move(*change.mutable_task_status_added()));
    case C::kTaskMoved:
      return MoveTask(change.task_moved().framework_id(), change.task_moved().task_id(),
                      change.task_moved().place());
    case C::kTaskRemoved:
      return RemoveTask(change.task_removed().framework_id(), change.task_removed().task_id());
    case C::kExecutorSet:
      return SetExecutor(change.executor_set().agent_id(),
                         std::move(*change.mutable_executor_set()->mutable_executor()));
    case C::kExecutorRemoved:
      return RemoveExecutor(change.executor_removed().agent_id(),
                            change.executor_removed().framework_id(),
                            change.executor_removed().executor_id());
    case C::kOfferSet:
      return SetOffer(std::move(*change.mutable_offer_set()->mutable_offer()));
    case C::kOfferRemoved:
      return RemoveOffer(change.offer_removed().offer_id());
    case C::kRoleSet:
      return SetRole(std::move(*change.mutable_role_set()->mutable_role()));
    case C::kRoleRemoved:
      return RemoveRole(change.role_removed().role());
    case C::KIND_NOT_SET:
      break;
  }
  ++ignored_;
}

// ---- agents -------------------------------------------------------------------------------------

void StateTable::SetAgent(pb::AgentRecord&& record) {
  const std::string id = record.info().id();
  if (id.empty()) {
    ++ignored_;
    return;
  }
  KeepKnownState(&record, pb::AgentState_IsValid(record.state()));
  Agent& agent = state_.agents.GetOrAdd(id);
  if (agent.record != nullptr) --state_.agent_counts[agent.record->state()];
  ++state_.agent_counts[record.state()];
  const auto& total =
      record.total_resources().empty() ? record.info().resources() : record.total_resources();
  agent.total = Parse(total, &ignored_);
  agent.record = std::make_shared<const pb::AgentRecord>(std::move(record));
  if (!agent.listed()) DropOffersOfAgent(id);
}

void StateTable::RemoveAgent(const std::string& id) {
  Agent* agent = state_.agents.Mutable(id);
  if (agent == nullptr || agent->record == nullptr) {
    ++ignored_;
    return;
  }
  --state_.agent_counts[agent->record->state()];
  agent->record = nullptr;
  agent->total = nullptr;
  DropOffersOfAgent(id);
  DropExecutorsOfAgent(id);
  DropAgentIfForgotten(id);
}

// ---- frameworks ---------------------------------------------------------------------------------

Framework& StateTable::FrameworkFor(const std::string& id) {
  if (Framework* framework = state_.frameworks.Mutable(id)) return *framework;
  pb::FrameworkRecord record;
  record.mutable_info()->set_id(id);
  record.set_state(pb::FRAMEWORK_STATE_RECOVERED);
  SetFramework(std::move(record));
  return *state_.frameworks.Mutable(id);
}

void StateTable::SetFramework(pb::FrameworkRecord&& record) {
  const std::string id = record.info().id();
  if (id.empty()) {
    ++ignored_;
    return;
  }
  KeepKnownState(&record, pb::FrameworkState_IsValid(record.state()));
  Framework& framework = state_.frameworks.GetOrAdd(id);
  const bool was_completed = framework.record != nullptr && framework.completed();
  if (framework.record != nullptr) {
    --state_.framework_counts[framework.record->state()];
    SetRoles(*framework.record, false);
  }
  ++state_.framework_counts[record.state()];
  framework.record = std::make_shared<const pb::FrameworkRecord>(std::move(record));
  if (framework.completed() != was_completed) {
    TallyRegistered(framework, was_completed ? 1 : -1);
  }
  if (framework.completed()) {
    DropOffersOfFramework(id);
  } else {
    SetRoles(*framework.record, true);
  }
}

void StateTable::RemoveFramework(const std::string& id) {
  Framework* framework = state_.frameworks.Mutable(id);
  if (framework == nullptr) {
    ++ignored_;
    return;
  }
  DropOffersOfFramework(id);
  const Framework gone = *state_.frameworks.Find(id);
  framework = state_.frameworks.Mutable(id);
  for (const auto* list : {&gone.tasks, &gone.unreachable_tasks, &gone.completed_tasks}) {
    list->ForEach([&](const auto& entry) {
      const Standing before = StandingOf(entry.value);
      Tally(framework, entry.value, &before, nullptr);
    });
  }
  gone.executors.ForEach([&](const auto& entry) { TallyExecutor(framework, entry.value, -1); });
  SetRoles(*gone.record, false);
  --state_.framework_counts[gone.record->state()];
  state_.frameworks.Erase(id);
}

void StateTable::SetRoles(const pb::FrameworkRecord& record, bool subscribed) {
  for (const std::string& name : record.info().roles()) {
    if (subscribed) {
      state_.roles.GetOrAdd(name).frameworks.Set(record.info().id(), true);
    } else if (Role* role = state_.roles.Mutable(name)) {
      role->frameworks.Erase(record.info().id());
      DropRoleIfForgotten(name);
    }
  }
}

// ---- tasks --------------------------------------------------------------------------------------

void StateTable::SetTask(pb::TaskRecord&& record, v1::TaskPlace place) {
  if (record.framework_id().empty()) {
    ++ignored_;
    return;
  }
  KeepKnownState(&record, pb::TaskState_IsValid(record.state()));
  Framework& framework = FrameworkFor(record.framework_id());
  const std::string id = record.info().id();
  if (PersistentMap<Task>* list = ListWith(&framework, id)) {
    const Task old = *list->Find(id);
    const Standing before = StandingOf(old);
    Tally(&framework, old, &before, nullptr);
    if (list != ListOf(&framework, KnownPlace(place))) list->Erase(id);
  }
  Task& task = ListOf(&framework, KnownPlace(place))->GetOrAdd(id);
  task.place = KnownPlace(place);
  task.resources = Parse(record.info().resources(), &ignored_);
  task.info = std::make_shared<const pb::TaskInfo>(std::move(*record.mutable_info()));
  record.clear_info();
  task.rest = std::move(record);
  const Standing after = StandingOf(task);
  Tally(&framework, task, nullptr, &after);
}

void StateTable::AddTaskStatus(v1::Change::TaskStatusAdded&& added) {
  Framework* framework = state_.frameworks.Mutable(added.framework_id());
  PersistentMap<Task>* list = framework == nullptr ? nullptr : ListWith(framework, added.task_id());
  if (list == nullptr) {
    ++ignored_;
    return;
  }
  Task* task = list->Mutable(added.task_id());
  const Standing before = StandingOf(*task);
  if (!pb::TaskState_IsValid(added.state())) added.clear_state();
  task->rest.set_state(added.state());
  task->rest.set_status_update_state(added.status().state());
  task->rest.set_status_update_uuid(added.status().uuid());
  AppendStatus(std::move(*added.mutable_status()), &task->rest);
  const Standing after = StandingOf(*task);
  Tally(framework, *task, &before, &after);
}

void StateTable::MoveTask(const std::string& framework_id, const std::string& task_id,
                          v1::TaskPlace place) {
  Framework* framework = state_.frameworks.Mutable(framework_id);
  PersistentMap<Task>* from = framework == nullptr ? nullptr : ListWith(framework, task_id);
  if (from == nullptr) {
    ++ignored_;
    return;
  }
  PersistentMap<Task>* to = ListOf(framework, KnownPlace(place));
  if (to == from) return;
  Task task = *from->Find(task_id);
  const Standing before = StandingOf(task);
  task.place = KnownPlace(place);
  const Standing after = StandingOf(task);
  Tally(framework, task, &before, &after);
  from->Erase(task_id);
  to->Set(task_id, std::move(task));
}

void StateTable::RemoveTask(const std::string& framework_id, const std::string& task_id) {
  Framework* framework = state_.frameworks.Mutable(framework_id);
  PersistentMap<Task>* list = framework == nullptr ? nullptr : ListWith(framework, task_id);
  if (list == nullptr) {
    ++ignored_;
    return;
  }
  const Task task = *list->Find(task_id);
  const Standing before = StandingOf(task);
  Tally(framework, task, &before, nullptr);
  list->Erase(task_id);
}

// ---- executors ----------------------------------------------------------------------------------

void StateTable::SetExecutor(const std::string& agent_id, pb::ExecutorInfo&& info) {
  const Agent* agent = state_.agents.Find(agent_id);
  if (info.framework_id().empty() || agent == nullptr || agent->record == nullptr) {
    ++ignored_;
    return;
  }
  Framework& framework = FrameworkFor(info.framework_id());
  Executor& executor = framework.executors.GetOrAdd(ExecutorKey(agent_id, info.id()));
  if (executor.info != nullptr) TallyExecutor(&framework, Executor(executor), -1);
  executor.agent_id = agent_id;
  executor.resources = Parse(info.resources(), &ignored_);
  executor.info = std::make_shared<const pb::ExecutorInfo>(std::move(info));
  TallyExecutor(&framework, executor, 1);
}

void StateTable::RemoveExecutor(const std::string& agent_id, const std::string& framework_id,
                                const std::string& executor_id) {
  Framework* framework = state_.frameworks.Mutable(framework_id);
  const std::string key = ExecutorKey(agent_id, executor_id);
  const Executor* known = framework == nullptr ? nullptr : framework->executors.Find(key);
  if (known == nullptr) {
    ++ignored_;
    return;
  }
  const Executor executor = *known;
  framework->executors.Erase(key);
  TallyExecutor(framework, executor, -1);
}

void StateTable::DropExecutorsOfAgent(const std::string& agent_id) {
  const Agent* agent = state_.agents.Find(agent_id);
  if (agent == nullptr) return;
  std::vector<std::pair<std::string, Executor>> dropped;
  agent->frameworks.ForEach([&](const auto& of_agent) {
    const Framework* framework = state_.frameworks.Find(of_agent.key);
    const Holding* holding = framework->holdings.Find(agent_id);
    if (holding == nullptr || holding->executors == 0) return;
    const std::string from = ExecutorKey(agent_id, "");
    if (const Executor* first = framework->executors.Find(from)) {
      dropped.emplace_back(of_agent.key, *first);
    }
    framework->executors.ForEachAfter(&from, [&](const auto& entry) {
      if (entry.value.agent_id != agent_id) return false;
      dropped.emplace_back(of_agent.key, entry.value);
      return true;
    });
  });
  for (const auto& [framework_id, executor] : dropped) {
    RemoveExecutor(agent_id, framework_id, executor.info->id());
  }
}

// ---- offers -------------------------------------------------------------------------------------

void StateTable::SetOffer(pb::Offer&& record) {
  const std::string id = record.id();
  const Agent* agent = state_.agents.Find(record.agent_id());
  const Framework* known = state_.frameworks.Find(record.framework_id());
  if (agent == nullptr || !agent->listed() || known == nullptr || known->completed()) {
    ++ignored_;
    return;
  }
  if (state_.offers.Find(id) != nullptr) RemoveOffer(id);
  state_.offers.Set(id, record.framework_id());
  Framework& framework = *state_.frameworks.Mutable(record.framework_id());
  Offer& offer = framework.offers.GetOrAdd(id);
  offer.resources = Parse(record.resources(), &ignored_);
  offer.record = std::make_shared<const pb::Offer>(std::move(record));
  TallyOffer(&framework, offer, 1);
}

void StateTable::RemoveOffer(const std::string& id) {
  const std::string* framework_id = state_.offers.Find(id);
  if (framework_id == nullptr) {
    ++ignored_;
    return;
  }
  Framework* framework = state_.frameworks.Mutable(*framework_id);
  const Offer offer = *framework->offers.Find(id);
  framework->offers.Erase(id);
  TallyOffer(framework, offer, -1);
  state_.offers.Erase(id);
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
      if (entry.value.record->agent_id() == agent_id) dropped.push_back(entry.key);
    });
  });
  for (const std::string& id : dropped) RemoveOffer(id);
}

void StateTable::DropOffersOfFramework(const std::string& framework_id) {
  std::vector<std::string> dropped;
  state_.frameworks.Find(framework_id)->offers.ForEach([&](const auto& entry) {
    dropped.push_back(entry.key);
  });
  for (const std::string& id : dropped) RemoveOffer(id);
}

// ---- roles --------------------------------------------------------------------------------------

void StateTable::SetRole(v1::RoleRecord&& record) {
  if (record.name().empty()) {
    ++ignored_;
    return;
  }
  Role& role = state_.roles.GetOrAdd(record.name());
  role.record = std::make_shared<const v1::RoleRecord>(std::move(record));
}

void StateTable::RemoveRole(const std::string& name) {
  Role* role = state_.roles.Mutable(name);
  if (role == nullptr || role->record == nullptr) {
    ++ignored_;
    return;
  }
  role->record = nullptr;
  DropRoleIfForgotten(name);
}

void StateTable::DropRoleIfForgotten(const std::string& name) {
  const Role* role = state_.roles.Find(name);
  if (role->record == nullptr && role->frameworks.empty()) state_.roles.Erase(name);
}

}  // namespace tessera::feed
