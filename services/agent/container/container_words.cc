#include <string.h>
#include <sys/wait.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "services/agent/container/container_runtime.h"

namespace tessera::agent {

std::string_view LaunchStepName(LaunchStep step) {
  switch (step) {
    case LaunchStep::kSpec:
      return "spec";
    case LaunchStep::kUser:
      return "user";
    case LaunchStep::kSandbox:
      return "sandbox";
    case LaunchStep::kState:
      return "state";
    case LaunchStep::kCgroup:
      return "cgroup";
    case LaunchStep::kClone:
      return "clone";
    case LaunchStep::kNamespace:
      return "namespace";
    case LaunchStep::kFilesystem:
      return "filesystem";
    case LaunchStep::kDirectory:
      return "directory";
    case LaunchStep::kUserSwitch:
      return "user-switch";
    case LaunchStep::kExec:
      return "exec";
    case LaunchStep::kPod:
      return "pod";
    case LaunchStep::kAborted:
      return "aborted";
  }
  return "unknown";
}

std::string_view LimitedResourceName(ContainerLimitation::Resource resource) {
  switch (resource) {
    case ContainerLimitation::Resource::kMemory:
      return "mem";
    case ContainerLimitation::Resource::kDisk:
      return "disk";
    case ContainerLimitation::Resource::kPorts:
      return "ports";
  }
  return "unknown";
}

ContainerLimitation MemoryLimitation(int64_t requested_bytes, int64_t maximum_used_bytes,
                                     std::string isolator) {
  // Megabytes as users name them: MiB, rounded up.
  const auto megabytes = [](int64_t bytes) { return (bytes + (1 << 20) - 1) >> 20; };
  return {.resource = ContainerLimitation::Resource::kMemory,
          .message = absl::StrCat("memory limit exceeded: requested ", megabytes(requested_bytes),
                                  " MB, used maximum ", megabytes(maximum_used_bytes), " MB"),
          .requested_bytes = requested_bytes,
          .maximum_used_bytes = maximum_used_bytes,
          .isolator = std::move(isolator)};
}

std::string DescribeWaitStatus(int wait_status) {
  if (WIFEXITED(wait_status)) {
    return absl::StrCat("exited with status ", WEXITSTATUS(wait_status));
  }
  if (!WIFSIGNALED(wait_status)) return absl::StrCat("ended with wait status ", wait_status);
  const char* name = sigabbrev_np(WTERMSIG(wait_status));
  return absl::StrCat(
      "terminated with signal ",
      name == nullptr ? absl::StrCat(WTERMSIG(wait_status)) : absl::StrCat("SIG", name),
      WCOREDUMP(wait_status) ? " (core dumped)" : "");
}

}  // namespace tessera::agent
