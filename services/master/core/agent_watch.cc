#include "services/master/core/agent_watch.h"

#include <utility>
#include <vector>

#include "services/master/core/times.h"

namespace tessera::master {

void AgentWatch::StartWatch(Agent& agent) {
  books_.agents.BeginWatch(agent);
  OnPingDue({books_.now(), 0, TimerKind::kAgentPing, agent.index.value(), agent.watch});
}

void AgentWatch::OnPingDue(const Timer& timer) {
  Agent* agent = books_.agents.Find(AgentIndex(static_cast<uint32_t>(timer.subject)));
  if (agent == nullptr || agent->watch != timer.generation) return;
  if (agent->ping_answered) {
    agent->pings_missed = 0;
  } else {
    ++agent->pings_missed;
  }
  agent->ping_answered = false;
  if (agent->connected()) {
    link::MasterMessage message;
    message.mutable_ping()->set_sequence(++agent->ping_sequence);
    books_.Tell(*agent, std::move(message));
  }
  books_.timers.Arm(books_.now() + books_.config().ping_interval, TimerKind::kAgentPing,
                    timer.subject, timer.generation);
  if (agent->pings_missed >= books_.config().ping_misses_max) {
    ScheduleMarking(*agent, AgentRemoval::kUnhealthy);
  }
}

void AgentWatch::OnPong(Agent& agent, const link::AgentMessage::Pong& pong) {
  if (pong.sequence() != agent.ping_sequence) return;
  agent.ping_answered = true;
  agent.pings_missed = 0;
  if (agent.marking_scheduled) CancelMarking(agent);
}

void AgentWatch::ScheduleMarking(Agent& agent, AgentRemoval why) {
  if (agent.marking_scheduled || agent.transition != AgentTransition::kNone) return;
  agent.marking_scheduled = true;
  ++books_.counters().unreachable_scheduled;
  markings_.push_back({agent.index, agent.watch, why});
  MarkNext();
}

void AgentWatch::CancelMarking(Agent& agent) {
  agent.marking_scheduled = false;
  ++books_.counters().unreachable_cancelled;
}

void AgentWatch::OnMarkingDue() {
  marking_timer_armed_ = false;
  MarkNext();
}

void AgentWatch::MarkNext() {
  while (!markings_.empty()) {
    if (books_.now() < next_marking_) {
      if (!std::exchange(marking_timer_armed_, true)) {
        books_.timers.Arm(next_marking_, TimerKind::kUnreachableMarking);
      }
      return;
    }
    const Marking marking = markings_.front();
    markings_.pop_front();
    Agent* agent = books_.agents.Find(marking.agent);
    // It answered or came back.
    if (agent == nullptr || agent->watch != marking.watch || !agent->marking_scheduled) continue;
    if (agent->transition != AgentTransition::kNone) {
      // Something else happens to it. What watches it asks again when that is over.
      CancelMarking(*agent);
      continue;
    }
    next_marking_ = books_.now() + books_.config().unreachable_marking_interval;
    books_.out.Note(base::Severity::kInfo, "agent ", agent->id,
                    " does not answer and is marked unreachable");
    agent->marking_scheduled = false;
    agent->transition = AgentTransition::kMarkingUnreachable;
    books_.allocator_view.UpdateActivity(*agent);
    books_.offer_book.RescindOffersOf(*agent);
    reg::UnreachableAgent record;
    SetTime(books_.now(), record.mutable_time());
    *record.mutable_info() = agent->info;
    books_.registry.WriteOwn(
        {Delete("agents/admitted/" + agent->id), Put("agents/unreachable/" + agent->id, record)},
        AgentMarkedUnreachable{agent->index, marking.why});
  }
}

void AgentWatch::OnRecoveryTimeout(size_t agents_at_recovery) {
  const size_t missing = books_.agents.recovered();
  if (missing == 0) return;
  // Nobody pings them: they are looked after until none is left.
  books_.timers.Arm(books_.now() + books_.config().agent_reregister_timeout,
                    TimerKind::kRecoveryTimeout);
  if (missing * 100 >
      agents_at_recovery * static_cast<size_t>(books_.config().recovery_removal_limit_percent)) {
    books_.out.Note(base::Severity::kError, missing, " of ", agents_at_recovery,
                    " agents did not come back, more than the removal limit allows to give up; ",
                    "looking again in ",
                    absl::FormatDuration(books_.config().agent_reregister_timeout));
    return;
  }
  books_.out.Note(base::Severity::kWarning, missing, " of ", agents_at_recovery,
                  " agents did not come back in time");
  std::vector<AgentIndex> absent;
  books_.agents.ForEach([&](const Agent& agent) {
    if (agent.phase == AgentPhase::kRecovered) absent.push_back(agent.index);
  });
  for (AgentIndex index : absent) {
    ScheduleMarking(*books_.agents.Find(index), AgentRemoval::kNotReregistered);
  }
}

}  // namespace tessera::master
