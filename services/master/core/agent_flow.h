// What agents' streams bring: each message goes to the flow that it is for.
//
// Transitions of one agent exclude one another (AgentTransition).
#pragma once

#include "services/master/core/agent_loss.h"
#include "services/master/core/agent_registration.h"
#include "services/master/core/agent_streams.h"
#include "services/master/core/agent_watch.h"
#include "services/master/core/books.h"
#include "services/master/core/task_flow.h"

namespace tessera::master {

class AgentFlow {
 public:
  AgentFlow(Books* books, TaskFlow* tasks, AgentStreams* streams, AgentWatch* watch,
            AgentLoss* loss, AgentRegistration* registration)
      : books_(*books),
        tasks_(*tasks),
        streams_(*streams),
        watch_(*watch),
        loss_(*loss),
        registration_(*registration) {}

  void OnStreamOpened(AgentStreamId stream);
  void OnMessages(AgentStreamId stream, const link::ConnectRequest& batch);
  void OnStreamClosed(AgentStreamId stream);
  // A stream has said nothing for a while, or brings its inventory for too long.
  void OnInventoryDue(const Timer& timer);

 private:
  void OnMessage(AgentStreamId stream, AgentSession& session, const link::AgentMessage& message);
  // What an agent says before the registry has answered changes what it brings.
  void OnEarlyMessage(AgentSession& session, const link::AgentMessage& message);
  // Ends the stream of an agent that runs what is not booked: it comes back with its inventory.
  void AskForInventory(AgentStreamId stream, Agent& agent);
  absl::StatusOr<model::Resources> CheckTotal(const link::AgentMessage::TotalUpdate& update) const;
  void OnTotalUpdate(Agent& agent, const link::AgentMessage::TotalUpdate& update);
  void FitOffers(Agent& agent);

  Books& books_;
  TaskFlow& tasks_;
  AgentStreams& streams_;
  AgentWatch& watch_;
  AgentLoss& loss_;
  AgentRegistration& registration_;
};

}  // namespace tessera::master
