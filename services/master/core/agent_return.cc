#include "services/master/core/agent_return.h"

#include <set>
#include <utility>
#include <vector>

#include "services/master/core/times.h"
#include "services/model/role.h"
#include "services/model/wire/incarnation.h"
#include "services/model/wire/resources.h"

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

void SendRegistered(Books& books, Agent& agent) {
  link::MasterMessage message;
  auto* registered = message.mutable_registered();
  registered->set_agent_id(agent.id);
  SetDuration(books.config().ping_interval * books.config().ping_misses_max,
              registered->mutable_ping_timeout());
  registered->set_master_id(books.master_id());
  books.Tell(agent, std::move(message));
}

Framework* AgentReturn::FrameworkOf(const std::string& id, const AgentSession& session) {
  if (Framework* known = books_.frameworks.FindById(id); known != nullptr) {
    // Its first subscription to this master may still wait for the registry.
    if (known->phase == FrameworkPhase::kAdmitting) sessions_.AwaitReturn(*known);
    return known;
  }
  if (books_.frameworks.IsCompleted(id)) return nullptr;
  for (const auto& [info, description] : session.frameworks) {
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

void AgentReturn::Return(AgentStreamId stream, AgentSession& session) {
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
    streams_.Close(older, absl::AbortedError("a newer stream of the same agent took over"));
  }
  books_.agents.SetInfo(agent, info);
  books_.offer_book.UpdateUnavailability(agent);
  // The allocator gets the agent anew, with what it holds now.
  AllocatorView::BeginReplacement(agent);
  agent.total = session.total;
  agent.resource_version = session.resource_version;
  if (agent.marking_scheduled) watch_.CancelMarking(agent);
  books_.agents.Connect(agent, stream);
  session.phase = SessionPhase::kAttached;
  session.agent = agent.index;
  streams_.EndReturn(session);
  agent.reregistered_time = books_.now();
  if (!was_registered) {
    ++books_.counters().agents_reregistered;
    if (!was_known) agent.registered_time = books_.now();
  }
  books_.out.Note(base::Severity::kDetail, "agent ", agent.id, " at ", info.hostname(),
                  " is back with ", session.tasks.size(), " tasks");
  SendRegistered(books_, agent);

  SettleMissingTasks(agent, session);
  std::set<std::string> ended;
  for (ReturningTask& returning : session.tasks) {
    Framework* framework = FrameworkOf(returning.facts.framework_id, session);
    if (framework == nullptr) {
      ended.insert(returning.facts.framework_id);
    } else {
      ReturnTask(agent, *framework, returning, !was_known);
    }
  }
  ReturnExecutors(agent, session);
  for (const auto& [info, description] : session.frameworks) {
    if (books_.frameworks.IsCompleted(info.id())) ended.insert(info.id());
  }
  DescribeFrameworks(agent, session);
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
    books_.offer_book.RescindOffersOf(agent);
  }
  books_.allocator_view.AddToAllocator(agent);
  books_.changed.AgentChanged(agent.id);
  watch_.StartWatch(agent);
  // It went down while the registry was asked.
  if (books_.machines.IsDown(agent.machine)) loss_.TakeDown(agent.id);

  session.registration.Clear();
  session.frameworks.clear();
  session.tasks.clear();
  session.executors.clear();
  const bool leaves = session.leaves;
  if (session.closed) {
    loss_.Disconnect(agent);
    streams_.Forget(stream);
  }
  if (leaves) loss_.Leave(agent);
}

void AgentReturn::DescribeFrameworks(Agent& agent, const AgentSession& session) {
  for (const auto& [info, description] : session.frameworks) {
    Framework* framework = books_.frameworks.FindById(info.id());
    if (framework == nullptr) continue;
    if (framework->description == description) {
      agent.described[framework->index] = framework->description_version;
    } else {
      books_.Describe(*framework, agent);
    }
  }
}

void AgentReturn::TellReturned(Framework& framework, const Task& task) {
  // What waits for its turn is told by the agent.
  pb::TaskStatus status = books_.MakeStatus(task.id(), task.agent_id(), task.told(),
                                            pb::REASON_AGENT_REREGISTERED, "the agent came back");
  SayWhichLaunch(task, &status);
  books_.TellStatus(framework, task, std::move(status));
}

