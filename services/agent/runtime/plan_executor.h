// Carries out the host operations of a plan, and takes them back.
//
// Blocking. One executor serves one container, on one thread at a time.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "services/agent/isolators/operations.h"
#include "services/agent/runtime/cgroup_tree.h"

namespace tessera::agent {

class PlanExecutor {
 public:
  // `cgroup`: the container's name in `tree`, which must outlive the executor.
  PlanExecutor(const CgroupTree* tree, std::string cgroup)
      : tree_(tree), cgroup_(std::move(cgroup)) {}

  // In order. On failure everything done so far is undone, last first, and the failed operation's
  // status returned.
  absl::Status Execute(const std::vector<HostOperation>& operations);

  // Undoes what Execute did, when a later step of the launch failed.
  void Undo();

 private:
  absl::Status Run(const WriteCgroupFile& operation);
  absl::Status Run(const MakeHostDirectory& operation);

  const CgroupTree* const tree_;
  const std::string cgroup_;
  std::vector<std::string> made_directories_;
};

}  // namespace tessera::agent
