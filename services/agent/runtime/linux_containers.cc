#include "services/agent/runtime/linux_containers.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace tessera::agent {

std::optional<LaunchFailure> LinuxContainers::Add(const ContainerPointer& container) {
  const ContainerId& id = container->id;
  if (id.has_parent()) {
    const auto pod = pods.find(id.Pod());
    if (pod == pods.end() || pod->second->phase != LinuxPod::Phase::kReady) {
      return LaunchFailure{LaunchStep::kPod, 0, absl::StrCat("no pod \"", id.Pod().text(), "\"")};
    }
    const ContainerId parent = id.Parent();
    const ContainerPointer above = FindLive(parent);
    const bool above_runs = above != nullptr && !above->kill_requested &&
                            above->phase == LinuxContainer::Phase::kRunning;
    if (parent != pod->first && !above_runs) {
      return LaunchFailure{LaunchStep::kPod, 0,
                           absl::StrCat("no running container \"", parent.text(), "\"")};
    }
    container->pod = pod->second;
  }
  if (pods.count(id) > 0 || !all.try_emplace(id, container).second) {
    return LaunchFailure{LaunchStep::kSpec, 0,
                         absl::StrCat("container \"", id.text(), "\" exists already")};
  }
  container->serial = next_serial_++;
  by_serial[container->serial] = container;
  return std::nullopt;
}

void LinuxContainers::AddRecovered(const ContainerPointer& container) {
  container->serial = next_serial_++;
  by_serial[container->serial] = container;
  all[container->id] = container;
}

void LinuxContainers::Forget(const LinuxContainer& container) {
  by_serial.erase(container.serial);
  all.erase(container.id);
}

ContainerPointer LinuxContainers::FindLive(const ContainerId& id) const {
  const auto found = all.find(id);
  if (found == all.end() || found->second->phase == LinuxContainer::Phase::kTerminated) {
    return nullptr;
  }
  return found->second;
}

std::vector<ContainerId> LinuxContainers::UnfinishedBelow(const ContainerId& id) const {
  std::vector<ContainerId> below;
  for (auto it = all.upper_bound(id); it != all.end(); ++it) {
    if (!absl::StartsWith(it->first.text(), id.text())) break;
    if (!id.IsAncestorOf(it->first)) continue;
    if (it->second->phase != LinuxContainer::Phase::kTerminated ||
        it->second->undone == LinuxContainer::Undo::kPending) {
      below.push_back(it->first);
    }
  }
  return below;
}

}  // namespace tessera::agent
