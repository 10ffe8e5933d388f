// cluster.json: what a local cluster consists of, written by its supervisor, read by every command.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace tessera::cli {

struct ServiceRecord {
  // "registry", "allocator", "master", "state", "agent-1" …
  std::string name;
  pid_t pid = 0;
  std::string grpc_address;
  std::string http_address;
  // How often the supervisor has started it again.
  int restarts = 0;
};

struct ClusterFile {
  pid_t supervisor_pid = 0;
  // Field 22 of /proc/<pid>/stat: tells the supervisor from a later process with its pid.
  uint64_t supervisor_start_time = 0;
  std::vector<ServiceRecord> services;
};

// NOT_FOUND when there is none; INVALID_ARGUMENT when it is not such a file.
absl::StatusOr<ClusterFile> ReadClusterFile(const std::string& cluster_dir);

// Replaces the file in one step.
absl::Status WriteClusterFile(const std::string& cluster_dir, const ClusterFile& cluster);

void RemoveClusterFile(const std::string& cluster_dir);

// Start time of a live process in clock ticks since boot; 0 when there is no such process.
uint64_t ProcessStartTime(pid_t pid);

// The supervisor that the file names is still the same live process.
bool SupervisorRuns(const ClusterFile& cluster);

}  // namespace tessera::cli
