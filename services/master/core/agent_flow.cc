#include "services/master/core/agent_flow.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "services/master/core/refusals.h"
#include "services/model/wire/incarnation.h"
#include "services/model/wire/resources.h"
#include "services/rpc/error.h"

namespace tessera::master {

void AgentFlow::OnStreamOpened(AgentStreamId stream) {
  if (streams_.size() >= books_.config().agent_streams_max) {
    ++books_.counters().agents_refused;
    return books_.out.CloseAgent(stream, TooMany("streams of agents"));
  }
  const AgentSession& session = streams_.Open(stream, books_.now());
  books_.timers.Arm(session.InventoryDue(books_.config()), TimerKind::kInventory, stream.value());
}

void AgentFlow::OnInventoryDue(const Timer& timer) {
  const AgentStreamId stream(timer.subject);
  const AgentSession* session = streams_.Find(stream);
  if (session == nullptr ||
      (session->phase != SessionPhase::kNew && session->phase != SessionPhase::kInventory)) {
    return;
  }
  if (const absl::Time due = session->InventoryDue(books_.config()); books_.now() < due) {
    return books_.timers.Arm(due, TimerKind::kInventory, timer.subject);
  }
  registration_.Refuse(
      stream,
      Later(absl::StatusCode::kDeadlineExceeded, pb::ErrorDetail::AGENT_DISCONNECTED,
            books_.rng().Jitter(absl::Seconds(1), 0.5),
            session->phase == SessionPhase::kNew ? "no `register` came"
                                                 : "the rest of the inventory did not come"));
}

void AgentFlow::OnMessages(AgentStreamId stream, const link::ConnectRequest& batch) {
  for (const link::AgentMessage& message : batch.messages()) {
    AgentSession* session = streams_.Find(stream);
    if (session == nullptr) return;  // refused by an earlier message
    OnMessage(stream, *session, message);
  }
}

void AgentFlow::OnMessage(AgentStreamId stream, AgentSession& session,
                          const link::AgentMessage& message) {
  session.heard = books_.now();
  switch (session.phase) {
    case SessionPhase::kNew:
      if (message.has_register_())
        return registration_.OnRegister(stream, session, message.register_());
      return registration_.Refuse(stream,
                                  rpc::InvalidField("messages", "a stream begins with `register`"));
    case SessionPhase::kInventory:
      if (message.has_inventory())
        return registration_.OnInventory(stream, session, message.inventory());
      return registration_.Refuse(
          stream, rpc::InvalidField("messages", "`inventory` follows until its last chunk"));
    case SessionPhase::kWaiting:
      return OnEarlyMessage(session, message);
    case SessionPhase::kAttached:
      break;
  }
  Agent* agent = books_.agents.Find(session.agent);
  switch (message.kind_case()) {
    case link::AgentMessage::kStatusUpdate:
      if (tasks_.OnStatusUpdate(*agent, message.status_update()) == TaskFlow::Booking::kNotBooked) {
        AskForInventory(stream, *agent);
      }
      return;
    case link::AgentMessage::kOperationUpdate:
      return tasks_.OnOperationUpdate(*agent, message.operation_update());
    case link::AgentMessage::kExecutorExited:
      return tasks_.OnExecutorExited(*agent, message.executor_exited());
    case link::AgentMessage::kExecutorMessage:
      return tasks_.OnExecutorMessage(*agent, message.executor_message());
    case link::AgentMessage::kTotalUpdate:
      return OnTotalUpdate(*agent, message.total_update());
    case link::AgentMessage::kUnregister:
      return loss_.Leave(*agent);
    case link::AgentMessage::kPong:
      return watch_.OnPong(*agent, message.pong());
    case link::AgentMessage::kRegister:
    case link::AgentMessage::kInventory:
    case link::AgentMessage::KIND_NOT_SET:
      books_.out.Note(base::Severity::kWarning, "agent ", agent->id,
                      " sent a message out of place");
      return;
  }
}

void AgentFlow::OnEarlyMessage(AgentSession& session, const link::AgentMessage& message) {
  // Statuses are repeated by the agent until they are acknowledged; these are said once.
  if (message.has_executor_exited()) {
    const auto& exited = message.executor_exited();
    std::erase_if(session.executors, [&exited](const feed::ExecutorRow& executor) {
      return executor.framework_id == exited.framework_id() &&
             executor.incarnation == model::wire::FromProto(exited.incarnation());
    });
    const std::string& id = session.registration.info().id();
    if (!id.empty()) tasks_.TellExecutorExited(id, exited);
  } else if (message.has_total_update()) {
    if (auto total = CheckTotal(message.total_update()); total.ok()) {
      session.total = *std::move(total);
      session.resource_version = message.total_update().resource_version();
    }
  } else if (message.has_unregister()) {
    session.leaves = true;
  }
}

void AgentFlow::OnStreamClosed(AgentStreamId stream) {
  AgentSession* session = streams_.Find(stream);
  if (session == nullptr) return;
  Agent* agent = books_.agents.Find(session->agent);
  if (session->phase == SessionPhase::kWaiting) {
    if (agent != nullptr && agent->admitting_stream == stream && !session->leaves) {
      agent->admitting_stream = AgentStreamId();
      return streams_.Forget(stream);
    }
    session->closed = true;  // kept: what it said is of use when the registry has answered
    return;
  }
  if (session->phase == SessionPhase::kAttached && agent != nullptr && agent->stream == stream) {
    loss_.Disconnect(*agent);
  }
  streams_.Forget(stream);
}

void AgentFlow::AskForInventory(AgentStreamId stream, Agent& agent) {
  ++books_.counters().inventories_asked;
  books_.out.Note(base::Severity::kWarning, "agent ", agent.id,
                  " runs a task that is not booked; its inventory is read again");
  // Nothing broke: what it runs goes on.
  const bool broke = agent.connection_broke;
  loss_.Disconnect(agent);
  agent.connection_broke = broke;
  streams_.Close(stream, Later(absl::StatusCode::kAborted, pb::ErrorDetail::AGENT_DISCONNECTED,
                               books_.rng().Jitter(absl::Seconds(1), 0.5),
                               "the agent runs a task that is not booked here; register again"));
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
    books_.out.Note(base::Severity::kWarning, "agent ", agent.id,
                    " sent a malformed total: ", total.status().ToString());
    return;
  }
  agent.resource_version = update.resource_version();
  if (*total == agent.total) return;
  agent.total = *std::move(total);
  FitOffers(agent);
  books_.allocator_view.AgentUpdated(agent);
  books_.changed.AgentChanged(agent.id);
}

void AgentFlow::FitOffers(Agent& agent) {
  if (!agent.total.NonShared().Contains(agent.held.NonShared()))
    books_.offer_book.RescindOffersOf(agent);
}

}  // namespace tessera::master
