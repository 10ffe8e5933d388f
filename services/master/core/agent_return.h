// What an agent that comes back changes: the agent is the truth about its tasks.
#pragma once

#include <string>

#include "services/master/core/agent_loss.h"
#include "services/master/core/agent_streams.h"
#include "services/master/core/agent_watch.h"
#include "services/master/core/books.h"
#include "services/master/core/session_flow.h"
#include "services/master/core/task_flow.h"

namespace tessera::master {

// Tells an agent that it is registered, by what id and with whom.
void SendRegistered(Books& books, Agent& agent);

class AgentReturn {
 public:
  AgentReturn(Books* books, SessionFlow* sessions, TaskFlow* tasks, AgentStreams* streams,
              AgentWatch* watch, AgentLoss* loss)
      : books_(*books),
        sessions_(*sessions),
        tasks_(*tasks),
        streams_(*streams),
        watch_(*watch),
        loss_(*loss) {}

  // Attaches the stream to its agent, with all that the session has brought.
  void Return(AgentStreamId stream, AgentSession& session);

 private:
  Framework* FrameworkOf(const std::string& id, const AgentSession& session);
  void ReturnTask(Agent& agent, Framework& framework, ReturningTask& returning,
                  bool tell_framework);
  // Tells the framework that the agent is back with the task.
  void TellReturned(Framework& framework, const Task& task);
  void ReturnExecutors(Agent& agent, AgentSession& session);
  void DescribeFrameworks(Agent& agent, const AgentSession& session);
  void SettleMissingTasks(Agent& agent, const AgentSession& session);

  Books& books_;
  SessionFlow& sessions_;
  TaskFlow& tasks_;
  AgentStreams& streams_;
  AgentWatch& watch_;
  AgentLoss& loss_;
};

}  // namespace tessera::master
