#include "services/agent/runtime/linux_container_runtime.h"

#include <errno.h>
#include <signal.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "services/agent/launcher/wire.h"
#include "services/agent/runtime/container_files.h"
#include "services/base/file_io.h"

namespace tessera::agent {
namespace {

absl::Status NotRunning(const ContainerId& id) {
  return absl::NotFoundError(absl::StrCat("no running container \"", id.text(), "\""));
}

}  // namespace

absl::StatusOr<std::unique_ptr<LinuxContainerRuntime>> LinuxContainerRuntime::Create(
    LinuxRuntimeOptions options, TerminationCallback on_terminated) {
  absl::StatusOr<std::unique_ptr<RuntimeParts>> parts = MakeRuntimeParts(options);
  if (!parts.ok()) return parts.status();
  return std::unique_ptr<LinuxContainerRuntime>(
      new LinuxContainerRuntime(options, std::move(on_terminated), *std::move(parts)));
}

LinuxContainerRuntime::LinuxContainerRuntime(const LinuxRuntimeOptions& options,
                                             TerminationCallback on_terminated,
                                             std::unique_ptr<RuntimeParts> parts)
    : launch_timeout_(options.launch_timeout),
      on_terminated_(std::move(on_terminated)),
      parts_(std::move(parts)),
      workers_(std::make_unique<WorkerPool>(options.workers, options.queue_limit)),
      watcher_(std::make_unique<ContainerWatcher>(
          [this](uint64_t serial, ContainerWatcher::Event event) { HandleWatch(serial, event); })) {
}

LinuxContainerRuntime::~LinuxContainerRuntime() {
  // Running launches still set watches, so the workers go first; a watch that then fires finds the
  // table closed.
  {
    absl::MutexLock lock(&mutex_);
    recovered_ = false;
    table_.by_serial.clear();
  }
  workers_.reset();
  watcher_.reset();
}

RuntimeCounters LinuxContainerRuntime::Counters() const {
  absl::MutexLock lock(&mutex_);
  RuntimeCounters counters = counters_;
  counters.running = static_cast<uint64_t>(std::count_if(
      table_.all.begin(), table_.all.end(),
      [](const auto& entry) { return entry.second->phase == LinuxContainer::Phase::kRunning; }));
  counters.prepared_containers = parts_->park.in_stock();
  counters.cgroups_to_remove = parts_->reaper.waiting();
  counters.cgroup_removal_retries = parts_->reaper.retries();
  counters.launcher_restarts = parts_->launcher.restarts();
  return counters;
}

void LinuxContainerRuntime::HandleWatch(uint64_t serial, ContainerWatcher::Event event) {
  absl::MutexLock lock(&mutex_);
  if (table_.by_serial.count(serial) == 0) return;
  switch (event) {
    case ContainerWatcher::Event::kEnded:
      workers_->SubmitUrgent([this, serial] { RunFinish(serial); });
      return;
    case ContainerWatcher::Event::kLimitReached:
      workers_->SubmitUrgent([this, serial] { RunLimitReached(serial); });
      return;
    case ContainerWatcher::Event::kDeadline:
      KillLocked(table_.by_serial[serial].get());
      return;
  }
}

void LinuxContainerRuntime::Destroy(const ContainerId& container_id, StatusCallback done) {
  Kill(container_id, absl::ZeroDuration(), std::move(done));
}

void LinuxContainerRuntime::Kill(const ContainerId& container_id, absl::Duration grace,
                                 StatusCallback done) {
  workers_->SubmitUrgent(
      [this, container_id, grace, done = std::move(done)] { RunKill(container_id, grace, done); });
}

void LinuxContainerRuntime::RunKill(const ContainerId& id, absl::Duration grace,
                                    const StatusCallback& done) {
  const ContainerPointer container = RequestKill(id);
  if (container == nullptr) return done(NotRunning(id));
  pid_t init = 0;
  {
    absl::MutexLock lock(&mutex_);
    init = static_cast<pid_t>(container->identity.init_pid);
    if (container->phase == LinuxContainer::Phase::kLaunching || grace <= absl::ZeroDuration()) {
      KillLocked(container.get());
    } else if (container->phase == LinuxContainer::Phase::kRunning) {
      parts_->executor.Signal(container->pidfd.get(), SIGTERM);
      watcher_->SetDeadline(container->serial, absl::Now() + grace);
    }
  }
  // Init can reach all only in a pid namespace of its own.
  if (!container->own_pids && grace > absl::ZeroDuration()) {
    parts_->executor.SignalCgroup(container->cgroup, SIGTERM, init);
  }
  done(absl::OkStatus());
}

void LinuxContainerRuntime::Signal(const ContainerId& container_id, int signal_number,
                                   StatusCallback done) {
  if (signal_number == SIGKILL) return Destroy(container_id, std::move(done));
  workers_->SubmitUrgent([this, container_id, signal_number, done = std::move(done)] {
    int error = ESRCH;
    {
      absl::MutexLock lock(&mutex_);
      const ContainerPointer container = table_.FindLive(container_id);
      if (container != nullptr && container->phase == LinuxContainer::Phase::kRunning) {
        error = parts_->executor.Signal(container->pidfd.get(), signal_number);
      }
    }
    if (error == 0) return done(absl::OkStatus());
    done(error == ESRCH ? NotRunning(container_id)
                        : base::ErrnoStatus(
                              error, absl::StrCat("send signal ", signal_number, " to container"),
                              container_id.text()));
  });
}

void LinuxContainerRuntime::Update(const ContainerId& container_id, ContainerResources resources,
                                   StatusCallback done) {
  workers_->SubmitUrgent([this, container_id, resources, done = std::move(done)] {
    RunUpdate(container_id, resources, done);
  });
}

void LinuxContainerRuntime::RunUpdate(const ContainerId& id, const ContainerResources& resources,
                                      const StatusCallback& done) {
  ContainerPointer container;
  ContainerResources before;
  {
    absl::MutexLock lock(&mutex_);
    container = table_.FindLive(id);
    if (container != nullptr && container->phase != LinuxContainer::Phase::kRunning)
      container = nullptr;
    if (container != nullptr) before = container->resources;
  }
  if (container == nullptr) return done(NotRunning(id));
  absl::Status status = parts_->isolation.CheckUpdate(resources);
  if (!status.ok()) return done(status);
  const ContainerResources after = AfterUpdate(before, resources);
  status = parts_->runner.Run(parts_->isolation.PlanUpdate(before, after), Phase::kCloned,
                              container->cgroup);
  if (!status.ok()) return done(absl::InternalError(status.message()));
  status = parts_->states.AppendResources(id, after);
  if (!status.ok()) return done(status);
  {
    absl::MutexLock lock(&mutex_);
    container->resources = after;
  }
  done(absl::OkStatus());
}

void LinuxContainerRuntime::ReadUsage(const ContainerId& container_id, UsageCallback done) {
  workers_->SubmitUrgent(
      [this, container_id, done = std::move(done)] { RunReadUsage(container_id, done); });
}

void LinuxContainerRuntime::RunReadUsage(const ContainerId& id, const UsageCallback& done) {
  std::string cgroup;
  pid_t network_pid = 0;
  ContainerUsage usage;
  {
    absl::MutexLock lock(&mutex_);
    const ContainerPointer container = table_.FindLive(id);
    const auto pod = table_.pods.find(id);
    if (container != nullptr && container->phase == LinuxContainer::Phase::kRunning) {
      cgroup = container->cgroup;
      usage.cpus_limit_milli = container->resources.cpu_limit_milli;
      if (!container->host_network) {
        network_pid = static_cast<pid_t>(container->identity.init_pid);
      }
    } else if (pod != table_.pods.end() && pod->second->phase == LinuxPod::Phase::kReady) {
      cgroup = pod->second->cgroup;
      usage.cpus_limit_milli = pod->second->limits.cpu_limit_milli;
      if ((pod->second->namespaces & wire::kNet) != 0) {
        network_pid = static_cast<pid_t>(pod->second->keeper.init_pid);
      }
    }
  }
  if (cgroup.empty()) return done(NotRunning(id));
  usage.taken = absl::Now();
  parts_->isolation.ReadUsage(LiveContainerFiles(&parts_->tree, cgroup, "", network_pid), &usage);
  done(usage);
}

void LinuxContainerRuntime::Release(const ContainerId& container_id, StatusCallback done) {
  workers_->SubmitUrgent(
      [this, container_id, done = std::move(done)] { RunRelease(container_id, done); });
}

}  // namespace tessera::agent
