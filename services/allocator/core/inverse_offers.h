// Inverse offers: which frameworks are asked to leave agents that will be unavailable.
//
// While an active agent is to be unavailable, each active framework that holds something on it is
// asked once, and again after an answer unless a filter forbids it. Filters are judged by the
// clock. A change of the unavailability wipes what was asked and answered. Not thread safe.
#pragma once

#include <map>

#include "absl/time/time.h"
#include "services/allocator/core/ids.h"

namespace tessera::allocator {

class InverseOffers {
 public:
  // The agent is to be unavailable from now on, or another time; or it is not any longer.
  void Set(AgentNum agent, bool unavailable);
  bool IsUnavailable(AgentNum agent) const { return agents_.contains(agent); }
  bool empty() const { return agents_.empty(); }

  // Whether to ask now; then the inverse offer is outstanding.
  bool Ask(AgentNum agent, FrameworkNum framework, absl::Time now);
  // The framework has answered; it is not asked again before `quiet_until`.
  void Answer(AgentNum agent, FrameworkNum framework, absl::Time quiet_until);
  // Taken back, or out of time.
  void End(AgentNum agent, FrameworkNum framework);
  // What was asked of a framework that has gone is not outstanding, and its filters are dropped.
  void ForgetFramework(FrameworkNum framework);
  // Drops the filters on an agent.
  void ForgetFilters(AgentNum agent);

 private:
  struct Row {
    bool outstanding = false;
    absl::Time quiet_until = absl::InfinitePast();
  };
  std::map<AgentNum, std::map<FrameworkNum, Row>> agents_;  // those to be unavailable
};

}  // namespace tessera::allocator
