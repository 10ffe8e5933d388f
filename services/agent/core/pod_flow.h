// Pods and containers from their acceptance to their end: records first, then room, then the
// runtime, and back.
//
//   Begin -> (durable) -> room -> [CreatePod -> PodCreated] -> LaunchContainer -> ContainerLaunched
//         -> ContainerEnded -> records of the end -> (durable) -> ReleaseContainer
//   the last container of a shared pod has ended -> DestroyPod -> PodDestroyed -> record of the end
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
  void On(const PodCreated& event);
  void On(const PodDestroyed& event);
  void On(const ContainerLaunched& event);
  void On(const ContainerEnded& event);
  // Something may have been given back.
  void LaunchWaiting();

  // Asks the container to end, by force from `deadline` on; at the end of the step, when it is
  // known which have ended anyway. True: nothing of it existed, and the launch is over.
  bool Kill(Container& container, absl::Time deadline);
  void ActOnKills();
  void OnKillDeadline(uint64_t serial);

  // A shared pod has no containers any more and gets none: it is taken away as soon as it can be.
  void EndPod(const std::string& pod_id);
  void OnPodDeadline(uint64_t serial);
  // The tasks of a shared pod have changed, and what it may use with them.
  void UpdateLimits(const std::string& pod_id);

  // What the runtime found of a pod or a container.
  void Recover(const RecoveredPod& found);
  void Recover(const RecoveredContainer& found);

  std::optional<ContainerChange> TakeChange();
  // The executor of a pod of which nothing is left.
  std::optional<model::Incarnation> TakeEndedExecutor();

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
  void Resume(Container& container, const RecoveredContainer::Running& running);
  void CloseLost(Container& container, const RecoveredContainer::Lost& found);
  // The container is over: out of the table, into the log, and told.
  template <typename What>
  void Close(Container& container, What what);
  // Nothing of the pod is left.
  void ClosePod(Pod& pod);
  void Create(Pod& pod);
  void Destroy(Pod& pod);
  // What the executor and its tasks may use together.
  ContainerResources LimitsOf(const Pod& pod);
  // Containers whose launches have waited for the pod, by age. They wait no more.
  std::vector<Container*> TakeWaiting(Pod& pod);

  AgentState& state_;
  uint64_t last_launch_ = 0;
  // Whose records are not durable yet.
  std::map<uint64_t, Launch> recording_;
  // Resources that they were promised are still being given back by others; oldest first.
  std::deque<Launch> waiting_;
  // Containers to be killed at the end of the step.
  std::set<uint64_t> kills_;
  std::deque<ContainerChange> changes_;
  std::deque<model::Incarnation> ended_executors_;
};

}  // namespace tessera::agent
