// The steps of which a launch is made: what to do, when, and how it is taken back.
//
// Plain data that can be printed, compared and sent to another process: isolators plan steps, an
// executor (runtime/step_executor.h) carries them out. Four phases, in this order:
//
//   kHost     on the host, before the container has a process
//   kCloned   on the host, when its init exists in its cgroups and namespaces and waits
//   kInit     by init, inside the container's namespaces, before the command
//   kStarted  on the host, when the command has been exec'ed
//
// The undo of every host step is written down before the first step acts, and is carried out, last
// first, when the launch fails or the container has ended. It may be carried out again after a
// crash, and also when its step never acted, so each undo says what shall not be there rather than
// what to reverse. Steps of init need none: they end with the container's namespaces.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "services/agent/container/container_spec.h"
#include "services/agent/isolators/cgroup_layout.h"

namespace tessera::agent {

enum class Phase { kHost, kCloned, kInit, kStarted };

// ---- Operations on the host ----

// Writes `value` to the container's file `file` of the controller's hierarchy. Goes with the
// cgroup.
struct WriteCgroupFile {
  CgroupController controller = CgroupController::kCpu;
  std::string file;
  std::string value;
};

// Makes a directory of the host with mode and owner; one that is there already stays as it is.
struct MakeHostDirectory {
  std::string path;
  mode_t mode = 0755;
  uid_t uid = 0;
  gid_t gid = 0;
};

// Makes a cgroup in every hierarchy, for others inside it. One that is there is an error.
struct MakeCgroup {
  std::string name;
};

using HostOperation = std::variant<WriteCgroupFile, MakeHostDirectory, MakeCgroup>;

// ---- Operations in the container ----

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

// The loopback interface of a new network namespace is down.
struct RaiseLoopback {};

using ContainerOperation = std::variant<MountFilesystem, AttachTree, MakeDirectory, MakeDeviceNode,
                                        MakeSymlink, ProtectPath, SetHostname, RaiseLoopback>;

// ---- Undo ----

// Where an undo is kept until it is done.
enum class UndoHome {
  // Beside the container's state: what it takes back is gone after a reboot.
  kKernel,
  // In the undo journal: what it takes back survives one.
  kDisk,
};

// No such directory, if it is empty.
struct RemoveHostDirectory {
  std::string path;
  friend bool operator==(const RemoveHostDirectory&, const RemoveHostDirectory&) = default;
};

// No such cgroup, and no process in it or in those inside it.
struct RemoveCgroup {
  std::string name;
  friend bool operator==(const RemoveCgroup&, const RemoveCgroup&) = default;
};

using UndoOperation = std::variant<RemoveHostDirectory, RemoveCgroup>;

struct Undo {
  UndoHome home = UndoHome::kKernel;
  UndoOperation operation;
};

// ---- Steps ----

struct HostStep {
  std::string isolator;
  // Of the isolator's own, a word without blanks: `private-tmp`.
  std::string name;
  Phase phase = Phase::kCloned;  // never kInit
  HostOperation operation;
  std::optional<Undo> undo;
};

struct InitStep {
  std::string isolator;
  ContainerOperation operation;
};

// A copy of the host's mount tree at `source`, mounts below it included. The agent takes it before
// the start, and init attaches it: the container's root never has a way to the host's.
struct HostTree {
  std::string source;
  bool read_only = false;
};

// Which namespaces init has: those not named are the host's.
struct PlannedNamespaces {
  NamespaceChoice pid = NamespaceChoice::Host();
  NamespaceChoice ipc = NamespaceChoice::Host();
  NamespaceChoice uts = NamespaceChoice::Host();
  NamespaceChoice net = NamespaceChoice::Host();
  NamespaceChoice cgroup = NamespaceChoice::Host();
  NamespaceChoice mnt = NamespaceChoice::Own();
};

struct IsolationPlan {
  PlannedNamespaces namespaces;
  // In the order in which they are carried out within a phase.
  std::vector<HostStep> host;
  // The directory of the host that becomes the root before any step of init. Empty: init stays in
  // the root that it has, an empty one or that of the mount namespace which it joins.
  std::string root;
  std::vector<HostTree> trees;
  std::vector<InitStep> init;
};

}  // namespace tessera::agent
