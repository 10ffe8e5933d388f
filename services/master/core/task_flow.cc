#include "services/master/core/task_flow.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/master/core/refusals.h"
#include "services/master/core/times.h"
#include "services/model/ids.h"
#include "services/model/wire/description.h"
#include "services/model/wire/incarnation.h"
#include "services/rpc/error.h"

namespace tessera::master {
namespace {

constexpr size_t kUuidBytes = 16;

bool Ended(const link::AgentMessage::StatusUpdate& update) {
  return IsTerminal(update.latest_state()) || IsTerminal(update.status().state());
}

// A task that ended before its agent could list it, and that this master has not heard of: one that
// was refused while another led. It is booked until its end is acknowledged. Null when it is none.
Task* BookUnheardEnd(Books& books, Framework& framework, Agent& agent,
                     const link::AgentMessage::StatusUpdate& update) {
  const model::Incarnation incarnation = model::wire::FromProto(update.incarnation());
  const std::string& task_id = update.status().task_id();
  if (!Ended(update) || !incarnation.valid() || update.status().uuid().empty() ||
      !model::ValidateId("task id", task_id).ok() ||
      framework.completed_set.contains(incarnation) || framework.tasks.Newest(task_id).valid() ||
      books.tasks.size() >= books.config().tasks_max) {
    return nullptr;
  }
  auto facts = std::make_shared<feed::TaskFacts>();
  facts->framework_id = framework.id;
  facts->task_id = task_id;
  facts->incarnation = incarnation;
  facts->agent_id = agent.id;
  // No more is known of it, and readers find it by its id.
  pb::TaskInfo info;
  info.set_id(task_id);
  facts->info = model::wire::Describe(info);
  Task row;
  row.facts = std::move(facts);
  return &books.task_book.AddTask(framework, agent, std::move(row));
}

}  // namespace

void TaskFlow::Refuse(CallId call, absl::Status status) {
  ++books_.counters().calls_refused;
  books_.out.RefuseCall(call, std::move(status));
}

// ---- kills --------------------------------------------------------------------------------------

void TaskFlow::OnCall(CallId call, const sched::KillTaskRequest& request) {
  Framework* framework = sessions_.Enter(call, request.session(), CallType::kKill);
  if (framework == nullptr) return;
  if (request.kill_policy().has_grace_period() &&
      (!IsValid(request.kill_policy().grace_period()) ||
       DurationOf(request.kill_policy().grace_period()) < absl::ZeroDuration())) {
    return Refuse(call, rpc::InvalidField("kill_policy.grace_period", "must not be negative"));
  }
  Task* task = books_.task_book.FindTask(*framework, request.task_id());
  if (task == nullptr) {
    ReconcileOne(*framework, request.task_id(), request.agent_id());
  } else if (!request.agent_id().empty() && request.agent_id() != task->agent_id()) {
    return Refuse(call, rpc::InvalidField("agent_id",
                                          absl::StrCat("the task is on agent ", task->agent_id())));
  } else {
    Kill(*framework, *task,
         request.has_kill_policy() ? std::optional(request.kill_policy()) : std::nullopt);
  }
  books_.out.Reply(call, sched::KillTaskResponse());
}

void TaskFlow::Kill(Framework& framework, Task& task, std::optional<pb::KillPolicy> policy) {
  if (IsTerminal(task.state) && !task.unreachable()) return;
  task.kill_wanted = true;
  if (policy.has_value()) task.kill_policy = std::move(policy);
  if (Agent* agent = books_.agents.Find(task.agent); agent != nullptr) {
    SendKill(*agent, framework, task);
  }
}

void TaskFlow::SendKill(Agent& agent, const Framework& framework, const Task& task) {
  link::MasterMessage message;
  auto* kill = message.mutable_kill_task();
  kill->set_framework_id(framework.id);
  kill->set_task_id(task.id());
  *kill->mutable_incarnation() = model::wire::ToProto(task.incarnation());
  if (task.kill_policy.has_value()) *kill->mutable_kill_policy() = *task.kill_policy;
  books_.Tell(agent, std::move(message));
}

// ---- updates ------------------------------------------------------------------------------------

void TaskFlow::SendAcknowledgement(Agent& agent, const std::string& framework_id,
                                   const std::string& task_id,
                                   const model::Incarnation& incarnation, const std::string& uuid) {
  if (uuid.empty()) return;
  link::MasterMessage message;
  auto* acknowledge = message.mutable_acknowledge_update();
  acknowledge->set_framework_id(framework_id);
  acknowledge->set_task_id(task_id);
  *acknowledge->mutable_incarnation() = model::wire::ToProto(incarnation);
  acknowledge->set_uuid(uuid);
  books_.Tell(agent, std::move(message));
}

TaskFlow::Booking TaskFlow::OnUnbookedStatus(Agent& agent, const Framework* framework,
                                             bool elsewhere,
                                             const link::AgentMessage::StatusUpdate& update) {
  const std::string& task_id = update.status().task_id();
  // Its end was acknowledged before, or a newer one has its id.
  const bool ended = Ended(update);
  if (!ended && framework != nullptr && !elsewhere) return Booking::kNotBooked;
  SendAcknowledgement(agent, update.framework_id(), task_id,
                      model::wire::FromProto(update.incarnation()), update.status().uuid());
  if (ended) return Booking::kBooked;
  link::MasterMessage message;
  if (framework == nullptr) {
    // Nobody remembers whose it is.
    message.mutable_shutdown_framework()->set_framework_id(update.framework_id());
  } else {
    auto* kill = message.mutable_kill_task();
    kill->set_framework_id(framework->id);
    kill->set_task_id(task_id);
    *kill->mutable_incarnation() = update.incarnation();
  }
  books_.Tell(agent, std::move(message));
  return Booking::kBooked;
}

TaskFlow::Booking TaskFlow::OnStatusUpdate(Agent& agent,
                                           const link::AgentMessage::StatusUpdate& update) {
  ++books_.counters().status_updates;
  Framework* framework = books_.frameworks.FindById(update.framework_id());
  const model::Incarnation incarnation = model::wire::FromProto(update.incarnation());
  Task* task = framework == nullptr ? nullptr : books_.task_book.FindTask(*framework, incarnation);
  if (task != nullptr && task->unreachable() && task->agent_id() == agent.id) {
    // The agent is back and has the task after all, though its inventory did not list it.
    Task again = TaskBook::Rebooked(*task);
    again.state = books_.StateFor(*framework, update.status().state());
    books_.task_book.ForgetTask(*task);
    task = &books_.task_book.AddTask(*framework, agent, std::move(again));
  }
  if (task == nullptr && framework != nullptr) {
    task = BookUnheardEnd(books_, *framework, agent, update);
  }
  if (task == nullptr || task->agent != agent.index) {
    return OnUnbookedStatus(agent, framework, task != nullptr, update);
  }
  pb::TaskStatus status = update.status();
  if (status.state() == pb::TASK_STATE_UNSPECIFIED || !pb::TaskState_IsValid(status.state())) {
    SendAcknowledgement(agent, framework->id, task->id(), incarnation, status.uuid());
    return Booking::kBooked;
  }
  if (status.agent_id().empty()) status.set_agent_id(agent.id);
  status.set_state(books_.StateFor(*framework, status.state()));
  pb::TaskState latest = update.latest_state();
  if (latest == pb::TASK_STATE_UNSPECIFIED || !pb::TaskState_IsValid(latest)) {
    latest = status.state();
  }
  latest = books_.StateFor(*framework, latest);
  // No state follows an end, whatever the agent says.
  if (IsTerminal(status.state()) && !IsTerminal(latest)) latest = status.state();
  const bool repeated = task->forwarded != nullptr && task->forwarded->uuid() == status.uuid() &&
                        latest == task->state;
  feed::StatusPtr shown = repeated ? task->forwarded : feed::MakeStatus(status);
  // The end may be known from an earlier update; the history still lacks the status of this one.
  if (!repeated && !books_.task_book.SetTaskState(*task, latest, status, shown)) {
    books_.changed.TaskStatus(task->facts, task->state, shown);
  }
  Forward(*framework, agent, *task, std::move(status), std::move(shown));
  return Booking::kBooked;
}

void TaskFlow::Forward(Framework& framework, Agent& agent, Task& task, pb::TaskStatus status,
                       feed::StatusPtr shown) {
  const bool ends = IsTerminal(status.state());
  if (task.superseded) {
    SendAcknowledgement(agent, framework.id, task.id(), task.incarnation(), status.uuid());
    if (ends && !task.holds()) books_.task_book.CompleteTask(task);
    return;
  }
  const bool repeated_until_acknowledged = !status.uuid().empty();
  // Nothing more will come of it, and no acknowledgement.
  const bool last_word = ends && !repeated_until_acknowledged && !task.holds();
  if (!framework.connected()) {
    // Who asks for the task when it is back hears that it is not there.
    if (last_word) books_.task_book.CompleteTask(task);
    return;
  }
  if (status.state() == pb::TASK_KILLING && !framework.knows_killing) {
    return SendAcknowledgement(agent, framework.id, task.id(), task.incarnation(), status.uuid());
  }
  task.forwarded = std::move(shown);
  books_.TellStatus(framework, std::move(status));
  if (last_word) books_.task_book.CompleteTask(task);
}

void TaskFlow::OnCall(CallId call, const sched::AcknowledgeRequest& request) {
  Framework* framework = sessions_.Enter(call, request.session(), CallType::kAcknowledge);
  if (framework == nullptr) return;
  for (const auto& update : request.updates()) {
    if (update.uuid().size() != kUuidBytes) {
      return Refuse(call, rpc::InvalidField("updates.uuid", "must have 16 bytes"));
    }
  }
  for (const auto& update : request.updates()) AcknowledgeOne(*framework, update);
  for (const auto& update : request.operation_updates()) {
    Agent* agent = books_.agents.FindById(update.agent_id());
    if (agent == nullptr) continue;
    link::MasterMessage message;
    auto* acknowledge = message.mutable_acknowledge_operation();
    acknowledge->set_framework_id(framework->id);
    acknowledge->set_operation_id(update.operation_id());
    acknowledge->set_uuid(update.uuid());
    books_.Tell(*agent, std::move(message));
  }
  books_.out.Reply(call, sched::AcknowledgeResponse());
}

void TaskFlow::AcknowledgeOne(Framework& framework,
                              const sched::AcknowledgeRequest::Update& update) {
  ++books_.counters().acknowledgements;
  // An acknowledgement that cannot be handed on is not lost: the agent repeats the update, and the
  // framework acknowledges again.
  Agent* agent = books_.agents.FindById(update.agent_id());
  Task* task = books_.task_book.FindTask(framework, update.task_id());
  if (agent == nullptr || !agent->connected() || task == nullptr || task->agent != agent->index ||
      task->forwarded == nullptr) {
    ++books_.counters().acknowledgements_dropped;
    return;
  }
  SendAcknowledgement(*agent, framework.id, task->id(), task->incarnation(), update.uuid());
  if (task->forwarded->uuid() == update.uuid() && IsTerminal(task->forwarded->state)) {
    books_.task_book.CompleteTask(*task);
  }
}

// ---- reconciliation -----------------------------------------------------------------------------

void TaskFlow::TellKnown(Framework& framework, const Task& task) {
  if (task.superseded) return;
  pb::TaskStatus status = books_.MakeStatus(task.id(), task.agent_id(), task.told(),
                                            pb::REASON_RECONCILIATION, "the newest state known");
  if (task.unreachable()) {
    status.set_state(pb::TASK_UNREACHABLE);
    SetTime(task.unreachable_since, status.mutable_unreachable_time());
  } else {
    SayWhichLaunch(task, &status);
  }
  books_.TellStatus(framework, std::move(status));
}

void TaskFlow::ReconcileOne(Framework& framework, const std::string& task_id,
                            const std::string& agent_id) {
  if (const Task* task = books_.task_book.FindTask(framework, task_id); task != nullptr) {
    return TellKnown(framework, *task);
  }
  auto answer = [&](pb::TaskState state, const std::string& message) {
    books_.TellStatus(
        framework, books_.MakeStatus(task_id, agent_id, state, pb::REASON_RECONCILIATION, message));
  };
  if (agent_id.empty()) {
    // It may be on an agent that is not back yet.
    if (books_.agents.recovered() == 0) answer(pb::TASK_UNKNOWN, "no such task is known");
    return;
  }
  if (const Agent* agent = books_.agents.FindById(agent_id); agent != nullptr) {
    if (agent->phase == AgentPhase::kRecovered) return;
    return answer(pb::TASK_GONE, "its agent does not run it");
  }
  if (const auto since = books_.agents.UnreachableSince(agent_id); since.has_value()) {
    pb::TaskStatus status =
        books_.MakeStatus(task_id, agent_id, pb::TASK_UNREACHABLE, pb::REASON_RECONCILIATION,
                          "its agent does not answer");
    SetTime(*since, status.mutable_unreachable_time());
    return books_.TellStatus(framework, std::move(status));
  }
  if (books_.agents.IsGone(agent_id)) {
    return answer(pb::TASK_GONE_BY_OPERATOR, "its agent was declared gone");
  }
  answer(pb::TASK_UNKNOWN, "neither the task nor its agent is known");
}

void TaskFlow::OnCall(CallId call, const sched::ReconcileTasksRequest& request) {
  Framework* framework = sessions_.Enter(call, request.session(), CallType::kReconcile);
  if (framework == nullptr) return;
  if (request.tasks_size() > static_cast<int>(books_.config().tasks_per_call_max)) {
    return Refuse(call, TooManyInOneCall("tasks", books_.config().tasks_per_call_max));
  }
  if (request.tasks().empty()) {
    for (const auto& [incarnation, index] : framework->tasks) {
      const Task& task = *books_.tasks.Find(index);
      if (!task.unreachable()) TellKnown(*framework, task);
    }
  }
  for (const auto& task : request.tasks()) {
    ReconcileOne(*framework, task.task_id(), task.agent_id());
  }
  books_.out.Reply(call, sched::ReconcileTasksResponse());
}

void TaskFlow::OnCall(CallId call, const sched::ReconcileOperationsRequest& request) {
  Framework* framework = sessions_.Enter(call, request.session(), CallType::kReconcileOperations);
  if (framework == nullptr) return;
  if (request.operations_size() > static_cast<int>(books_.config().tasks_per_call_max)) {
    return Refuse(call, TooManyInOneCall("operations", books_.config().tasks_per_call_max));
  }
  // No operation outlives its call here, so none is known; the agent's standing says the rest.
  for (const auto& operation : request.operations()) {
    sched::Event event;
    auto* status = event.mutable_operation_update()->mutable_status();
    status->set_operation_id(operation.operation_id());
    status->set_agent_id(operation.agent_id());
    const Agent* agent = books_.agents.FindById(operation.agent_id());
    if (agent != nullptr && agent->phase == AgentPhase::kRecovered) {
      status->set_state(pb::OPERATION_RECOVERING);
    } else if (books_.agents.UnreachableSince(operation.agent_id()).has_value()) {
      status->set_state(pb::OPERATION_UNREACHABLE);
    } else if (books_.agents.IsGone(operation.agent_id())) {
      status->set_state(pb::OPERATION_GONE_BY_OPERATOR);
    } else {
      status->set_state(pb::OPERATION_UNKNOWN);
    }
    books_.Tell(*framework, std::move(event));
  }
  books_.out.Reply(call, sched::ReconcileOperationsResponse());
}

// ---- executors ----------------------------------------------------------------------------------

void TaskFlow::OnCall(CallId call, const sched::SendMessageRequest& request) {
  Framework* framework = sessions_.Enter(call, request.session(), CallType::kMessage);
  if (framework == nullptr) return;
  if (request.data().size() > books_.config().message_bytes_max) {
    return Refuse(
        call, rpc::Error(
                  absl::StatusCode::kResourceExhausted, pb::ErrorDetail::MESSAGE_TOO_LARGE,
                  absl::StrCat("at most ", books_.config().message_bytes_max, " bytes a message")));
  }
  Agent* agent = AgentFor(call, request.agent_id());
  if (agent == nullptr) return;
  // At most once: what is said to an executor that is not there is lost.
  if (const feed::ExecutorPtr executor =
          agent->executors.Newest(framework->index, request.executor_id());
      executor != nullptr) {
    link::MasterMessage message;
    auto* to_executor = message.mutable_framework_to_executor();
    to_executor->set_framework_id(framework->id);
    to_executor->set_executor_id(executor->executor_id);
    *to_executor->mutable_incarnation() = model::wire::ToProto(executor->incarnation);
    to_executor->set_data(request.data());
    books_.Tell(*agent, std::move(message));
    ++books_.counters().messages_to_executors;
  }
  books_.out.Reply(call, sched::SendMessageResponse());
}

Agent* TaskFlow::AgentFor(CallId call, const std::string& agent_id) {
  Agent* agent = books_.agents.FindById(agent_id);
  if (agent == nullptr) {
    Refuse(call, UnknownAgent(agent_id));
  } else if (!agent->connected()) {
    Refuse(call, AgentDisconnected(agent_id));
    agent = nullptr;
  }
  return agent;
}

void TaskFlow::OnCall(CallId call, const sched::ShutdownExecutorRequest& request) {
  Framework* framework = sessions_.Enter(call, request.session(), CallType::kShutdown);
  if (framework == nullptr) return;
  Agent* agent = AgentFor(call, request.agent_id());
  if (agent == nullptr) return;
  if (const feed::ExecutorPtr executor =
          agent->executors.Newest(framework->index, request.executor_id());
      executor != nullptr) {
    link::MasterMessage message;
    auto* shutdown = message.mutable_shutdown_executor();
    shutdown->set_framework_id(framework->id);
    shutdown->set_executor_id(executor->executor_id);
    *shutdown->mutable_incarnation() = model::wire::ToProto(executor->incarnation);
    books_.Tell(*agent, std::move(message));
  }
  books_.out.Reply(call, sched::ShutdownExecutorResponse());
}

void TaskFlow::OnOperationUpdate(Agent& agent, const link::AgentMessage::OperationUpdate& update) {
  Framework* framework = books_.frameworks.FindById(update.framework_id());
  if (framework == nullptr || update.status().operation_id().empty()) {
    link::MasterMessage message;
    auto* acknowledge = message.mutable_acknowledge_operation();
    acknowledge->set_framework_id(update.framework_id());
    acknowledge->set_operation_id(update.status().operation_id());
    acknowledge->set_uuid(update.status().uuid());
    books_.Tell(agent, std::move(message));
    return;
  }
  sched::Event event;
  *event.mutable_operation_update()->mutable_status() = update.status();
  event.mutable_operation_update()->mutable_status()->set_agent_id(agent.id);
  books_.Tell(*framework, std::move(event));
}

void TaskFlow::OnExecutorExited(Agent& agent, const link::AgentMessage::ExecutorExited& exited) {
  Framework* framework = books_.frameworks.FindById(exited.framework_id());
  if (framework == nullptr) return;
  books_.task_book.RemoveExecutor(agent,
                                  {framework->index, model::wire::FromProto(exited.incarnation())});
  // Of two of one id the framework means the newer one, which lives.
  if (agent.executors.Newest(framework->index, exited.executor_id()) != nullptr) return;
  TellExecutorExited(agent.id, exited);
}

void TaskFlow::TellExecutorExited(const std::string& agent_id,
                                  const link::AgentMessage::ExecutorExited& exited) {
  Framework* framework = books_.frameworks.FindById(exited.framework_id());
  if (framework == nullptr || exited.refused()) return;
  sched::Event event;
  event.mutable_failure()->set_agent_id(agent_id);
  event.mutable_failure()->set_executor_id(exited.executor_id());
  event.mutable_failure()->set_wait_status(exited.wait_status());
  books_.Tell(*framework, std::move(event));
}

void TaskFlow::OnExecutorMessage(Agent& agent, const link::AgentMessage::ExecutorMessage& message) {
  ++books_.counters().messages_from_executors;
  Framework* framework = books_.frameworks.FindById(message.framework_id());
  if (framework == nullptr) return;
  sched::Event event;
  event.mutable_message()->set_agent_id(agent.id);
  event.mutable_message()->set_executor_id(message.executor_id());
  event.mutable_message()->set_data(message.data());
  books_.Tell(*framework, std::move(event));
}

}  // namespace tessera::master
