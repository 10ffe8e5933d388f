// How agents come: registration of new ones, inventories of those that come back.
//
// An agent is admitted when the registry says so, and its tasks are booked when its whole inventory
// is here.
#pragma once

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "services/master/core/agent_loss.h"
#include "services/master/core/agent_return.h"
#include "services/master/core/agent_streams.h"
#include "services/master/core/agent_watch.h"
#include "services/master/core/books.h"

namespace tessera::master {

class AgentRegistration {
 public:
  AgentRegistration(Books* books, AgentStreams* streams, AgentWatch* watch, AgentLoss* loss,
                    AgentReturn* returns)
      : books_(*books), streams_(*streams), watch_(*watch), loss_(*loss), returns_(*returns) {}

  void OnRegister(AgentStreamId stream, AgentSession& session,
                  const link::AgentMessage::Register& registration);
  void OnInventory(AgentStreamId stream, AgentSession& session,
                   const link::AgentMessage::Inventory& chunk);
  void OnAdmitted(const AgentAdmitted& admitted);
  void OnReadmitted(const AgentReadmitted& readmitted);
  // The stream does not get in; it is told why.
  void Refuse(AgentStreamId stream, const absl::Status& status);

  // An agent has obeyed a higher epoch than ours: the lease must be looked at.
  bool TakeEpochDoubt() { return std::exchange(epoch_doubt_, false); }

 private:
  void RegisterNew(AgentStreamId stream, AgentSession& session);
  void RegisterAgain(AgentStreamId stream, AgentSession& session);
  // What agents on a machine that is down are told.
  absl::Status RefusalOf(const MachineName& machine);
  // OK, or why an agent with this id cannot come back now.
  absl::Status MayReturn(const std::string& id);
  absl::Status TakeInventory(AgentSession& session, const link::AgentMessage::Inventory& chunk);
  // What is not in the books yet and comes with the inventory has room there.
  absl::Status CheckFrameworks(const AgentSession& session) const;
  void FinishInventory(AgentStreamId stream, AgentSession& session);
  // A newer stream takes the place of one that waits for its agent's admission.
  void ReplaceAdmitting(Agent& agent, AgentStreamId stream);

  Books& books_;
  AgentStreams& streams_;
  AgentWatch& watch_;
  AgentLoss& loss_;
  AgentReturn& returns_;
  bool epoch_doubt_ = false;
  // The highest epoch that an agent has obeyed, when it is higher than ours.
  uint64_t doubted_epoch_ = 0;
};

}  // namespace tessera::master
