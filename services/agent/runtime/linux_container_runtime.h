// The container runtime on Linux. Its promises are those of ContainerRuntime.
//
// One operation on one container or pod is one function, run by a worker: RunLaunch, RunFinish,
// RunKill, RunCreatePod, ... The tables and everything in a Container or Pod are guarded by mutex_,
// which is held across quick system calls at most (sending a signal), never across waiting.
//
//   isolation  what a spec means: plans, judges, measures
//   executor   the only way to what needs rights on the machine
//   states     the state files; journal: the undo that must survive a reboot
//   workers    run the operations
//   watcher    tells of ends, limits that were reached and grace periods that are over
//   park       makes inits ahead
//   reaper     removes cgroups afterwards
//
// Needs root, and the directories and cgroup root for itself: a second runtime on the same
// runtime_dir is refused.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "services/agent/container/container_runtime.h"
#include "services/agent/runtime/container_watcher.h"
#include "services/agent/runtime/linux_containers.h"
#include "services/agent/runtime/runtime_parts.h"
#include "services/agent/runtime/worker_pool.h"

namespace tessera::agent {

// What is told of a pod that is made. Under the runtime's mutex.
CreatedPod DescribePod(const RuntimeParts& parts, const LinuxPod& pod);

class LinuxContainerRuntime : public ContainerRuntime {
 public:
  // INVALID_ARGUMENT: options; FAILED_PRECONDITION: this machine lacks what an isolator needs,
  // another runtime has the directory, or a newer agent has written in it; PERMISSION_DENIED: not
  // root.
  static absl::StatusOr<std::unique_ptr<LinuxContainerRuntime>> Create(
      LinuxRuntimeOptions options, TerminationCallback on_terminated);

  // Leaves containers and pods running. Ends what is only prepared.
  ~LinuxContainerRuntime() override;

  void Recover(ExpectedContainers expected, RecoveryCallback done) override;
  void CreatePod(PodSpec spec, PodCallback done) override;
  void UpdatePod(const ContainerId& pod_id, ContainerResources limits,
                 StatusCallback done) override;
  void DestroyPod(const ContainerId& pod_id, StatusCallback done) override;
  void Launch(ContainerSpec spec, LaunchCallback done) override;
  void Signal(const ContainerId& container_id, int signal_number, StatusCallback done) override;
  void Kill(const ContainerId& container_id, absl::Duration grace, StatusCallback done) override;
  void Destroy(const ContainerId& container_id, StatusCallback done) override;
  void Update(const ContainerId& container_id, ContainerResources resources,
              StatusCallback done) override;
  void ReadUsage(const ContainerId& container_id, UsageCallback done) override;
  void Release(const ContainerId& container_id, StatusCallback done) override;
  RuntimeCounters Counters() const override;

  // Of the launcher process, for tests and diagnosis.
  pid_t launcher_pid() const { return parts_->launcher.pid(); }

 private:
  // What a launch has made so far, to be unmade when it fails.
  struct Attempt {
    PreparedInit init;
    bool has_init = false;
    bool has_state_file = false;
    bool wrote_undo = false;
  };

  LinuxContainerRuntime(const LinuxRuntimeOptions& options, TerminationCallback on_terminated,
                        std::unique_ptr<RuntimeParts> parts);

  // launch.cc
  void RunLaunch(const ContainerPointer& container, const ContainerSpec& spec,
                 const LaunchCallback& done);
  LaunchResult StartContainer(const ContainerPointer& container, const ContainerSpec& spec,
                              Attempt* attempt);
  // From the park, or made with the namespaces that it joins.
  absl::StatusOr<PreparedInit> ObtainInit(const ContainerPointer& container,
                                          const PlannedNamespaces& namespaces);
  // Whose namespace it is. NOT_FOUND: that pod or container does not live, or keeps none.
  absl::StatusOr<ContainerIdentity> OwnerOf(uint32_t kind, const ContainerId& of);
  void Unmake(const ContainerPointer& container, Attempt* attempt);

  // container_end.cc
  void RunFinish(uint64_t serial);
  void RunLimitReached(uint64_t serial);
  void TakeBack(const ContainerPointer& container);
  void RunRelease(const ContainerId& id, const StatusCallback& done);
  ContainerPointer RequestKill(const ContainerId& id);
  void KillLocked(LinuxContainer* container) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RunKill(const ContainerId& id, absl::Duration grace, const StatusCallback& done);

  // pods.cc
  void RunCreatePod(const PodPointer& pod, const PodSpec& spec, const PodCallback& done);
  std::optional<LaunchFailure> MakePod(const PodPointer& pod, const PodSpec& spec);
  void RunUpdatePod(const ContainerId& id, const ContainerResources& limits,
                    const StatusCallback& done);
  // Starts its end when it is wanted and nothing runs in it any more.
  void EndPodIfEmptyLocked(const PodPointer& pod) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RunEndPod(const PodPointer& pod);

  // recovery.cc
  absl::StatusOr<RecoveryResult> RunRecovery(const ExpectedContainers& expected);
  RecoveredPod RecoverPod(const ContainerId& id);
  RecoveredContainer RecoverContainer(const ContainerId& id);
  RecoveredContainer RecoverRunning(const ContainerPointer& container, base::UniqueFd pidfd,
                                    const ContainerState& state);

  // linux_container_runtime.cc
  void HandleWatch(uint64_t serial, ContainerWatcher::Event event);
  void RunUpdate(const ContainerId& id, const ContainerResources& resources,
                 const StatusCallback& done);
  void RunReadUsage(const ContainerId& id, const UsageCallback& done);

  const absl::Duration launch_timeout_;
  const TerminationCallback on_terminated_;
  const std::unique_ptr<RuntimeParts> parts_;

  mutable absl::Mutex mutex_;
  LinuxContainers table_ ABSL_GUARDED_BY(mutex_);
  bool recovered_ ABSL_GUARDED_BY(mutex_) = false;
  RuntimeCounters counters_ ABSL_GUARDED_BY(mutex_);

  // The watcher submits work, and work sets watches: each outlives the other's threads, see the
  // destructor.
  std::unique_ptr<WorkerPool> workers_;
  std::unique_ptr<ContainerWatcher> watcher_;
};

}  // namespace tessera::agent
