// namespaces/pid, ipc, uts, net, cgroup: what the container shares with nobody, or with its pod.
//
// Each can be given up by the spec. A network namespace of its own has nothing in it but the
// loopback interface: connecting it is another isolator's work.

#include <sys/mount.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "services/agent/isolators/isolator.h"

namespace tessera::agent {
namespace {

class PidNamespace : public Isolator {
 public:
  std::string_view Name() const override { return "namespaces/pid"; }
  SpecFields Covers() const override { return {SpecField::kPidNamespace}; }
  absl::Status Plan(const ContainerSpec& spec, const HostUser&, const HostFacts&,
                    IsolationPlan* plan) const override {
    plan->namespaces.pid = spec.namespaces.pid;
    const bool hosts = spec.namespaces.pid == NamespaceChoice::Host();
    // A root of its own gets its /proc with the rest of it.
    if (hosts || !spec.rootfs.empty() || spec.namespaces.mnt.joins()) return absl::OkStatus();
    plan->init.push_back({.isolator = std::string(Name()),
                          .operation = MountFilesystem{.source = "proc",
                                                       .target = "/proc",
                                                       .type = "proc",
                                                       .flags = MS_NOSUID | MS_NOEXEC | MS_NODEV}});
    return absl::OkStatus();
  }
};

class IpcNamespace : public Isolator {
 public:
  std::string_view Name() const override { return "namespaces/ipc"; }
  SpecFields Covers() const override { return {SpecField::kIpcNamespace}; }
  absl::Status Plan(const ContainerSpec& spec, const HostUser&, const HostFacts&,
                    IsolationPlan* plan) const override {
    plan->namespaces.ipc = spec.namespaces.ipc;
    return absl::OkStatus();
  }
};

class UtsNamespace : public Isolator {
 public:
  std::string_view Name() const override { return "namespaces/uts"; }
  SpecFields Covers() const override { return {SpecField::kUtsNamespace, SpecField::kHostname}; }
  absl::Status Plan(const ContainerSpec& spec, const HostUser&, const HostFacts&,
                    IsolationPlan* plan) const override {
    plan->namespaces.uts = spec.namespaces.uts;
    if (!spec.hostname.empty()) {
      plan->init.push_back(
          {.isolator = std::string(Name()), .operation = SetHostname{spec.hostname}});
    }
    return absl::OkStatus();
  }
  void PlanPod(const PodSpec& pod, const HostFacts&, IsolationPlan* plan) const override {
    if (pod.hostname.empty()) return;
    plan->init.push_back({.isolator = std::string(Name()), .operation = SetHostname{pod.hostname}});
  }
};

// `eth0: <bytes packets errs drop fifo frame compressed multicast> <bytes packets errs drop ...>`
bool ParseInterface(absl::string_view line, InterfaceUsage* usage) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(line, absl::MaxSplits(':', 1));
  const std::vector<absl::string_view> numbers =
      absl::StrSplit(parts.second, ' ', absl::SkipEmpty());
  if (numbers.size() < 16) return false;
  usage->name = std::string(absl::StripAsciiWhitespace(parts.first));
  return absl::SimpleAtoi(numbers[0], &usage->received_bytes) &&
         absl::SimpleAtoi(numbers[1], &usage->received_packets) &&
         absl::SimpleAtoi(numbers[2], &usage->received_errors) &&
         absl::SimpleAtoi(numbers[3], &usage->received_dropped) &&
         absl::SimpleAtoi(numbers[8], &usage->sent_bytes) &&
         absl::SimpleAtoi(numbers[9], &usage->sent_packets) &&
         absl::SimpleAtoi(numbers[10], &usage->sent_errors) &&
         absl::SimpleAtoi(numbers[11], &usage->sent_dropped);
}

class NetNamespace : public Isolator {
 public:
  std::string_view Name() const override { return "namespaces/net"; }
  SpecFields Covers() const override { return {SpecField::kNetNamespace}; }
  absl::Status Plan(const ContainerSpec& spec, const HostUser&, const HostFacts&,
                    IsolationPlan* plan) const override {
    plan->namespaces.net = spec.namespaces.net;
    if (spec.namespaces.net.own()) {
      plan->init.push_back({.isolator = std::string(Name()), .operation = RaiseLoopback{}});
    }
    return absl::OkStatus();
  }
  void PlanPod(const PodSpec& pod, const HostFacts&, IsolationPlan* plan) const override {
    if (!pod.namespaces.net) return;
    plan->init.push_back({.isolator = std::string(Name()), .operation = RaiseLoopback{}});
  }
  void ReadUsage(const ContainerFiles& files, const HostFacts&,
                 ContainerUsage* usage) const override {
    const absl::StatusOr<std::string> devices = files.ReadNetworkDevices();
    if (!devices.ok()) return;
    for (const absl::string_view line : absl::StrSplit(*devices, '\n', absl::SkipEmpty())) {
      InterfaceUsage one;
      if (ParseInterface(line, &one)) usage->interfaces.push_back(std::move(one));
    }
  }
};

class CgroupNamespace : public Isolator {
 public:
  std::string_view Name() const override { return "namespaces/cgroup"; }
  SpecFields Covers() const override { return {SpecField::kCgroupNamespace}; }
  absl::Status Plan(const ContainerSpec& spec, const HostUser&, const HostFacts&,
                    IsolationPlan* plan) const override {
    plan->namespaces.cgroup = spec.namespaces.cgroup;
    return absl::OkStatus();
  }
};

}  // namespace

std::unique_ptr<Isolator> MakeNamespaceIsolator(std::string_view kind) {
  if (kind == "pid") return std::make_unique<PidNamespace>();
  if (kind == "ipc") return std::make_unique<IpcNamespace>();
  if (kind == "uts") return std::make_unique<UtsNamespace>();
  if (kind == "net") return std::make_unique<NetNamespace>();
  return std::make_unique<CgroupNamespace>();
}

}  // namespace tessera::agent
