#include "services/agent/runtime/container_spec.h"

#include <set>

#include "absl/strings/str_cat.h"

namespace tessera::agent {
namespace {

constexpr size_t kMaximumIdBytes = 242;
constexpr int64_t kMaximumCpusMilli = 1'000'000'000;

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

absl::Status CheckResources(const ContainerResources& resources) {
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

}  // namespace

absl::Status ValidateContainerId(const std::string& container_id) {
  if (container_id.empty()) return absl::InvalidArgumentError("container_id is empty");
  if (container_id.size() > kMaximumIdBytes) {
    return absl::InvalidArgumentError(absl::StrCat("container_id is longer than ", kMaximumIdBytes,
                                                   " bytes: ", container_id.size()));
  }
  for (const unsigned char c : container_id) {
    if (c <= ' ' || c == 0x7f || c == '/' || c == '.') {
      return absl::InvalidArgumentError(
          "container_id holds a character out of: space, control characters, \"/\", \".\"");
    }
  }
  return absl::OkStatus();
}

absl::Status ValidateContainerSpec(const ContainerSpec& spec) {
  absl::Status status = ValidateContainerId(spec.container_id);
  if (status.ok()) status = CheckPath("sandbox", spec.sandbox);
  if (status.ok()) status = CheckCommand(spec.command);
  if (status.ok()) status = CheckEnvironment(spec);
  if (status.ok()) status = CheckResources(spec.resources);
  if (status.ok() && !spec.working_directory.empty()) {
    status = CheckPath("working_directory", spec.working_directory);
  }
  if (status.ok() && !spec.rootfs.empty()) {
    status = CheckPath("rootfs", spec.rootfs);
    if (status.ok()) status = CheckPath("sandbox_in_rootfs", spec.sandbox_in_rootfs);
    if (status.ok() && spec.sandbox_in_rootfs == "/") {
      status = absl::InvalidArgumentError("sandbox_in_rootfs must not be \"/\"");
    }
  }
  std::set<std::string> targets;
  for (const BindMount& mount : spec.mounts) {
    if (status.ok()) status = CheckPath("mounts.source", mount.source);
    if (status.ok()) status = CheckPath("mounts.target", mount.target);
    if (status.ok() && mount.target == "/") {
      status = absl::InvalidArgumentError("mounts.target must not be \"/\"");
    }
    if (status.ok() && !targets.insert(mount.target).second) {
      status =
          absl::InvalidArgumentError(absl::StrCat("mounts.target \"", mount.target, "\" twice"));
    }
  }
  if (status.ok() && (HasNul(spec.user) || HasNul(spec.hostname))) {
    status = absl::InvalidArgumentError("user or hostname contains a NUL byte");
  }
  if (status.ok() && spec.hostname.size() > 64) {
    status = absl::InvalidArgumentError("hostname is longer than 64 bytes");
  }
  if (status.ok() && !spec.hostname.empty() && !spec.namespaces.uts) {
    status = absl::InvalidArgumentError("hostname needs a uts namespace");
  }
  return status;
}

}  // namespace tessera::agent
