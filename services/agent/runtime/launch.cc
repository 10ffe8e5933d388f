// Launching a container: StartContainer from top to bottom, and what undoes it.

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "services/agent/launcher/socket_frames.h"
#include "services/agent/launcher/wire.h"
#include "services/agent/runtime/host_user.h"
#include "services/agent/runtime/linux_container_runtime.h"
#include "services/agent/runtime/mount_trees.h"
#include "services/agent/runtime/process_identity.h"
#include "services/agent/runtime/sandbox_files.h"
#include "services/agent/runtime/start_frame.h"
#include "services/base/file_io.h"
#include "services/base/status_macros.h"

namespace tessera::agent {
namespace {

LaunchFailure Failure(LaunchStep step, const absl::Status& status) {
  return {.step = step, .error_number = 0, .message = std::string(status.message())};
}

LaunchFailure Aborted(const std::string& message) {
  return {.step = LaunchStep::kAborted, .error_number = 0, .message = message};
}

LaunchStep StepOf(wire::InitStep step) {
  switch (step) {
    case wire::InitStep::kJoinCgroup:
      return LaunchStep::kCgroup;
    case wire::InitStep::kNamespace:
      return LaunchStep::kNamespace;
    case wire::InitStep::kFilesystem:
      return LaunchStep::kFilesystem;
    case wire::InitStep::kDirectory:
      return LaunchStep::kDirectory;
    case wire::InitStep::kUserSwitch:
      return LaunchStep::kUserSwitch;
    case wire::InitStep::kExec:
      return LaunchStep::kExec;
    case wire::InitStep::kState:
      return LaunchStep::kState;
    case wire::InitStep::kProtocol:
    case wire::InitStep::kRunning:
      break;
  }
  return LaunchStep::kAborted;
}

bool WaitReadable(int socket, absl::Duration timeout) {
  pollfd waiting{.fd = socket, .events = POLLIN, .revents = 0};
  const absl::Time deadline = absl::Now() + timeout;
  for (;;) {
    const int64_t left = absl::ToInt64Milliseconds(deadline - absl::Now());
    const int ready = poll(&waiting, 1, static_cast<int>(left > 0 ? left : 0));
    if (ready > 0) return true;
    if (ready == 0) return false;
    if (errno != EINTR) return false;
  }
}

}  // namespace

void LinuxContainerRuntime::Launch(ContainerSpec spec, LaunchCallback done) {
  std::optional<LaunchFailure> refused;
  auto container = std::make_shared<Container>();
  container->id = spec.container_id;
  container->resources = spec.resources;
  container->own_pids = spec.namespaces.pid.own();
  const absl::Status valid = ValidateContainerSpec(spec);
  {
    absl::MutexLock lock(&mutex_);
    if (!valid.ok()) {
      refused = Failure(LaunchStep::kSpec, valid);
    } else if (!recovered_) {
      refused = Aborted("the runtime has not recovered yet");
    } else if (!containers_.try_emplace(spec.container_id, container).second) {
      refused = Failure(LaunchStep::kSpec,
                        absl::AlreadyExistsError(absl::StrCat(
                            "container \"", spec.container_id.text(), "\" exists already")));
    } else {
      container->serial = next_serial_++;
      by_serial_[container->serial] = container;
    }
  }
  if (!refused.has_value()) {
    const bool queued = workers_->Submit(
        [this, container, spec = std::move(spec), done] { RunLaunch(container, spec, done); });
    if (queued) return;
    absl::MutexLock lock(&mutex_);
    containers_.erase(container->id);
    by_serial_.erase(container->serial);
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
  int oom;
  {
    absl::MutexLock lock(&mutex_);
    container->phase = Container::Phase::kRunning;
    ++counters_.launches;
    pidfd = container->pidfd.get();
    oom = container->oom.get();
  }
  done(std::move(result));
  watcher_->Watch(container->serial, pidfd, oom);
}

LaunchResult LinuxContainerRuntime::StartContainer(const ContainerPointer& container,
                                                   const ContainerSpec& spec, Attempt* attempt) {
  const absl::StatusOr<HostUser> user = ResolveHostUser(spec.user);
  if (!user.ok()) return Failure(LaunchStep::kUser, user.status());
  const absl::StatusOr<SandboxFiles> output = PrepareSandbox(spec.sandbox, *user);
  if (!output.ok()) return Failure(LaunchStep::kSandbox, output.status());
  const absl::StatusOr<IsolationPlan> plan = MakePlan(spec, *user);
  if (!plan.ok()) return Failure(LaunchStep::kSpec, plan.status());
  const absl::StatusOr<std::string> frame = StartFrame(spec, *user, *plan);
  if (!frame.ok()) return Failure(LaunchStep::kSpec, frame.status());

  absl::StatusOr<PreparedInit> init = park_.Take(plan->namespaces);
  if (init.ok() && WaitForEnd(init->pidfd.get(), 0)) {
    // One that was killed while it waited in stock.
    reaper_.Remove(init->cgroup, std::move(init->mount_namespace));
    init = park_.Make(plan->namespaces);
  }
  if (!init.ok()) return Failure(LaunchStep::kClone, init.status());
  attempt->init = *std::move(init);
  attempt->has_init = true;
  ContainerState state;
  {
    absl::MutexLock lock(&mutex_);
    if (container->kill_requested) return Aborted("destroyed before it was started");
    if (!recovered_) return Aborted("the agent is ending");
    container->cgroup = attempt->init.cgroup;
    container->identity = {.init_pid = attempt->init.pid,
                           .init_start_ticks = attempt->init.start_ticks,
                           .boot_id = boot_id_};
    container->own_pids = plan->namespaces.pid;
    container->pidfd = std::move(attempt->init.pidfd);
    container->oom = std::move(attempt->init.oom);
    container->mount_namespace = std::move(attempt->init.mount_namespace);
    state.identity = container->identity;
  }

  attempt->executor = std::make_unique<PlanExecutor>(&tree_, attempt->init.cgroup);
  const absl::Status executed = attempt->executor->Execute(plan->host);
  if (!executed.ok()) return Failure(LaunchStep::kCgroup, executed);

  state.cgroup = attempt->init.cgroup;
  state.own_pids = plan->namespaces.pid;
  state.resources = spec.resources;
  const absl::StatusOr<base::UniqueFd> state_file = WriteStateHead(spec.container_id, state);
  if (!state_file.ok()) return Failure(LaunchStep::kState, state_file.status());
  attempt->has_state_file = true;

  // After the host operations, which may make what is taken here.
  const absl::StatusOr<std::vector<base::UniqueFd>> trees = TakeMountTrees(*plan);
  if (!trees.ok()) return Failure(LaunchStep::kFilesystem, trees.status());

  int files[wire::kMaximumFiles];
  files[wire::kStateFile] = state_file->get();
  files[wire::kStandardInput] = null_.get();
  files[wire::kStandardOutput] = output->standard_output.get();
  files[wire::kStandardError] = output->standard_error.get();
  size_t file_count = wire::kStartFileCount;
  for (const base::UniqueFd& tree : *trees) files[file_count++] = tree.get();
  const int control = attempt->init.control.get();
  // An init that ended early has left a report: reading it tells more than the failed send.
  wire::SendAll(control, frame->data(), frame->size(), files, file_count);
  LaunchedContainer launched;
  if (auto failure = AwaitStart(spec, control, &launched.started)) return *std::move(failure);
  launched.container_id = spec.container_id;
  launched.identity = state.identity;
  launched.cgroup_paths = tree_.Paths(state.cgroup);
  return launched;
}

absl::StatusOr<IsolationPlan> LinuxContainerRuntime::MakePlan(const ContainerSpec& spec,
                                                              const HostUser& user) const {
  const ContainerNamespaces& n = spec.namespaces;
  if (spec.container_id.has_parent() || n.pid.joins() || n.ipc.joins() || n.uts.joins() ||
      n.cgroup.joins() || n.net.joins() || n.mnt.joins()) {
    return absl::InvalidArgumentError("this runtime has no pods yet, whose namespaces to join");
  }
  if (n.net.own()) {
    return absl::InvalidArgumentError("no isolator in use makes network namespaces");
  }
  IsolationPlan plan;
  bool has_filesystem = false;
  bool has_uts = false;
  for (const auto& isolator : isolators_) {
    has_filesystem |= isolator->Name() == "filesystem/linux";
    has_uts |= isolator->Name() == "namespaces/uts";
    RETURN_IF_ERROR(isolator->Plan(spec, user, facts_, &plan));
  }
  if (!has_filesystem && (!spec.rootfs.empty() || !spec.mounts.empty() || spec.private_tmp)) {
    return absl::InvalidArgumentError(
        "a root file system, mounts and a private /tmp need the isolator filesystem/linux");
  }
  if (!has_uts && !spec.hostname.empty()) {
    return absl::InvalidArgumentError("a host name needs the isolator namespaces/uts");
  }
  if (plan.trees.size() + 1 > wire::kMaximumTrees) {
    return absl::InvalidArgumentError(
        absl::StrCat("at most ", wire::kMaximumTrees - 3, " mounts can be given to a container"));
  }
  return plan;
}

absl::StatusOr<base::UniqueFd> LinuxContainerRuntime::WriteStateHead(
    const ContainerId& id, const ContainerState& state) const {
  const std::string path = StatePath(id);
  base::UniqueFd file(
      open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file.valid()) return base::ErrnoStatus(errno, "make", path);
  absl::Status written = base::WriteAll(file.get(), FormatStateHead(state), path);
  if (written.ok()) written = ReserveLines(file.get(), path);
  if (written.ok()) return file;
  unlink(path.c_str());
  return written;
}

std::optional<LaunchFailure> LinuxContainerRuntime::AwaitStart(const ContainerSpec& spec,
                                                               int control,
                                                               absl::Time* started) const {
  if (!WaitReadable(control, options_.launch_timeout)) {
    return Aborted(absl::StrCat("the command was not started within ",
                                absl::FormatDuration(options_.launch_timeout)));
  }
  wire::FrameHeader header;
  size_t no_files = 0;
  std::string body;
  int error = wire::ReceiveExactly(control, reinterpret_cast<char*>(&header), sizeof(header),
                                   nullptr, 0, &no_files);
  if (error == 0 && header.type == static_cast<uint32_t>(wire::FrameType::kReport) &&
      header.bytes <= wire::kMaximumReportBytes) {
    body.resize(header.bytes);
    error = wire::ReceiveExactly(control, body.data(), body.size(), nullptr, 0, &no_files);
  }
  if (error != 0 || body.empty()) return Aborted("the container's init was killed");
  wire::Reader reader(body.data(), body.size());
  const auto step = static_cast<wire::InitStep>(reader.U32());
  LaunchFailure failure;
  failure.error_number = static_cast<int>(reader.U32());
  const std::string detail = reader.Text();
  *started = absl::FromUnixNanos(static_cast<int64_t>(reader.U64()));
  if (!reader.AtEnd()) return Aborted("the container's init sent a malformed report");
  if (step == wire::InitStep::kRunning) return std::nullopt;
  failure.step = StepOf(step);
  failure.message = step == wire::InitStep::kUserSwitch
                        ? absl::StrCat("switch to user \"", spec.user, "\"")
                        : detail;
  absl::StrAppend(&failure.message, ": ", strerror(failure.error_number));
  return failure;
}

void LinuxContainerRuntime::Unmake(const ContainerPointer& container, Attempt* attempt) {
  {
    absl::MutexLock lock(&mutex_);
    if (container->pidfd.valid()) attempt->init.pidfd = std::move(container->pidfd);
    if (container->mount_namespace.valid()) {
      attempt->init.mount_namespace = std::move(container->mount_namespace);
    }
    container->oom.reset();
  }
  if (attempt->has_init) {
    AbandonInit(&attempt->init);
    if (!container->own_pids) tree_.KillAll(attempt->init.cgroup).IgnoreError();
    reaper_.Remove(attempt->init.cgroup, std::move(attempt->init.mount_namespace));
  }
  if (attempt->executor != nullptr) attempt->executor->Undo();
  if (attempt->has_state_file) unlink(StatePath(container->id).c_str());
  absl::MutexLock lock(&mutex_);
  ++counters_.launch_failures;
  containers_.erase(container->id);
  by_serial_.erase(container->serial);
}

}  // namespace tessera::agent
