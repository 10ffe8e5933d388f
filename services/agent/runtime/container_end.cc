// The end of a container: who asks for it, what is told of it, what is taken back, and when it is
// forgotten.

#include <glog/logging.h>
#include <signal.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "services/agent/runtime/end_report.h"
#include "services/agent/runtime/linux_container_runtime.h"

namespace tessera::agent {

// Null when no such container lives. What is being killed is known to the next agent, too, though
// this one may end before it has written down why.
ContainerPointer LinuxContainerRuntime::RequestKill(const ContainerId& id) {
  ContainerPointer container;
  {
    absl::MutexLock lock(&mutex_);
    container = table_.FindLive(id);
    if (container == nullptr || std::exchange(container->kill_requested, true)) return container;
  }
  const absl::Status noted = parts_->states.Append(id, FormatKilled());
  // One that is only being launched may have no file yet: then it has not started either.
  LOG_IF(ERROR, !noted.ok() && !absl::IsNotFound(noted))
      << "cannot note the kill of container " << id << ": " << noted.message();
  return container;
}

// With a pid namespace init's end is everybody's. Without one its cgroup is swept when init has
// ended.
void LinuxContainerRuntime::KillLocked(LinuxContainer* container) {
  container->kill_requested = true;
  if (container->pidfd.valid()) parts_->executor.Signal(container->pidfd.get(), SIGKILL);
}

void LinuxContainerRuntime::RunLimitReached(uint64_t serial) {
  absl::MutexLock lock(&mutex_);
  const auto found = table_.by_serial.find(serial);
  if (found == table_.by_serial.end()) return;
  found->second->limit_told = true;
  if (found->second->pidfd.valid()) {
    parts_->executor.Signal(found->second->pidfd.get(), SIGKILL);
  }
}

void LinuxContainerRuntime::RunFinish(uint64_t serial) {
  ContainerPointer container;
  std::vector<ContainerId> below;
  bool limit_told = false;
  bool kill_requested = false;
  Limits limits;
  {
    absl::MutexLock lock(&mutex_);
    const auto found = table_.by_serial.find(serial);
    if (found == table_.by_serial.end()) return;
    container = found->second;
    uint64_t events = 0;
    if (container->events.valid() && read(container->events.get(), &events, sizeof(events)) > 0) {
      container->limit_told = true;
    }
    limit_told = container->limit_told;
    kill_requested = container->kill_requested;
    limits = LimitsOf(*container);
    below = table_.UnfinishedBelow(container->id);
  }
  watcher_->ClearDeadline(serial);
  for (const ContainerId& id : below) RunKill(id, absl::ZeroDuration(), [](const auto&) {});
  if (!container->own_pids) {
    const absl::Status killed = parts_->executor.KillCgroup(container->cgroup);
    LOG_IF(ERROR, !killed.ok()) << "container " << container->id << ": " << killed.message();
  }
  const ContainerTermination termination =
      ReportEnd(*parts_, *container, limits, kill_requested, limit_told);
  base::UniqueFd mount_namespace;
  {
    absl::MutexLock lock(&mutex_);
    // The runtime is ending: the next one will find this end in the state file.
    if (table_.by_serial.erase(serial) == 0) return;
    container->phase = LinuxContainer::Phase::kTerminated;
    container->pidfd.reset();
    container->events.reset();
    mount_namespace = std::move(container->mount_namespace);
    ++counters_.terminations;
    if (termination.limitation.has_value() &&
        termination.limitation->resource == ContainerLimitation::Resource::kMemory) {
      ++counters_.memory_limitations;
    }
  }
  parts_->reaper.Remove(container->cgroup, std::move(mount_namespace));
  on_terminated_(termination);
  // Off the path of the end: an undo may take its time.
  TakeBack(container);
  std::vector<StatusCallback> releases;
  {
    absl::MutexLock lock(&mutex_);
    releases.swap(container->releases);
    if (container->pod != nullptr) EndPodIfEmptyLocked(container->pod);
  }
  for (const StatusCallback& done : releases) RunRelease(container->id, done);
}

void LinuxContainerRuntime::TakeBack(const ContainerPointer& container) {
  const absl::Status undone = parts_->runner.TakeBack(container->id, container->undo);
  LOG_IF(ERROR, !undone.ok()) << "cannot take back what container " << container->id
                              << " has made; the next agent will try again: " << undone.message();
  absl::MutexLock lock(&mutex_);
  container->undone = undone.ok() ? LinuxContainer::Undo::kDone : LinuxContainer::Undo::kFailed;
}

void LinuxContainerRuntime::RunRelease(const ContainerId& id, const StatusCallback& done) {
  absl::Status status = id.Validate();
  if (!status.ok()) return done(status);
  ContainerPointer container;
  {
    absl::MutexLock lock(&mutex_);
    const auto found = table_.all.find(id);
    if (found != table_.all.end()) container = found->second;
    if (container != nullptr && container->phase != LinuxContainer::Phase::kTerminated) {
      status = absl::FailedPreconditionError(
          absl::StrCat("container \"", id.text(), "\" still runs; destroy it first"));
    } else if (container != nullptr && container->undone == LinuxContainer::Undo::kPending) {
      // RunFinish is still at it, and comes back here.
      container->releases.push_back(done);
      return;
    }
  }
  if (!status.ok()) return done(status);
  if (container != nullptr && container->undone == LinuxContainer::Undo::kFailed)
    TakeBack(container);
  {
    absl::MutexLock lock(&mutex_);
    if (container == nullptr || container->undone == LinuxContainer::Undo::kDone) {
      table_.all.erase(id);
      parts_->states.Remove(id);
    } else {
      status = absl::InternalError(
          absl::StrCat("not all that container \"", id.text(), "\" has made could be taken back"));
    }
  }
  done(status);
}

}  // namespace tessera::agent
