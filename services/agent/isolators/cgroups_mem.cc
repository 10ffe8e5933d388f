// cgroups/mem: the container's memory limit, and whether it ran into it.
//
// The hard limit is only ever raised: lowering it below what is in use would make the kernel kill.

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "services/agent/isolators/cgroup_numbers.h"
#include "services/agent/isolators/isolator.h"

namespace tessera::agent {
namespace {

constexpr auto kMemory = CgroupController::kMemory;

int64_t HardLimit(const ContainerResources& resources) {
  return std::max(*resources.memory_limit_bytes, kMinimumMemoryBytes);
}

int64_t SoftLimit(const ContainerResources& resources) {
  return std::min(HardLimit(resources),
                  std::max(resources.memory_soft_limit_bytes.value_or(HardLimit(resources)),
                           kMinimumMemoryBytes));
}

class CgroupMem : public Isolator {
 public:
  std::string_view Name() const override { return "cgroups/mem"; }

  std::vector<CgroupController> Controllers() const override { return {kMemory}; }

  absl::Status CheckHost(const HostFacts& facts) const override {
    if (facts.layout.HierarchyOf(kMemory).has_value()) return absl::OkStatus();
    return absl::FailedPreconditionError(
        "cgroups/mem: no cgroup hierarchy with the controller memory is mounted");
  }

  absl::Status Plan(const ContainerSpec& spec, const HostUser&, const HostFacts& facts,
                    IsolationPlan* plan) const override {
    if (!spec.resources.memory_limit_bytes.has_value()) return absl::OkStatus();
    PlanHard(spec.resources, facts, plan);
    PlanSoft(spec.resources, facts, plan);
    return absl::OkStatus();
  }

  void PlanUpdate(const ContainerResources& before, const ContainerResources& after,
                  const HostFacts& facts, IsolationPlan* plan) const override {
    if (!after.memory_limit_bytes.has_value()) return;
    if (!before.memory_limit_bytes.has_value() || HardLimit(after) > HardLimit(before)) {
      PlanHard(after, facts, plan);
    }
    PlanSoft(after, facts, plan);
  }

  void ReadUsage(const CgroupFiles& files, const HostFacts& facts,
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

  std::optional<ContainerLimitation> FindLimitation(const ContainerResources& resources,
                                                    const HostFacts& facts,
                                                    const CgroupFiles& files,
                                                    bool out_of_memory) const override {
    if (!resources.memory_limit_bytes.has_value()) return std::nullopt;
    const bool v2 = facts.layout.IsV2(kMemory);
    const std::optional<int64_t> kills =
        NumberOf(files.Read(kMemory, v2 ? "memory.events" : "memory.oom_control"), "oom_kill");
    if (kills.value_or(0) == 0 && !out_of_memory) return std::nullopt;
    const std::optional<int64_t> used =
        SingleNumber(files.Read(kMemory, v2 ? "memory.peak" : "memory.max_usage_in_bytes"));
    return MemoryLimitation(HardLimit(resources), used.value_or(HardLimit(resources)),
                            std::string(Name()));
  }

 private:
  static void PlanHard(const ContainerResources& resources, const HostFacts& facts,
                       IsolationPlan* plan) {
    const bool v2 = facts.layout.IsV2(kMemory);
    plan->host.push_back(WriteCgroupFile{kMemory, v2 ? "memory.max" : "memory.limit_in_bytes",
                                         absl::StrCat(HardLimit(resources))});
    // One process out of memory means the whole container is: the kernel ends it as one.
    if (v2) plan->host.push_back(WriteCgroupFile{kMemory, "memory.oom.group", "1"});
  }

  static void PlanSoft(const ContainerResources& resources, const HostFacts& facts,
                       IsolationPlan* plan) {
    const bool v2 = facts.layout.IsV2(kMemory);
    plan->host.push_back(WriteCgroupFile{kMemory, v2 ? "memory.low" : "memory.soft_limit_in_bytes",
                                         absl::StrCat(SoftLimit(resources))});
  }
};

}  // namespace

std::unique_ptr<Isolator> MakeCgroupMemIsolator() { return std::make_unique<CgroupMem>(); }

}  // namespace tessera::agent
