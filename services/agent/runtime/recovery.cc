// Finding the pods and containers of an earlier agent again.
//
// The state files say what there was, pid and start time whether their inits live. What lives and
// is expected is watched on; what lives and is not is destroyed; cgroups that nobody owns (such as
// those of inits that were only parked) are emptied and removed. What the undo journal holds of
// owners that are gone, by a reboot or in the middle of a launch, is taken back.

#include <glog/logging.h>
#include <signal.h>

#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/agent/launcher/wire.h"
#include "services/agent/runtime/end_report.h"
#include "services/agent/runtime/linux_container_runtime.h"
#include "services/agent/runtime/orphans.h"
#include "services/agent/runtime/process_identity.h"
#include "services/base/status_macros.h"

namespace tessera::agent {
void LinuxContainerRuntime::Recover(ExpectedContainers expected, RecoveryCallback done) {
  workers_->SubmitUrgent([this, expected = std::move(expected), done = std::move(done)] {
    const bool repeated = [this] {
      absl::MutexLock lock(&mutex_);
      return recovered_;
    }();
    if (repeated) return done(absl::FailedPreconditionError("Recover was called before"));
    absl::StatusOr<RecoveryResult> result = RunRecovery(expected);
    if (!result.ok()) return done(result.status());
    std::vector<std::pair<uint64_t, std::pair<int, int>>> watches;
    {
      absl::MutexLock lock(&mutex_);
      recovered_ = true;
      for (const auto& [serial, container] : table_.by_serial) {
        watches.push_back({serial, {container->pidfd.get(), container->events.get()}});
      }
    }
    done(std::move(result));
    // Only now, so that no termination overtakes the answer.
    for (const auto& [serial, files] : watches) {
      watcher_->Watch(serial, files.first, files.second);
    }
  });
}

absl::StatusOr<RecoveryResult> LinuxContainerRuntime::RunRecovery(
    const ExpectedContainers& expected) {
  // Nothing may be touched before: the agent that can read them must find all as it was.
  RETURN_IF_ERROR(parts_->states.RefuseNewer());
  RecoveryResult result;
  // Pods first: with one that is not expected, or has lost its namespaces, go its containers.
  const std::set<ContainerId> pods(expected.pods.begin(), expected.pods.end());
  for (const ContainerId& id : parts_->states.Pods()) {
    if (pods.count(id) > 0) continue;
    DestroyOrphanedPod(parts_.get(), id);
    result.destroyed_orphans.push_back(id);
  }
  for (const ContainerId& id : expected.pods) result.pods.push_back(RecoverPod(id));
  for (const ContainerId& id : expected.containers) {
    result.containers.push_back(RecoverContainer(id));
  }
  const std::set<ContainerId> containers(expected.containers.begin(), expected.containers.end());
  for (const ContainerId& id : parts_->states.Containers()) {
    if (containers.count(id) == 0 && DestroyOrphan(parts_.get(), id))
      result.destroyed_orphans.push_back(id);
  }
  std::set<ContainerId> known;
  std::set<std::string> owned;
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& [id, container] : table_.all) known.insert(id);
    for (const auto& [serial, container] : table_.by_serial) owned.insert(container->cgroup);
    // With all that is in it: the keeper's, and what a launch that was cut short has left, which
    // goes with the pod.
    for (const auto& [id, pod] : table_.pods) {
      known.insert(id);
      owned.insert(pod->cgroup);
    }
  }
  TakeBackOrphanedSteps(parts_.get(), known);
  parts_->park.Start(SweepCgroups(parts_.get(), owned) + 1);
  return result;
}

RecoveredPod LinuxContainerRuntime::RecoverPod(const ContainerId& id) {
  const auto lost = [&id](std::string reason) {
    return RecoveredPod{.pod_id = id, .pod = std::nullopt, .lost = std::move(reason)};
  };
  if (!id.Validate().ok() || id.has_parent()) return lost("not a pod id");
  const absl::StatusOr<PodState> state = parts_->states.ReadPod(id);
  if (absl::IsNotFound(state.status())) return lost("it was never created");
  std::string why;
  if (!state.ok()) {
    why = absl::StrCat("its state file is damaged: ", state.status().message());
  } else if (state->boot_id != parts_->boot_id) {
    why = "the machine was rebooted";
  } else if (!state->keeper.has_value()) {
    why = "its creation was cut short";
  } else if (state->namespaces != 0 && !OpenProcess(*state->keeper, parts_->boot_id).ok()) {
    why = "its namespaces have ended with their keeper";
  }
  if (!why.empty()) {
    DestroyOrphanedPod(parts_.get(), id);
    return lost(std::move(why));
  }
  auto pod = std::make_shared<LinuxPod>();
  pod->id = id;
  pod->phase = LinuxPod::Phase::kReady;
  pod->cgroup = state->cgroup;
  pod->namespaces = state->namespaces;
  pod->limits = state->limits;
  pod->keeper = *state->keeper;
  pod->undo = state->undo;
  absl::MutexLock lock(&mutex_);
  table_.pods[id] = pod;
  return {.pod_id = id, .pod = DescribePod(*parts_, *pod), .lost = ""};
}

