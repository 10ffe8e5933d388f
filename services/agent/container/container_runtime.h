// The agent's container runtime: what runs, stops, measures and finds again the pods and containers
// of one agent.
//
// Place: below the agent's shell, which turns effects of the agent core into these calls and posts
// the answers back as events. LinuxContainerRuntime (runtime/linux_container_runtime.h) is the real
// one. What any implementation must keep is in runtime/testing/runtime_conformance.h.
//
// Life of a container:
//
//   Launch -> LaunchResult
//               LaunchedContainer   the command has been exec'ed
//               LaunchFailure       nothing is left of it, the id is free again
//   ... Signal, Kill, Update, ReadUsage ...
//   on_terminated(ContainerTermination), exactly once, when the last process is gone
//   Release                         the termination is durable elsewhere: forget it
//
// Life of a pod, of those that have one:
//
//   CreatePod -> PodResult          its sandbox, its cgroup with its limits, its shared namespaces
//   ... Launch of containers named <pod>.<name>, one after the other or at once; UpdatePod ...
//   DestroyPod                      ends the containers that still run, then takes it all away
//
// A plain task needs no pod: a container whose id is one name has its own cgroup and namespaces and
// costs nothing that a pod would. A pod is for what several containers share: a task group, an
// executor with its tasks. It stays through times without a container, keeps its namespaces from
// the first container's to the last one's end, and ends by DestroyPod alone.
//
// What is durable where. The caller remembers the ids of pods and containers before it asks for
// them, in its own log. The runtime keeps identities and exit statuses beside the kernel's own
// state, so that they are gone when that is (a reboot). Between termination and Release the exit
// status stays there, so that an agent that dies before it has made the termination durable hears
// it again from Recover. Recover is given all remembered ids; it ends what it finds besides, so an
// id that was remembered too early costs nothing and one that was remembered too late a container.
//
// Invariants:
//   - Containers, pods and exit statuses survive kill -9 of the agent and of the launcher.
//   - A terminated container has no process. Its mounts and cgroups are removed soon after
//     (RuntimeCounters::cgroups_to_remove).
//   - A container that ends takes those below it in its path along.
//   - A container or pod found by Recover and not asked for is destroyed; so are the containers of
//     a pod that is.
//   - Two launches of one id never run at once (ALREADY_EXISTS).
//   - A field of a spec that no isolator in use stands for is refused (LaunchStep::kSpec), never
//     ignored.
//
// Threads: every method may be called from any thread and returns without waiting for the kernel.
// Callbacks run on threads of the runtime, never inside the call that caused them; they should only
// hand over. Callbacks of one container come in order; after the destructor has returned none
// comes.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "services/agent/container/container_id.h"
#include "services/agent/container/container_spec.h"

