// The agent's container runtime: what runs, stops, measures and finds again the containers of one
// agent.
//
// Place: below the agent's shell, which turns effects of the agent core into these calls and posts
// the answers back as events. LinuxContainerRuntime (linux_container_runtime.h) is the real one;
// FakeContainerRuntime (fake_container_runtime.h) keeps the same promises in memory, on virtual
// time. One conformance suite holds both to them.
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
// Between termination and Release the exit status stays on disk, so an agent that dies before it
// has made the termination durable hears it again from Recover. The caller only has to remember
// (durably, before Launch) which container ids it asked for.
//
// Invariants:
//   - Containers and their exit statuses survive kill -9 of the agent and of the launcher.
//   - A terminated container has no process. Its mounts and cgroups are removed soon after
//     (RuntimeCounters::cgroups_to_remove).
//   - A container found by Recover and not asked for is destroyed.
//   - Two launches of one id never run at once (ALREADY_EXISTS).
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
#include "services/agent/runtime/container_spec.h"

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
  std::string container_id;
  ContainerIdentity identity;
  // When the command was exec'ed.
  absl::Time started;
  // Absolute paths of the container's cgroups, one for each hierarchy in use.
  std::vector<std::string> cgroup_paths;
};

using LaunchResult = std::variant<LaunchedContainer, LaunchFailure>;

// A resource limit which ended the container.
struct ContainerLimitation {
  enum class Resource { kMemory };
  Resource resource = Resource::kMemory;
  // `memory limit exceeded: requested 64 MB, used maximum 64 MB`
  std::string message;
  int64_t requested_bytes = 0;
  int64_t maximum_used_bytes = 0;
};

// The limitation of a container that ran out of memory, message included.
ContainerLimitation MemoryLimitation(int64_t requested_bytes, int64_t maximum_used_bytes);

struct ContainerTermination {
  std::string container_id;
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
  // One line for people: `exited with status 3`, `killed by signal 9 (SIGKILL)`, or the limitation.
  std::string message;
};

// `exited with status 3`, `killed by signal 15 (SIGTERM)`.
std::string DescribeWaitStatus(int wait_status);

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
  std::string container_id;
  std::variant<Running, Terminated, Lost> state;
};

struct RecoveryResult {
  // In the order in which they were asked for.
  std::vector<RecoveredContainer> containers;
  // Ids of containers that nobody asked for; they have been destroyed.
  std::vector<std::string> destroyed_orphans;
};

// What the runtime counts; monotonic unless said otherwise.
struct RuntimeCounters {
  uint64_t launches = 0;
  uint64_t launch_failures = 0;
  uint64_t terminations = 0;
  uint64_t memory_limitations = 0;
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
  using StatusCallback = std::function<void(absl::Status)>;
  using UsageCallback = std::function<void(absl::StatusOr<ContainerUsage>)>;
  using RecoveryCallback = std::function<void(absl::StatusOr<RecoveryResult>)>;

  virtual ~ContainerRuntime() = default;

  // Call once, first, also on a fresh machine: finds the containers of an earlier agent with the
  // same directories. A Launch before it has answered fails (kAborted).
  virtual void Recover(std::vector<std::string> expected_container_ids, RecoveryCallback done) = 0;

  // Starts a container; the result says that its command was exec'ed, or which step failed and why.
  // Not repeatable while the id lives or is unreleased.
  virtual void Launch(ContainerSpec spec, LaunchCallback done) = 0;

  // Sends a signal to the container's command. SIGKILL is the same as Destroy.
  // NOT_FOUND: no such running container.
  virtual void Signal(const std::string& container_id, int signal_number, StatusCallback done) = 0;

  // Sends SIGTERM to every process of the container, and after `grace` kills what is left. Answers
  // when the signal is sent; the end comes through on_terminated. Repeatable: a later call can only
  // bring the end forward. During a launch the same as Destroy. NOT_FOUND as above.
  virtual void Kill(const std::string& container_id, absl::Duration grace, StatusCallback done) = 0;

  // Kills every process at once. Answers when the kill is on its way; the end comes through
  // on_terminated. Repeatable. Also right during a launch, which then fails with kAborted.
  // NOT_FOUND: never launched, or already terminated.
  virtual void Destroy(const std::string& container_id, StatusCallback done) = 0;

  // Writes new limits. The memory limit is only ever raised: lowering it would kill.
  // NOT_FOUND as above; INTERNAL when the kernel refuses.
  virtual void Update(const std::string& container_id, ContainerResources resources,
                      StatusCallback done) = 0;

  // NOT_FOUND when it does not run.
  virtual void ReadUsage(const std::string& container_id, UsageCallback done) = 0;

  // Forgets a terminated container. Repeatable. FAILED_PRECONDITION while it still runs.
  virtual void Release(const std::string& container_id, StatusCallback done) = 0;

  virtual RuntimeCounters Counters() const = 0;
};

}  // namespace tessera::agent
