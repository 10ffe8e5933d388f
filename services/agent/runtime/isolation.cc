#include "services/agent/runtime/isolation.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "services/agent/launcher/wire.h"
#include "services/base/bug.h"
#include "services/base/status_macros.h"

namespace tessera::agent {

Isolation::Isolation(std::vector<std::unique_ptr<Isolator>> isolators, HostFacts facts)
    : isolators_(std::move(isolators)), facts_(std::move(facts)) {
  for (const auto& isolator : isolators_) {
    covered_.Add(isolator->Covers());
    if (const auto event = isolator->Watch(facts_)) events_.push_back(*event);
  }
  ContainerSpec plain;
  plain.container_id = "plain";
  plain.sandbox = "/sandbox";
  plain.command.value = "true";
  const absl::StatusOr<IsolationPlan> plan = Plan(plain, HostUser());
  // Then no container is prepared ahead that fits.
  if (!plan.ok()) TESSERA_BUG(std::string(plan.status().message()));
  if (plan.ok()) usual_ = plan->namespaces;
}

absl::StatusOr<IsolationPlan> Isolation::Plan(const ContainerSpec& spec,
                                              const HostUser& user) const {
  RETURN_IF_ERROR(CheckCovered(UsedFields(spec), covered_));
  IsolationPlan plan;
  // Without filesystem/linux the container has the host's files.
  plan.root = "/";
  for (const auto& isolator : isolators_) {
    RETURN_IF_ERROR(isolator->Plan(spec, user, facts_, &plan));
  }
  if (plan.namespaces.mnt.joins()) plan.root.clear();
  if (plan.trees.size() + 1 > wire::kMaximumTrees) {
    return absl::InvalidArgumentError(
        absl::StrCat("at most ", wire::kMaximumTrees - 3, " mounts can be given to a container"));
  }
  return plan;
}

absl::StatusOr<IsolationPlan> Isolation::PlanPod(const PodSpec& spec) const {
  RETURN_IF_ERROR(CheckCovered(UsedFields(spec), covered_));
  IsolationPlan plan;
  for (const auto& isolator : isolators_) isolator->PlanPod(spec, facts_, &plan);
  return plan;
}

absl::Status Isolation::CheckUpdate(const ContainerResources& resources) const {
  RETURN_IF_ERROR(ValidateContainerResources(resources));
  return CheckCovered(UsedFields(resources), covered_);
}

IsolationPlan Isolation::PlanUpdate(const ContainerResources& before,
                                    const ContainerResources& after) const {
  IsolationPlan plan;
  for (const auto& isolator : isolators_) isolator->PlanUpdate(before, after, facts_, &plan);
  return plan;
}

IsolationPlan Isolation::Adopt(const std::vector<SavedUndo>& saved) const {
  IsolationPlan plan;
  for (const auto& isolator : isolators_) isolator->Adopt(saved, facts_, &plan);
  return plan;
}

std::optional<ContainerLimitation> Isolation::Judge(const Limits& limits,
                                                    const ContainerFiles& files, bool told) const {
  for (const auto& isolator : isolators_) {
    if (auto limitation = isolator->Judge(limits, facts_, files, told)) return limitation;
  }
  return std::nullopt;
}

void Isolation::ReadUsage(const ContainerFiles& files, ContainerUsage* usage) const {
  for (const auto& isolator : isolators_) isolator->ReadUsage(files, facts_, usage);
}

}  // namespace tessera::agent
