#include "services/master/core/task_validation.h"

#include <google/protobuf/util/message_differencer.h>

#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/base/status_macros.h"
#include "services/master/core/times.h"
#include "services/model/ids.h"
#include "services/model/wire/resources.h"

namespace tessera::master {
namespace {

absl::Status Wrong(const std::string& what) { return absl::InvalidArgumentError(what); }

absl::Status CheckDuration(const google::protobuf::Duration& duration, const std::string& what) {
  if (!IsValid(duration) || DurationOf(duration) < absl::ZeroDuration()) {
    return Wrong(absl::StrCat(what, " must not be negative"));
  }
  return absl::OkStatus();
}

absl::Status CheckHealthCheck(const pb::HealthCheck& check, const std::string& what) {
  switch (check.probe_case()) {
    case pb::HealthCheck::kCommand:
      if (check.command().value().empty()) return Wrong(absl::StrCat(what, ": an empty command"));
      break;
    case pb::HealthCheck::kHttp:
      if (check.http().port() == 0 || check.http().port() > 65535) {
        return Wrong(absl::StrCat(what, ": the port must be between 1 and 65535"));
      }
      break;
    case pb::HealthCheck::kTcp:
      if (check.tcp().port() == 0 || check.tcp().port() > 65535) {
        return Wrong(absl::StrCat(what, ": the port must be between 1 and 65535"));
      }
      break;
    case pb::HealthCheck::PROBE_NOT_SET:
      return Wrong(absl::StrCat(what, ": has no probe"));
  }
  RETURN_IF_ERROR(CheckDuration(check.delay(), absl::StrCat(what, ".delay")));
  RETURN_IF_ERROR(CheckDuration(check.interval(), absl::StrCat(what, ".interval")));
  RETURN_IF_ERROR(CheckDuration(check.timeout(), absl::StrCat(what, ".timeout")));
  return CheckDuration(check.grace_period(), absl::StrCat(what, ".grace_period"));
}

absl::Status CheckCommand(const pb::CommandInfo& command) {
  if (command.value().empty()) return Wrong("the command has no value");
  if (absl::StrContains(command.value(), '\0')) return Wrong("the command holds a zero byte");
  for (const auto& variable : command.environment()) {
    if (variable.name().empty() || absl::StrContains(variable.name(), '=') ||
        absl::StrContains(variable.name(), '\0') || absl::StrContains(variable.value(), '\0')) {
      return Wrong(absl::StrCat("the environment variable '", variable.name(), "' is malformed"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckContainer(const pb::ContainerInfo& container) {
  for (const pb::Volume& volume : container.volumes()) {
    if (volume.source_case() == pb::Volume::SOURCE_NOT_SET) {
      return Wrong(absl::StrCat("the volume at '", volume.container_path(), "' has no source"));
    }
    if (volume.container_path().empty()) return Wrong("a volume has no container_path");
    if (volume.mode() == pb::Volume::MODE_UNSPECIFIED) {
      return Wrong(absl::StrCat("the volume at '", volume.container_path(), "' has no mode"));
    }
  }
  if (container.has_image() && (container.image().type() == pb::Image::TYPE_UNSPECIFIED ||
                                container.image().reference().empty())) {
    return Wrong("the image needs a type and a reference");
  }
  return absl::OkStatus();
}

// Reads resources and allocates them to the role of the offers.
absl::StatusOr<model::Resources> ReadResources(const LaunchContext& context,
                                               const model::wire::ResourceMessages& messages,
                                               const std::string& what) {
  auto resources = model::wire::FromProto(messages);
  if (!resources.ok()) return Wrong(absl::StrCat(what, ": ", resources.status().message()));
  std::set<std::string> revocable;
  std::set<std::string> firm;
  for (const model::Resource& resource : *resources) {
    if (resource.IsAllocated() && *resource.metadata().allocation_role != context.role) {
      return Wrong(absl::StrCat(what, ": allocated to '", *resource.metadata().allocation_role,
                                "', but the offers are to '", context.role, "'"));
    }
    (resource.IsRevocable() ? revocable : firm).insert(resource.name());
    if (resource.name() == "gpus" && !resource.scalar().IsWhole()) {
      return Wrong(absl::StrCat(what, ": gpus must be a whole number"));
    }
  }
  for (const std::string& name : revocable) {
    if (firm.contains(name)) {
      return Wrong(absl::StrCat(what, ": '", name, "' is both revocable and not"));
    }
  }
  return resources->AllocatedCopy(context.role);
}

absl::Status CheckExecutorAlone(const LaunchContext& context, const pb::ExecutorInfo& executor) {
  RETURN_IF_ERROR(model::ValidateId("executor id", executor.id()));
  if (!executor.framework_id().empty() && executor.framework_id() != context.framework.id) {
    return Wrong("the executor's framework_id is of another framework");
  }
  switch (executor.type()) {
    case pb::ExecutorInfo::DEFAULT:
      if (executor.has_command()) return Wrong("a DEFAULT executor has no command");
      if (executor.has_container() && executor.container().has_image()) {
        return Wrong("a DEFAULT executor has no image");
      }
      break;
    case pb::ExecutorInfo::CUSTOM:
      if (!executor.has_command()) return Wrong("a CUSTOM executor needs a command");
      RETURN_IF_ERROR(CheckCommand(executor.command()));
      break;
    default:
      return Wrong("the executor's type is missing or unknown");
  }
  if (executor.has_shutdown_grace_period()) {
    RETURN_IF_ERROR(CheckDuration(executor.shutdown_grace_period(), "shutdown_grace_period"));
  }
  return executor.has_container() ? CheckContainer(executor.container()) : absl::OkStatus();
}

// What the executor costs: nothing when it runs already, and then it must be the same.
absl::StatusOr<model::Resources> ReadExecutor(const LaunchContext& context,
                                              const pb::ExecutorInfo& executor, bool* is_new) {
  RETURN_IF_ERROR(CheckExecutorAlone(context, executor));
  ASSIGN_OR_RETURN(model::Resources resources,
                   ReadResources(context, executor.resources(), "the executor's resources"));
  if (!resources.Shared().empty()) return Wrong("an executor cannot use shared resources");
  auto running = context.agent.executors.find({context.framework.index, executor.id()});
  *is_new = running == context.agent.executors.end();
  if (*is_new) return resources;
  pb::ExecutorInfo known = running->second.info;
  pb::ExecutorInfo given = executor;
  known.set_framework_id(context.framework.id);
  given.set_framework_id(context.framework.id);
  if (resources != running->second.resources) {
    return Wrong(absl::StrCat("executor '", executor.id(), "' runs with other resources"));
  }
  known.clear_resources();
  given.clear_resources();
  known.clear_data();
  given.clear_data();
  if (!google::protobuf::util::MessageDifferencer::Equals(known, given)) {
    return Wrong(absl::StrCat("executor '", executor.id(), "' runs with another description"));
  }
  return model::Resources();
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

// What `task` takes of its agent's inventory: it comes back without `data`.
size_t DescribedBytes(const pb::TaskInfo& task) { return task.ByteSizeLong() - task.data().size(); }

// What was launched on an agent has to come back in its inventory, which is bounded.
absl::Status CheckInventory(const LaunchContext& context, size_t bytes) {
  const size_t max = context.config.agent_tasks_bytes_max;
  if (context.agent.described_bytes + bytes <= max) return absl::OkStatus();
  return Wrong(absl::StrCat("the descriptions of the agent's tasks and executors have ",
                            context.agent.described_bytes, " bytes; ", bytes,
                            " more would bring them above ", max,
                            ". Launch it on another agent, or describe it more shortly"));
}

}  // namespace

absl::StatusOr<model::Resources> CheckTaskAlone(const LaunchContext& context,
                                                const pb::TaskInfo& task) {
  RETURN_IF_ERROR(model::ValidateId("task id", task.id()));
  if (task.ByteSizeLong() > context.config.task_bytes_max) {
    return Wrong(absl::StrCat("the description has ", task.ByteSizeLong(), " bytes; at most ",
                              context.config.task_bytes_max, " are allowed"));
  }
  if (context.framework.tasks.contains(task.id())) {
    return Wrong(absl::StrCat("task id '", task.id(), "' is in use by a task that has not ended"));
  }
  if (!task.agent_id().empty() && task.agent_id() != context.agent.id) {
    return Wrong(absl::StrCat("the task names agent '", task.agent_id(), "', the offers are of '",
                              context.agent.id, "'"));
  }
  if (task.has_kill_policy() && task.kill_policy().has_grace_period()) {
    RETURN_IF_ERROR(CheckDuration(task.kill_policy().grace_period(), "kill_policy.grace_period"));
  }
  if (task.has_max_completion_time()) {
    RETURN_IF_ERROR(CheckDuration(task.max_completion_time(), "max_completion_time"));
  }
  if (task.has_check()) RETURN_IF_ERROR(CheckHealthCheck(task.check(), "check"));
  if (task.has_health_check()) {
    RETURN_IF_ERROR(CheckHealthCheck(task.health_check(), "health_check"));
  }
  if (task.has_command()) RETURN_IF_ERROR(CheckCommand(task.command()));
  if (task.has_container()) RETURN_IF_ERROR(CheckContainer(task.container()));
  ASSIGN_OR_RETURN(model::Resources resources,
                   ReadResources(context, task.resources(), "the task's resources"));
  if (resources.empty()) return Wrong("the task uses no resources");
  for (const auto& [name, limit] : task.limits()) {
    if (name != "cpus" && name != "mem") {
      return Wrong(absl::StrCat("limits are for cpus and mem, not for '", name, "'"));
    }
    if (limit.milli() >= 0 && limit.milli() < resources.SumOf(name).thousandths()) {
      return Wrong(absl::StrCat("the limit of ", name, " is below the request"));
    }
  }
  return resources;
}

absl::StatusOr<CheckedTask> CheckTask(const LaunchContext& context, const pb::TaskInfo& task) {
  CheckedTask checked;
  ASSIGN_OR_RETURN(checked.resources, CheckTaskAlone(context, task));
  if (task.has_command() == task.has_executor()) {
    return Wrong("a task has either a command or an executor");
  }
  if (task.has_executor()) {
    if (task.executor().type() == pb::ExecutorInfo::DEFAULT) {
      return Wrong("a DEFAULT executor runs groups only");
    }
    checked.executor_id = task.executor().id();
    ASSIGN_OR_RETURN(checked.executor_resources,
                     ReadExecutor(context, task.executor(), &checked.new_executor));
    if (Overlap(checked.resources, checked.executor_resources)) {
      return Wrong("task and executor use the same port or item");
    }
  }
  RETURN_IF_ERROR(CheckInventory(
      context, DescribedBytes(task) + (checked.new_executor ? task.executor().ByteSizeLong() : 0)));
  RETURN_IF_ERROR(CheckFit(context, checked.resources + checked.executor_resources));
  return checked;
}

absl::StatusOr<CheckedGroup> CheckGroup(const LaunchContext& context,
                                        const pb::ExecutorInfo& executor,
                                        const pb::TaskGroupInfo& group) {
  CheckedGroup checked;
  if (group.tasks().empty()) return Wrong("the group has no tasks");
  ASSIGN_OR_RETURN(checked.executor_resources,
                   ReadExecutor(context, executor, &checked.new_executor));
  if (checked.new_executor && (checked.executor_resources.SumOf("cpus").thousandths() < 10 ||
                               checked.executor_resources.SumOf("mem").thousandths() < 32'000 ||
                               !checked.executor_resources.SumOf("disk").IsPositive())) {
    return Wrong("a group's executor needs at least 0.01 cpus, 32 MiB of mem and some disk");
  }
  model::Resources all = checked.executor_resources;
  const size_t executor_bytes = executor.ByteSizeLong();
  size_t bytes = checked.new_executor ? executor_bytes : 0;
  std::set<std::string> ids;
  for (const pb::TaskInfo& task : group.tasks()) {
    if (!ids.insert(task.id()).second) {
      return Wrong(absl::StrCat("task id '", task.id(), "' occurs twice in the group"));
    }
    auto resources = CheckTaskAlone(context, task);
    if (!resources.ok()) {
      return Wrong(absl::StrCat("task '", task.id(), "': ", resources.status().message()));
    }
    if (task.has_executor() && task.executor().id() != executor.id()) {
      return Wrong(absl::StrCat("task '", task.id(), "' names another executor than the group"));
    }
    if (executor.type() == pb::ExecutorInfo::DEFAULT && !task.has_command()) {
      return Wrong(absl::StrCat("task '", task.id(), "' of a DEFAULT executor needs a command"));
    }
    if (Overlap(all, *resources)) {
      return Wrong(absl::StrCat("task '", task.id(),
                                "' uses a port or item that another part of the group uses"));
    }
    all += *resources;
    // The executor is told with each task.
    bytes += DescribedBytes(task) + (task.has_executor() ? 0 : executor_bytes);
    checked.tasks.push_back(*std::move(resources));
  }
  RETURN_IF_ERROR(CheckInventory(context, bytes));
  RETURN_IF_ERROR(CheckFit(context, all));
  return checked;
}

}  // namespace tessera::master
