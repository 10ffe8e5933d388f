#pragma once

// The kernel operations of which a container's plan is made.
//
// Host operations run in the agent before the command starts and are undone in reverse order when the
// launch fails. Container operations run in the container's init, in order; their undo is the end of
// the container's namespaces.

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "services/agent/isolators/cgroup_layout.h"
#include "services/agent/runtime/container_spec.h"

namespace tessera::agent {

// Writes `value` to the container's file `file` of the controller's hierarchy. Undone with the cgroup.
struct WriteCgroupFile {
  CgroupController controller = CgroupController::kCpu;
  std::string file;
  std::string value;
};

// Makes a directory of the host with mode and owner; one that is there already stays as it is. Undone
// by rmdir when it was made here.
struct MakeHostDirectory {
  std::string path;
  mode_t mode = 0755;
  uid_t uid = 0;
  gid_t gid = 0;
};

using HostOperation = std::variant<WriteCgroupFile, MakeHostDirectory>;

// Takes a copy of the host's mount tree at `source`, to be attached after the root has changed. Trees
// are numbered from 0 in the order of the plan.
struct DetachTree {
  std::string source;
  bool recursive = true;
  bool read_only = false;
};

// `rootfs` becomes the root, the old root goes.
struct EnterRoot {
  std::string rootfs;
};

struct MountFilesystem {
  std::string source;
  std::string target;
  std::string type;
  uint64_t flags = 0;
  std::string data;
  // The target must be what it is called: a symlink in the rootfs is refused.
  bool refuse_symlinks = false;
};

// Puts tree `tree` on `target`.
struct AttachTree {
  uint32_t tree = 0;
  std::string target;
  // Make the target first, a directory or a file as the tree is.
  bool make_target = false;
};

struct MakeDirectory {
  std::string path;
  mode_t mode = 0755;
};

struct MakeDeviceNode {
  std::string path;
  mode_t mode = 0;  // type included
  uint64_t device = 0;
};

struct MakeSymlink {
  std::string target;
  std::string path;
};

// Only for looking at from now on, if it is there.
struct ProtectPath {
  std::string path;
};

struct SetHostname {
  std::string hostname;
};

using ContainerOperation = std::variant<DetachTree, EnterRoot, MountFilesystem, AttachTree,
                                        MakeDirectory, MakeDeviceNode, MakeSymlink, ProtectPath,
                                        SetHostname>;

struct IsolationPlan {
  // Which namespaces init is cloned into; the mount namespace always is its own.
  ContainerNamespaces namespaces{.pid = false, .ipc = false, .uts = false, .cgroup = false};
  std::vector<HostOperation> host;
  std::vector<ContainerOperation> container;
  uint32_t trees = 0;  // DetachTree operations so far
};

}  // namespace tessera::agent