namespace tessera::agent {

// Where a launch stopped. Each has a stable name for people and programs (LaunchStepName).
enum class LaunchStep {
  kSpec,        // the spec is malformed, or the id is taken
  kUser,        // the user is not known on the host
  kSandbox,     // sandbox, stdout or stderr could not be made
  kState,       // the runtime's own record of the container could not be written
  kCgroup,      // making, limiting or joining a cgroup
  kClone,       // the launcher could not clone the container's init
  kNamespace,   // unshare and namespace settings, e.g. the host name
  kFilesystem,  // mounts, root, working parts of the file system
  kDirectory,   // entering the working directory
  kUserSwitch,  // setgroups, setgid, setuid
  kExec,        // the program itself
  kPod,         // the pod or container that it belongs to, or joins, does not live
  kAborted,     // the runtime is shutting down, or the container was destroyed meanwhile
};

std::string_view LaunchStepName(LaunchStep step);

struct LaunchFailure {
  LaunchStep step = LaunchStep::kSpec;
  // errno of the system call that failed inside the container's init; 0 when it failed elsewhere.
  int error_number = 0;
  // For people: `user "x" not found`, `exec /bin/foo: No such file or directory`.
  std::string message;
};

// Identifies the container across restarts of the agent: the pid alone may have been reused.
struct ContainerIdentity {
  int64_t init_pid = 0;
  // Field 22 of /proc/<pid>/stat: clock ticks after boot.
  uint64_t init_start_ticks = 0;
  std::string boot_id;
};

struct LaunchedContainer {
  ContainerId container_id;
  ContainerIdentity identity;
  // When the command was exec'ed.
  absl::Time started;
  // Absolute paths of the container's cgroups, one for each hierarchy in use.
  std::vector<std::string> cgroup_paths;
};

using LaunchResult = std::variant<LaunchedContainer, LaunchFailure>;

struct CreatedPod {
  ContainerId pod_id;
  // Of the process that keeps the pod's namespaces; without a pid when the pod keeps none.
  ContainerIdentity keeper;
  // Absolute paths, one for each hierarchy in use.
  std::vector<std::string> cgroup_paths;
};

using PodResult = std::variant<CreatedPod, LaunchFailure>;

// A limit which ended the container.
struct ContainerLimitation {
  enum class Resource { kMemory, kDisk, kPorts };
  Resource resource = Resource::kMemory;
  // `memory limit exceeded: requested 64 MB, used maximum 64 MB`
  std::string message;
  // Bytes of memory or disk; 0 for ports.
  int64_t requested_bytes = 0;
  int64_t maximum_used_bytes = 0;
  // The isolator that found it, as in `--isolation`.
  std::string isolator;
};

// As in resources: `mem`, `disk`, `ports`.
std::string_view LimitedResourceName(ContainerLimitation::Resource resource);

// The limitation of a container that ran out of memory, message included.
ContainerLimitation MemoryLimitation(int64_t requested_bytes, int64_t maximum_used_bytes,
                                     std::string isolator);

struct ContainerTermination {
  ContainerId container_id;
  // wait(2) encoding of the command's end. Read it with WIFEXITED and friends.
  int wait_status = 0;
  // False when init was killed before the command ended (Destroy, or Kill after its grace): the
  // status then says SIGKILL.
  bool command_exited = false;
  // True when Destroy or Kill was asked for before the end, if only by an earlier agent.
  bool kill_requested = false;
  std::optional<ContainerLimitation> limitation;
  absl::Time ended;
  // The command and all it waited for.
  absl::Duration user_time;
  absl::Duration system_time;
  int64_t maximum_rss_bytes = 0;
  // One line for people: `exited with status 3`, `terminated with signal SIGKILL`, or the
  // limitation.
  std::string message;
};

// The one place with words for wait(2)'s encoding: `exited with status 3`, `terminated with signal
// SIGSEGV (core dumped)`.
std::string DescribeWaitStatus(int wait_status);

// What went through one network interface, both ways as the container sees it.
struct InterfaceUsage {
  std::string name;  // in the container: `eth0`
  int64_t received_bytes = 0;
  int64_t received_packets = 0;
  int64_t received_errors = 0;
  int64_t received_dropped = 0;
  int64_t sent_bytes = 0;
  int64_t sent_packets = 0;
  int64_t sent_errors = 0;
  int64_t sent_dropped = 0;
};

// A measurement. Absent: not measured with the isolators in use.
struct ContainerUsage {
  absl::Time taken;
  std::optional<absl::Duration> cpu_user_time;
  std::optional<absl::Duration> cpu_system_time;
  std::optional<int64_t> cpu_periods;
  std::optional<int64_t> cpu_throttled_periods;
  std::optional<absl::Duration> cpu_throttled_time;
  std::optional<int64_t> cpus_limit_milli;
  std::optional<int64_t> memory_total_bytes;  // page cache included
  std::optional<int64_t> memory_rss_bytes;    // anonymous
  std::optional<int64_t> memory_cache_bytes;
  std::optional<int64_t> memory_mapped_bytes;
  std::optional<int64_t> memory_limit_bytes;
  std::optional<int64_t> processes;
  std::optional<int64_t> threads;
  // Of its own network namespace, or its pod's; in the kernel's order.
  std::vector<InterfaceUsage> interfaces;
};

// What Recover found of one expected container.
struct RecoveredContainer {
  // Runs on; on_terminated will come.
  struct Running {
    LaunchedContainer container;
    // Destroy or Kill was asked for; whether its grace is over is not known.
    bool kill_requested;
  };
  // Ended, also if long ago: on_terminated does not come again. Release it when durable.
  struct Terminated {
    ContainerTermination termination;
  };
  // Never launched, or the machine was rebooted: nothing of it exists.
  struct Lost {
    std::string reason;
  };
  ContainerId container_id;
  std::variant<Running, Terminated, Lost> state;
};

// What Recover found of one expected pod.
struct RecoveredPod {
  ContainerId pod_id;
  // Absent: never created, destroyed, or its namespaces ended with their keeper; `lost` says which.
  // Nothing is left of it then, nor of its containers.
  std::optional<CreatedPod> pod;
  std::string lost;
};

// What the caller remembers.
struct ExpectedContainers {
  std::vector<ContainerId> pods;
  std::vector<ContainerId> containers;
};

struct RecoveryResult {
  // Both in the order in which they were asked for.
  std::vector<RecoveredPod> pods;
  std::vector<RecoveredContainer> containers;
  // Ids of containers and pods that nobody asked for; they have been destroyed.
  std::vector<ContainerId> destroyed_orphans;
};

// What the runtime counts; monotonic unless said otherwise.
struct RuntimeCounters {
  uint64_t launches = 0;
  uint64_t launch_failures = 0;
  uint64_t terminations = 0;
  uint64_t memory_limitations = 0;  // of the terminations
  uint64_t cgroup_removal_retries = 0;
  uint64_t launcher_restarts = 0;
  uint64_t running = 0;              // gauge
  uint64_t prepared_containers = 0;  // gauge: parked ahead of their launch
  uint64_t cgroups_to_remove = 0;    // gauge; the mounts go with them
};

class ContainerRuntime {
 public:
  using TerminationCallback = std::function<void(const ContainerTermination&)>;
  using LaunchCallback = std::function<void(LaunchResult)>;
  using PodCallback = std::function<void(PodResult)>;
  using StatusCallback = std::function<void(absl::Status)>;
  using UsageCallback = std::function<void(absl::StatusOr<ContainerUsage>)>;
  using RecoveryCallback = std::function<void(absl::StatusOr<RecoveryResult>)>;

