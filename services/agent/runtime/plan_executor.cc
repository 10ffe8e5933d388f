#include "services/agent/runtime/plan_executor.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "services/base/file_io.h"

namespace tessera::agent {

absl::Status PlanExecutor::Execute(const std::vector<HostOperation>& operations) {
  for (const HostOperation& operation : operations) {
    const absl::Status status = std::visit([this](const auto& o) { return Run(o); }, operation);
    if (status.ok()) continue;
    Undo();
    return status;
  }
  return absl::OkStatus();
}

void PlanExecutor::Undo() {
  for (auto path = made_directories_.rbegin(); path != made_directories_.rend(); ++path) {
    rmdir(path->c_str());
  }
  made_directories_.clear();
}

absl::Status PlanExecutor::Run(const WriteCgroupFile& operation) {
  return tree_->Write(cgroup_, operation.controller, operation.file, operation.value);
}

absl::Status PlanExecutor::Run(const MakeHostDirectory& operation) {
  if (mkdir(operation.path.c_str(), operation.mode & 0777) != 0) {
    if (errno == EEXIST) return absl::OkStatus();
    return base::ErrnoStatus(errno, "mkdir", operation.path);
  }
  made_directories_.push_back(operation.path);
  // mkdir takes the umask into account and knows no owner.
  if (lchown(operation.path.c_str(), operation.uid, operation.gid) != 0) {
    return base::ErrnoStatus(errno, "chown", operation.path);
  }
  if (chmod(operation.path.c_str(), operation.mode) != 0) {
    return base::ErrnoStatus(errno, "chmod", operation.path);
  }
  return absl::OkStatus();
}

}  // namespace tessera::agent
