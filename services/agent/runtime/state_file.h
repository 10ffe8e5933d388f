// The file that keeps one container's identity and end: `<runtime_dir>/containers/<id>`.
//
// Text, a line a fact. The agent writes the head before the command starts; init appends `started`
// and `exited` (launcher/init.h); the agent appends `memory_exceeded` when it finds that out. The
// last line of a word counts. Lines of unknown words are skipped, so that older and newer agents
// read each other's files.
//
// Pure: no file is touched here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "services/agent/runtime/container_runtime.h"

namespace tessera::agent {

struct ContainerState {
  struct Exit {
    int wait_status = 0;
    absl::Time ended;
    absl::Duration user_time;
    absl::Duration system_time;
    int64_t maximum_rss_bytes = 0;
  };
  struct MemoryExceeded {
    int64_t requested_bytes = 0;
    int64_t maximum_used_bytes = 0;
  };

  ContainerIdentity identity;
  std::string cgroup;  // name in the tree
  bool own_pids = true;
  ContainerResources resources;

  std::optional<absl::Time> started;
  std::optional<Exit> exit;
  std::optional<MemoryExceeded> memory_exceeded;
};

// The head, ending in a newline.
std::string FormatStateHead(const ContainerState& state);

// Lines to append: the last of a word counts.
std::string FormatResources(const ContainerResources& resources);
std::string FormatMemoryExceeded(const ContainerState::MemoryExceeded& exceeded);

// DATA_LOSS naming the first line that cannot be.
absl::StatusOr<ContainerState> ParseState(const std::string& contents);

}  // namespace tessera::agent
