// How agents go: a broken stream, no answer for too long, leaving, and being declared dead.
#pragma once

#include <string>

#include "absl/container/btree_set.h"
#include "services/master/core/agent_streams.h"
#include "services/master/core/books.h"

namespace tessera::master {

class AgentLoss {
 public:
  AgentLoss(Books* books, AgentStreams* streams) : books_(*books), streams_(*streams) {}

  // Its stream has ended: it takes no part in offers, and may come back.
  void Disconnect(Agent& agent);
  // It said that it leaves.
  void Leave(Agent& agent);
  void OnMarkedUnreachable(const AgentMarkedUnreachable& marked);
  // Takes an admitted or unreachable agent's id away for good. `why` is kGone when an operator says
  // so, kUnregistered when it leaves, kReplaced when another registered in its place, and
  // kMaintenance when its machine was taken down. `call` is answered when that is durable.
  void MarkGone(const std::string& id, AgentRemoval why, CallId call);
  void OnMarkedGone(const AgentMarkedGone& marked);

  // The machine of an agent, admitted or unreachable, is down: it takes no part in offers, and is
  // declared gone by FinishTakingDown once no other change of it is under way. Repeats do nothing.
  void TakeDown(const std::string& id);
  // To be called at the end of a Step.
  void FinishTakingDown();

 private:
  enum class Loss : uint8_t { kUnreachable, kRemoved, kGone, kTakenDown };
  static Loss LossOf(AgentRemoval why);
  pb::TaskStatus StatusOfLoss(const Framework& framework, const Task& task, Loss loss) const;
  void LoseTask(Task& task, Loss loss);
  // Takes the agent's row and everything on it away.
  void Lose(Agent& agent, Loss loss, AgentRemoval why, const absl::Status& close_status);
  void TellFailure(const std::string& agent_id);

  Books& books_;
  AgentStreams& streams_;
  // Ids of agents whose machines are down and that are not declared gone yet.
  absl::btree_set<std::string> taking_down_;
};

}  // namespace tessera::master
