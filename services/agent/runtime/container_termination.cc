#include <string.h>
#include <sys/wait.h>

#include "absl/strings/str_cat.h"
#include "services/agent/runtime/container_runtime.h"

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
    case LaunchStep::kAborted:
      return "aborted";
  }
  return "unknown";
}

ContainerLimitation MemoryLimitation(int64_t requested_bytes, int64_t maximum_used_bytes) {
  // Megabytes as users name them: MiB, rounded up.
  const auto megabytes = [](int64_t bytes) { return (bytes + (1 << 20) - 1) >> 20; };
  return {.resource = ContainerLimitation::Resource::kMemory,
          .message = absl::StrCat("memory limit exceeded: requested ", megabytes(requested_bytes),
                                  " MB, used maximum ", megabytes(maximum_used_bytes), " MB"),
          .requested_bytes = requested_bytes,
          .maximum_used_bytes = maximum_used_bytes};
}

std::string DescribeWaitStatus(int wait_status) {
  if (WIFEXITED(wait_status)) {
    return absl::StrCat("exited with status ", WEXITSTATUS(wait_status));
  }
  if (WIFSIGNALED(wait_status)) {
    const int signal_number = WTERMSIG(wait_status);
    const char* name = sigabbrev_np(signal_number);
    return absl::StrCat("killed by signal ", signal_number, name == nullptr ? "" : " (SIG",
                        name == nullptr ? "" : name, name == nullptr ? "" : ")");
  }
  return absl::StrCat("ended with wait status ", wait_status);
}

}  // namespace tessera::agent
