// Pods: their cgroup, their keeper, their end.
//
// A pod's keeper is an init without a command. It lives in the pod's cgroup and in the namespaces
// that the pod keeps; containers join those by its descriptors. So a pod needs no container to stay
// what it is, and its first container is like any other.

#include <glog/logging.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "services/agent/launcher/wire.h"
#include "services/agent/runtime/host_user.h"
#include "services/agent/runtime/init_channel.h"
#include "services/agent/runtime/linux_container_runtime.h"
#include "services/agent/runtime/process_identity.h"
#include "services/agent/runtime/start_frame.h"

namespace tessera::agent {
namespace {

LaunchFailure Failure(LaunchStep step, const absl::Status& status) {
  return {.step = step, .error_number = 0, .message = std::string(status.message())};
}

uint32_t Bits(const PodSpec::Namespaces& n) {
  return (n.pid ? wire::kPid : 0u) | (n.ipc ? wire::kIpc : 0u) | (n.uts ? wire::kUts : 0u) |
         (n.net ? wire::kNet : 0u);
}

absl::Status NoPod(const ContainerId& id) {
  return absl::NotFoundError(absl::StrCat("no pod \"", id.text(), "\""));
}

// In the pod's cgroup, with the namespaces that the pod keeps.
std::optional<LaunchFailure> StartKeeper(RuntimeParts* parts, const PodState& pod,
                                         const IsolationPlan& plan, absl::Duration timeout,
                                         ContainerIdentity* keeper) {
  CloneOrder order;
  order.made = pod.namespaces | wire::kMount;
  absl::StatusOr<PreparedInit> init = parts->park.Make(pod.cgroup, std::move(order));
  if (!init.ok()) return Failure(LaunchStep::kClone, init.status());
  absl::Time started;
  // When it fails, the undo of the pod's cgroup ends the keeper.
  if (auto failure = StartInit(init->control.get(), KeeperFrame(plan), {}, timeout, "", &started)) {
    return failure;
  }
  *keeper = {
      .init_pid = init->pid, .init_start_ticks = init->start_ticks, .boot_id = parts->boot_id};
  return std::nullopt;
}

}  // namespace

CreatedPod DescribePod(const RuntimeParts& parts, const LinuxPod& pod) {
  return {.pod_id = pod.id, .keeper = pod.keeper, .cgroup_paths = parts.tree.Paths(pod.cgroup)};
}

void LinuxContainerRuntime::CreatePod(PodSpec spec, PodCallback done) {
  std::optional<LaunchFailure> refused;
  auto pod = std::make_shared<LinuxPod>();
  pod->id = spec.pod_id;
  pod->limits = spec.limits;
  pod->namespaces = Bits(spec.namespaces);
  const absl::Status valid = ValidatePodSpec(spec);
  if (!valid.ok()) {
    refused = Failure(LaunchStep::kSpec, valid);
  } else {
    absl::MutexLock lock(&mutex_);
    if (!recovered_) {
      refused = Failure(LaunchStep::kAborted,
                        absl::UnavailableError("the runtime has not recovered yet"));
    } else if (table_.all.count(pod->id) > 0 || !table_.UnfinishedBelow(pod->id).empty() ||
               !table_.pods.try_emplace(pod->id, pod).second) {
      refused = Failure(LaunchStep::kSpec, absl::AlreadyExistsError(absl::StrCat(
                                               "pod \"", pod->id.text(), "\" exists already")));
    }
  }
  const auto refuse = [this, &done](LaunchFailure failure) {
    workers_->SubmitUrgent(
        [done = std::move(done), failure = std::move(failure)] { done(failure); });
  };
  if (refused.has_value()) return refuse(*std::move(refused));
  const bool queued = workers_->Submit(
      [this, pod, spec = std::move(spec), done] { RunCreatePod(pod, spec, done); });
  if (queued) return;
  {
    absl::MutexLock lock(&mutex_);
    table_.pods.erase(pod->id);
  }
  refuse(
      Failure(LaunchStep::kAborted, absl::ResourceExhaustedError("too many launches are waiting")));
}

void LinuxContainerRuntime::RunCreatePod(const PodPointer& pod, const PodSpec& spec,
                                         const PodCallback& done) {
  std::optional<LaunchFailure> failure = MakePod(pod, spec);
  if (!failure.has_value()) {
    absl::MutexLock lock(&mutex_);
    if (pod->phase == LinuxPod::Phase::kCreating && recovered_) {
      pod->phase = LinuxPod::Phase::kReady;
    } else {
      failure = Failure(LaunchStep::kAborted, absl::AbortedError("destroyed while it was made"));
    }
  }
  if (!failure.has_value()) return done(DescribePod(*parts_, *pod));
  {
    absl::MutexLock lock(&mutex_);
    pod->phase = LinuxPod::Phase::kDestroying;
  }
  RunEndPod(pod);
  done(*std::move(failure));
}

std::optional<LaunchFailure> LinuxContainerRuntime::MakePod(const PodPointer& pod,
                                                            const PodSpec& spec) {
  const absl::StatusOr<HostUser> user = ResolveHostUser(spec.user);
  if (!user.ok()) return Failure(LaunchStep::kUser, user.status());
  absl::StatusOr<IsolationPlan> plan = parts_->isolation.PlanPod(spec);
  if (!plan.ok()) return Failure(LaunchStep::kSpec, plan.status());
  const absl::Status sandbox = parts_->executor.MakeSandbox(spec.sandbox, *user);
  if (!sandbox.ok()) return Failure(LaunchStep::kSandbox, sandbox);

  const std::string cgroup = absl::StrCat("p", parts_->park.NextNumber());
  plan->host.insert(plan->host.begin(),
                    HostStep{.isolator = "pod",
                             .name = "cgroup",
                             .phase = Phase::kHost,
                             .operation = MakeCgroup{cgroup},
                             // With the keeper, and whatever else is in it.
                             .undo = Undo{UndoHome::kKernel, RemoveCgroup{cgroup}}});
  PodState state;
  state.boot_id = parts_->boot_id;
  state.cgroup = cgroup;
  state.namespaces = pod->namespaces;
  state.limits = spec.limits;
  state.undo = StepRunner::KernelUndos(*plan);
  {
    absl::MutexLock lock(&mutex_);
    pod->cgroup = cgroup;
    pod->undo = state.undo;
  }
  absl::Status written = parts_->runner.WriteDown(pod->id, *plan);
  if (written.ok()) written = parts_->states.WritePod(pod->id, state);
  if (!written.ok()) return Failure(LaunchStep::kState, written);
  for (const Phase phase : {Phase::kHost, Phase::kCloned}) {
    const absl::Status ran = parts_->runner.Run(*plan, phase, cgroup);
    if (!ran.ok()) return Failure(LaunchStep::kCgroup, ran);
  }
  ContainerIdentity keeper;
  if (state.namespaces != 0) {
    if (auto failure = StartKeeper(parts_.get(), state, *plan, launch_timeout_, &keeper)) {
      return failure;
    }
  }
  {
    absl::MutexLock lock(&mutex_);
    pod->keeper = keeper;
  }
  written = parts_->states.AppendToPod(pod->id, FormatKeeper(keeper));
  if (!written.ok()) return Failure(LaunchStep::kState, written);
  return std::nullopt;
}

void LinuxContainerRuntime::UpdatePod(const ContainerId& pod_id, ContainerResources limits,
                                      StatusCallback done) {
  workers_->SubmitUrgent(
      [this, pod_id, limits, done = std::move(done)] { RunUpdatePod(pod_id, limits, done); });
}

void LinuxContainerRuntime::RunUpdatePod(const ContainerId& id, const ContainerResources& limits,
                                         const StatusCallback& done) {
  PodPointer pod;
  ContainerResources before;
  {
    absl::MutexLock lock(&mutex_);
    const auto found = table_.pods.find(id);
    if (found != table_.pods.end() && found->second->phase == LinuxPod::Phase::kReady)
      pod = found->second;
    if (pod != nullptr) before = pod->limits;
  }
  if (pod == nullptr) return done(NoPod(id));
  absl::Status status = parts_->isolation.CheckUpdate(limits);
  if (!status.ok()) return done(status);
  const ContainerResources after = AfterUpdate(before, limits);
  status =
      parts_->runner.Run(parts_->isolation.PlanUpdate(before, after), Phase::kCloned, pod->cgroup);
  if (!status.ok()) return done(absl::InternalError(status.message()));
  status = parts_->states.AppendToPod(id, FormatResources(after));
  if (!status.ok()) return done(status);
  {
    absl::MutexLock lock(&mutex_);
    pod->limits = after;
  }
  done(absl::OkStatus());
}

void LinuxContainerRuntime::DestroyPod(const ContainerId& pod_id, StatusCallback done) {
  workers_->SubmitUrgent([this, pod_id, done = std::move(done)] {
    std::vector<ContainerId> inside;
    {
      absl::MutexLock lock(&mutex_);
      const auto found = table_.pods.find(pod_id);
      if (found != table_.pods.end()) {
        const PodPointer pod = found->second;
        pod->destroyed.push_back(done);
        // One that is being made ends by itself, and one that ends already has been told.
        const bool first = pod->phase != LinuxPod::Phase::kDestroying;
        const bool ready = pod->phase == LinuxPod::Phase::kReady;
        pod->phase = LinuxPod::Phase::kDestroying;
        if (first && ready) {
          inside = table_.UnfinishedBelow(pod_id);
          if (inside.empty()) EndPodIfEmptyLocked(pod);
        }
        if (inside.empty()) return;
      }
    }
    if (inside.empty()) return done(absl::OkStatus());
    for (const ContainerId& id : inside) RunKill(id, absl::ZeroDuration(), [](const auto&) {});
  });
}

void LinuxContainerRuntime::EndPodIfEmptyLocked(const PodPointer& pod) {
  if (pod->phase != LinuxPod::Phase::kDestroying || pod->ending) return;
  if (!table_.UnfinishedBelow(pod->id).empty()) return;
  pod->ending = true;
  workers_->SubmitUrgent([this, pod] { RunEndPod(pod); });
}

void LinuxContainerRuntime::RunEndPod(const PodPointer& pod) {
  absl::Status undone = parts_->runner.TakeBack(pod->id, pod->undo);
  if (undone.ok()) parts_->states.RemovePod(pod->id);
  LOG_IF(ERROR, !undone.ok()) << "cannot take back pod " << pod->id
                              << "; the next agent will try again: " << undone.message();
  std::vector<StatusCallback> destroyed;
  {
    absl::MutexLock lock(&mutex_);
    destroyed.swap(pod->destroyed);
    table_.pods.erase(pod->id);
  }
  for (const StatusCallback& done : destroyed) {
    done(undone.ok() ? undone : absl::InternalError(undone.message()));
  }
}

}  // namespace tessera::agent
