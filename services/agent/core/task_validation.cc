#include "services/agent/core/task_validation.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/agent/core/wire_time.h"
#include "services/base/status_macros.h"
#include "services/model/ids.h"
#include "services/model/wire/resources.h"

namespace tessera::agent {
namespace {

constexpr int64_t kBytesPerMib = int64_t{1} << 20;
// Of tasks that ask for no cpus: the runtime needs some weight.
constexpr int64_t kLeastCpusMilli = 10;

absl::Status Unsupported(const std::string& field, const std::string& what) {
  return absl::UnimplementedError(absl::StrCat("task.", field, ": this agent ", what));
}

absl::Status Wrong(const std::string& field, const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat("task.", field, ": ", what));
}

absl::Status ValidateVolume(const model::v1::Volume& volume) {
  if (volume.source_case() != model::v1::Volume::kHostPath) {
    return Unsupported("container.volumes", "mounts paths of the host only");
  }
  if (volume.host_path().empty() || volume.host_path()[0] != '/' ||
      volume.container_path().empty() || volume.container_path()[0] != '/') {
    return Unsupported("container.volumes", "needs absolute host and container paths");
  }
  if (volume.mode() == model::v1::Volume::MODE_UNSPECIFIED) {
    return Wrong("container.volumes.mode", "is missing");
  }
  return absl::OkStatus();
}

absl::Status ValidateLinuxInfo(const model::v1::LinuxInfo& linux_info, bool in_group) {
  if (linux_info.effective_capabilities_size() > 0 || linux_info.bounding_capabilities_size() > 0) {
    return Unsupported("container.linux_info", "does not change capabilities");
  }
  if (linux_info.has_seccomp_profile()) {
    return Unsupported("container.linux_info.seccomp_profile", "has no seccomp profiles");
  }
  if (linux_info.share_pid_namespace() && !in_group) {
    return Unsupported("container.linux_info.share_pid_namespace",
                       "shares pids among the tasks of a group only");
  }
  return absl::OkStatus();
}

absl::Status ValidateContainer(const model::v1::ContainerInfo& container, bool in_group) {
  if (container.has_image()) return Unsupported("container.image", "has no image provider");
  if (container.networks_size() > 0 &&
      !(container.networks_size() == 1 && container.networks(0).name().empty() &&
        container.networks(0).port_mappings_size() == 0)) {
    return Unsupported("container.networks", "offers the machine's own network only");
  }
  RETURN_IF_ERROR(ValidateLinuxInfo(container.linux_info(), in_group));
  if (container.rlimits_size() > 0) return Unsupported("container.rlimits", "sets no rlimits");
  if (container.tty()) return Unsupported("container.tty", "gives no terminals");
  for (const model::v1::Volume& volume : container.volumes()) {
    RETURN_IF_ERROR(ValidateVolume(volume));
  }
  return absl::OkStatus();
}

// From MiB with three decimals to bytes.
int64_t BytesOf(model::Scalar mebibytes) {
  const int64_t thousandths = mebibytes.thousandths();
  return thousandths / 1000 * kBytesPerMib + thousandths % 1000 * kBytesPerMib / 1000;
}

std::string AllocationRole(const model::Resources& resources) {
  for (const model::Resource& resource : resources) {
    const auto& role = resource.metadata().allocation_role;
    if (role.has_value()) return *role;
  }
  return "";
}

}  // namespace

