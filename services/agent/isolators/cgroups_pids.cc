// cgroups/pids: how many processes and threads the container may have.

#include "absl/strings/str_cat.h"
#include "services/agent/isolators/cgroup_numbers.h"
#include "services/agent/isolators/isolator.h"

namespace tessera::agent {
namespace {

constexpr auto kPids = CgroupController::kPids;

// Init is in the cgroup, too, and not what the user counts.
std::string Limit(const std::optional<int64_t>& limit) {
  return limit.has_value() ? absl::StrCat(*limit + 1) : "max";
}

class CgroupPids : public Isolator {
 public:
  std::string_view Name() const override { return "cgroups/pids"; }

  SpecFields Covers() const override { return {SpecField::kPidsLimit}; }

  std::vector<CgroupController> Controllers() const override { return {kPids}; }

  absl::Status CheckHost(const HostFacts& facts) const override {
    if (facts.layout.HierarchyOf(kPids).has_value()) return absl::OkStatus();
    return absl::FailedPreconditionError(
        "cgroups/pids: no cgroup hierarchy with the controller pids is mounted");
  }

  absl::Status Plan(const ContainerSpec& spec, const HostUser&, const HostFacts&,
                    IsolationPlan* plan) const override {
    if (spec.resources.pids_limit.has_value()) PlanLimit(spec.resources, plan);
    return absl::OkStatus();
  }

  void PlanPod(const PodSpec& pod, const HostFacts&, IsolationPlan* plan) const override {
    if (pod.limits.pids_limit.has_value()) PlanLimit(pod.limits, plan);
  }

  void PlanUpdate(const ContainerResources& before, const ContainerResources& after,
                  const HostFacts&, IsolationPlan* plan) const override {
    if (before.pids_limit != after.pids_limit) PlanLimit(after, plan);
  }

  void ReadUsage(const ContainerFiles& files, const HostFacts&,
                 ContainerUsage* usage) const override {
    const std::optional<int64_t> threads = SingleNumber(files.Read(kPids, "pids.current"));
    if (!usage->threads.has_value()) usage->threads = threads;
  }

 private:
  void PlanLimit(const ContainerResources& resources, IsolationPlan* plan) const {
    plan->host.push_back(
        {.isolator = std::string(Name()),
         .name = "limit",
         .operation = WriteCgroupFile{kPids, "pids.max", Limit(resources.pids_limit)}});
  }
};

}  // namespace

std::unique_ptr<Isolator> MakeCgroupPidsIsolator() { return std::make_unique<CgroupPids>(); }

}  // namespace tessera::agent
