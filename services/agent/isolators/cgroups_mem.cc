// cgroups/mem: the container's memory limit, and whether it ran into it.
//
// Where the kernel does not end the whole container by itself (v1) it tells the runtime when memory
// has run out, and the runtime does.

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/agent/isolators/cgroup_numbers.h"
#include "services/agent/isolators/isolator.h"

namespace tessera::agent {
namespace {

constexpr auto kMemory = CgroupController::kMemory;

int64_t HardLimit(const ContainerResources& resources) {
  return std::max(*resources.memory_limit_bytes, kMinimumMemoryBytes);
}

// A charge that fails may be as large as what the kernel takes ahead for each cpu.
constexpr int64_t kChargedAhead = int64_t{1} << 20;

int64_t SoftLimit(const ContainerResources& resources) {
  return std::min(HardLimit(resources),
                  std::max(resources.memory_soft_limit_bytes.value_or(HardLimit(resources)),
                           kMinimumMemoryBytes));
}

class CgroupMem : public Isolator {
 public:
  std::string_view Name() const override { return "cgroups/mem"; }

  SpecFields Covers() const override { return {}; }

  std::vector<CgroupController> Controllers() const override { return {kMemory}; }

  absl::Status CheckHost(const HostFacts& facts) const override {
    if (facts.layout.HierarchyOf(kMemory).has_value()) return absl::OkStatus();
    return absl::FailedPreconditionError(
        "cgroups/mem: no cgroup hierarchy with the controller memory is mounted");
  }

  absl::Status Plan(const ContainerSpec& spec, const HostUser&, const HostFacts& facts,
                    IsolationPlan* plan) const override {
    PlanLimits(spec.resources, facts, plan);
    return absl::OkStatus();
  }

  void PlanPod(const PodSpec& pod, const HostFacts& facts, IsolationPlan* plan) const override {
    PlanLimits(pod.limits, facts, plan);
  }

  void PlanUpdate(const ContainerResources& before, const ContainerResources& after,
                  const HostFacts& facts, IsolationPlan* plan) const override {
    if (!after.memory_limit_bytes.has_value()) return;
    if (before.memory_limit_bytes != after.memory_limit_bytes) PlanHard(after, facts, plan);
    PlanSoft(after, facts, plan);
  }

  std::optional<CgroupEvent> Watch(const HostFacts& facts) const override {
    if (facts.layout.IsV2(kMemory)) return std::nullopt;
    return CgroupEvent{kMemory, "memory.oom_control"};
  }

  void ReadUsage(const ContainerFiles& files, const HostFacts& facts,
                 ContainerUsage* usage) const override {
    const absl::StatusOr<std::string> stat = files.Read(kMemory, "memory.stat");
    if (facts.layout.IsV2(kMemory)) {
      usage->memory_total_bytes = SingleNumber(files.Read(kMemory, "memory.current"));
      usage->memory_limit_bytes = SingleNumber(files.Read(kMemory, "memory.max"));
      usage->memory_rss_bytes = NumberOf(stat, "anon");
      usage->memory_cache_bytes = NumberOf(stat, "file");
      usage->memory_mapped_bytes = NumberOf(stat, "file_mapped");
      return;
    }
    usage->memory_total_bytes = SingleNumber(files.Read(kMemory, "memory.usage_in_bytes"));
    usage->memory_limit_bytes = SingleNumber(files.Read(kMemory, "memory.limit_in_bytes"));
    usage->memory_rss_bytes = NumberOf(stat, "total_rss");
    usage->memory_cache_bytes = NumberOf(stat, "total_cache");
    usage->memory_mapped_bytes = NumberOf(stat, "total_mapped_file");
  }

  std::optional<ContainerLimitation> Judge(const Limits& limits, const HostFacts& facts,
                                           const ContainerFiles& files, bool told) const override {
    const bool own_limit = limits.own.memory_limit_bytes.has_value();
    const bool pod_limit = limits.pod.has_value() && limits.pod->memory_limit_bytes.has_value();
    if (!own_limit && !pod_limit) return std::nullopt;
    const bool v2 = facts.layout.IsV2(kMemory);
    const std::optional<int64_t> kills =
        NumberOf(files.Read(kMemory, v2 ? "memory.events" : "memory.oom_control"), "oom_kill");
    if (kills.value_or(0) == 0 && !told) return std::nullopt;
    const char* peak = v2 ? "memory.peak" : "memory.max_usage_in_bytes";
    const std::optional<int64_t> used = SingleNumber(files.Read(kMemory, peak));
    // One that is far from its own limit has run into its pod's.
    const bool by_pod =
        pod_limit && (!own_limit || used.value_or(0) < HardLimit(limits.own) - kChargedAhead);
    if (!by_pod) {
      return MemoryLimitation(HardLimit(limits.own), used.value_or(HardLimit(limits.own)),
                              std::string(Name()));
    }
    const int64_t limit = HardLimit(*limits.pod);
    return MemoryLimitation(limit, SingleNumber(files.ReadOfPod(kMemory, peak)).value_or(limit),
                            std::string(Name()));
  }

 private:
  void PlanLimits(const ContainerResources& limits, const HostFacts& facts,
                  IsolationPlan* plan) const {
    if (!limits.memory_limit_bytes.has_value()) return;
    PlanHard(limits, facts, plan);
    PlanSoft(limits, facts, plan);
  }

  void Write(const char* name, const char* file, std::string value, IsolationPlan* plan) const {
    plan->host.push_back({.isolator = std::string(Name()),
                          .name = name,
                          .operation = WriteCgroupFile{kMemory, file, std::move(value)}});
  }

  void PlanHard(const ContainerResources& resources, const HostFacts& facts,
                IsolationPlan* plan) const {
    const bool v2 = facts.layout.IsV2(kMemory);
    Write("limit", v2 ? "memory.max" : "memory.limit_in_bytes", absl::StrCat(HardLimit(resources)),
          plan);
    // One process out of memory means the whole container is: the kernel ends it as one.
    if (v2) Write("end-as-one", "memory.oom.group", "1", plan);
  }

  void PlanSoft(const ContainerResources& resources, const HostFacts& facts,
                IsolationPlan* plan) const {
    const bool v2 = facts.layout.IsV2(kMemory);
    Write("soft-limit", v2 ? "memory.low" : "memory.soft_limit_in_bytes",
          absl::StrCat(SoftLimit(resources)), plan);
  }
};

}  // namespace

std::unique_ptr<Isolator> MakeCgroupMemIsolator() { return std::make_unique<CgroupMem>(); }

ContainerResources AfterUpdate(const ContainerResources& before, const ContainerResources& asked) {
  ContainerResources after = asked;
  if (before.memory_limit_bytes.has_value()) {
    after.memory_limit_bytes =
        std::max(*before.memory_limit_bytes, asked.memory_limit_bytes.value_or(0));
  }
  return after;
}

}  // namespace tessera::agent
