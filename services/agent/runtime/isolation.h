// The isolators in use, as one: what they cover, plan, judge and measure together.
//
// Pure but for what ContainerFiles reads. Immutable; any thread.
#pragma once

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/agent/isolators/isolator.h"

namespace tessera::agent {

class Isolation {
 public:
  Isolation(std::vector<std::unique_ptr<Isolator>> isolators, HostFacts facts);

  const HostFacts& facts() const { return facts_; }
  // Cgroup events to watch in every container.
  const std::vector<CgroupEvent>& events() const { return events_; }

  // INVALID_ARGUMENT: what the spec asks for and no isolator covers, or what one cannot do.
  absl::StatusOr<IsolationPlan> Plan(const ContainerSpec& spec, const HostUser& user) const;
  // The steps of the pod's limits, and those of its keeper.
  absl::StatusOr<IsolationPlan> PlanPod(const PodSpec& spec) const;
  // INVALID_ARGUMENT: resources that cannot be, or a limit that no isolator covers.
  absl::Status CheckUpdate(const ContainerResources& resources) const;
  IsolationPlan PlanUpdate(const ContainerResources& before, const ContainerResources& after) const;
  IsolationPlan Adopt(const std::vector<SavedUndo>& saved) const;

  // Which namespaces a container has that asks for nothing.
  const PlannedNamespaces& usual_namespaces() const { return usual_; }

  // The first limit that an isolator finds reached.
  std::optional<ContainerLimitation> Judge(const Limits& limits, const ContainerFiles& files,
                                           bool told) const;
  void ReadUsage(const ContainerFiles& files, ContainerUsage* usage) const;

 private:
  const std::vector<std::unique_ptr<Isolator>> isolators_;
  const HostFacts facts_;
  SpecFields covered_;
  std::vector<CgroupEvent> events_;
  PlannedNamespaces usual_;
};

}  // namespace tessera::agent
