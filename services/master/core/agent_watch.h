// How agents are watched: pings, and the queue of those that will be marked unreachable.
#pragma once

#include <deque>

#include "services/master/core/books.h"

namespace tessera::master {

class AgentWatch {
 public:
  explicit AgentWatch(Books* books) : books_(*books) {}

  // The agent is pinged from now on. Whatever was noted of it before means nothing any more.
  void StartWatch(Agent& agent);
  void OnPong(Agent& agent, const link::AgentMessage::Pong& pong);
  // It will not be marked after all.
  void CancelMarking(Agent& agent);

  void OnPingDue(const Timer& timer);
  void OnMarkingDue();
  // The time for agents to come back after a fail-over is over.
  void OnRecoveryTimeout(size_t agents_at_recovery);

 private:
  void ScheduleMarking(Agent& agent, AgentRemoval why);
  void MarkNext();

  struct Marking {
    AgentIndex agent;
    uint64_t watch;
    AgentRemoval why;
  };

  Books& books_;
  std::deque<Marking> markings_;
  absl::Time next_marking_ = absl::InfinitePast();
  bool marking_timer_armed_ = false;
};

}  // namespace tessera::master
