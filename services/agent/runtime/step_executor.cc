#include "services/agent/runtime/step_executor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "services/agent/launcher/wire.h"
#include "services/agent/runtime/mount_trees.h"
#include "services/agent/runtime/process_identity.h"
#include "services/base/file_io.h"
#include "services/base/status_macros.h"

namespace tessera::agent {
namespace {

// mkdir takes the umask into account and knows no owner.
absl::Status MakeDirectoryFor(const MakeHostDirectory& o) {
  if (mkdir(o.path.c_str(), o.mode & 0777) != 0) {
    return errno == EEXIST ? absl::OkStatus() : base::ErrnoStatus(errno, "mkdir", o.path);
  }
  if (lchown(o.path.c_str(), o.uid, o.gid) != 0) return base::ErrnoStatus(errno, "chown", o.path);
  if (chmod(o.path.c_str(), o.mode) != 0) return base::ErrnoStatus(errno, "chmod", o.path);
  return absl::OkStatus();
}

struct Actor {
  const CgroupTree* tree;
  const std::string& cgroup;

  absl::Status operator()(const WriteCgroupFile& o) const {
    return tree->Write(cgroup, o.controller, o.file, o.value);
  }
  absl::Status operator()(const MakeHostDirectory& o) const { return MakeDirectoryFor(o); }
  absl::Status operator()(const MakeCgroup& o) const { return tree->MakePod(o.name); }
};

struct Undoer {
  const CgroupTree* tree;

  // One that is not empty holds what its owner has put there.
  absl::Status operator()(const RemoveHostDirectory& o) const {
    if (rmdir(o.path.c_str()) == 0 || errno == ENOENT || errno == ENOTEMPTY || errno == ENOTDIR) {
      return absl::OkStatus();
    }
    return base::ErrnoStatus(errno, "rmdir", o.path);
  }
  absl::Status operator()(const RemoveCgroup& o) const {
    RETURN_IF_ERROR(tree->KillAll(o.name));
    return tree->Remove(o.name);
  }
};

const char* NamespaceFile(uint32_t kind) {
  switch (static_cast<wire::NamespaceBit>(kind)) {
    case wire::kPid:
      return "pid";
    case wire::kIpc:
      return "ipc";
    case wire::kUts:
      return "uts";
    case wire::kNet:
      return "net";
    case wire::kCgroup:
      return "cgroup";
    case wire::kMount:
      return "mnt";
  }
  return "";
}

}  // namespace

absl::Status LocalStepExecutor::Act(const HostOperation& operation, const std::string& cgroup) {
  return std::visit(Actor{tree_, cgroup}, operation);
}

absl::Status LocalStepExecutor::Undo(const UndoOperation& operation) {
  return std::visit(Undoer{tree_}, operation);
}

absl::StatusOr<SandboxFiles> LocalStepExecutor::OpenSandbox(const std::string& sandbox,
                                                            const HostUser& user) {
  return OpenSandboxFiles(sandbox, user);
}

absl::Status LocalStepExecutor::MakeSandbox(const std::string& sandbox, const HostUser& user) {
  return MakeSandboxDirectory(sandbox, user).status();
}

absl::StatusOr<std::vector<base::UniqueFd>> LocalStepExecutor::TakeTrees(
    const IsolationPlan& plan) {
  return TakeMountTrees(plan);
}

absl::Status LocalStepExecutor::MakeCgroup(const std::string& cgroup) {
  return tree_->Make(cgroup);
}

absl::Status LocalStepExecutor::RemoveCgroup(const std::string& cgroup) {
  return tree_->Remove(cgroup);
}

base::UniqueFd LocalStepExecutor::WatchCgroup(const std::string& cgroup,
                                              const std::vector<CgroupEvent>& events) {
  return tree_->Watch(cgroup, events);
}

absl::StatusOr<OrderedInit> LocalStepExecutor::Clone(const CloneOrder& order) {
  CloneRequest request{.made = order.made,
                       .joined = order.joined,
                       .v2_directory = tree_->V2Directory(order.cgroup),
                       .tasks = tree_->TasksFiles(order.cgroup)};
  for (const base::UniqueFd& one : order.join) request.join.push_back(one.get());
  OrderedInit init;
  ASSIGN_OR_RETURN(init.cloned, launcher_->Clone(request));
  if ((order.made & wire::kMount) != 0) init.mount_namespace = OpenMountNamespace(init.cloned.pid);
  return init;
}

absl::StatusOr<base::UniqueFd> LocalStepExecutor::OpenNamespace(const ContainerIdentity& identity,
                                                                uint32_t kind) {
  // The pidfd is taken first: if its process still lives afterwards, the path was that process's.
  ASSIGN_OR_RETURN(const base::UniqueFd pidfd, OpenProcess(identity, identity.boot_id));
  const std::string path = absl::StrCat("/proc/", identity.init_pid, "/ns/", NamespaceFile(kind));
  base::UniqueFd opened(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!opened.valid() || WaitForEnd(pidfd.get(), 0)) {
    return absl::NotFoundError(absl::StrCat("process ", identity.init_pid, " is gone"));
  }
  return opened;
}

int LocalStepExecutor::Signal(int pidfd, int signal_number) {
  return SendSignal(pidfd, signal_number);
}

void LocalStepExecutor::SignalCgroup(const std::string& cgroup, int signal_number, pid_t except) {
  for (const pid_t pid : tree_->Processes(cgroup)) {
    if (pid != except) kill(pid, signal_number);
  }
}

absl::Status LocalStepExecutor::KillCgroup(const std::string& cgroup) {
  return tree_->KillAll(cgroup);
}

}  // namespace tessera::agent
