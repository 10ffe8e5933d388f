// The seam between deciding and acting: whatever the runtime does to the machine that needs rights
// goes through here.
//
// Everything that crosses it is plain data or a descriptor, and no call depends on memory that an
// earlier one left, so that the other side can be a process of its own, with rights, beside an
// agent without (docs/adr/0010-a-seam-for-privileged-steps.md). LocalStepExecutor acts in this
// process. What needs no rights stays outside: state files, reading cgroups, waiting for ends.
//
// Threads: any. Every call blocks, most for some tens of microseconds.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/agent/isolators/isolator.h"
#include "services/agent/launcher/launcher_client.h"
#include "services/agent/runtime/cgroup_tree.h"
#include "services/agent/runtime/sandbox_files.h"
#include "services/base/unique_fd.h"

namespace tessera::agent {

// Which init is wanted.
struct CloneOrder {
  // A cgroup that is there, by its name in the tree.
  std::string cgroup;
  uint32_t made = 0;                 // wire::NamespaceBit of new namespaces
  uint32_t joined = 0;               // and of those to join
  std::vector<base::UniqueFd> join;  // of these, in the order of the bits
};

struct OrderedInit {
  ClonedInit cloned;
  // When it has one of its own: keeps the namespace, so that its end is not a part of init's.
  base::UniqueFd mount_namespace;
};

class StepExecutor {
 public:
  virtual ~StepExecutor() = default;

  // ---- Steps and their undo ----

  // What the operation says, for the owner of `cgroup`. On failure it has not happened, or its undo
  // takes back what has.
  virtual absl::Status Act(const HostOperation& operation, const std::string& cgroup) = 0;
  // Repeatable, also when the step never acted. UNAVAILABLE: not yet, try again.
  virtual absl::Status Undo(const UndoOperation& operation) = 0;

  // ---- Files ----

  // The sandbox, made when it is missing, with its output files open.
  virtual absl::StatusOr<SandboxFiles> OpenSandbox(const std::string& sandbox,
                                                   const HostUser& user) = 0;
  // The sandbox alone.
  virtual absl::Status MakeSandbox(const std::string& sandbox, const HostUser& user) = 0;
  // Detached copies of the plan's root, if it has one, and its trees.
  virtual absl::StatusOr<std::vector<base::UniqueFd>> TakeTrees(const IsolationPlan& plan) = 0;

  // ---- Cgroups and processes ----

  virtual absl::Status MakeCgroup(const std::string& cgroup) = 0;
  // UNAVAILABLE while processes are still leaving: try again. Repeatable.
  virtual absl::Status RemoveCgroup(const std::string& cgroup) = 0;
  // CgroupTree::Watch.
  virtual base::UniqueFd WatchCgroup(const std::string& cgroup,
                                     const std::vector<CgroupEvent>& events) = 0;
  // LauncherClient::Clone.
  virtual absl::StatusOr<OrderedInit> Clone(const CloneOrder& order) = 0;
  // A namespace of the very process; `kind` is one wire::NamespaceBit. NOT_FOUND when it is gone.
  virtual absl::StatusOr<base::UniqueFd> OpenNamespace(const ContainerIdentity& identity,
                                                       uint32_t kind) = 0;
  // To a process by its pidfd. 0 or the errno.
  virtual int Signal(int pidfd, int signal_number) = 0;
  // To every process of the cgroup but `except`.
  virtual void SignalCgroup(const std::string& cgroup, int signal_number, pid_t except) = 0;
  // Until no process is left. DEADLINE_EXCEEDED after ten seconds.
  virtual absl::Status KillCgroup(const std::string& cgroup) = 0;
};

class LocalStepExecutor : public StepExecutor {
 public:
  // Both outlive the executor.
  LocalStepExecutor(const CgroupTree* tree, LauncherClient* launcher)
      : tree_(tree), launcher_(launcher) {}

  absl::Status Act(const HostOperation& operation, const std::string& cgroup) override;
  absl::Status Undo(const UndoOperation& operation) override;
  absl::StatusOr<SandboxFiles> OpenSandbox(const std::string& sandbox,
                                           const HostUser& user) override;
  absl::Status MakeSandbox(const std::string& sandbox, const HostUser& user) override;
  absl::StatusOr<std::vector<base::UniqueFd>> TakeTrees(const IsolationPlan& plan) override;
  absl::Status MakeCgroup(const std::string& cgroup) override;
  absl::Status RemoveCgroup(const std::string& cgroup) override;
  base::UniqueFd WatchCgroup(const std::string& cgroup,
                             const std::vector<CgroupEvent>& events) override;
  absl::StatusOr<OrderedInit> Clone(const CloneOrder& order) override;
  absl::StatusOr<base::UniqueFd> OpenNamespace(const ContainerIdentity& identity,
                                               uint32_t kind) override;
  int Signal(int pidfd, int signal_number) override;
  void SignalCgroup(const std::string& cgroup, int signal_number, pid_t except) override;
  absl::Status KillCgroup(const std::string& cgroup) override;

 private:
  const CgroupTree* const tree_;
  LauncherClient* const launcher_;
};

}  // namespace tessera::agent
