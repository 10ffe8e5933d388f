// What isolators read of one container or pod (isolators/isolator.h).
//
// Refers to the tree; holds the rest itself. Blocking; one thread at a time.
#pragma once

#include <sys/types.h>

#include <string>
#include <utility>

#include "services/agent/runtime/cgroup_tree.h"

namespace tessera::agent {

class LiveContainerFiles : public ContainerFiles {
 public:
  // `pod_cgroup`: "" when it is in none. `network_pid`: a process in its network namespace; 0 when
  // that is the host's.
  LiveContainerFiles(const CgroupTree* tree, std::string cgroup, std::string pod_cgroup,
                     pid_t network_pid)
      : tree_(tree),
        cgroup_(std::move(cgroup)),
        pod_cgroup_(std::move(pod_cgroup)),
        network_pid_(network_pid) {}

  absl::StatusOr<std::string> Read(CgroupController controller,
                                   const std::string& file) const override;
  absl::StatusOr<std::string> ReadOfPod(CgroupController controller,
                                        const std::string& file) const override;
  absl::StatusOr<std::string> ReadNetworkDevices() const override;

 private:
  const CgroupTree* const tree_;
  const std::string cgroup_;
  const std::string pod_cgroup_;
  const pid_t network_pid_;
};

}  // namespace tessera::agent
