// The end of a framework: its entry is marked first, then its tasks, executors and offers go.

#include <utility>
#include <vector>

#include "services/master/core/refusals.h"
#include "services/master/core/session_flow.h"
#include "services/master/core/times.h"

namespace tessera::master {

void SessionFlow::BeginRemoval(Framework& framework) {
  if (framework.removing) return;
  framework.removing = true;
  if (framework.pending.has_value()) {
    books_.out.CloseFramework(framework.pending->stream, FrameworkRemoved(framework.id));
    books_.frameworks.ClearPending(framework);
  }
  if (framework.connected()) Deactivate(framework);
  // Nothing but the id is asked of an ended framework, and many are kept.
  reg::FrameworkEntry entry;
  entry.mutable_info()->set_id(framework.id);
  SetTime(framework.registered_time, entry.mutable_registered_time());
  SetTime(books_.now(), entry.mutable_completed_time());
  books_.registry.WriteOwn({Put("frameworks/" + framework.id, entry)},
                           FrameworkCompleted{framework.index});
}

void SessionFlow::OnCompleted(const FrameworkCompleted& completed) {
  Framework* found = books_.frameworks.Find(completed.framework);
  if (found == nullptr) return;
  Framework& framework = *found;
  books_.out.Note(base::Severity::kInfo, "framework ", framework.id, " (", framework.info.name(),
                  ") removed");
  ++books_.counters().frameworks_removed;

  for (AgentIndex index : AgentsOf(framework)) {
    Agent& agent = *books_.agents.Find(index);
    link::MasterMessage message;
    message.mutable_shutdown_framework()->set_framework_id(framework.id);
    books_.Tell(agent, std::move(message));
    for (const model::Incarnation& executor : agent.executors.Of(framework.index)) {
      books_.task_book.RemoveExecutor(agent, {framework.index, executor});
    }
  }
  while (!framework.tasks.empty()) {
    Task& task = *books_.tasks.Find(framework.tasks.begin()->second);
    books_.task_book.SetTaskState(
        task, pb::TASK_KILLED,
        books_.MakeStatus(task.id(), task.agent_id(), pb::TASK_KILLED, pb::REASON_FRAMEWORK_REMOVED,
                          "the framework ended"));
    books_.task_book.CompleteTask(task);
  }
  books_.allocator_view.FrameworkRemoved(framework);
  books_.machines.ForgetAnswersOf(framework.id);
  for (const std::string& role : framework.roles) books_.LeaveRole(role);
  framework.roles.clear();

  if (framework.connected()) {
    if (framework.teardown_calls.empty()) {
      sched::Event event;
      event.mutable_error()->set_message("the framework was torn down");
      books_.Tell(framework, std::move(event));
      books_.out.CloseFramework(framework.stream, FrameworkRemoved(framework.id));
    } else {
      books_.out.CloseFramework(framework.stream, absl::OkStatus());
    }
  }
  for (CallId call : framework.teardown_calls) books_.out.Reply(call, sched::TeardownResponse());
  for (CallId call : framework.operator_teardown_calls) {
    books_.out.ReplyOperator(call, ops::TeardownFrameworkResponse());
  }

  books_.changed.FrameworkChanged(framework.id);
  books_.departed.Keep(books_.now(), framework, books_.config().completed_frameworks_max);
  for (const std::string& id :
       books_.frameworks.AddCompletedId(framework.id, books_.config().completed_ids_max)) {
    books_.registry.WriteOwn({Delete("frameworks/" + id)}, Noted{});
  }
  for (const std::string& id :
       books_.frameworks.AddToCompletedRing(FeedView::CompletedRow(framework, books_.now()),
                                            books_.config().completed_frameworks_max)) {
    books_.changed.FrameworkChanged(id);
  }
  books_.frameworks.Remove(framework);
}

}  // namespace tessera::master
