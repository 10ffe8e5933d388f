// namespaces/pid, namespaces/ipc, namespaces/uts, namespaces/cgroup: what the container shares with
// nobody. Each can be given up by the spec.

#include <sys/mount.h>

#include "absl/strings/str_cat.h"
#include "services/agent/isolators/isolator.h"

namespace tessera::agent {
namespace {

class PidNamespace : public Isolator {
 public:
  std::string_view Name() const override { return "namespaces/pid"; }
  absl::Status Plan(const ContainerSpec& spec, const HostUser&, const HostFacts&,
                    IsolationPlan* plan) const override {
    if (!spec.namespaces.pid.own()) return absl::OkStatus();
    plan->namespaces.pid = true;
    // A root of its own gets its /proc with the rest of it.
    if (spec.rootfs.empty()) {
      plan->container.push_back(MountFilesystem{.source = "proc",
                                                .target = "/proc",
                                                .type = "proc",
                                                .flags = MS_NOSUID | MS_NOEXEC | MS_NODEV});
    }
    return absl::OkStatus();
  }
};

class IpcNamespace : public Isolator {
 public:
  std::string_view Name() const override { return "namespaces/ipc"; }
  absl::Status Plan(const ContainerSpec& spec, const HostUser&, const HostFacts&,
                    IsolationPlan* plan) const override {
    plan->namespaces.ipc = spec.namespaces.ipc.own();
    return absl::OkStatus();
  }
};

class UtsNamespace : public Isolator {
 public:
  std::string_view Name() const override { return "namespaces/uts"; }
  absl::Status Plan(const ContainerSpec& spec, const HostUser&, const HostFacts&,
                    IsolationPlan* plan) const override {
    plan->namespaces.uts = spec.namespaces.uts.own();
    if (!spec.hostname.empty()) plan->container.push_back(SetHostname{spec.hostname});
    return absl::OkStatus();
  }
};

class CgroupNamespace : public Isolator {
 public:
  std::string_view Name() const override { return "namespaces/cgroup"; }
  absl::Status Plan(const ContainerSpec& spec, const HostUser&, const HostFacts&,
                    IsolationPlan* plan) const override {
    plan->namespaces.cgroup = spec.namespaces.cgroup.own();
    return absl::OkStatus();
  }
};

}  // namespace

std::unique_ptr<Isolator> MakeNamespaceIsolator(std::string_view kind) {
  if (kind == "pid") return std::make_unique<PidNamespace>();
  if (kind == "ipc") return std::make_unique<IpcNamespace>();
  if (kind == "uts") return std::make_unique<UtsNamespace>();
  return std::make_unique<CgroupNamespace>();
}

}  // namespace tessera::agent
