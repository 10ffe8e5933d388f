#include "services/agent/container/container_spec.h"

#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/base/status_macros.h"

namespace tessera::agent {
namespace {

constexpr int64_t kMaximumCpusMilli = 1'000'000'000;
constexpr size_t kMaximumHostnameBytes = 64;

bool IsAbsolute(const std::string& path) { return !path.empty() && path[0] == '/'; }

bool HasNul(const std::string& text) { return text.find('\0') != std::string::npos; }

// The runtime passes paths to the kernel as they are; `..` would leave what they are meant to be
// in.
absl::Status CheckPath(absl::string_view field, const std::string& path) {
  if (!IsAbsolute(path)) {
    return absl::InvalidArgumentError(
        absl::StrCat(field, " must be an absolute path: \"", path, "\""));
  }
  if (HasNul(path)) return absl::InvalidArgumentError(absl::StrCat(field, " contains a NUL byte"));
  if (absl::StrCat(path, "/").find("/../") != std::string::npos) {
    return absl::InvalidArgumentError(absl::StrCat(field, " contains \"..\": \"", path, "\""));
  }
  return absl::OkStatus();
}

absl::Status CheckCommand(const ContainerCommand& command) {
  if (command.value.empty()) return absl::InvalidArgumentError("command.value is empty");
  if (HasNul(command.value)) return absl::InvalidArgumentError("command.value contains a NUL byte");
  if (command.shell && !command.arguments.empty()) {
    return absl::InvalidArgumentError("command.arguments are set, but a shell line takes none");
  }
  for (const std::string& argument : command.arguments) {
    if (HasNul(argument)) {
      return absl::InvalidArgumentError("command.arguments contain a NUL byte");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckEnvironment(const ContainerSpec& spec) {
  for (const auto& [name, value] : spec.environment) {
    if (name.empty() || name.find('=') != std::string::npos || HasNul(name)) {
      return absl::InvalidArgumentError(
          absl::StrCat("environment: \"", name, "\" is no name of a variable"));
    }
    if (HasNul(value)) {
      return absl::InvalidArgumentError(
          absl::StrCat("environment: ", name, " contains a NUL byte"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckHostname(const std::string& hostname, bool changeable) {
  if (HasNul(hostname)) return absl::InvalidArgumentError("hostname contains a NUL byte");
  if (hostname.size() > kMaximumHostnameBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("hostname is longer than ", kMaximumHostnameBytes, " bytes"));
  }
  if (!hostname.empty() && !changeable) {
    return absl::InvalidArgumentError("hostname needs a uts namespace of its own");
  }
  return absl::OkStatus();
}

absl::Status CheckNamespace(const ContainerId& container, const char* kind,
                            const NamespaceChoice& choice) {
  if (!choice.joins()) return absl::OkStatus();
  RETURN_IF_ERROR(choice.of.Validate());
  if (choice.of.Pod() != container.Pod() || choice.of == container ||
      container.IsAncestorOf(choice.of)) {
    return absl::InvalidArgumentError(absl::StrCat("namespaces.", kind, ": ", container.text(),
                                                   " cannot join that of ", choice.of.text(),
                                                   ", which is not in its pod or comes after it"));
  }
  return absl::OkStatus();
}

absl::Status CheckNamespaces(const ContainerSpec& spec) {
  const ContainerNamespaces& n = spec.namespaces;
  for (const auto& [kind, choice] :
       {std::pair("pid", &n.pid), std::pair("ipc", &n.ipc), std::pair("uts", &n.uts),
        std::pair("cgroup", &n.cgroup), std::pair("net", &n.net), std::pair("mnt", &n.mnt)}) {
    RETURN_IF_ERROR(CheckNamespace(spec.container_id, kind, *choice));
  }
  if (n.mnt.source == NamespaceChoice::Source::kHost) {
    return absl::InvalidArgumentError("namespaces.mnt cannot be the host's");
  }
  if (n.mnt.joins() && n.mnt.of == spec.container_id.Pod()) {
    return absl::InvalidArgumentError(
        "namespaces.mnt: a pod has none to join, only its containers do");
  }
  if (n.mnt.joins() && (!spec.rootfs.empty() || !spec.mounts.empty() || spec.private_tmp)) {
    return absl::InvalidArgumentError(
        "rootfs, mounts and private_tmp are not for a container that joins another's files");
  }
  return absl::OkStatus();
}

absl::Status CheckMounts(const std::vector<BindMount>& mounts) {
  std::set<std::string> targets;
  for (const BindMount& mount : mounts) {
    RETURN_IF_ERROR(CheckPath("mounts.source", mount.source));
    RETURN_IF_ERROR(CheckPath("mounts.target", mount.target));
    if (mount.target == "/") {
      return absl::InvalidArgumentError("mounts.target must not be \"/\"");
    }
    if (!targets.insert(mount.target).second) {
      return absl::InvalidArgumentError(absl::StrCat("mounts.target \"", mount.target, "\" twice"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckUser(const std::string& user) {
  return HasNul(user) ? absl::InvalidArgumentError("user contains a NUL byte") : absl::OkStatus();
}

}  // namespace

absl::Status ValidateContainerResources(const ContainerResources& resources) {
  if (resources.cpus_milli <= 0 || resources.cpus_milli > kMaximumCpusMilli) {
    return absl::InvalidArgumentError("resources.cpus must be above 0 and at most 1000000");
  }
  if (resources.cpu_limit_milli.has_value() &&
      (*resources.cpu_limit_milli <= 0 || *resources.cpu_limit_milli > kMaximumCpusMilli)) {
    return absl::InvalidArgumentError("resources.cpu_limit must be above 0 and at most 1000000");
  }
  if (resources.memory_limit_bytes.value_or(1) <= 0) {
    return absl::InvalidArgumentError("resources.memory_limit must be above 0");
  }
  if (resources.memory_soft_limit_bytes.value_or(1) <= 0) {
    return absl::InvalidArgumentError("resources.memory_soft_limit must be above 0");
  }
  if (resources.pids_limit.value_or(1) <= 0) {
    return absl::InvalidArgumentError("resources.pids_limit must be above 0");
  }
  return absl::OkStatus();
}

absl::Status ValidateContainerSpec(const ContainerSpec& spec) {
  RETURN_IF_ERROR(spec.container_id.Validate());
  RETURN_IF_ERROR(CheckPath("sandbox", spec.sandbox));
  RETURN_IF_ERROR(CheckCommand(spec.command));
  RETURN_IF_ERROR(CheckEnvironment(spec));
  RETURN_IF_ERROR(ValidateContainerResources(spec.resources));
  if (!spec.working_directory.empty()) {
    RETURN_IF_ERROR(CheckPath("working_directory", spec.working_directory));
  }
  if (!spec.rootfs.empty()) {
    RETURN_IF_ERROR(CheckPath("rootfs", spec.rootfs));
    RETURN_IF_ERROR(CheckPath("sandbox_in_rootfs", spec.sandbox_in_rootfs));
    if (spec.sandbox_in_rootfs == "/") {
      return absl::InvalidArgumentError("sandbox_in_rootfs must not be \"/\"");
    }
  }
  RETURN_IF_ERROR(CheckMounts(spec.mounts));
  RETURN_IF_ERROR(CheckUser(spec.user));
  RETURN_IF_ERROR(CheckNamespaces(spec));
  return CheckHostname(spec.hostname, spec.namespaces.uts.own());
}

absl::Status ValidatePodSpec(const PodSpec& spec) {
  RETURN_IF_ERROR(spec.pod_id.Validate());
  if (spec.pod_id.has_parent()) {
    return absl::InvalidArgumentError(
        absl::StrCat("pod_id \"", spec.pod_id.text(), "\" must be one name"));
  }
  RETURN_IF_ERROR(CheckPath("sandbox", spec.sandbox));
  RETURN_IF_ERROR(CheckUser(spec.user));
  RETURN_IF_ERROR(ValidateContainerResources(spec.limits));
  return CheckHostname(spec.hostname, spec.namespaces.uts);
}

ContainerNamespaces NamespacesInPod(const PodSpec& pod) {
  ContainerNamespaces namespaces;
  const NamespaceChoice join = NamespaceChoice::Join(pod.pod_id);
  if (pod.namespaces.pid) namespaces.pid = join;
  if (pod.namespaces.ipc) namespaces.ipc = join;
  if (pod.namespaces.uts) namespaces.uts = join;
  if (pod.namespaces.net) namespaces.net = join;
  return namespaces;
}

}  // namespace tessera::agent
