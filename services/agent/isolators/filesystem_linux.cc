// filesystem/linux: the container's view of files.
//
// The root is the spec's rootfs or a copy of the host's. Host trees (sandbox, mounts) are attached
// when the container is inside its root already, so that a path or a symlink in the rootfs can
// never lead a mount to the host.

#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/agent/isolators/isolator.h"

namespace tessera::agent {
namespace {

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

void PlanProcAndSys(IsolationPlan* plan) {
  auto& operations = plan->container;
  operations.push_back(MakeDirectory{.path = "/proc", .mode = 0555});
  operations.push_back(MountFilesystem{.source = "proc",
                                       .target = "/proc",
                                       .type = "proc",
                                       .flags = kNoSurprises,
                                       .refuse_symlinks = true});
  // What is the whole kernel's.
  for (const char* path :
       {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}) {
    operations.push_back(ProtectPath{path});
  }
  operations.push_back(MakeDirectory{.path = "/sys", .mode = 0555});
  operations.push_back(MountFilesystem{.source = "sysfs",
                                       .target = "/sys",
                                       .type = "sysfs",
                                       .flags = kNoSurprises | MS_RDONLY,
                                       .refuse_symlinks = true});
}

void PlanDev(IsolationPlan* plan) {
  auto& operations = plan->container;
  operations.push_back(MakeDirectory{.path = "/dev", .mode = 0755});
  operations.push_back(MountFilesystem{.source = "tmpfs",
                                       .target = "/dev",
                                       .type = "tmpfs",
                                       .flags = MS_NOSUID | MS_NOEXEC | MS_STRICTATIME,
                                       .data = "mode=755,size=64k,nr_inodes=1k",
                                       .refuse_symlinks = true});
  for (const Device& device : kDevices) {
    operations.push_back(MakeDeviceNode{.path = device.path,
                                        .mode = S_IFCHR | 0666,
                                        .device = makedev(device.major, device.minor)});
  }
  for (const Link& link : kLinks) {
    operations.push_back(MakeSymlink{.target = link.target, .path = link.path});
  }
  operations.push_back(MakeDirectory{.path = "/dev/pts", .mode = 0755});
  operations.push_back(MountFilesystem{.source = "devpts",
                                       .target = "/dev/pts",
                                       .type = "devpts",
                                       .flags = MS_NOSUID | MS_NOEXEC,
                                       .data = "newinstance,ptmxmode=0666,mode=0620,gid=5"});
  operations.push_back(MakeDirectory{.path = "/dev/shm", .mode = 01777});
  operations.push_back(MountFilesystem{.source = "tmpfs",
                                       .target = "/dev/shm",
                                       .type = "tmpfs",
                                       .flags = MS_NOSUID | MS_NODEV | MS_STRICTATIME,
                                       .data = "mode=1777"});
}

class FilesystemLinux : public Isolator {
 public:
  std::string_view Name() const override { return "filesystem/linux"; }

  absl::Status Plan(const ContainerSpec& spec, const HostUser& user, const HostFacts&,
                    IsolationPlan* plan) const override {
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
          MakeHostDirectory{.path = tmp, .mode = 01777, .uid = user.uid, .gid = user.gid});
      take(tmp, "/tmp", false);
    }
    for (const BindMount& mount : spec.mounts) take(mount.source, mount.target, mount.read_only);

    if (own_root) {
      plan->root = spec.rootfs;
      PlanProcAndSys(plan);
      PlanDev(plan);
    }
    // Without a root of its own a missing target would have to be made on the host itself.
    for (const Attachment& attachment : attachments) {
      plan->container.push_back(AttachTree{
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