absl::Status ValidateTask(const std::string& framework_id, const model::v1::TaskInfo& task,
                          const model::Resources& resources, bool in_group,
                          const AgentConfig& config) {
  RETURN_IF_ERROR(model::ValidateId("framework id", framework_id));
  RETURN_IF_ERROR(model::ValidateId("task id", task.id()));
  const size_t bytes = task.ByteSizeLong() - task.data().size();
  if (bytes > config.task_bytes_max) {
    return absl::InvalidArgumentError(absl::StrCat("the task's description has ", bytes,
                                                   " bytes, more than ", config.task_bytes_max));
  }
  if (resources.empty()) return Wrong("resources", "a task needs resources");
  if (!task.has_command()) {
    if (task.has_executor()) {
      return Unsupported("executor", "runs no custom executors; use a command or a task group");
    }
    return Wrong("command", "is missing");
  }
  if (task.has_executor() && task.executor().type() == model::v1::ExecutorInfo::CUSTOM) {
    return Unsupported("executor", "runs no custom executors; use a command or a task group");
  }
  if (task.command().uris_size() > 0) return Unsupported("command.uris", "fetches no URIs");
  if (task.has_health_check()) return Unsupported("health_check", "runs no health checks");
  if (task.has_check()) return Unsupported("check", "runs no checks");
  if (task.has_container()) RETURN_IF_ERROR(ValidateContainer(task.container(), in_group));
  if (task.has_kill_policy() &&
      FromDuration(task.kill_policy().grace_period()) < absl::ZeroDuration()) {
    return Wrong("kill_policy.grace_period", "is negative");
  }
  if (task.has_max_completion_time() &&
      FromDuration(task.max_completion_time()) < absl::ZeroDuration()) {
    return Wrong("max_completion_time", "is negative");
  }
  for (const auto& [name, limit] : task.limits()) {
    if (name != "cpus" && name != "mem") return Wrong("limits", "only cpus and mem have limits");
  }
  return absl::OkStatus();
}

absl::Status ValidateGroupExecutor(const model::v1::ExecutorInfo& executor) {
  if (executor.type() == model::v1::ExecutorInfo::CUSTOM || executor.has_command()) {
    return absl::UnimplementedError(
        "executor: this agent runs no custom executors; use type DEFAULT without a command");
  }
  if (executor.type() != model::v1::ExecutorInfo::DEFAULT) {
    return absl::InvalidArgumentError("executor.type: must be DEFAULT");
  }
  model::v1::ContainerInfo beside_hostname = executor.container();
  beside_hostname.clear_hostname();
  if (beside_hostname.ByteSizeLong() > 0) {
    return absl::UnimplementedError(
        "executor.container: this agent gives the pod of a group a hostname, and nothing else");
  }
  return model::ValidateId("executor id", executor.id());
}

ContainerResources LimitsOfExecutor(const model::Resources& resources, const AgentConfig& config) {
  ContainerResources limits;
  limits.cpus_milli = resources.SumOf("cpus").thousandths();
  limits.cpu_limit_milli.reset();
  if (config.limit_cpu_to_request) limits.cpu_limit_milli = limits.cpus_milli;
  limits.memory_limit_bytes = BytesOf(resources.SumOf("mem"));
  return limits;
}

ContainerResources LimitsOf(const model::Resources& resources, const model::v1::TaskInfo& info,
                            const AgentConfig& config) {
  ContainerResources limits;
  const int64_t cpus = resources.SumOf("cpus").thousandths();
  limits.cpus_milli = std::max(cpus, kLeastCpusMilli);
  if (config.limit_cpu_to_request && cpus > 0) limits.cpu_limit_milli = cpus;
  const model::Scalar memory = resources.SumOf("mem");
  if (memory.IsPositive()) {
    limits.memory_limit_bytes = BytesOf(memory);
    limits.memory_soft_limit_bytes = BytesOf(memory);
  }
  auto found = info.limits().find("cpus");
  if (found != info.limits().end()) {
    limits.cpu_limit_milli.reset();
    if (found->second.milli() > 0) limits.cpu_limit_milli = found->second.milli();
  }
  found = info.limits().find("mem");
  if (found != info.limits().end()) {
    limits.memory_limit_bytes.reset();
    if (found->second.milli() > 0) {
      limits.memory_limit_bytes = BytesOf(model::Scalar::FromThousandths(found->second.milli()));
    }
  }
  return limits;
}

PodSpec PlanPod(const model::v1::ExecutorInfo& executor, const Framework& framework,
                const AgentConfig& config) {
  PodSpec spec;
  if (config.switch_user) spec.user = framework.user;
  spec.namespaces.ipc = true;
  spec.namespaces.pid = true;
  spec.hostname = executor.container().hostname();
  spec.namespaces.uts = !spec.hostname.empty();
  return spec;
}

absl::StatusOr<model::Resources> ResourcesOf(
    const google::protobuf::RepeatedPtrField<model::v1::Resource>& messages) {
  ASSIGN_OR_RETURN(const model::Resources resources, model::wire::FromProto(messages));
  return resources.UnallocatedCopy();
}

