// Launching a container: StartContainer from top to bottom, and what undoes it.

#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/agent/launcher/wire.h"
#include "services/agent/runtime/host_user.h"
#include "services/agent/runtime/init_channel.h"
#include "services/agent/runtime/linux_container_runtime.h"
#include "services/agent/runtime/start_frame.h"
#include "services/base/status_macros.h"

namespace tessera::agent {
namespace {

LaunchFailure Failure(LaunchStep step, const absl::Status& status) {
  return {.step = step, .error_number = 0, .message = std::string(status.message())};
}

LaunchFailure Aborted(const std::string& message) {
  return {.step = LaunchStep::kAborted, .error_number = 0, .message = message};
}

// In the order of the bits.
std::array<std::pair<uint32_t, const NamespaceChoice*>, wire::kNamespaceKinds> Choices(
    const PlannedNamespaces& n) {
  return {{{wire::kPid, &n.pid},
           {wire::kIpc, &n.ipc},
           {wire::kUts, &n.uts},
           {wire::kNet, &n.net},
           {wire::kCgroup, &n.cgroup},
           {wire::kMount, &n.mnt}}};
}

}  // namespace

void LinuxContainerRuntime::Launch(ContainerSpec spec, LaunchCallback done) {
  std::optional<LaunchFailure> refused;
  auto container = std::make_shared<LinuxContainer>();
  container->id = spec.container_id;
  container->resources = spec.resources;
  const absl::Status valid = ValidateContainerSpec(spec);
  if (!valid.ok()) {
    refused = Failure(LaunchStep::kSpec, valid);
  } else {
    absl::MutexLock lock(&mutex_);
    refused = recovered_ ? table_.Add(container) : Aborted("the runtime has not recovered yet");
  }
  if (!refused.has_value()) {
    const bool queued = workers_->Submit(
        [this, container, spec = std::move(spec), done] { RunLaunch(container, spec, done); });
    if (queued) return;
    absl::MutexLock lock(&mutex_);
    table_.Forget(*container);
    if (container->pod != nullptr) EndPodIfEmptyLocked(container->pod);
    refused = Aborted("too many launches are waiting");
  }
  {
    absl::MutexLock lock(&mutex_);
    ++counters_.launch_failures;
  }
  workers_->SubmitUrgent(
      [done = std::move(done), failure = *std::move(refused)] { done(failure); });
}

void LinuxContainerRuntime::RunLaunch(const ContainerPointer& container, const ContainerSpec& spec,
                                      const LaunchCallback& done) {
  Attempt attempt;
  LaunchResult result = StartContainer(container, spec, &attempt);
  if (std::holds_alternative<LaunchFailure>(result)) {
    Unmake(container, &attempt);
    done(std::move(result));
    return;
  }
  int pidfd;
  int events;
  {
    absl::MutexLock lock(&mutex_);
    container->phase = LinuxContainer::Phase::kRunning;
    ++counters_.launches;
    pidfd = container->pidfd.get();
    events = container->events.get();
  }
  done(std::move(result));
  watcher_->Watch(container->serial, pidfd, events);
}

LaunchResult LinuxContainerRuntime::StartContainer(const ContainerPointer& container,
                                                   const ContainerSpec& spec, Attempt* attempt) {
  const absl::StatusOr<HostUser> user = ResolveHostUser(spec.user);
  if (!user.ok()) return Failure(LaunchStep::kUser, user.status());
  const absl::StatusOr<IsolationPlan> plan = parts_->isolation.Plan(spec, *user);
  if (!plan.ok()) return Failure(LaunchStep::kSpec, plan.status());
  const absl::StatusOr<std::string> frame = StartFrame(spec, *user, *plan);
  if (!frame.ok()) return Failure(LaunchStep::kSpec, frame.status());
  const absl::StatusOr<SandboxFiles> output = parts_->executor.OpenSandbox(spec.sandbox, *user);
  if (!output.ok()) return Failure(LaunchStep::kSandbox, output.status());

  absl::StatusOr<PreparedInit> init = ObtainInit(container, plan->namespaces);
  if (!init.ok()) {
    const bool joined = absl::IsNotFound(init.status());
    return Failure(joined ? LaunchStep::kPod : LaunchStep::kClone, init.status());
  }
  attempt->init = *std::move(init);
  attempt->has_init = true;
  ContainerState state;
  state.cgroup = attempt->init.cgroup;
  state.own_pids = plan->namespaces.pid.own();
  state.host_network = plan->namespaces.net == NamespaceChoice::Host();
  state.resources = spec.resources;
  state.undo = StepRunner::KernelUndos(*plan);
  state.identity = {.init_pid = attempt->init.pid,
                    .init_start_ticks = attempt->init.start_ticks,
                    .boot_id = parts_->boot_id};
  {
    absl::MutexLock lock(&mutex_);
    if (container->kill_requested) return Aborted("destroyed before it was started");
    if (!recovered_) return Aborted("the agent is ending");
    container->cgroup = state.cgroup;
    container->identity = state.identity;
    container->own_pids = state.own_pids;
    container->host_network = state.host_network;
    container->undo = state.undo;
    container->pidfd = std::move(attempt->init.pidfd);
    container->events = std::move(attempt->init.events);
    container->mount_namespace = std::move(attempt->init.mount_namespace);
  }

  // Every undo is written down before the first step acts.
  attempt->wrote_undo = true;
  const absl::Status written = parts_->runner.WriteDown(spec.container_id, *plan);
  if (!written.ok()) return Failure(LaunchStep::kState, written);
  const absl::StatusOr<base::UniqueFd> state_file = parts_->states.Write(spec.container_id, state);
  if (!state_file.ok()) return Failure(LaunchStep::kState, state_file.status());
  attempt->has_state_file = true;
  for (const Phase phase : {Phase::kHost, Phase::kCloned}) {
    const absl::Status ran = parts_->runner.Run(*plan, phase, state.cgroup);
    if (!ran.ok()) return Failure(LaunchStep::kCgroup, ran);
  }

  // After the host steps, which may make what is taken here.
  const absl::StatusOr<std::vector<base::UniqueFd>> trees = parts_->executor.TakeTrees(*plan);
  if (!trees.ok()) return Failure(LaunchStep::kFilesystem, trees.status());
  std::vector<int> descriptors = {state_file->get(), parts_->null.get(),
                                  output->standard_output.get(), output->standard_error.get()};
  for (const base::UniqueFd& tree : *trees) descriptors.push_back(tree.get());
  LaunchedContainer launched;
  auto failure = StartInit(attempt->init.control.get(), *frame, descriptors, launch_timeout_,
                           spec.user, &launched.started);
  if (failure.has_value()) return *std::move(failure);
  const absl::Status started = parts_->runner.Run(*plan, Phase::kStarted, state.cgroup);
  if (!started.ok()) return Failure(LaunchStep::kCgroup, started);
  launched.container_id = spec.container_id;
  launched.identity = state.identity;
  launched.cgroup_paths = parts_->tree.Paths(state.cgroup);
  return launched;
}

absl::StatusOr<PreparedInit> LinuxContainerRuntime::ObtainInit(
    const ContainerPointer& container, const PlannedNamespaces& namespaces) {
  const std::optional<Shape> shape = ShapeOf(namespaces);
  if (shape.has_value() && container->pod == nullptr) return parts_->park.Take(*shape);
  CloneOrder order;
  for (const auto& [bit, choice] : Choices(namespaces)) {
    if (choice->own()) order.made |= bit;
    if (!choice->joins()) continue;
    order.joined |= bit;
    ASSIGN_OR_RETURN(const ContainerIdentity owner, OwnerOf(bit, choice->of));
    ASSIGN_OR_RETURN(base::UniqueFd opened, parts_->executor.OpenNamespace(owner, bit));
    order.join.push_back(std::move(opened));
  }
  return parts_->park.Make(container->pod == nullptr ? "" : container->pod->cgroup,
                           std::move(order));
}

absl::StatusOr<ContainerIdentity> LinuxContainerRuntime::OwnerOf(uint32_t kind,
                                                                 const ContainerId& of) {
  absl::MutexLock lock(&mutex_);
  const auto pod = table_.pods.find(of);
  if (pod != table_.pods.end()) {
    if ((pod->second->namespaces & kind) != 0) return pod->second->keeper;
    return absl::NotFoundError(
        absl::StrCat("pod \"", of.text(), "\" keeps no namespace of that kind to join"));
  }
  const ContainerPointer container = table_.FindLive(of);
  if (container == nullptr || container->phase != LinuxContainer::Phase::kRunning) {
    return absl::NotFoundError(
        absl::StrCat("no running container \"", of.text(), "\" to join a namespace of"));
  }
  return container->identity;
}

void LinuxContainerRuntime::Unmake(const ContainerPointer& container, Attempt* attempt) {
  {
    absl::MutexLock lock(&mutex_);
    if (container->pidfd.valid()) attempt->init.pidfd = std::move(container->pidfd);
    if (container->mount_namespace.valid()) {
      attempt->init.mount_namespace = std::move(container->mount_namespace);
    }
    container->events.reset();
  }
  if (attempt->has_init) {
    AbandonInit(&parts_->executor, &attempt->init);
    if (!container->own_pids) parts_->executor.KillCgroup(attempt->init.cgroup).IgnoreError();
    parts_->reaper.Remove(attempt->init.cgroup, std::move(attempt->init.mount_namespace));
  }
  if (attempt->wrote_undo) TakeBack(container);
  absl::MutexLock lock(&mutex_);
  // What could not be taken back is for the next agent, which finds it here.
  if (attempt->has_state_file && container->undone == LinuxContainer::Undo::kDone) {
    parts_->states.Remove(container->id);
  }
  ++counters_.launch_failures;
  table_.Forget(*container);
  if (container->pod != nullptr) EndPodIfEmptyLocked(container->pod);
}

}  // namespace tessera::agent
