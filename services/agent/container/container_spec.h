// What a container or a pod is asked to be: the input of ContainerRuntime::Launch and CreatePod.
//
// Plain data, validated by ValidateContainerSpec and ValidatePodSpec. Nothing here names a kernel
// object: the isolators turn a spec and the host's facts into steps. What kind a container is
// (task, executor, check) is its owner's business and not said here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "services/agent/container/container_id.h"

namespace tessera::agent {

// Either a line for `/bin/sh -c`, or a program with its arguments.
struct ContainerCommand {
  // With shell: the line. Without: the program, found as execvp does but in the container's own
  // PATH, the working directory first when it holds no slash.
  std::string value;
  bool shell = true;
  // Without shell: argv, arguments[0] being the name that the program sees. Empty means {value}.
  std::vector<std::string> arguments;
};

// Limits and weights. Absent optionals leave the kernel's default.
struct ContainerResources {
  // Thousandths of a cpu. The weight is max(1024 * cpus, 2) shares (v2: max(100 * cpus, 1)).
  int64_t cpus_milli = 1000;
  // Thousandths of a cpu that may not be exceeded even when others idle (CFS quota).
  std::optional<int64_t> cpu_limit_milli;
  // Bytes. The hard limit; never below kMinimumMemoryBytes whatever is asked.
  std::optional<int64_t> memory_limit_bytes;
  // Bytes; reclaim starts here when the host is short. Absent: the hard limit.
  std::optional<int64_t> memory_soft_limit_bytes;
  // Processes and threads together.
  std::optional<int64_t> pids_limit;
};

inline constexpr int64_t kMinimumMemoryBytes = int64_t{32} << 20;
inline constexpr int64_t kMinimumCpuShares = 2;

// A directory or file of the host that appears in the container.
struct BindMount {
  std::string source;  // absolute, on the host
  std::string target;  // absolute, in the container; made if missing when there is a rootfs
  bool read_only = false;
};

// Where a container's namespace of one kind comes from.
struct NamespaceChoice {
  enum class Source {
    kOwn,   // a new one
    kHost,  // the machine's
    kJoin,  // that of `of`: a pod that keeps one of the kind, or a running container
  };
  Source source = Source::kOwn;
  ContainerId of;  // with kJoin; in the same pod

  static NamespaceChoice Own() { return {}; }
  static NamespaceChoice Host() { return {Source::kHost, {}}; }
  static NamespaceChoice Join(ContainerId of) { return {Source::kJoin, std::move(of)}; }
  bool own() const { return source == Source::kOwn; }
  bool joins() const { return source == Source::kJoin; }
  friend bool operator==(const NamespaceChoice&, const NamespaceChoice&) = default;
};

struct ContainerNamespaces {
  NamespaceChoice pid;
  NamespaceChoice ipc;
  NamespaceChoice uts;
  NamespaceChoice cgroup;
  // An own one has nothing but the loopback interface in it.
  NamespaceChoice net = NamespaceChoice::Host();
  // Never the host's: what a container mounts is not for others. One that joins a container's sees
  // its files, so it takes no rootfs, mounts or private /tmp of its own.
  NamespaceChoice mnt;
};

struct ContainerSpec {
  // Unique among living and unreleased containers and pods of this runtime. With a parent it is in
  // the pod of its first name, within the pod's limits, and its parent must be that pod or a
  // running container of it. Without one it is in no pod, as if it had one to itself.
  ContainerId container_id;

  // Absolute. Made with mode 0750 and given to the user when it is missing. Holds `stdout` and
  // `stderr`, so that each container of a pod needs its own, best below the pod's.
  std::string sandbox;

  ContainerCommand command;

  // The whole environment: nothing is inherited. PATH (if absent) and TESSERA_SANDBOX are added.
  std::vector<std::pair<std::string, std::string>> environment;

  // Name or number, resolved on the host before any root is changed. Empty: the runtime's own user.
  std::string user;

  // Absolute in the container's view. Empty: the sandbox.
  std::string working_directory;

  // Absolute directory that becomes `/`. Empty: the host's root.
  std::string rootfs;

  // Where the sandbox appears when there is a rootfs.
  std::string sandbox_in_rootfs = "/mnt/tessera/sandbox";

  // A /tmp of its own (`<sandbox>/.tmp`) in place of the root's.
  bool private_tmp = false;

  std::vector<BindMount> mounts;

  // Empty: the host's name. Needs namespaces.uts.
  std::string hostname;

  ContainerNamespaces namespaces;
  ContainerResources resources;
};

// What several containers share.
struct PodSpec {
  // One name; unique as a container's.
  ContainerId pod_id;

  // Absolute. Made with mode 0750 and given to the user when it is missing. Its containers' own
  // sandboxes may lie in it.
  std::string sandbox;

  // As in ContainerSpec.
  std::string user;

  // The kinds of which the pod keeps one namespace for its containers to join, from CreatePod to
  // DestroyPod, whichever of them live. The rest its containers choose as they like.
  struct Namespaces {
    bool pid = false;
    bool ipc = false;
    bool uts = false;
    bool net = false;
  };
  Namespaces namespaces;

  // Empty: the host's name. Needs namespaces.uts.
  std::string hostname;

  // Of all its containers together. Out of memory by this limit, all of them end.
  ContainerResources limits;
};

// For a container of the pod: joins each namespace that the pod keeps, the others as
// ContainerNamespaces has them.
ContainerNamespaces NamespacesInPod(const PodSpec& pod);

// INVALID_ARGUMENT naming the field and what is wrong with it.
absl::Status ValidateContainerSpec(const ContainerSpec& spec);
absl::Status ValidatePodSpec(const PodSpec& spec);
absl::Status ValidateContainerResources(const ContainerResources& resources);

}  // namespace tessera::agent
