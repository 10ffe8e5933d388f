#include "services/master/core/agent_loss.h"

#include <utility>

#include "services/master/core/refusals.h"
#include "services/master/core/times.h"

namespace tessera::master {

void AgentLoss::Disconnect(Agent& agent) {
  books_.out.Note(base::Severity::kInfo, "agent ", agent.id, " at ", agent.info.hostname(),
                  " disconnected");
  books_.agents.Disconnect(agent);
  agent.connection_broke = true;
  books_.allocator_view.UpdateActivity(agent);
  books_.offer_book.RescindOffersOf(agent);
  books_.changed.AgentChanged(agent.id);
}

void AgentLoss::Leave(Agent& agent) {
  if (agent.transition != AgentTransition::kNone) return;
  MarkGone(std::string(agent.id), AgentRemoval::kUnregistered, CallId());
}

void AgentLoss::OnMarkedUnreachable(const AgentMarkedUnreachable& marked) {
  Agent* agent = books_.agents.Find(marked.agent);
  if (agent == nullptr || agent->transition != AgentTransition::kMarkingUnreachable) return;
  ++books_.counters().unreachable_completed;
  const std::string id = agent->id;
  const pb::AgentInfo info = agent->info;
  Lose(*agent, Loss::kUnreachable, marked.why,
       Later(absl::StatusCode::kUnavailable, pb::ErrorDetail::AGENT_DISCONNECTED,
             books_.rng().Jitter(absl::Seconds(1), 0.5),
             "the agent did not answer for too long; register again"));
  for (const std::string& forgotten : books_.agents.AddUnreachable(
           id, info, books_.now(), books_.config().unreachable_agents_max)) {
    books_.registry.WriteOwn({Delete("agents/unreachable/" + forgotten)}, Noted{});
    books_.changed.AgentChanged(forgotten);
  }
}

void AgentLoss::MarkGone(const std::string& id, AgentRemoval why, CallId call) {
  books_.agents.SetMarkingGone(id);
  if (Agent* agent = books_.agents.FindById(id); agent != nullptr) {
    agent->transition = AgentTransition::kMarkingGone;
    books_.allocator_view.UpdateActivity(*agent);
    books_.offer_book.RescindOffersOf(*agent);
  }
  reg::GoneAgent record;
  SetTime(books_.now(), record.mutable_time());
  books_.registry.WriteOwn({Delete("agents/admitted/" + id), Delete("agents/unreachable/" + id),
                            Put("agents/gone/" + id, record)},
                           AgentMarkedGone{id, why, call});
}

void AgentLoss::TakeDown(const std::string& id) {
  if (Agent* agent = books_.agents.FindById(id); agent != nullptr && !agent->going_down) {
    agent->going_down = true;
    books_.allocator_view.UpdateActivity(*agent);
    books_.offer_book.RescindOffersOf(*agent);
    books_.changed.AgentChanged(agent->id);
  }
  taking_down_.insert(id);
}

void AgentLoss::FinishTakingDown() {
  for (auto it = taking_down_.begin(); it != taking_down_.end();) {
    const Agent* agent = books_.agents.FindById(*it);
    if (agent != nullptr &&
        (agent->phase == AgentPhase::kAdmitting || agent->transition != AgentTransition::kNone)) {
      ++it;
      continue;
    }
    const bool there = agent != nullptr || books_.agents.UnreachableSince(*it).has_value();
    if (there && !books_.agents.IsMarkingGone(*it)) {
      MarkGone(*it, AgentRemoval::kMaintenance, CallId());
    }
    it = taking_down_.erase(it);
  }
}

AgentLoss::Loss AgentLoss::LossOf(AgentRemoval why) {
  switch (why) {
    case AgentRemoval::kUnregistered:
    case AgentRemoval::kReplaced:
      return Loss::kRemoved;
    case AgentRemoval::kMaintenance:
      return Loss::kTakenDown;
    case AgentRemoval::kUnhealthy:
    case AgentRemoval::kNotReregistered:
      return Loss::kUnreachable;
    case AgentRemoval::kGone:
      break;
  }
  return Loss::kGone;
}

void AgentLoss::OnMarkedGone(const AgentMarkedGone& marked) {
  const std::string& agent_id = marked.agent_id;
  if (Agent* agent = books_.agents.FindById(agent_id); agent != nullptr) {
    if (marked.why == AgentRemoval::kUnregistered) {
      Lose(*agent, LossOf(marked.why), marked.why, absl::OkStatus());
    } else {
      link::MasterMessage message;
      message.mutable_shutdown()->set_message(marked.why == AgentRemoval::kMaintenance
                                                  ? "its machine is taken down for maintenance"
                                                  : "the agent was declared gone by an operator");
      books_.Tell(*agent, std::move(message));
      Lose(*agent, LossOf(marked.why), marked.why, AgentGone(agent_id));
    }
  } else {
    // It was unreachable: the tasks kept of it end now.
    const Loss loss = LossOf(marked.why);
    for (TaskIndex index : books_.task_book.UnreachableTasksOf(agent_id)) {
      Task& task = *books_.tasks.Find(index);
      Framework& framework = *books_.frameworks.Find(task.framework);
      const pb::TaskStatus status = StatusOfLoss(framework, task, loss);
      const bool told_as_lost = IsTerminal(task.state);
      books_.task_book.SetTaskState(task, status.state(), status);
      if (!told_as_lost) books_.TellStatus(framework, task, status);
      books_.task_book.CompleteTask(task);
    }
    books_.changed.AgentChanged(agent_id);
  }
  for (const std::string& forgotten :
       books_.agents.AddGone(agent_id, books_.config().gone_agents_max)) {
    books_.registry.WriteOwn({Delete("agents/gone/" + forgotten)}, Noted{});
  }
}

pb::TaskStatus AgentLoss::StatusOfLoss(const Framework& framework, const Task& task,
                                       Loss loss) const {
  auto make = [&](pb::TaskState state, pb::TaskStatusReason reason, const char* message) {
    return books_.MakeStatus(task.id(), task.agent_id(), books_.StateFor(framework, state), reason,
                             message);
  };
  switch (loss) {
    case Loss::kUnreachable: {
      pb::TaskStatus status =
          make(pb::TASK_UNREACHABLE, pb::REASON_AGENT_REMOVED, "its agent does not answer");
      SetTime(books_.now(), status.mutable_unreachable_time());
      return status;
    }
    case Loss::kRemoved:
      return make(pb::TASK_GONE, pb::REASON_AGENT_REMOVED, "its agent left");
    case Loss::kTakenDown:
      return make(pb::TASK_GONE_BY_OPERATOR, pb::REASON_AGENT_REMOVED_BY_OPERATOR,
                  "its agent's machine was taken down for maintenance");
    case Loss::kGone:
      break;
  }
  return make(pb::TASK_GONE_BY_OPERATOR, pb::REASON_AGENT_REMOVED_BY_OPERATOR,
              "its agent was declared gone");
}

void AgentLoss::LoseTask(Task& task, Loss loss) {
  Framework& framework = *books_.frameworks.Find(task.framework);
  pb::TaskStatus status = StatusOfLoss(framework, task, loss);
  const bool superseded = task.superseded;
  if (task.holds()) {
    if (loss == Loss::kUnreachable) {
      books_.task_book.MoveToUnreachable(task, status);
    } else {
      books_.task_book.SetTaskState(task, status.state(), status);
      books_.task_book.CompleteTask(task);
    }
    // Completed, it has left its row.
    if (!superseded) books_.TellStatus(framework, std::move(status));
    return;
  }
  // It has ended. Whether the framework has been told, by this master at least:
  const bool told = task.forwarded != nullptr && IsTerminal(task.forwarded->state);
  if (loss == Loss::kUnreachable) {
    // The agent tells its end when it returns. Meanwhile the task must not pass for a live one.
    if (task.forwarded != nullptr && !told) {
      books_.TellStatus(framework, task, std::move(status));
    }
  } else if (!told) {
    // Nobody else will.
    status.set_state(task.state);
    status.set_message("it ended before " + status.message());
    books_.TellStatus(framework, task, std::move(status));
  }
  books_.task_book.CompleteTask(task);
}

void AgentLoss::Lose(Agent& agent, Loss loss, AgentRemoval why, const absl::Status& close_status) {
  const std::string id = agent.id;
  ++books_.counters().agent_removals[static_cast<int>(why)];
  if (agent.phase == AgentPhase::kRecovered) books_.agents.DropRecovered();
  books_.allocator_view.RemoveFromAllocator(agent);

  while (!agent.tasks.empty()) LoseTask(*books_.tasks.Find(*agent.tasks.begin()), loss);
  while (!agent.executors.empty()) {
    books_.task_book.RemoveExecutor(agent, ExecutorTable::Key(agent.executors.begin()->first));
  }
  books_.offer_book.RescindOffersOf(agent);
  TellFailure(id);

  books_.changed.AgentChanged(id);
  if (agent.connected()) {
    const AgentStreamId stream = agent.stream;
    books_.agents.Disconnect(agent);
    streams_.Close(stream, close_status);
  }
  books_.agents.Remove(agent);
}

void AgentLoss::TellFailure(const std::string& agent_id) {
  books_.frameworks.ForEach([&](Framework& framework) {
    sched::Event event;
    event.mutable_failure()->set_agent_id(agent_id);
    books_.Tell(framework, std::move(event));
  });
}

}  // namespace tessera::master
