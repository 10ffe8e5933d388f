// The runtime directory: the state files of containers and pods, and the lock that keeps a second
// runtime out.
//
//   <directory>/lock
//   <directory>/containers/<id>
//   <directory>/pods/<id>
//
// Blocking; thread-safe, one id on one thread at a time.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/agent/runtime/state_file.h"
#include "services/base/unique_fd.h"

namespace tessera::agent {

class StateDirectory {
 public:
  // Makes what is missing. FAILED_PRECONDITION: another runtime has it.
  static absl::StatusOr<StateDirectory> Open(const std::string& directory);

  // A new file with room for the lines to come, open for appending.
  absl::StatusOr<base::UniqueFd> Write(const ContainerId& id, const ContainerState& state) const;
  // NOT_FOUND when there is none; ParseState's errors.
  absl::StatusOr<ContainerState> Read(const ContainerId& id) const;
  // What init and later lines will need is kept behind this one, too, before it is written.
  absl::Status AppendResources(const ContainerId& id, const ContainerResources& resources) const;
  // A line for which room was kept.
  absl::Status Append(const ContainerId& id, const std::string& line) const;
  void Remove(const ContainerId& id) const;
  // Sorted.
  std::vector<ContainerId> Containers() const;

  absl::Status WritePod(const ContainerId& id, const PodState& state) const;
  absl::StatusOr<PodState> ReadPod(const ContainerId& id) const;
  absl::Status AppendToPod(const ContainerId& id, const std::string& line) const;
  void RemovePod(const ContainerId& id) const;
  std::vector<ContainerId> Pods() const;

  // FAILED_PRECONDITION naming the first file that a newer agent has written.
  absl::Status RefuseNewer() const;

 private:
  StateDirectory(std::string directory, base::UniqueFd lock)
      : directory_(std::move(directory)), lock_(std::move(lock)) {}

  std::string ContainerPath(const ContainerId& id) const;
  std::string PodPath(const ContainerId& id) const;

  std::string directory_;
  base::UniqueFd lock_;
};

}  // namespace tessera::agent
