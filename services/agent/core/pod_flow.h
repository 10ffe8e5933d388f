// Pods and containers from their acceptance to their end: records first, then room, then the
// runtime, and back.
//
//   Begin -> (durable) -> Recorded -> room -> LaunchContainer -> ContainerLaunched -> running
//         -> ContainerEnded -> records of the end -> (durable) -> ReleaseContainer
//
// launch_stages.h has the stages of a launch. What becomes of a container is not acted on here: it
// is a ContainerChange, which AgentCore takes and gives to who the container belongs to.
//
// Invariants: nothing is asked of the runtime before its record is durable; launches get room in
// the order in which they became durable; the runtime forgets a container only when its end is
// durable here.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "services/agent/core/agent_state.h"

namespace tessera::agent {

// What has become of a container.
struct ContainerChange {
  // Its command runs. `kill_requested`: the runtime was told to kill it, if only by an earlier
  // agent.
  struct Started {
    LaunchedContainer container;
    bool kill_requested = false;
  };
  // The rest are ends: the container is in the table no more.
  struct NotStarted {
    LaunchFailure failure;
  };
  struct Ended {
    ContainerTermination termination;
  };
  // It was not found again after a restart.
  struct Lost {
    std::string why;
  };

  uint64_t serial = 0;
  std::string container_id;
  model::Incarnation task;
  std::variant<Started, NotStarted, Ended, Lost> what;
};

class PodFlow {
 public:
  explicit PodFlow(AgentState* state) : state_(*state) {}

  // A name that no pod or container ever had.
  std::string NewId() const;
  // Puts the pod into table and log.
  Pod& AddPod(Pod pod);
  // Puts the container into table and log, and its view. The pod is there.
  void AddContainer(ContainerSpec spec, const std::string& pod_id, const Task& task);
  // Makes a container of the task visible to readers, as one that is starting.
  void Show(const Container& container, const Task& task);
  // These tasks start together when their records are durable and there is room for them.
  // `executor`: begins with them; not valid: none does.
  void Begin(std::vector<model::Incarnation> tasks, model::Incarnation executor);

  void OnRecorded(uint64_t launch);
  void On(const ContainerLaunched& event);
  void On(const ContainerEnded& event);
  // Something may have been given back.
  void LaunchWaiting();

  // Asks the container to end, by force from `deadline` on; at the end of the step, when it is
  // known which have ended anyway. True: nothing of it existed, and the launch is over.
  bool Kill(Container& container, absl::Time deadline);
  void ActOnKills();
  void OnKillDeadline(uint64_t serial);

  // A shared pod without containers is over.
  void EndPod(const std::string& pod_id);

  // What the runtime found of a container.
  void Recover(const RecoveredContainer& found);

  std::optional<ContainerChange> TakeChange();

 private:
  struct Launch {
    std::vector<model::Incarnation> tasks;
    model::Incarnation executor;
  };

  // What it needs that it does not hold yet.
  model::Resources NeedsOf(const Launch& launch);
  void Enter(Container& container, LaunchStage stage);
  void StartAll(const Launch& launch);
  void Run(Container& container, const LaunchedContainer& launched, bool kill_requested);
  // The container is over: out of the table, into the log, and told.
  template <typename What>
  void Close(Container& container, What what);
  void EndPod(Pod& pod);

  AgentState& state_;
  uint64_t last_launch_ = 0;
  // Whose records are not durable yet.
  std::map<uint64_t, Launch> recording_;
  // Resources that they were promised are still being given back by others; oldest first.
  std::deque<Launch> waiting_;
  // Containers to be killed at the end of the step.
  std::set<uint64_t> kills_;
  std::deque<ContainerChange> changes_;
};

}  // namespace tessera::agent
