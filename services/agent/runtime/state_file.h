// The files that keep what the kernel has of a container or a pod: who it is, how it ended, what is
// to be undone. They lie in the runtime directory and mean nothing after a reboot.
//
// Text, a line a fact; docs/formats.md has the bytes. The agent writes the head before the first
// step of the launch acts; init appends `started` and `exited` (launcher/init.h); the agent appends
// `killed` before it kills, and `limited` when it finds that out. The last line of a word counts,
// but for `undo`, of which every line does. Lines of unknown words are skipped; a file with a
// higher format number is refused. A last line without an end was never written to its end.
//
// The disk may be full when a line is due, and a lost `started` or `exited` would be a lie. So room
// for all lines that are still to come is got before the command starts, beyond the file's end.
//
// Pure but for ReserveLines and AppendLine.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "services/agent/container/container_runtime.h"
#include "services/agent/isolators/undo.h"

namespace tessera::agent {

struct ContainerState {
  struct Exit {
    int wait_status = 0;
    absl::Time ended;
    absl::Duration user_time;
    absl::Duration system_time;
    int64_t maximum_rss_bytes = 0;
  };

  ContainerIdentity identity;
  std::string cgroup;  // name in the tree
  bool own_pids = true;
  bool host_network = true;
  ContainerResources resources;
  // What dies with the kernel; the rest is in the undo journal.
  std::vector<SavedUndo> undo;

  // Kill or Destroy was asked for.
  bool killed = false;
  std::optional<absl::Time> started;
  std::optional<Exit> exit;
  std::optional<ContainerLimitation> limitation;
};

struct PodState {
  std::string boot_id;
  std::string cgroup;
  uint32_t namespaces = 0;  // wire::NamespaceBit of those that it keeps
  ContainerResources limits;
  std::vector<SavedUndo> undo;
  // Absent while the pod is only being made. Without a pid when it keeps no namespaces.
  std::optional<ContainerIdentity> keeper;
};

// The head, ending in a newline.
std::string FormatStateHead(const ContainerState& state);
std::string FormatPodHead(const PodState& state);

// Lines to append.
std::string FormatResources(const ContainerResources& resources);
std::string FormatLimitation(const ContainerLimitation& limitation);
std::string FormatKilled();
std::string FormatKeeper(const ContainerIdentity& keeper);

// DATA_LOSS naming the first line that cannot be; FAILED_PRECONDITION when a newer agent has
// written the file: it must be left alone.
absl::StatusOr<ContainerState> ParseState(const std::string& contents);
absl::StatusOr<PodState> ParsePodState(const std::string& contents);

// Keeps blocks of the disk for `started`, `exited`, `killed` and `limited` behind the end of the
// open file and `more` bytes to be written first. RESOURCE_EXHAUSTED when the disk has none.
absl::Status ReserveLines(int file, const std::string& path, size_t more = 0);

// Appends a line of the agent. RESOURCE_EXHAUSTED when the disk is full; the file may then end in a
// part of it, which the next line follows: only for lines with room for them.
absl::Status AppendLine(const std::string& path, const std::string& line);

}  // namespace tessera::agent
