// The agent's brain: registers with the leading master, runs the tasks that it is told to run, and
// sees to it that every status reaches its framework, through restarts of either side.
//
// Place: Step() is fed by server/ (one strand) or by the simulator; agent_events.h is the seam.
// This class only gives each event, deadline and continuation to the flow that it belongs to:
//
//   LinkFlow       dials, registers, keeps epochs, answers pings
//   AdmissionFlow  accepts or refuses what is to be launched
//   TaskFlow       kills and ends tasks, forgets them
//   StatusFlow     makes statuses durable, sends and repeats them
//   ExecutorFlow   begins and ends executors
//   PodFlow        pods and containers, from records to the runtime and back
//   DrainFlow      drains the agent, and lets it leave
//   OperatorFlow   answers operators
//   Recovery       brings all of it back after a restart
//
// Invariants:
//   - resources of accepted tasks and executors never exceed the total;
//   - a task's records are durable before its container is asked for, and a status is durable
//     before it is sent; an acknowledged status is durably gone before the next one is sent;
//   - a kill waits for nothing: it may be what frees the disk that its record needs. The runtime
//     remembers with the container that it was killed, for an agent that ends before the record;
//   - every accepted task reaches exactly one terminal state, and is forgotten when that one is
//     acknowledged (or when its framework or the agent was shut down);
//   - nothing that a master of a lower epoch says is done, and nothing of a higher one before that
//     epoch is durable;
//   - the runtime is told to release a container only when its end is durable here;
//   - the work of a step does not grow with the number of tasks, but for what concerns them all.
//
// Threads: none of its own; one caller at a time.
#pragma once

#include <cstdint>
#include <memory>

#include "absl/time/time.h"
#include "services/agent/core/admission_flow.h"
#include "services/agent/core/agent_config.h"
#include "services/agent/core/agent_events.h"
#include "services/agent/core/agent_state.h"
#include "services/agent/core/agent_view.h"
#include "services/agent/core/drain_flow.h"
#include "services/agent/core/executor_flow.h"
#include "services/agent/core/link_flow.h"
#include "services/agent/core/operator_flow.h"
#include "services/agent/core/pod_flow.h"
#include "services/agent/core/recovery.h"
#include "services/agent/core/status_flow.h"
#include "services/agent/core/task_flow.h"
#include "services/base/rng.h"

namespace tessera::agent {

class AgentCore {
 public:
  // `config.info.resources` must be valid (ResourcesOf of task_validation.h says whether they are).
  AgentCore(AgentConfig config, UuidSource uuids, base::Rng rng);
  AgentCore(const AgentCore&) = delete;
  AgentCore& operator=(const AgentCore&) = delete;

  void Step(absl::Time now, const Event& event, Effects* effects);
  absl::Time NextDeadline() const;

  // The present state for readers, shared with earlier views where nothing has changed.
  std::shared_ptr<const AgentView> View() const;
  // Grows with every change of what View() shows.
  uint64_t view_version() const { return state_.changes(); }

 private:
  void On(const Wake&) {}
  void On(const Started& event);
  void On(const ContainersRecovered& event);
  void On(const LinkReceived& event);
  void On(const LinkClosed& event);
  void On(const Persisted& event);
  void On(const PodCreated& event);
  void On(const PodDestroyed& event);
  void On(const ContainerLaunched& event);
  void On(const ContainerEnded& event);
  void On(const SandboxDeleted& event);
  void On(const DiskUsed& event);
  void On(const LogSpace& event);
  void On(const OperatorSignal& event);
  void On(const OperatorWait& event);
  void On(const OperatorGone& event);

  void Continue(const after::Launch& next);
  void Continue(const after::Status& next);
  void Continue(const after::Acknowledgement& next);
  void Continue(const after::Forget& next);
  void Continue(const after::Release& next);
  void Continue(const after::ExecutorExit& next);
  void Continue(const after::Registration& next);
  void Continue(const after::Dial& next);

  void Obey(const agentlink::v1::MasterMessage& message);
  void RunDeadline(const DeadlineKey& key);
  // Acts on what has become of containers, until nothing more comes of it.
  void SettleContainers();
  // The same with all that is durable now.
  void Settle();
  void DeleteOldSandboxes();

  AgentState state_;
  StatusFlow statuses_;
  PodFlow pods_;
  ExecutorFlow executors_;
  TaskFlow tasks_;
  AdmissionFlow admissions_;
  LinkFlow link_;
  DrainFlow drains_;
  OperatorFlow operators_;
  Recovery recovery_;
};

}  // namespace tessera::agent
