#include "services/agent/runtime/end_report.h"

#include <glog/logging.h>
#include <signal.h>

#include <utility>

#include "absl/time/clock.h"
#include "services/agent/runtime/container_files.h"

namespace tessera::agent {

Limits LimitsOf(const LinuxContainer& container) {
  Limits limits{.own = container.resources, .pod = std::nullopt};
  if (container.pod != nullptr) limits.pod = container.pod->limits;
  return limits;
}

std::optional<ContainerLimitation> JudgeLimits(const RuntimeParts& parts,
                                               const LinuxContainer& container,
                                               const Limits& limits, bool told) {
  // Set once, before the pod had containers.
  const std::string pod_cgroup = container.pod == nullptr ? "" : container.pod->cgroup;
  return parts.isolation.Judge(
      limits, LiveContainerFiles(&parts.tree, container.cgroup, pod_cgroup, 0), told);
}

ContainerTermination ReportEnd(const RuntimeParts& parts, const LinuxContainer& container,
                               const Limits& limits, bool killed, bool told) {
  const ContainerId& id = container.id;
  ContainerTermination end;
  end.container_id = id;
  end.kill_requested = killed;
  end.wait_status = SIGKILL;
  end.ended = absl::Now();
  absl::StatusOr<ContainerState> read = parts.states.Read(id);
  LOG_IF(ERROR, !read.ok()) << "the state of container " << id
                            << " is lost: " << read.status().message();
  const ContainerState state = read.ok() ? *std::move(read) : ContainerState();
  end.kill_requested |= state.killed;
  if (state.exit.has_value()) {
    end.command_exited = true;
    end.wait_status = state.exit->wait_status;
    end.ended = state.exit->ended;
    end.user_time = state.exit->user_time;
    end.system_time = state.exit->system_time;
    end.maximum_rss_bytes = state.exit->maximum_rss_bytes;
  }
  end.limitation = state.limitation;
  if (!end.limitation.has_value()) {
    end.limitation = JudgeLimits(parts, container, limits, told);
    if (end.limitation.has_value()) {
      // The cgroup goes; what it told must stay.
      const absl::Status noted = parts.states.Append(id, FormatLimitation(*end.limitation));
      LOG_IF(ERROR, !noted.ok()) << "cannot note the limitation of container " << id << ": "
                                 << noted.message();
    }
  }
  end.message =
      end.limitation.has_value() ? end.limitation->message : DescribeWaitStatus(end.wait_status);
  return end;
}

}  // namespace tessera::agent
