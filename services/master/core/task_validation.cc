#include "services/master/core/task_validation.h"

#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/base/status_macros.h"

namespace tessera::master {
namespace {

absl::Status Wrong(const std::string& what) { return absl::InvalidArgumentError(what); }

// Allocates resources to the role of the offers.
absl::StatusOr<model::Resources> Allocate(const LaunchContext& context,
                                          const model::Resources& resources, const char* what) {
  for (const model::Resource& resource : resources) {
    if (resource.IsAllocated() && *resource.metadata().allocation_role != context.role) {
      return Wrong(absl::StrCat(what, ": allocated to '", *resource.metadata().allocation_role,
                                "', but the offers are to '", context.role, "'"));
    }
  }
  return resources.AllocatedCopy(context.role);
}

// What the executor costs: nothing when it lives already, and then it must be the same.
absl::StatusOr<CheckedExecutor> CheckExecutor(const LaunchContext& context,
                                              const ExecutorRequest& executor) {
  RETURN_IF_ERROR(executor.wrong);
  if (!executor.framework_id.empty() && executor.framework_id != context.framework.id) {
    return Wrong("the executor's framework_id is of another framework");
  }
  CheckedExecutor checked;
  ASSIGN_OR_RETURN(checked.resources,
                   Allocate(context, executor.resources, "the executor's resources"));
  const feed::ExecutorPtr living =
      context.agent.executors.Newest(context.framework.index, executor.id);
  if (living == nullptr) return checked;
  if (checked.resources != living->resources) {
    return Wrong(absl::StrCat("executor '", executor.id, "' runs with other resources"));
  }
  if (!SameExecutor(living->info, executor.shown)) {
    return Wrong(absl::StrCat("executor '", executor.id, "' runs with another description"));
  }
  checked.living = living->incarnation;
  checked.resources = model::Resources();
  return checked;
}

// The same port or item in two of them shows as a sum that has less than both together.
bool Overlap(const model::Resources& left, const model::Resources& right) {
  for (const model::Resource& a : left.NonScalars()) {
    for (const model::Resource& b : right.NonScalars()) {
      if (a.name() != b.name() || a.kind() != b.kind()) continue;
      if (a.kind() == model::ResourceKind::kSet && a.set().Intersects(b.set())) return true;
      if (a.kind() == model::ResourceKind::kRanges && a.ranges().Intersects(b.ranges()))
        return true;
    }
  }
  return false;
}

absl::Status CheckFit(const LaunchContext& context, const model::Resources& wanted) {
  if (context.available.Contains(wanted)) return absl::OkStatus();
  return Wrong(absl::StrCat("more is used (", model::ToString(wanted),
                            ") than what is left of the offers (",
                            model::ToString(context.available), ")"));
}

// What was launched on an agent has to come back in its inventory, which is bounded.
absl::Status CheckInventory(const LaunchContext& context, size_t bytes) {
  const size_t max = context.config.agent_tasks_bytes_max;
  if (context.agent.described_bytes + bytes <= max) return absl::OkStatus();
  return Wrong(absl::StrCat("the descriptions of the agent's tasks and executors have ",
                            context.agent.described_bytes, " bytes; ", bytes,
                            " more would bring them above ", max,
                            ". Launch it on another agent, or describe it more shortly"));
}

// Everything but the fit.
absl::StatusOr<model::Resources> CheckTaskAlone(const LaunchContext& context,
                                                const TaskRequest& task) {
  RETURN_IF_ERROR(task.wrong);
  if (task.info.size() > context.config.task_bytes_max) {
    return Wrong(absl::StrCat("the description has ", task.info.size(), " bytes; at most ",
                              context.config.task_bytes_max, " are allowed"));
  }
  if (context.framework.tasks.Newest(task.id).valid()) {
    return Wrong(absl::StrCat("task id '", task.id, "' is in use by a task that has not ended"));
  }
  if (!task.agent_id.empty() && task.agent_id != context.agent.id) {
    return Wrong(absl::StrCat("the task names agent '", task.agent_id, "', the offers are of '",
                              context.agent.id, "'"));
  }
  return Allocate(context, task.resources, "the task's resources");
}

}  // namespace

absl::StatusOr<CheckedTask> CheckTask(const LaunchContext& context, const TaskRequest& task) {
  CheckedTask checked;
  ASSIGN_OR_RETURN(checked.resources, CheckTaskAlone(context, task));
  if (task.has_command == task.executor.has_value()) {
    return Wrong("a task has either a command or an executor");
  }
  size_t bytes = task.shown.size();
  model::Resources wanted = checked.resources;
  if (task.executor.has_value()) {
    if (task.executor->type == pb::ExecutorInfo::DEFAULT) {
      return Wrong("a DEFAULT executor runs groups only");
    }
    ASSIGN_OR_RETURN(checked.executor, CheckExecutor(context, *task.executor));
    if (Overlap(checked.resources, checked.executor->resources)) {
      return Wrong("task and executor use the same port or item");
    }
    if (!checked.executor->living.valid()) bytes += task.executor->shown.size();
    wanted += checked.executor->resources;
  }
  RETURN_IF_ERROR(CheckInventory(context, bytes));
  RETURN_IF_ERROR(CheckFit(context, wanted));
  return checked;
}

absl::StatusOr<CheckedGroup> CheckGroup(const LaunchContext& context,
                                        const ExecutorRequest& executor,
                                        const std::vector<TaskRequest>& tasks) {
  CheckedGroup checked;
  if (tasks.empty()) return Wrong("the group has no tasks");
  ASSIGN_OR_RETURN(checked.executor, CheckExecutor(context, executor));
  const bool fresh = !checked.executor.living.valid();
  if (fresh && (checked.executor.resources.SumOf("cpus").thousandths() < 10 ||
                checked.executor.resources.SumOf("mem").thousandths() < 32'000 ||
                !checked.executor.resources.SumOf("disk").IsPositive())) {
    return Wrong("a group's executor needs at least 0.01 cpus, 32 MiB of mem and some disk");
  }
  model::Resources all = checked.executor.resources;
  size_t bytes = fresh ? executor.shown.size() : 0;
  std::set<std::string> ids;
  for (const TaskRequest& task : tasks) {
    if (!ids.insert(task.id).second) {
      return Wrong(absl::StrCat("task id '", task.id, "' occurs twice in the group"));
    }
    auto resources = CheckTaskAlone(context, task);
    if (!resources.ok()) {
      return Wrong(absl::StrCat("task '", task.id, "': ", resources.status().message()));
    }
    if (task.executor.has_value() && task.executor->id != executor.id) {
      return Wrong(absl::StrCat("task '", task.id, "' names another executor than the group"));
    }
    if (executor.type == pb::ExecutorInfo::DEFAULT && !task.has_command) {
      return Wrong(absl::StrCat("task '", task.id, "' of a DEFAULT executor needs a command"));
    }
    if (Overlap(all, *resources)) {
      return Wrong(absl::StrCat("task '", task.id,
                                "' uses a port or item that another part of the group uses"));
    }
    all += *resources;
    bytes += task.shown.size();
    checked.tasks.push_back(*std::move(resources));
  }
  RETURN_IF_ERROR(CheckInventory(context, bytes));
  RETURN_IF_ERROR(CheckFit(context, all));
  return checked;
}

}  // namespace tessera::master
