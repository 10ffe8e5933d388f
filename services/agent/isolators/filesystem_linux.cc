// filesystem/linux: the container's view of files.
//
// The root is the spec's rootfs or a copy of the host's. Host trees (sandbox, mounts) are attached
// when the container is inside its root already, so that a path or a symlink in the rootfs can
// never lead a mount to the host.

#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/agent/isolators/isolator.h"

namespace tessera::agent {
namespace {

constexpr char kName[] = "filesystem/linux";
constexpr uint64_t kNoSurprises = MS_NOSUID | MS_NOEXEC | MS_NODEV;

struct Device {
  const char* path;
  unsigned major;
  unsigned minor;
};

constexpr Device kDevices[] = {{"/dev/null", 1, 3}, {"/dev/zero", 1, 5},   {"/dev/full", 1, 7},
                               {"/dev/tty", 5, 0},  {"/dev/random", 1, 8}, {"/dev/urandom", 1, 9}};

struct Link {
  const char* path;
  const char* target;
};

constexpr Link kLinks[] = {{"/dev/fd", "/proc/self/fd"},
                           {"/dev/stdin", "/proc/self/fd/0"},
                           {"/dev/stdout", "/proc/self/fd/1"},
                           {"/dev/stderr", "/proc/self/fd/2"},
                           {"/dev/ptmx", "pts/ptmx"}};

// The container's operations, each a step of this isolator.
class Operations {
 public:
  explicit Operations(IsolationPlan* plan) : plan_(plan) {}
  void Add(ContainerOperation operation) {
    plan_->init.push_back({.isolator = kName, .operation = std::move(operation)});
  }

 private:
  IsolationPlan* const plan_;
};

void PlanProcAndSys(IsolationPlan* plan) {
  Operations operations(plan);
  operations.Add(MakeDirectory{.path = "/proc", .mode = 0555});
  operations.Add(MountFilesystem{.source = "proc",
                                 .target = "/proc",
                                 .type = "proc",
                                 .flags = kNoSurprises,
                                 .refuse_symlinks = true});
  // What is the whole kernel's.
  for (const char* path :
       {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}) {
    operations.Add(ProtectPath{path});
  }
  operations.Add(MakeDirectory{.path = "/sys", .mode = 0555});
  operations.Add(MountFilesystem{.source = "sysfs",
                                 .target = "/sys",
                                 .type = "sysfs",
                                 .flags = kNoSurprises | MS_RDONLY,
                                 .refuse_symlinks = true});
}

void PlanDev(IsolationPlan* plan) {
  Operations operations(plan);
  operations.Add(MakeDirectory{.path = "/dev", .mode = 0755});
  operations.Add(MountFilesystem{.source = "tmpfs",
                                 .target = "/dev",
                                 .type = "tmpfs",
                                 .flags = MS_NOSUID | MS_NOEXEC | MS_STRICTATIME,
                                 .data = "mode=755,size=64k,nr_inodes=1k",
                                 .refuse_symlinks = true});
  for (const Device& device : kDevices) {
    operations.Add(MakeDeviceNode{.path = device.path,
                                  .mode = S_IFCHR | 0666,
                                  .device = makedev(device.major, device.minor)});
  }
  for (const Link& link : kLinks) {
    operations.Add(MakeSymlink{.target = link.target, .path = link.path});
  }
  operations.Add(MakeDirectory{.path = "/dev/pts", .mode = 0755});
  operations.Add(MountFilesystem{.source = "devpts",
                                 .target = "/dev/pts",
                                 .type = "devpts",
                                 .flags = MS_NOSUID | MS_NOEXEC,
                                 .data = "newinstance,ptmxmode=0666,mode=0620,gid=5"});
  operations.Add(MakeDirectory{.path = "/dev/shm", .mode = 01777});
  operations.Add(MountFilesystem{.source = "tmpfs",
                                 .target = "/dev/shm",
                                 .type = "tmpfs",
                                 .flags = MS_NOSUID | MS_NODEV | MS_STRICTATIME,
                                 .data = "mode=1777"});
}

class FilesystemLinux : public Isolator {
 public:
  std::string_view Name() const override { return kName; }

  SpecFields Covers() const override {
    return {SpecField::kRootfs, SpecField::kMounts, SpecField::kPrivateTmp,
            SpecField::kMntNamespace};
  }

  absl::Status Plan(const ContainerSpec& spec, const HostUser& user, const HostFacts&,
                    IsolationPlan* plan) const override {
    plan->namespaces.mnt = spec.namespaces.mnt;
    // Then all is there already.
    if (spec.namespaces.mnt.joins()) return absl::OkStatus();
    struct Attachment {
      size_t tree;
      std::string target;
    };
    std::vector<Attachment> attachments;
    const auto take = [plan, &attachments](const std::string& source, const std::string& target,
                                           bool read_only) {
      attachments.push_back({plan->trees.size(), target});
      plan->trees.push_back(HostTree{.source = source, .read_only = read_only});
    };

    const bool own_root = !spec.rootfs.empty();
    if (own_root) take(spec.sandbox, spec.sandbox_in_rootfs, false);
    if (spec.private_tmp && !own_root && absl::StartsWith(spec.sandbox, "/tmp/")) {
      return absl::InvalidArgumentError(
          "a private /tmp would hide the sandbox, which is below /tmp");
    }
    if (spec.private_tmp) {
      const std::string tmp = absl::StrCat(spec.sandbox, "/.tmp");
      plan->host.push_back(
          {.isolator = kName,
           .name = "private-tmp",
           .phase = Phase::kHost,
           .operation =
               MakeHostDirectory{.path = tmp, .mode = 01777, .uid = user.uid, .gid = user.gid},
           .undo = Undo{UndoHome::kDisk, RemoveHostDirectory{tmp}}});
      take(tmp, "/tmp", false);
    }
    for (const BindMount& mount : spec.mounts) take(mount.source, mount.target, mount.read_only);

    plan->root = own_root ? spec.rootfs : "/";
    if (own_root) {
      PlanProcAndSys(plan);
      PlanDev(plan);
    }
    // Without a root of its own a missing target would have to be made on the host itself.
    Operations operations(plan);
    for (const Attachment& attachment : attachments) {
      operations.Add(AttachTree{
          .tree = attachment.tree, .target = attachment.target, .make_target = own_root});
    }
    return absl::OkStatus();
  }
};

}  // namespace

std::unique_ptr<Isolator> MakeFilesystemLinuxIsolator() {
  return std::make_unique<FilesystemLinux>();
}

}  // namespace tessera::agent