void AgentReturn::ReturnTask(Agent& agent, Framework& framework, ReturningTask& returning,
                             bool tell_framework) {
  const pb::TaskState state = books_.StateFor(framework, returning.state);
  Task* known = books_.task_book.FindTask(framework, returning.facts.incarnation);
  if (known != nullptr && !known->unreachable() && known->agent != agent.index) {
    // Another agent has it, and this one a copy of that one's work directory.
    link::MasterMessage message;
    message.mutable_kill_task()->set_framework_id(framework.id);
    message.mutable_kill_task()->set_task_id(known->id());
    *message.mutable_kill_task()->mutable_incarnation() =
        model::wire::ToProto(known->incarnation());
    books_.Tell(agent, std::move(message));
    return;
  }
  if (known != nullptr && !known->unreachable()) {
    if (known->state != state) {
      pb::TaskStatus status;
      feed::StatusPtr shown;
      if (returning.history.empty() || !status.ParseFromString(returning.history.back()->bytes)) {
        status = books_.MakeStatus(known->id(), agent.id, state, pb::REASON_AGENT_REREGISTERED,
                                   "the agent came back");
      } else {
        shown = returning.history.back();
      }
      books_.task_book.SetTaskState(*known, state, status, std::move(shown));
    }
  } else {
    Task row;
    if (known != nullptr) {
      row = TaskBook::Rebooked(*known);
      tell_framework = true;
      books_.task_book.ForgetTask(*known);
    } else {
      returning.facts.agent_id = agent.id;
      returning.facts.resources = Allocated(returning.facts.resources, framework);
      row.facts = std::make_shared<const feed::TaskFacts>(std::move(returning.facts));
    }
    row.state = state;
    row.told_before = books_.StateFor(framework, returning.told_before);
    if (!returning.history.empty()) row.brought = returning.history.back();
    Task* older = books_.task_book.FindTask(framework, row.id());
    known =
        &books_.task_book.AddTask(framework, agent, std::move(row), std::move(returning.history));
    if (older != nullptr && older->superseded) tasks_.Kill(framework, *older, std::nullopt);
    // An ended one says so by its own update.
    if (tell_framework && !IsTerminal(state)) TellReturned(framework, *known);
  }
  if (IsTerminal(known->state)) return;
  if (known->superseded) known->kill_wanted = true;
  if (agent.connection_broke && !framework.info.checkpoint()) known->kill_wanted = true;
  if (known->kill_wanted) tasks_.SendKill(agent, framework, *known);
}

void AgentReturn::SettleMissingTasks(Agent& agent, const AgentSession& session) {
  std::set<model::Incarnation> brought;
  for (const ReturningTask& returning : session.tasks) {
    brought.insert(returning.facts.incarnation);
  }
  link::MasterMessage message;
  std::vector<TaskIndex> acknowledged;
  for (TaskIndex index : agent.tasks) {
    const Task& task = *books_.tasks.Find(index);
    if (brought.contains(task.incarnation())) continue;
    if (IsTerminal(task.state) &&
        (task.superseded || (task.forwarded != nullptr && IsTerminal(task.forwarded->state)))) {
      // The agent has forgotten it: its end was acknowledged.
      acknowledged.push_back(index);
      continue;
    }
    auto* asked = message.mutable_reconcile_tasks()->add_tasks();
    asked->set_framework_id(books_.frameworks.Find(task.framework)->id);
    asked->set_task_id(task.id());
    *asked->mutable_incarnation() = model::wire::ToProto(task.incarnation());
  }
  for (TaskIndex index : acknowledged) books_.task_book.CompleteTask(*books_.tasks.Find(index));
  if (message.has_reconcile_tasks()) books_.Tell(agent, std::move(message));

  // Those that went unreachable with the agent and did not come back with it run nowhere.
  for (TaskIndex index : books_.task_book.UnreachableTasksOf(agent.id)) {
    Task& task = *books_.tasks.Find(index);
    Framework& framework = *books_.frameworks.Find(task.framework);
    if (brought.contains(task.incarnation())) continue;
    if (!IsTerminal(task.state)) {
      const pb::TaskState state = books_.StateFor(framework, pb::TASK_GONE);
      pb::TaskStatus status =
          books_.MakeStatus(task.id(), agent.id, state, pb::REASON_AGENT_REREGISTERED,
                            "its agent came back without it");
      books_.task_book.SetTaskState(task, state, status);
      books_.TellStatus(framework, task, std::move(status));
    }
    books_.task_book.CompleteTask(task);
  }
}

void AgentReturn::ReturnExecutors(Agent& agent, AgentSession& session) {
  std::set<ExecutorTable::Key> brought;
  for (feed::ExecutorRow& executor : session.executors) {
    Framework* framework = FrameworkOf(executor.framework_id, session);
    if (framework == nullptr) continue;
    const ExecutorTable::Key key(framework->index, executor.incarnation);
    if (!brought.insert(key).second || agent.executors.Find(key) != nullptr) continue;
    executor.agent_id = agent.id;
    executor.resources = Allocated(executor.resources, *framework);
    books_.task_book.AddExecutor(agent, *framework,
                                 std::make_shared<const feed::ExecutorRow>(std::move(executor)));
  }
  std::vector<ExecutorTable::Key> missing;
  for (const auto& [key, executor] : agent.executors) {
    if (!brought.contains(key)) missing.push_back(key);
  }
  for (const ExecutorTable::Key& key : missing) books_.task_book.RemoveExecutor(agent, key);
}

}  // namespace tessera::master
