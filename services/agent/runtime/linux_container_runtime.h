// The container runtime on Linux. Its promises are those of ContainerRuntime.
//
// One operation on one container is one function, run by a worker: RunLaunch, RunFinish, RunKill,
// ... The table of containers and everything in a Container is guarded by mutex_, which is held
// across quick system calls at most (sending a signal), never across waiting.
//
//   workers    run the operations
//   watcher    tells of ends, memory running out and grace periods that are over
//   park       makes inits ahead
//   reaper     removes cgroups afterwards
//
// Needs root, and the directories and cgroup root for itself: a second runtime on the same
// runtime_dir is refused.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "services/agent/container/container_runtime.h"
#include "services/agent/isolators/isolator.h"
#include "services/agent/launcher/launcher_client.h"
#include "services/agent/runtime/cgroup_reaper.h"
#include "services/agent/runtime/cgroup_tree.h"
#include "services/agent/runtime/container_watcher.h"
#include "services/agent/runtime/init_park.h"
#include "services/agent/runtime/plan_executor.h"
#include "services/agent/runtime/state_file.h"
#include "services/agent/runtime/worker_pool.h"

namespace tessera::agent {

struct LinuxRuntimeOptions {
  // Absolute; keeps state files. Best on a tmpfs (`/run/...`): nothing in it outlives a reboot
  // anyway.
  std::string runtime_dir;
  // The cgroup below each hierarchy, such as `tessera/agent-1`. One runtime each.
  std::string cgroups_root = "tessera";
  std::string isolation = kDefaultIsolation;
  // Empty: `agent-launcher` beside the running program.
  std::string launcher_path;
  // Launches at once.
  size_t workers = 4;
  size_t queue_limit = 100'000;
  // Inits kept ready. Each costs some 100 KiB of kernel memory.
  size_t parked_containers = 8;
  // How long an init may take to exec the command.
  absl::Duration launch_timeout = absl::Seconds(60);
};

class LinuxContainerRuntime : public ContainerRuntime {
 public:
  // INVALID_ARGUMENT: options; FAILED_PRECONDITION: this machine lacks what an isolator needs, or
  // another runtime has the directory; PERMISSION_DENIED: not root.
  static absl::StatusOr<std::unique_ptr<LinuxContainerRuntime>> Create(
      LinuxRuntimeOptions options, TerminationCallback on_terminated);

  // Leaves the containers running. Ends what is only prepared.
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
  pid_t launcher_pid() const { return launcher_.pid(); }

 private:
  struct Container {
    enum class Phase { kLaunching, kRunning, kTerminated };
    ContainerId id;
    uint64_t serial = 0;
    Phase phase = Phase::kLaunching;
    bool kill_requested = false;
    bool out_of_memory = false;
    bool own_pids = true;
    std::string cgroup;
    ContainerIdentity identity;
    ContainerResources resources;
    base::UniqueFd pidfd;
    base::UniqueFd oom;
    base::UniqueFd mount_namespace;  // PreparedInit
  };
  using ContainerPointer = std::shared_ptr<Container>;

  // What a launch has made so far, to be unmade when it fails.
  struct Attempt {
    PreparedInit init;
    bool has_init = false;
    std::unique_ptr<PlanExecutor> executor;
    bool has_state_file = false;
  };

  LinuxContainerRuntime(LinuxRuntimeOptions options, TerminationCallback on_terminated,
                        std::vector<std::unique_ptr<Isolator>> isolators, HostFacts facts,
                        CgroupTree tree, base::UniqueFd lock, base::UniqueFd null);

  // launch.cc
  void RunLaunch(const ContainerPointer& container, const ContainerSpec& spec,
                 const LaunchCallback& done);
  LaunchResult StartContainer(const ContainerPointer& container, const ContainerSpec& spec,
                              Attempt* attempt);
  absl::StatusOr<IsolationPlan> MakePlan(const ContainerSpec& spec, const HostUser& user) const;
  absl::StatusOr<base::UniqueFd> WriteStateHead(const ContainerId& id,
                                                const ContainerState& state) const;
  std::optional<LaunchFailure> AwaitStart(const ContainerSpec& spec, int control,
                                          absl::Time* started) const;
  void Unmake(const ContainerPointer& container, Attempt* attempt);

  // recovery.cc
  RecoveryResult RunRecovery(const ExpectedContainers& expected);
  RecoveredContainer RecoverContainer(const ContainerId& id);
  // True when it ran and had to be destroyed.
  bool DestroyOrphan(const ContainerId& id);
  std::vector<ContainerId> StateFileIds() const;

  // linux_container_runtime.cc
  void RunFinish(uint64_t serial);
  void RunOutOfMemory(uint64_t serial);
  void RunDestroy(const ContainerId& id, const StatusCallback& done);
  void RunKill(const ContainerId& id, absl::Duration grace, const StatusCallback& done);
  void RunSignal(const ContainerId& id, int signal_number, const StatusCallback& done);
  absl::Status AppendResources(const ContainerId& id, const ContainerResources& resources) const;
  void RunUpdate(const ContainerId& id, const ContainerResources& resources,
                 const StatusCallback& done);
  void RunReadUsage(const ContainerId& id, const UsageCallback& done);
  void RunRelease(const ContainerId& id, const StatusCallback& done);
  void HandleWatch(uint64_t serial, ContainerWatcher::Event event);
  // The end of a container whose processes are gone.
  ContainerTermination DescribeEnd(const ContainerId& id, const std::string& cgroup,
                                   bool out_of_memory, bool kill_requested) const;
  ContainerPointer RequestKill(const ContainerId& id);
  void KillLocked(Container* container) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Launching or running; null otherwise.
  ContainerPointer FindLiveLocked(const ContainerId& id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::string StatePath(const ContainerId& id) const;

  // An agent that leaves no container leaves no cgroup.
  struct RootCleanup {
    const CgroupTree* tree;
    ~RootCleanup() { tree->RemoveRoot(); }
  };

  const LinuxRuntimeOptions options_;
  const TerminationCallback on_terminated_;
  const std::vector<std::unique_ptr<Isolator>> isolators_;
  const HostFacts facts_;
  const CgroupTree tree_;
  const RootCleanup root_cleanup_{&tree_};
  const base::UniqueFd lock_;
  const base::UniqueFd null_;
  const std::string boot_id_;

  mutable absl::Mutex mutex_;
  std::map<ContainerId, ContainerPointer> containers_ ABSL_GUARDED_BY(mutex_);
  std::map<uint64_t, ContainerPointer> by_serial_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_serial_ ABSL_GUARDED_BY(mutex_) = 1;
  bool recovered_ ABSL_GUARDED_BY(mutex_) = false;
  RuntimeCounters counters_ ABSL_GUARDED_BY(mutex_);

  // Destroyed in reverse order, so that what uses goes before what is used.
  LauncherClient launcher_;
  CgroupReaper reaper_;
  InitPark park_;
  // The watcher submits work, and work sets watches: each outlives the other's threads, see the
  // destructor.
  std::unique_ptr<WorkerPool> workers_;
  std::unique_ptr<ContainerWatcher> watcher_;
};

}  // namespace tessera::agent