RecoveredContainer LinuxContainerRuntime::RecoverContainer(const ContainerId& id) {
  const auto lost = [&id](std::string reason) {
    return RecoveredContainer{id, RecoveredContainer::Lost{std::move(reason)}};
  };
  if (!id.Validate().ok()) return lost("not a container id");
  const absl::StatusOr<ContainerState> state = parts_->states.Read(id);
  if (absl::IsNotFound(state.status())) return lost("it was never launched");
  if (!state.ok()) {
    DestroyOrphan(parts_.get(), id);
    return lost(absl::StrCat("its state file is damaged: ", state.status().message()));
  }
  if (!state->started.has_value()) {
    // The earlier agent ended in the middle of the launch and has told nobody that it succeeded.
    DestroyOrphan(parts_.get(), id);
    return lost("its launch was cut short");
  }
  const bool rebooted = state->identity.boot_id != parts_->boot_id;
  if (rebooted && !state->exit.has_value()) {
    DestroyOrphan(parts_.get(), id);
    return lost("the machine was rebooted while it ran");
  }
  auto container = std::make_shared<LinuxContainer>();
  container->id = id;
  container->cgroup = state->cgroup;
  container->identity = state->identity;
  container->own_pids = state->own_pids;
  container->host_network = state->host_network;
  container->resources = state->resources;
  container->kill_requested = state->killed;
  if (!rebooted) container->undo = state->undo;
  {
    absl::MutexLock lock(&mutex_);
    const auto pod = table_.pods.find(id.Pod());
    if (id.has_parent() && pod != table_.pods.end()) container->pod = pod->second;
  }
  // Nobody else has the pod's limits before the recovery has answered.
  const Limits limits = LimitsOf(*container);
  absl::StatusOr<base::UniqueFd> pidfd = OpenProcess(state->identity, parts_->boot_id);
  if (pidfd.ok()) return RecoverRunning(container, *std::move(pidfd), *state);

  if (!rebooted && !state->own_pids) parts_->executor.KillCgroup(state->cgroup).IgnoreError();
  ContainerTermination termination = ReportEnd(*parts_, *container, limits, state->killed, false);
  container->phase = LinuxContainer::Phase::kTerminated;
  TakeBack(container);
  absl::MutexLock lock(&mutex_);
  table_.all[id] = container;
  return {id, RecoveredContainer::Terminated{std::move(termination)}};
}

RecoveredContainer LinuxContainerRuntime::RecoverRunning(const ContainerPointer& container,
                                                         base::UniqueFd pidfd,
                                                         const ContainerState& state) {
  const ContainerId& id = container->id;
  container->phase = LinuxContainer::Phase::kRunning;
  container->pidfd = std::move(pidfd);
  container->events = parts_->executor.WatchCgroup(state.cgroup, parts_->isolation.events());
  absl::StatusOr<base::UniqueFd> mounts =
      parts_->executor.OpenNamespace(state.identity, wire::kMount);
  if (mounts.ok()) container->mount_namespace = *std::move(mounts);
  const absl::Status adopted =
      parts_->runner.Run(parts_->isolation.Adopt(state.undo), Phase::kStarted, state.cgroup);
  LOG_IF(ERROR, !adopted.ok()) << "container " << id << ": " << adopted.message();
  // A limit may have been reached while nobody watched.
  const Limits limits = LimitsOf(*container);
  const bool limited = JudgeLimits(*parts_, *container, limits, false).has_value();
  LaunchedContainer launched{.container_id = id,
                             .identity = state.identity,
                             .started = *state.started,
                             .cgroup_paths = parts_->tree.Paths(state.cgroup)};
  absl::MutexLock lock(&mutex_);
  if (limited) {
    container->limit_told = true;
    parts_->executor.Signal(container->pidfd.get(), SIGKILL);
  }
  table_.AddRecovered(container);
  return {id, RecoveredContainer::Running{std::move(launched), state.killed}};
}

}  // namespace tessera::agent
