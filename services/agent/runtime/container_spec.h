// What a container is asked to be: the input of ContainerRuntime::Launch.
//
// Plain data, validated by ValidateContainerSpec. Nothing here names a kernel object: the isolators
// turn a spec and the host's facts into kernel operations.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"

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

// Namespaces of its own. A private mount namespace is not optional.
struct ContainerNamespaces {
  bool pid = true;
  bool ipc = true;
  bool uts = true;
  bool cgroup = true;
};

struct ContainerSpec {
  // Unique among living containers of this runtime; see ValidateContainerSpec for its characters.
  std::string container_id;

  // Absolute. Made with mode 0750 and given to the user when it is missing. Holds `stdout` and
  // `stderr`.
  std::string sandbox;

  ContainerCommand command;

  // The whole environment: nothing is inherited. PATH (if absent) and TESSERA_SANDBOX are added.
  std::vector<std::pair<std::string, std::string>> environment;

  // Name or number, resolved on the host before any root is changed. Empty: the runtime's own user.
  std::string user;

  // Absolute in the container's view. Empty: the sandbox.
  std::string working_directory;

  // Absolute directory that becomes `/`. Empty: the host's root, in a mount namespace of its own.
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

// INVALID_ARGUMENT naming the field and what is wrong with it. An id is 1 to 242 bytes without `/`,
// `.`, space and control characters.
absl::Status ValidateContainerSpec(const ContainerSpec& spec);

// The rule for ids alone.
absl::Status ValidateContainerId(const std::string& container_id);

}  // namespace tessera::agent
