// The file that keeps one container's identity and end: `<runtime_dir>/containers/<id>`.
//
// Text, a line a fact. The agent writes the head before the command starts; init appends `started`
// and `exited` (launcher/init.h); the agent appends `killed` before it kills, and `memory_exceeded`
// when it finds that out. The last line of a word counts. Lines of unknown words are skipped, so
// that older and newer agents read each other's files; so is a last line without an end, which was
// never written to its end.
//
// The disk may be full when a line is due, and a lost `started` or `exited` would be a lie. So room
// for all lines that are still to come is got before the command starts, beyond the file's end.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "services/agent/container/container_runtime.h"

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

  // Kill or Destroy was asked for.
  bool killed = false;
  std::optional<absl::Time> started;
  std::optional<Exit> exit;
  std::optional<MemoryExceeded> memory_exceeded;
};

// The head, ending in a newline.
std::string FormatStateHead(const ContainerState& state);

// Lines to append: the last of a word counts.
std::string FormatResources(const ContainerResources& resources);
std::string FormatMemoryExceeded(const ContainerState::MemoryExceeded& exceeded);
std::string FormatKilled();

// DATA_LOSS naming the first line that cannot be.
absl::StatusOr<ContainerState> ParseState(const std::string& contents);

// Keeps blocks of the disk for `started`, `exited`, `killed` and `memory_exceeded` behind the end
// of the open file and `more` bytes to be written first. RESOURCE_EXHAUSTED when the disk has none.
absl::Status ReserveLines(int file, const std::string& path, size_t more = 0);

// Appends a line of the agent. RESOURCE_EXHAUSTED when the disk is full; the file may then end in a
// part of it, which the next line follows: only for lines with room for them.
absl::Status AppendLine(const std::string& path, const std::string& line);

}  // namespace tessera::agent
