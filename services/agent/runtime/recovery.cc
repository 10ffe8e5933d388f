// Finding the containers of an earlier agent again.
//
// The state files say which containers there were, pid and start time whether their inits live.
// What lives and is expected is watched on; what lives and is not is destroyed; cgroups that no
// living container owns (such as those of inits that were only parked) are emptied and removed.

#include <dirent.h>
#include <glog/logging.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "services/agent/runtime/linux_container_runtime.h"
#include "services/agent/runtime/process_identity.h"
#include "services/base/file_io.h"

namespace tessera::agent {
namespace {

constexpr int kOrphanEndMilliseconds = 10'000;

}  // namespace

void LinuxContainerRuntime::Recover(ExpectedContainers expected, RecoveryCallback done) {
  workers_->SubmitUrgent([this, expected = std::move(expected), done = std::move(done)] {
    const bool repeated = [this] {
      absl::MutexLock lock(&mutex_);
      return recovered_;
    }();
    if (repeated) return done(absl::FailedPreconditionError("Recover was called before"));
    RecoveryResult result = RunRecovery(expected);
    std::vector<std::pair<uint64_t, std::pair<int, int>>> watches;
    {
      absl::MutexLock lock(&mutex_);
      recovered_ = true;
      for (const auto& [serial, container] : by_serial_) {
        watches.push_back({serial, {container->pidfd.get(), container->oom.get()}});
      }
    }
    done(std::move(result));
    // Only now, so that no termination overtakes the answer.
    for (const auto& [serial, files] : watches) watcher_->Watch(serial, files.first, files.second);
  });
}

std::vector<ContainerId> LinuxContainerRuntime::StateFileIds() const {
  std::vector<ContainerId> ids;
  const std::string path = options_.runtime_dir + "/containers";
  DIR* directory = opendir(path.c_str());
  if (directory == nullptr) return ids;
  while (const dirent* entry = readdir(directory)) {
    if (ContainerId(entry->d_name).Validate().ok()) ids.emplace_back(entry->d_name);
  }
  closedir(directory);
  std::sort(ids.begin(), ids.end());
  return ids;
}

RecoveryResult LinuxContainerRuntime::RunRecovery(const ExpectedContainers& expected) {
  RecoveryResult result;
  for (const ContainerId& id : expected.pods) {
    result.pods.push_back({.pod_id = id, .lost = "this runtime has no pods yet"});
  }
  for (const ContainerId& id : expected.containers) {
    result.containers.push_back(RecoverContainer(id));
  }
  const std::set<ContainerId> asked_for(expected.containers.begin(), expected.containers.end());
  for (const ContainerId& id : StateFileIds()) {
    if (asked_for.count(id) == 0 && DestroyOrphan(id)) result.destroyed_orphans.push_back(id);
  }

  std::set<std::string> owned;
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& [serial, container] : by_serial_) owned.insert(container->cgroup);
  }
  uint64_t highest = 0;
  for (const std::string& cgroup : tree_.List()) {
    uint64_t number = 0;
    if (absl::SimpleAtoi(absl::StripPrefix(cgroup, "c"), &number)) {
      highest = std::max(highest, number);
    }
    if (owned.count(cgroup) > 0) continue;
    const absl::Status killed = tree_.KillAll(cgroup);
    LOG_IF(ERROR, !killed.ok()) << "orphaned cgroup: " << killed.message();
    reaper_.Remove(cgroup, {});
  }
  park_.Start(highest + 1);
  return result;
}

RecoveredContainer LinuxContainerRuntime::RecoverContainer(const ContainerId& id) {
  const auto lost = [&id](std::string reason) {
    return RecoveredContainer{id, RecoveredContainer::Lost{std::move(reason)}};
  };
  if (!id.Validate().ok()) return lost("not a container id");
  absl::StatusOr<std::string> contents = base::ReadFile(StatePath(id));
  if (!contents.ok()) return lost("it was never launched");
  absl::StatusOr<ContainerState> state = ParseState(*contents);
  if (!state.ok()) {
    unlink(StatePath(id).c_str());
    return lost(absl::StrCat("its state file is damaged: ", state.status().message()));
  }
  auto container = std::make_shared<Container>();
  container->id = id;
  container->cgroup = state->cgroup;
  container->identity = state->identity;
  container->own_pids = state->own_pids;
  container->resources = state->resources;
  container->kill_requested = state->killed;

  absl::StatusOr<base::UniqueFd> pidfd = OpenProcess(state->identity, boot_id_);
  if (!state->started.has_value()) {
    // The earlier agent ended in the middle of the launch and has told nobody that it succeeded.
    if (pidfd.ok()) {
      SendSignal(pidfd->get(), SIGKILL);
      WaitForEnd(pidfd->get(), kOrphanEndMilliseconds);
    }
    unlink(StatePath(id).c_str());
    return lost("its launch was cut short");
  }
  if (pidfd.ok()) {
    container->phase = Container::Phase::kRunning;
    container->pidfd = *std::move(pidfd);
    container->oom = tree_.WatchOom(state->cgroup);
    container->mount_namespace = OpenMountNamespace(static_cast<pid_t>(state->identity.init_pid));
    LaunchedContainer launched{.container_id = id,
                               .identity = state->identity,
                               .started = *state->started,
                               .cgroup_paths = tree_.Paths(state->cgroup)};
    // Memory may have run out while nobody watched.
    const absl::StatusOr<std::string> oom =
        tree_.Read(state->cgroup, CgroupController::kMemory, "memory.oom_control");
    absl::MutexLock lock(&mutex_);
    if (oom.ok() && absl::StrContains(*oom, "\noom_kill ") &&
        !absl::StrContains(*oom, "\noom_kill 0")) {
      container->out_of_memory = true;
      SendSignal(container->pidfd.get(), SIGKILL);
    }
    container->serial = next_serial_++;
    by_serial_[container->serial] = container;
    containers_[id] = container;
    return {id, RecoveredContainer::Running{std::move(launched), state->killed}};
  }

  const bool rebooted = state->identity.boot_id != boot_id_;
  if (rebooted && !state->exit.has_value()) {
    unlink(StatePath(id).c_str());
    return lost("the machine was rebooted while it ran");
  }
  if (!rebooted && !state->own_pids) tree_.KillAll(state->cgroup).IgnoreError();
  ContainerTermination termination = DescribeEnd(id, state->cgroup, false, false);
  container->phase = Container::Phase::kTerminated;
  absl::MutexLock lock(&mutex_);
  containers_[id] = container;
  return {id, RecoveredContainer::Terminated{std::move(termination)}};
}

bool LinuxContainerRuntime::DestroyOrphan(const ContainerId& id) {
  const absl::StatusOr<std::string> contents = base::ReadFile(StatePath(id));
  const absl::StatusOr<ContainerState> state =
      contents.ok() ? ParseState(*contents) : absl::StatusOr<ContainerState>(contents.status());
  bool ran = false;
  if (state.ok()) {
    const absl::StatusOr<base::UniqueFd> pidfd = OpenProcess(state->identity, boot_id_);
    if (pidfd.ok()) {
      ran = true;
      SendSignal(pidfd->get(), SIGKILL);
      LOG_IF(ERROR, !WaitForEnd(pidfd->get(), kOrphanEndMilliseconds))
          << "orphaned container " << id.text() << " does not end";
    }
  }
  unlink(StatePath(id).c_str());
  return ran;
}

}  // namespace tessera::agent
