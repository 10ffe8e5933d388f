#include "services/agent/runtime/container_files.h"

#include "absl/strings/str_cat.h"
#include "services/base/file_io.h"

namespace tessera::agent {

absl::StatusOr<std::string> LiveContainerFiles::Read(CgroupController controller,
                                                     const std::string& file) const {
  return tree_->Read(cgroup_, controller, file);
}

absl::StatusOr<std::string> LiveContainerFiles::ReadOfPod(CgroupController controller,
                                                          const std::string& file) const {
  if (pod_cgroup_.empty()) return absl::NotFoundError("it is in no pod");
  return tree_->Read(pod_cgroup_, controller, file);
}

absl::StatusOr<std::string> LiveContainerFiles::ReadNetworkDevices() const {
  if (network_pid_ == 0) return absl::NotFoundError("it uses the host's network");
  return base::ReadFile(absl::StrCat("/proc/", network_pid_, "/net/dev"));
}

}  // namespace tessera::agent
