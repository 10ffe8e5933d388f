// The kernel operations of which a container's plan is made.
//
// Host operations run in the agent before the command starts and are undone in reverse order when
// the launch fails. Container operations run in the container's init, in order; their undo is the
// end of the container's namespaces.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "services/agent/container/container_spec.h"
#include "services/agent/isolators/cgroup_layout.h"

namespace tessera::agent {

// Writes `value` to the container's file `file` of the controller's hierarchy. Undone with the
// cgroup.
struct WriteCgroupFile {
  CgroupController controller = CgroupController::kCpu;
  std::string file;
  std::string value;
};

// Makes a directory of the host with mode and owner; one that is there already stays as it is.
// Undone by rmdir when it was made here.
struct MakeHostDirectory {
  std::string path;
  mode_t mode = 0755;
  uid_t uid = 0;
  gid_t gid = 0;
};

using HostOperation = std::variant<WriteCgroupFile, MakeHostDirectory>;

struct MountFilesystem {
  std::string source;
  std::string target;
  std::string type;
  uint64_t flags = 0;
  std::string data;
  // The target must be what it is called: a symlink in the rootfs is refused.
  bool refuse_symlinks = false;
};

// Puts the plan's tree of that number on `target`.
struct AttachTree {
  size_t tree = 0;
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

using ContainerOperation = std::variant<MountFilesystem, AttachTree, MakeDirectory, MakeDeviceNode,
                                        MakeSymlink, ProtectPath, SetHostname>;

// A copy of the host's mount tree at `source`, mounts below it included. The agent takes it before
// the launch, and init attaches it: the container's root never has a way to the host's.
struct HostTree {
  std::string source;
  bool read_only = false;
};

// Which namespaces init is cloned into; the mount namespace always is its own.
struct NewNamespaces {
  bool pid = false;
  bool ipc = false;
  bool uts = false;
  bool cgroup = false;
};

struct IsolationPlan {
  NewNamespaces namespaces;
  std::vector<HostOperation> host;
  // The directory of the host that becomes the root, before any container operation.
  std::string root = "/";
  std::vector<HostTree> trees;
  std::vector<ContainerOperation> container;
};

}  // namespace tessera::agent
