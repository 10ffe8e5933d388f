// cgroups/cpu: the container's weight against its neighbours, optionally a quota, and what it used.

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/agent/isolators/cgroup_numbers.h"
#include "services/agent/isolators/isolator.h"

namespace tessera::agent {
namespace {

constexpr int64_t kPeriodMicroseconds = 100'000;
constexpr int64_t kMinimumQuotaMicroseconds = 1'000;
// The kernel's own ends of the scales.
constexpr int64_t kMaximumShares = 262'144;
constexpr int64_t kMaximumWeight = 10'000;

int64_t Shares(int64_t cpus_milli) {
  return std::clamp(cpus_milli * 1024 / 1000, kMinimumCpuShares, kMaximumShares);
}

int64_t Weight(int64_t cpus_milli) {
  return std::clamp<int64_t>(cpus_milli / 10, 1, kMaximumWeight);
}

int64_t QuotaMicroseconds(int64_t cpu_limit_milli) {
  return std::max(cpu_limit_milli * (kPeriodMicroseconds / 1000), kMinimumQuotaMicroseconds);
}

class CgroupCpu : public Isolator {
 public:
  std::string_view Name() const override { return "cgroups/cpu"; }

  SpecFields Covers() const override { return {SpecField::kCpuLimit}; }

  std::vector<CgroupController> Controllers() const override {
    return {CgroupController::kCpu, CgroupController::kCpuacct};
  }

  absl::Status CheckHost(const HostFacts& facts) const override {
    for (const CgroupController controller : Controllers()) {
      if (!facts.layout.HierarchyOf(controller).has_value()) {
        return absl::FailedPreconditionError(
            absl::StrCat("cgroups/cpu: no cgroup hierarchy with the controller ",
                         std::string(CgroupControllerName(controller)), " is mounted"));
      }
    }
    return absl::OkStatus();
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
    if (before.cpus_milli != after.cpus_milli) PlanWeight(after.cpus_milli, facts, plan);
    if (before.cpu_limit_milli != after.cpu_limit_milli) {
      PlanQuota(after.cpu_limit_milli, facts, plan);
    }
  }

  void ReadUsage(const ContainerFiles& files, const HostFacts& facts,
                 ContainerUsage* usage) const override {
    const absl::StatusOr<std::string> stat = files.Read(CgroupController::kCpu, "cpu.stat");
    if (facts.layout.IsV2(CgroupController::kCpu)) {
      if (const auto us = NumberOf(stat, "user_usec"))
        usage->cpu_user_time = absl::Microseconds(*us);
      if (const auto us = NumberOf(stat, "system_usec")) {
        usage->cpu_system_time = absl::Microseconds(*us);
      }
      if (const auto us = NumberOf(stat, "throttled_usec")) {
        usage->cpu_throttled_time = absl::Microseconds(*us);
      }
    } else {
      const auto account = files.Read(CgroupController::kCpuacct, "cpuacct.stat");
      const double tick = 1.0 / static_cast<double>(facts.clock_ticks_per_second);
      if (const auto ticks = NumberOf(account, "user")) {
        usage->cpu_user_time = absl::Seconds(static_cast<double>(*ticks) * tick);
      }
      if (const auto ticks = NumberOf(account, "system")) {
        usage->cpu_system_time = absl::Seconds(static_cast<double>(*ticks) * tick);
      }
      if (const auto ns = NumberOf(stat, "throttled_time")) {
        usage->cpu_throttled_time = absl::Nanoseconds(*ns);
      }
    }
    usage->cpu_periods = NumberOf(stat, "nr_periods");
    usage->cpu_throttled_periods = NumberOf(stat, "nr_throttled");
    usage->processes = CountLines(files.Read(CgroupController::kCpu, "cgroup.procs"));
    usage->threads = CountLines(
        files.Read(CgroupController::kCpu,
                   facts.layout.IsV2(CgroupController::kCpu) ? "cgroup.threads" : "tasks"));
  }

 private:
  void PlanLimits(const ContainerResources& limits, const HostFacts& facts,
                  IsolationPlan* plan) const {
    PlanWeight(limits.cpus_milli, facts, plan);
    if (limits.cpu_limit_milli.has_value()) PlanQuota(limits.cpu_limit_milli, facts, plan);
  }

  void Write(const char* name, std::string file, std::string value, IsolationPlan* plan) const {
    plan->host.push_back(
        {.isolator = std::string(Name()),
         .name = name,
         .operation = WriteCgroupFile{CgroupController::kCpu, std::move(file), std::move(value)}});
  }

  void PlanWeight(int64_t cpus_milli, const HostFacts& facts, IsolationPlan* plan) const {
    const bool v2 = facts.layout.IsV2(CgroupController::kCpu);
    Write("weight", v2 ? "cpu.weight" : "cpu.shares",
          absl::StrCat(v2 ? Weight(cpus_milli) : Shares(cpus_milli)), plan);
  }

  void PlanQuota(std::optional<int64_t> limit_milli, const HostFacts& facts,
                 IsolationPlan* plan) const {
    const bool v2 = facts.layout.IsV2(CgroupController::kCpu);
    const std::string quota = limit_milli.has_value()
                                  ? absl::StrCat(QuotaMicroseconds(*limit_milli))
                                  : (v2 ? "max" : "-1");
    if (v2) return Write("quota", "cpu.max", absl::StrCat(quota, " ", kPeriodMicroseconds), plan);
    Write("period", "cpu.cfs_period_us", absl::StrCat(kPeriodMicroseconds), plan);
    Write("quota", "cpu.cfs_quota_us", quota, plan);
  }
};

}  // namespace

std::unique_ptr<Isolator> MakeCgroupCpuIsolator() { return std::make_unique<CgroupCpu>(); }

}  // namespace tessera::agent
