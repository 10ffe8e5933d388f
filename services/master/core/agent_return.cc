// What an agent that comes back changes: the agent is the truth about its tasks.
#include <glog/logging.h>

#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/master/core/agent_flow.h"
#include "services/master/core/refusals.h"
#include "services/master/core/times.h"
#include "services/model/role.h"
#include "services/model/wire/resources.h"
#include "services/rpc/error.h"

namespace tessera::master {
namespace {

// Holdings are accounted to a role; what names none belongs to the framework's first.
model::Resources Allocated(const model::Resources& resources, const Framework& framework) {
  bool all = true;
  for (const model::Resource& resource : resources) all = all && resource.IsAllocated();
  if (all) return resources;
  return resources.AllocatedCopy(framework.info.roles().empty() ? std::string(model::kAnyRole)
                                                                : framework.info.roles(0));
}

}  // namespace

Framework* AgentFlow::FrameworkOf(const std::string& id, const Session& session) {
  if (Framework* known = books_.frameworks.FindById(id); known != nullptr) {
    // Its first subscription to this master may still wait for the registry.
    if (known->phase == FrameworkPhase::kAdmitting) sessions_.AwaitReturn(*known);
    return known;
  }
  if (books_.frameworks.IsCompleted(id)) return nullptr;
  for (const pb::FrameworkInfo& info : session.frameworks) {
    if (info.id() != id) continue;
    Framework& framework = books_.frameworks.Add(id, info);
    framework.registered_time = books_.now();
    reg::FrameworkEntry entry;
    *entry.mutable_info() = framework.info;
    SetTime(books_.now(), entry.mutable_registered_time());
    books_.registry.WriteOwn({Put("frameworks/" + id, entry)}, Noted{});
    sessions_.AwaitReturn(framework);
    return &framework;
  }
  return nullptr;
}

void AgentFlow::Return(AgentStreamId stream, Session& session) {
  const pb::AgentInfo& info = session.registration.info();
  Agent* row = books_.agents.FindById(info.id());
  const bool was_known = row != nullptr;
  const bool was_registered = was_known && (row->phase == AgentPhase::kConnected ||
                                            row->phase == AgentPhase::kDisconnected);
  if (!was_known) row = &books_.agents.Add(info.id(), info);
  Agent& agent = *row;
  if (agent.phase == AgentPhase::kRecovered) books_.agents.DropRecovered();
  if (agent.connected() && agent.stream != stream) {
    const AgentStreamId older = agent.stream;
    books_.agents.Disconnect(agent);
    Close(older, absl::AbortedError("a newer stream of the same agent took over"));
  }
  books_.agents.SetInfo(agent, info);
  books_.UpdateUnavailability(agent);
  // The allocator gets the agent anew, with what it holds now.
  Books::BeginReplacement(agent);
  agent.total = session.total;
  if (agent.marking_scheduled) CancelMarking(agent);
  books_.agents.Connect(agent, stream);
  session.phase = SessionPhase::kAttached;
  session.agent = agent.index;
  EndReturn(session);
  agent.reregistered_time = books_.now();
  if (!was_registered) {
    ++books_.counters().agents_reregistered;
    if (!was_known) agent.registered_time = books_.now();
  }
  VLOG(1) << "agent " << agent.id << " at " << info.hostname() << " is back with "
          << session.tasks.size() << " tasks";
  SendRegistered(agent);

  SettleMissingTasks(agent, session);
  std::set<std::string> ended;
  for (const ReturningTask& returning : session.tasks) {
    Framework* framework = FrameworkOf(returning.record.framework_id(), session);
    if (framework == nullptr) {
      ended.insert(returning.record.framework_id());
    } else {
      ReturnTask(agent, *framework, returning, !was_known);
    }
  }
  for (const pb::FrameworkInfo& framework : session.frameworks) {
    if (books_.frameworks.IsCompleted(framework.id())) ended.insert(framework.id());
  }
  ReturnExecutors(agent, session);
  for (const std::string& id : ended) {
    link::MasterMessage message;
    message.mutable_shutdown_framework()->set_framework_id(id);
    books_.Tell(agent, std::move(message));
  }
  if (agent.drain.has_value()) {
    link::MasterMessage message;
    *message.mutable_drain()->mutable_config() = agent.drain->config();
    books_.Tell(agent, std::move(message));
  }
  agent.connection_broke = false;
  if (!agent.active() || !agent.total.NonShared().Contains(agent.held.NonShared())) {
    books_.RescindOffersOf(agent);
  }
  books_.AddToAllocator(agent);
  books_.Show(agent);
  StartWatch(agent);
  // It went down while the registry was asked.
  if (books_.machines.IsDown(agent.machine)) TakeDown(agent.id);

  session.registration.Clear();
  session.frameworks.clear();
  session.tasks.clear();
  session.executors.clear();
  const bool leaves = session.leaves;
  if (session.closed) {
    Disconnect(agent);
    Forget(stream);
  }
  if (leaves) BeginRemoval(agent, AgentRemoval::kUnregistered);
}

void AgentFlow::ReturnTask(Agent& agent, Framework& framework, const ReturningTask& returning,
                           bool tell_framework) {
  pb::TaskRecord record = returning.record;
  record.set_state(books_.StateFor(framework, record.state()));
  Task* known = books_.FindTask(framework, record.info().id());
  if (known != nullptr && !known->unreachable() && known->agent != agent.index) {
    // The framework gave the id again while this agent was away. The newer task keeps it.
    link::MasterMessage message;
    message.mutable_kill_task()->set_framework_id(framework.id);
    message.mutable_kill_task()->set_task_id(record.info().id());
    books_.Tell(agent, std::move(message));
    return;
  }
  if (known != nullptr && !known->unreachable()) {
    if (known->state != record.state()) {
      books_.SetTaskState(
          *known, record.state(),
          record.statuses().empty()
              ? books_.MakeStatus(known->id(), agent.id, record.state(),
                                  pb::REASON_AGENT_REREGISTERED, "the agent came back")
              : *record.statuses().rbegin());
    }
  } else {
    const bool kill_wanted = known != nullptr && known->kill_wanted;
    std::optional<pb::KillPolicy> kill_policy;
    if (known != nullptr) {
      kill_policy = known->kill_policy;
      tell_framework = true;
      books_.ForgetTask(*known);
    }
    known = &books_.AddTask(framework, agent, record, Allocated(returning.resources, framework));
    known->kill_wanted = kill_wanted;
    known->kill_policy = std::move(kill_policy);
    // An ended one says so by its own update.
    if (tell_framework && !IsTerminal(record.state())) {
      books_.TellStatus(framework,
                        books_.MakeStatus(known->id(), agent.id, record.state(),
                                          pb::REASON_AGENT_REREGISTERED, "the agent came back"));
    }
  }
  if (IsTerminal(known->state)) return;
  if (agent.connection_broke && !framework.info.checkpoint()) known->kill_wanted = true;
  if (known->kill_wanted) tasks_.SendKill(agent, framework, *known);
}

void AgentFlow::SettleMissingTasks(Agent& agent, const Session& session) {
  std::set<std::pair<std::string, std::string>> brought;
  for (const ReturningTask& task : session.tasks) {
    brought.insert({task.record.framework_id(), task.record.info().id()});
  }
  link::MasterMessage message;
  std::vector<TaskIndex> acknowledged;
  for (TaskIndex index : agent.tasks) {
    const Task& task = *books_.tasks.Find(index);
    const std::string& framework_id = books_.frameworks.Find(task.framework)->id;
    if (brought.contains({framework_id, task.id()})) continue;
    if (IsTerminal(task.state) && task.forwarded != nullptr &&
        IsTerminal(task.forwarded->state())) {
      // The agent has forgotten it: its end was acknowledged.
      acknowledged.push_back(index);
      continue;
    }
    auto* asked = message.mutable_reconcile_tasks()->add_tasks();
    asked->set_framework_id(framework_id);
    asked->set_task_id(task.id());
  }
  for (TaskIndex index : acknowledged) books_.CompleteTask(*books_.tasks.Find(index));
  if (message.has_reconcile_tasks()) books_.Tell(agent, std::move(message));

  // Those that went unreachable with the agent and did not come back with it run nowhere.
  for (TaskIndex index : books_.UnreachableTasksOf(agent.id)) {
    Task& task = *books_.tasks.Find(index);
    Framework& framework = *books_.frameworks.Find(task.framework);
    if (brought.contains({framework.id, task.id()})) continue;
    if (!IsTerminal(task.state)) {
      const pb::TaskState state = books_.StateFor(framework, pb::TASK_GONE);
      pb::TaskStatus status =
          books_.MakeStatus(task.id(), agent.id, state, pb::REASON_AGENT_REREGISTERED,
                            "its agent came back without it");
      books_.SetTaskState(task, state, status);
      books_.TellStatus(framework, std::move(status));
    }
    books_.CompleteTask(task);
  }
}

void AgentFlow::ReturnExecutors(Agent& agent, const Session& session) {
  std::set<std::pair<FrameworkIndex, std::string>> brought;
  for (const ReturningExecutor& executor : session.executors) {
    Framework* framework = FrameworkOf(executor.info.framework_id(), session);
    if (framework == nullptr) continue;
    const std::pair<FrameworkIndex, std::string> key(framework->index, executor.info.id());
    brought.insert(key);
    if (!agent.executors.contains(key)) {
      books_.AddExecutor(agent, *framework, executor.info,
                         Allocated(executor.resources, *framework));
    }
  }
  std::vector<std::pair<FrameworkIndex, std::string>> missing;
  for (const auto& [key, executor] : agent.executors) {
    if (!brought.contains(key)) missing.push_back(key);
  }
  for (const auto& [framework, id] : missing) books_.RemoveExecutor(agent, framework, id);
}

absl::StatusOr<model::Resources> AgentFlow::CheckTotal(
    const link::AgentMessage::TotalUpdate& update) const {
  if (update.ByteSizeLong() > books_.config().agent_bytes_max) {
    return rpc::Error(
        absl::StatusCode::kResourceExhausted, pb::ErrorDetail::MESSAGE_TOO_LARGE,
        absl::StrCat("a total has at most ", books_.config().agent_bytes_max, " bytes"));
  }
  return model::wire::FromProto(update.total_resources());
}

void AgentFlow::OnTotalUpdate(Agent& agent, const link::AgentMessage::TotalUpdate& update) {
  auto total = CheckTotal(update);
  if (!total.ok()) {
    LOG(WARNING) << "agent " << agent.id << " sent a malformed total: " << total.status();
    return;
  }
  if (*total == agent.total) return;
  agent.total = *std::move(total);
  FitOffers(agent);
  auto* updated = books_.allocator.Add().mutable_agent_updated();
  *updated->mutable_info() = agent.info;
  model::wire::ToProto(agent.total, updated->mutable_total());
  books_.Show(agent);
}

void AgentFlow::FitOffers(Agent& agent) {
  if (!agent.total.NonShared().Contains(agent.held.NonShared())) books_.RescindOffersOf(agent);
}

}  // namespace tessera::master
