// How an agent comes back: the log says what it was doing, the runtime what has become of it.
//
//   Started -> RecoverContainers -> ContainersRecovered -> (its findings acted on) -> Resume
//
// An agent whose description no longer fits the one it is registered with does not go on; after a
// reboot, when nothing runs any more, it becomes a new agent.
#pragma once

#include <cstdint>

#include "services/agent/core/agent_state.h"
#include "services/agent/core/drain_flow.h"
#include "services/agent/core/executor_flow.h"
#include "services/agent/core/link_flow.h"
#include "services/agent/core/pod_flow.h"

namespace tessera::agent {

class Recovery {
 public:
  // `state.config.info.resources` must be valid.
  Recovery(AgentState* state, PodFlow* pods, ExecutorFlow* executors, LinkFlow* link,
           DrainFlow* drains);

  void On(const Started& event);
  // True when what was found is to be acted on, and then Resume to be called.
  bool On(const ContainersRecovered& event);
  void Resume();

  // Nothing is done any more.
  bool failed() const { return stage_ == Stage::kFailed; }
  bool done() const { return stage_ == Stage::kRunning; }
  absl::Time started() const { return started_; }
  absl::Duration duration() const { return duration_; }

 private:
  enum class Stage { kNew, kRecovering, kRunning, kFailed };

  void Fail(std::string why);
  // False: the agent cannot go on.
  bool TakeDescription();
  void TakeTotal();
  void BecomeNew();

  AgentState& state_;
  PodFlow& pods_;
  ExecutorFlow& executors_;
  LinkFlow& link_;
  DrainFlow& drains_;
  model::Resources configured_;  // unallocated
  Stage stage_ = Stage::kNew;
  bool total_changed_ = false;
  absl::Time started_ = absl::InfinitePast();
  absl::Duration duration_;
};

}  // namespace tessera::agent