  virtual ~ContainerRuntime() = default;

  // Call once, first, also on a fresh machine: finds the containers of an earlier agent with the
  // same directories. A CreatePod or Launch before it has answered fails (kAborted).
  virtual void Recover(ExpectedContainers expected, RecoveryCallback done) = 0;

  // Makes the pod; the answer says that containers can be launched into it, or which step failed
  // and why, with nothing left. Not repeatable while the id lives.
  virtual void CreatePod(PodSpec spec, PodCallback done) = 0;

  // Writes new limits, as Update does. NOT_FOUND: no such pod.
  virtual void UpdatePod(const ContainerId& pod_id, ContainerResources limits,
                         StatusCallback done) = 0;

  // Ends what still runs in the pod, each told by on_terminated, then takes the pod away: the
  // answer says that its id is free and that nothing can be launched into it any more. Its
  // containers are still to be released. Repeatable: OK, too, when there is no such pod.
  virtual void DestroyPod(const ContainerId& pod_id, StatusCallback done) = 0;

  // Starts a container; the result says that its command was exec'ed, or which step failed and why.
  // Not repeatable while the id lives or is unreleased.
  virtual void Launch(ContainerSpec spec, LaunchCallback done) = 0;

  // Sends a signal to the container's command. SIGKILL is the same as Destroy.
  // NOT_FOUND: no such running container.
  virtual void Signal(const ContainerId& container_id, int signal_number, StatusCallback done) = 0;

  // Sends SIGTERM to every process of the container, and after `grace` kills what is left. Answers
  // when the signal is sent; the end comes through on_terminated. Repeatable: a later call can only
  // bring the end forward. During a launch the same as Destroy. NOT_FOUND as above.
  virtual void Kill(const ContainerId& container_id, absl::Duration grace, StatusCallback done) = 0;

  // Kills every process at once. Answers when the kill is on its way; the end comes through
  // on_terminated. Repeatable. Also right during a launch, which then fails with kAborted.
  // NOT_FOUND: never launched, or already terminated.
  virtual void Destroy(const ContainerId& container_id, StatusCallback done) = 0;

  // Writes new limits. The memory limit is only ever raised: lowering it would kill.
  // INVALID_ARGUMENT as in Launch; NOT_FOUND as above; INTERNAL when the kernel refuses.
  virtual void Update(const ContainerId& container_id, ContainerResources resources,
                      StatusCallback done) = 0;

  // Of a container, or of a pod with all its containers. NOT_FOUND when it does not run.
  virtual void ReadUsage(const ContainerId& container_id, UsageCallback done) = 0;

  // Forgets a terminated container. Repeatable. FAILED_PRECONDITION while it still runs.
  virtual void Release(const ContainerId& container_id, StatusCallback done) = 0;

  virtual RuntimeCounters Counters() const = 0;
};

}  // namespace tessera::agent
