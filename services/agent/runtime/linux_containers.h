// The table of the Linux runtime: its containers and pods, alive or ended and not yet released.
//
// Guarded by the runtime's mutex, with everything that the entries hold; an entry may be referred
// to without it, and so may what does not change once it is set (id, serial, pod).
//
// Invariant: containers_ holds each container until it is released, and by_serial those of them
// that have not ended.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "services/agent/container/container_runtime.h"
#include "services/agent/isolators/undo.h"
#include "services/base/unique_fd.h"

namespace tessera::agent {

struct LinuxPod {
  enum class Phase { kCreating, kReady, kDestroying };
  ContainerId id;
  Phase phase = Phase::kCreating;
  std::string cgroup;
  uint32_t namespaces = 0;  // wire::NamespaceBit of those that it keeps
  ContainerResources limits;
  ContainerIdentity keeper;  // without a pid when it keeps none
  std::vector<SavedUndo> undo;
  bool ending = false;  // RunEndPod is under way
  // Wait for its end.
  std::vector<ContainerRuntime::StatusCallback> destroyed;
};
using PodPointer = std::shared_ptr<LinuxPod>;

struct LinuxContainer {
  enum class Phase { kLaunching, kRunning, kTerminated };
  ContainerId id;
  uint64_t serial = 0;
  Phase phase = Phase::kLaunching;
  bool kill_requested = false;
  // The kernel has told of a limit, or one was found reached.
  bool limit_told = false;
  bool own_pids = true;
  bool host_network = true;
  std::string cgroup;
  ContainerIdentity identity;
  ContainerResources resources;
  PodPointer pod;  // null when it is in none
  base::UniqueFd pidfd;
  base::UniqueFd events;           // PreparedInit
  base::UniqueFd mount_namespace;  // PreparedInit
  std::vector<SavedUndo> undo;
  // Of a terminated one: whether what its steps have made is taken back. Releases that come while
  // that is under way wait.
  enum class Undo { kPending, kFailed, kDone };
  Undo undone = Undo::kPending;
  std::vector<ContainerRuntime::StatusCallback> releases;
};
using ContainerPointer = std::shared_ptr<LinuxContainer>;

class LinuxContainers {
 public:
  // Takes the container in, with its pod and a serial. The step is kPod when what it belongs to
  // does not live, kSpec when its id is taken.
  std::optional<LaunchFailure> Add(const ContainerPointer& container);
  // One that was found running.
  void AddRecovered(const ContainerPointer& container);
  // Its id is free again.
  void Forget(const LinuxContainer& container);

  // Launching or running; null otherwise.
  ContainerPointer FindLive(const ContainerId& id) const;
  // Below `id` in the path, and not ended, told and taken back.
  std::vector<ContainerId> UnfinishedBelow(const ContainerId& id) const;

  std::map<ContainerId, ContainerPointer> all;
  std::map<uint64_t, ContainerPointer> by_serial;
  std::map<ContainerId, PodPointer> pods;

 private:
  uint64_t next_serial_ = 1;
};

}  // namespace tessera::agent
