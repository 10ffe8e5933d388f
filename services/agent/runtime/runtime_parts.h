// What the Linux runtime is made of, found and opened once at start.
//
// Threads: each part has its own rule; the struct itself does not change.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "services/agent/container/undo_journal.h"
#include "services/agent/isolators/isolator.h"
#include "services/agent/launcher/launcher_client.h"
#include "services/agent/runtime/cgroup_reaper.h"
#include "services/agent/runtime/cgroup_tree.h"
#include "services/agent/runtime/init_park.h"
#include "services/agent/runtime/isolation.h"
#include "services/agent/runtime/state_directory.h"
#include "services/agent/runtime/step_executor.h"
#include "services/agent/runtime/step_runner.h"
#include "services/base/unique_fd.h"

namespace tessera::agent {

struct LinuxRuntimeOptions {
  // Absolute; keeps state files. Best on a tmpfs (`/run/...`): nothing in it outlives a reboot
  // anyway.
  std::string runtime_dir;
  // Absolute; keeps the undo journal, and has to outlive a reboot. Empty: runtime_dir.
  std::string durable_dir;
  // The cgroup below each hierarchy, such as `tessera/agent-1`. One runtime each.
  std::string cgroups_root = "tessera";
  std::string isolation = kDefaultIsolation;
  // Besides those that `isolation` names, after them.
  std::function<std::vector<std::unique_ptr<Isolator>>()> more_isolators;
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

struct RuntimeParts {
  RuntimeParts(const LinuxRuntimeOptions& options, std::vector<std::unique_ptr<Isolator>> isolators,
               HostFacts facts, CgroupTree tree, StateDirectory states,
               std::unique_ptr<UndoJournal> journal, base::UniqueFd null);

  // An agent that leaves no container leaves no cgroup.
  struct RootCleanup {
    const CgroupTree* tree;
    ~RootCleanup() { tree->RemoveRoot(); }
  };

  const std::string boot_id;
  const Isolation isolation;
  const CgroupTree tree;
  const RootCleanup root_cleanup{&tree};
  const StateDirectory states;
  const std::unique_ptr<UndoJournal> journal;
  const base::UniqueFd null;  // /dev/null

  // Destroyed in reverse order, so that what uses goes before what is used.
  LauncherClient launcher;
  LocalStepExecutor executor{&tree, &launcher};
  StepRunner runner{&executor, journal.get()};
  CgroupReaper reaper{&executor};
  InitPark park;
};

// The launcher runs. Errors as of LinuxContainerRuntime::Create.
absl::StatusOr<std::unique_ptr<RuntimeParts>> MakeRuntimeParts(LinuxRuntimeOptions options);

}  // namespace tessera::agent