Framework FrameworkOf(const model::v1::FrameworkInfo& info, model::Description description) {
  const auto has = [&info](model::v1::FrameworkInfo::Capability capability) {
    return std::find(info.capabilities().begin(), info.capabilities().end(), capability) !=
           info.capabilities().end();
  };
  Framework framework;
  framework.info = std::move(description);
  framework.user = info.user();
  framework.hears_killing = has(model::v1::FrameworkInfo::TASK_KILLING_STATE);
  framework.partition_aware = has(model::v1::FrameworkInfo::PARTITION_AWARE);
  return framework;
}

void NoteTaskInfo(const model::v1::TaskInfo& info, Task* task) {
  task->name = info.name();
  if (info.has_kill_policy() && info.kill_policy().has_grace_period()) {
    task->kill_grace = FromDuration(info.kill_policy().grace_period());
  }
  const absl::Duration completion = FromDuration(info.max_completion_time());
  if (completion > absl::ZeroDuration()) task->completion_time = completion;
}

std::optional<absl::Duration> ShutdownGraceOf(const model::v1::ExecutorInfo& info) {
  if (!info.has_shutdown_grace_period()) return std::nullopt;
  return std::max(FromDuration(info.shutdown_grace_period()), absl::ZeroDuration());
}

absl::StatusOr<ContainerSpec> PlanContainer(const Task& task, const model::v1::TaskInfo& info,
                                            const ContainerPlace& place, const Framework& framework,
                                            const std::string& agent_id,
                                            const AgentConfig& config) {
  const model::v1::CommandInfo& command = info.command();
  ContainerSpec spec;
  spec.container_id = place.container_id;
  spec.sandbox = place.sandbox;
  spec.command.shell = command.shell();
  spec.command.value = command.value();
  spec.command.arguments.assign(command.arguments().begin(), command.arguments().end());
  if (config.switch_user) spec.user = command.has_user() ? command.user() : framework.user;
  if (command.has_working_directory() && !command.working_directory().empty()) {
    const std::string& directory = command.working_directory();
    spec.working_directory =
        directory[0] == '/' ? directory : absl::StrCat(place.sandbox, "/", directory);
  }

  std::map<std::string, std::string> environment(config.container_environment.begin(),
                                                 config.container_environment.end());
  environment["TESSERA_FRAMEWORK_ID"] = task.framework_id;
  environment["TESSERA_TASK_ID"] = task.task_id;
  environment["TESSERA_AGENT_ID"] = agent_id;
  environment["TESSERA_CONTAINER_ID"] = place.container_id;
  environment["TESSERA_ALLOCATION_ROLE"] = AllocationRole(task.holding.resources);
  if (place.pod != nullptr) environment["TESSERA_POD_SANDBOX"] = place.pod->sandbox;
  for (const model::v1::EnvironmentVariable& variable : command.environment()) {
    environment[variable.name()] = variable.value();
  }
  spec.environment.assign(environment.begin(), environment.end());

  const model::v1::ContainerInfo& container = info.container();
  for (const model::v1::Volume& volume : container.volumes()) {
    spec.mounts.push_back({volume.host_path(), volume.container_path(),
                           volume.mode() == model::v1::Volume::READ_ONLY});
  }
  if (container.has_hostname()) spec.hostname = container.hostname();
  spec.resources = task.limits;
  if (place.pod != nullptr) {
    spec.namespaces = NamespacesInPod(*place.pod);
    if (!container.linux_info().share_pid_namespace()) spec.namespaces.pid = NamespaceChoice::Own();
    if (container.has_hostname()) spec.namespaces.uts = NamespaceChoice::Own();
    const auto& linux_info = container.linux_info();
    if (!linux_info.has_share_cgroups() || linux_info.share_cgroups()) {
      // The limits are the pod's; of its own the container has a weight.
      spec.resources.cpu_limit_milli.reset();
      spec.resources.memory_limit_bytes.reset();
      spec.resources.memory_soft_limit_bytes.reset();
    }
  }
  RETURN_IF_ERROR(ValidateContainerSpec(spec));
  return spec;
}

}  // namespace tessera::agent
