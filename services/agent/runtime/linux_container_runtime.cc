#include "services/agent/runtime/linux_container_runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <glog/logging.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "services/agent/runtime/cgroup_discovery.h"
#include "services/agent/runtime/process_identity.h"
#include "services/base/file_io.h"
#include "services/base/status_macros.h"

namespace tessera::agent {
namespace {

absl::Status NotRunning(const ContainerId& id) {
  return absl::NotFoundError(absl::StrCat("no running container \"", id.text(), "\""));
}

// Of the runtime's usual containers: what its isolators say to a spec that gives nothing up.
NewNamespaces UsualNamespaces(const std::vector<std::unique_ptr<Isolator>>& isolators,
                              const HostFacts& facts) {
  IsolationPlan plan;
  for (const auto& isolator : isolators) {
    isolator->Plan(ContainerSpec(), HostUser(), facts, &plan).IgnoreError();
  }
  return plan.namespaces;
}

std::string BesideThisProgram(const std::string& name) {
  char path[4096];
  const ssize_t size = readlink("/proc/self/exe", path, sizeof(path));
  const std::string program(path, size > 0 ? static_cast<size_t>(size) : 0);
  return absl::StrCat(program.substr(0, program.rfind('/')), "/", name);
}

absl::StatusOr<base::UniqueFd> LockDirectory(const std::string& runtime_dir) {
  const std::string path = runtime_dir + "/lock";
  base::UniqueFd lock(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock.valid()) return base::ErrnoStatus(errno, "open", path);
  if (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    return absl::FailedPreconditionError(absl::StrCat(
        "another agent uses ", runtime_dir, "; give each agent a runtime directory of its own"));
  }
  return lock;
}

// One container's view of the tree.
class ContainerCgroupFiles : public CgroupFiles {
 public:
  ContainerCgroupFiles(const CgroupTree* tree, const std::string* cgroup)
      : tree_(tree), cgroup_(cgroup) {}
  absl::StatusOr<std::string> Read(CgroupController controller,
                                   const std::string& file) const override {
    return tree_->Read(*cgroup_, controller, file);
  }

 private:
  const CgroupTree* const tree_;
  const std::string* const cgroup_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<LinuxContainerRuntime>> LinuxContainerRuntime::Create(
    LinuxRuntimeOptions options, TerminationCallback on_terminated) {
  if (options.runtime_dir.empty() || options.runtime_dir[0] != '/') {
    return absl::InvalidArgumentError("runtime_dir must be an absolute path");
  }
  if (options.cgroups_root.empty() || options.cgroups_root[0] == '/' ||
      absl::StrCat("/", options.cgroups_root, "/").find("/../") != std::string::npos) {
    return absl::InvalidArgumentError("cgroups_root must be a relative path without \"..\"");
  }
  if (options.workers == 0) return absl::InvalidArgumentError("workers must be at least 1");
  if (geteuid() != 0) {
    return absl::PermissionDeniedError("containers need root: run agent-svc as root");
  }
  if (options.launcher_path.empty()) options.launcher_path = BesideThisProgram("agent-launcher");

  ASSIGN_OR_RETURN(auto isolators, MakeIsolators(options.isolation));
  std::set<CgroupController> controllers;
  for (const auto& isolator : isolators) {
    for (const CgroupController c : isolator->Controllers()) controllers.insert(c);
  }
  HostFacts facts;
  ASSIGN_OR_RETURN(facts.layout, DiscoverCgroupLayout({controllers.begin(), controllers.end()}));
  facts.clock_ticks_per_second = sysconf(_SC_CLK_TCK);
  facts.page_bytes = sysconf(_SC_PAGESIZE);
  for (const auto& isolator : isolators) RETURN_IF_ERROR(isolator->CheckHost(facts));

  RETURN_IF_ERROR(base::MakeDirectories(options.runtime_dir + "/containers", 0700));
  ASSIGN_OR_RETURN(base::UniqueFd lock, LockDirectory(options.runtime_dir));
  RETURN_IF_ERROR(PrepareCgroupRoot(facts.layout, options.cgroups_root));
  ASSIGN_OR_RETURN(CgroupTree tree, CgroupTree::Open(facts.layout, options.cgroups_root));
  base::UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null.valid()) return base::ErrnoStatus(errno, "open", "/dev/null");

  std::unique_ptr<LinuxContainerRuntime> runtime(new LinuxContainerRuntime(
      std::move(options), std::move(on_terminated), std::move(isolators), std::move(facts),
      std::move(tree), std::move(lock), std::move(null)));
  RETURN_IF_ERROR(runtime->launcher_.Start());
  return runtime;
}

LinuxContainerRuntime::LinuxContainerRuntime(LinuxRuntimeOptions options,
                                             TerminationCallback on_terminated,
                                             std::vector<std::unique_ptr<Isolator>> isolators,
                                             HostFacts facts, CgroupTree tree, base::UniqueFd lock,
                                             base::UniqueFd null)
    : options_(std::move(options)),
      on_terminated_(std::move(on_terminated)),
      isolators_(std::move(isolators)),
      facts_(std::move(facts)),
      tree_(std::move(tree)),
      lock_(std::move(lock)),
      null_(std::move(null)),
      boot_id_(BootId()),
      launcher_(options_.launcher_path),
      reaper_(&tree_),
      park_(&tree_, &launcher_, UsualNamespaces(isolators_, facts_), options_.parked_containers),
      workers_(std::make_unique<WorkerPool>(options_.workers, options_.queue_limit)),
      watcher_(std::make_unique<ContainerWatcher>(
          [this](uint64_t serial, ContainerWatcher::Event event) { HandleWatch(serial, event); })) {
}

LinuxContainerRuntime::~LinuxContainerRuntime() {
  // Running launches still set watches, so the workers go first; a watch that then fires finds the
  // table closed.
  {
    absl::MutexLock lock(&mutex_);
    recovered_ = false;
    by_serial_.clear();
  }
  workers_.reset();
  watcher_.reset();
}

std::string LinuxContainerRuntime::StatePath(const ContainerId& id) const {
  return absl::StrCat(options_.runtime_dir, "/containers/", id.text());
}

LinuxContainerRuntime::ContainerPointer LinuxContainerRuntime::FindLiveLocked(
    const ContainerId& id) {
  const auto found = containers_.find(id);
  if (found == containers_.end() || found->second->phase == Container::Phase::kTerminated) {
    return nullptr;
  }
  return found->second;
}

RuntimeCounters LinuxContainerRuntime::Counters() const {
  absl::MutexLock lock(&mutex_);
  RuntimeCounters counters = counters_;
  counters.running = static_cast<uint64_t>(std::count_if(
      containers_.begin(), containers_.end(),
      [](const auto& entry) { return entry.second->phase == Container::Phase::kRunning; }));
  counters.prepared_containers = park_.in_stock();
  counters.cgroups_to_remove = reaper_.waiting();
  counters.cgroup_removal_retries = reaper_.retries();
  counters.launcher_restarts = launcher_.restarts();
  return counters;
}

void LinuxContainerRuntime::HandleWatch(uint64_t serial, ContainerWatcher::Event event) {
  absl::MutexLock lock(&mutex_);
  if (by_serial_.count(serial) == 0) return;
  switch (event) {
    case ContainerWatcher::Event::kEnded:
      workers_->SubmitUrgent([this, serial] { RunFinish(serial); });
      return;
    case ContainerWatcher::Event::kOutOfMemory:
      workers_->SubmitUrgent([this, serial] { RunOutOfMemory(serial); });
      return;
    case ContainerWatcher::Event::kDeadline:
      KillLocked(by_serial_[serial].get());
      return;
  }
}

// Null when no such container lives. What is being killed is known to the next agent, too, though
// this one may end before it has written down why.
LinuxContainerRuntime::ContainerPointer LinuxContainerRuntime::RequestKill(const ContainerId& id) {
  ContainerPointer container;
  {
    absl::MutexLock lock(&mutex_);
    container = FindLiveLocked(id);
    if (container == nullptr || std::exchange(container->kill_requested, true)) return container;
  }
  const absl::Status noted = AppendLine(StatePath(id), FormatKilled());
  // One that is only being launched may have no file yet: then it has not started either.
  LOG_IF(ERROR, !noted.ok() && !absl::IsNotFound(noted))
      << "cannot note the kill of container " << id << ": " << noted.message();
  return container;
}

// With a pid namespace init's end is everybody's. Without one its cgroup is swept when init has
// ended.
void LinuxContainerRuntime::KillLocked(Container* container) {
  container->kill_requested = true;
  if (container->pidfd.valid()) SendSignal(container->pidfd.get(), SIGKILL);
}

void LinuxContainerRuntime::RunOutOfMemory(uint64_t serial) {
  absl::MutexLock lock(&mutex_);
  const auto found = by_serial_.find(serial);
  if (found == by_serial_.end()) return;
  found->second->out_of_memory = true;
  if (found->second->pidfd.valid()) SendSignal(found->second->pidfd.get(), SIGKILL);
}

void LinuxContainerRuntime::RunFinish(uint64_t serial) {
  ContainerPointer container;
  bool out_of_memory = false;
  bool kill_requested = false;
  {
    absl::MutexLock lock(&mutex_);
    const auto found = by_serial_.find(serial);
    if (found == by_serial_.end()) return;
    container = found->second;
    uint64_t events = 0;
    if (container->oom.valid() && read(container->oom.get(), &events, sizeof(events)) > 0) {
      container->out_of_memory = true;
    }
    out_of_memory = container->out_of_memory;
    kill_requested = container->kill_requested;
  }
  watcher_->ClearDeadline(serial);
  if (!container->own_pids) {
    const absl::Status killed = tree_.KillAll(container->cgroup);
    LOG_IF(ERROR, !killed.ok()) << "container " << container->id << ": " << killed.message();
  }
  const ContainerTermination termination =
      DescribeEnd(container->id, container->cgroup, out_of_memory, kill_requested);
  base::UniqueFd mount_namespace;
  {
    absl::MutexLock lock(&mutex_);
    // The runtime is ending: the next one will find this end in the state file.
    if (by_serial_.erase(serial) == 0) return;
    container->phase = Container::Phase::kTerminated;
    container->pidfd.reset();
    container->oom.reset();
    mount_namespace = std::move(container->mount_namespace);
    ++counters_.terminations;
    if (termination.limitation.has_value()) ++counters_.memory_limitations;
  }
  reaper_.Remove(container->cgroup, std::move(mount_namespace));
  on_terminated_(termination);
}

ContainerTermination LinuxContainerRuntime::DescribeEnd(const ContainerId& id,
                                                        const std::string& cgroup,
                                                        bool out_of_memory,
                                                        bool kill_requested) const {
  ContainerTermination end;
  end.container_id = id;
  end.kill_requested = kill_requested;
  end.wait_status = SIGKILL;
  end.ended = absl::Now();
  ContainerState state;
  const absl::StatusOr<std::string> contents = base::ReadFile(StatePath(id));
  if (contents.ok()) {
    const absl::StatusOr<ContainerState> parsed = ParseState(*contents);
    LOG_IF(ERROR, !parsed.ok()) << "state of container " << id << ": " << parsed.status().message();
    if (parsed.ok()) state = *parsed;
  } else {
    LOG(ERROR) << "the state of container " << id << " is lost: " << contents.status().message();
  }
  end.kill_requested |= state.killed;
  if (state.exit.has_value()) {
    end.command_exited = true;
    end.wait_status = state.exit->wait_status;
    end.ended = state.exit->ended;
    end.user_time = state.exit->user_time;
    end.system_time = state.exit->system_time;
    end.maximum_rss_bytes = state.exit->maximum_rss_bytes;
  }
  if (state.memory_exceeded.has_value()) {
    end.limitation = MemoryLimitation(state.memory_exceeded->requested_bytes,
                                      state.memory_exceeded->maximum_used_bytes, "cgroups/mem");
  } else {
    const ContainerCgroupFiles files(&tree_, &cgroup);
    for (const auto& isolator : isolators_) {
      if (end.limitation.has_value()) break;
      end.limitation = isolator->FindLimitation(state.resources, facts_, files, out_of_memory);
    }
    if (end.limitation.has_value()) {
      // The cgroup goes; what it told must stay.
      const absl::Status noted =
          AppendLine(StatePath(id), FormatMemoryExceeded({end.limitation->requested_bytes,
                                                          end.limitation->maximum_used_bytes}));
      LOG_IF(ERROR, !noted.ok()) << "cannot note the memory limitation of container " << id << ": "
                                 << noted.message();
    }
  }
  end.message =
      end.limitation.has_value() ? end.limitation->message : DescribeWaitStatus(end.wait_status);
  return end;
}

void LinuxContainerRuntime::Destroy(const ContainerId& container_id, StatusCallback done) {
  workers_->SubmitUrgent(
      [this, container_id, done = std::move(done)] { RunDestroy(container_id, done); });
}

void LinuxContainerRuntime::RunDestroy(const ContainerId& id, const StatusCallback& done) {
  const ContainerPointer container = RequestKill(id);
  if (container != nullptr) {
    absl::MutexLock lock(&mutex_);
    KillLocked(container.get());
  }
  done(container != nullptr ? absl::OkStatus() : NotRunning(id));
}

void LinuxContainerRuntime::Signal(const ContainerId& container_id, int signal_number,
                                   StatusCallback done) {
  if (signal_number == SIGKILL) return Destroy(container_id, std::move(done));
  workers_->SubmitUrgent([this, container_id, signal_number, done = std::move(done)] {
    RunSignal(container_id, signal_number, done);
  });
}

void LinuxContainerRuntime::RunSignal(const ContainerId& id, int signal_number,
                                      const StatusCallback& done) {
  absl::Status status;
  {
    absl::MutexLock lock(&mutex_);
    const ContainerPointer container = FindLiveLocked(id);
    if (container == nullptr || container->phase != Container::Phase::kRunning) {
      status = NotRunning(id);
    } else if (const int error = SendSignal(container->pidfd.get(), signal_number); error != 0) {
      status =
          error == ESRCH
              ? NotRunning(id)
              : base::ErrnoStatus(
                    error, absl::StrCat("send signal ", signal_number, " to container"), id.text());
    }
  }
  done(status);
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
    if (container->phase == Container::Phase::kLaunching || grace <= absl::ZeroDuration()) {
      KillLocked(container.get());
    } else if (container->phase == Container::Phase::kRunning) {
      SendSignal(container->pidfd.get(), SIGTERM);
      watcher_->SetDeadline(container->serial, absl::Now() + grace);
    }
  }
  // Init can reach all only in a pid namespace.
  if (!container->own_pids && grace > absl::ZeroDuration()) {
    for (const pid_t pid : tree_.Processes(container->cgroup)) {
      if (pid != init) kill(pid, SIGTERM);
    }
  }
  done(absl::OkStatus());
}

void LinuxContainerRuntime::Update(const ContainerId& container_id, ContainerResources resources,
                                   StatusCallback done) {
  workers_->SubmitUrgent([this, container_id, resources, done = std::move(done)] {
    RunUpdate(container_id, resources, done);
  });
}

void LinuxContainerRuntime::RunUpdate(const ContainerId& id, const ContainerResources& resources,
                                      const StatusCallback& done) {
  absl::Status status = ValidateContainerResources(resources);
  if (!status.ok()) return done(status);
  ContainerPointer container;
  ContainerResources before;
  {
    absl::MutexLock lock(&mutex_);
    container = FindLiveLocked(id);
    if (container != nullptr && container->phase != Container::Phase::kRunning) container = nullptr;
    if (container != nullptr) before = container->resources;
  }
  if (container == nullptr) return done(NotRunning(id));
  IsolationPlan plan;
  for (const auto& isolator : isolators_) isolator->PlanUpdate(before, resources, facts_, &plan);
  status = PlanExecutor(&tree_, container->cgroup).Execute(plan.host);
  if (!status.ok()) return done(absl::InternalError(status.message()));
  ContainerResources after = resources;
  // The memory limit was left where it is.
  if (before.memory_limit_bytes.has_value() &&
      after.memory_limit_bytes.value_or(0) < *before.memory_limit_bytes) {
    after.memory_limit_bytes = before.memory_limit_bytes;
  }
  status = AppendResources(id, after);
  if (!status.ok()) return done(status);
  {
    absl::MutexLock lock(&mutex_);
    container->resources = after;
  }
  done(absl::OkStatus());
}

// What init and later lines will need is kept behind this one, too, before it is written.
absl::Status LinuxContainerRuntime::AppendResources(const ContainerId& id,
                                                    const ContainerResources& resources) const {
  const std::string path = StatePath(id);
  const std::string line = FormatResources(resources);
  const base::UniqueFd file(open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW));
  if (!file.valid()) return base::ErrnoStatus(errno, "open", path);
  RETURN_IF_ERROR(ReserveLines(file.get(), path, line.size()));
  return base::WriteAll(file.get(), line, path);
}

void LinuxContainerRuntime::CreatePod(PodSpec spec, PodCallback done) {
  const absl::Status valid = ValidatePodSpec(spec);
  LaunchFailure refused{
      .step = LaunchStep::kSpec,
      .message = valid.ok() ? "this runtime has no pods yet" : std::string(valid.message())};
  workers_->SubmitUrgent([done = std::move(done), refused = std::move(refused)] { done(refused); });
}

void LinuxContainerRuntime::UpdatePod(const ContainerId& pod_id, ContainerResources,
                                      StatusCallback done) {
  workers_->SubmitUrgent([pod_id, done = std::move(done)] {
    done(absl::NotFoundError(absl::StrCat("no pod \"", pod_id.text(), "\"")));
  });
}

void LinuxContainerRuntime::DestroyPod(const ContainerId&, StatusCallback done) {
  workers_->SubmitUrgent([done = std::move(done)] { done(absl::OkStatus()); });
}

void LinuxContainerRuntime::ReadUsage(const ContainerId& container_id, UsageCallback done) {
  workers_->SubmitUrgent(
      [this, container_id, done = std::move(done)] { RunReadUsage(container_id, done); });
}

void LinuxContainerRuntime::RunReadUsage(const ContainerId& id, const UsageCallback& done) {
  std::string cgroup;
  ContainerUsage usage;
  {
    absl::MutexLock lock(&mutex_);
    const ContainerPointer container = FindLiveLocked(id);
    if (container != nullptr && container->phase == Container::Phase::kRunning) {
      cgroup = container->cgroup;
      usage.cpus_limit_milli = container->resources.cpu_limit_milli;
    }
  }
  if (cgroup.empty()) return done(NotRunning(id));
  usage.taken = absl::Now();
  const ContainerCgroupFiles files(&tree_, &cgroup);
  for (const auto& isolator : isolators_) isolator->ReadUsage(files, facts_, &usage);
  done(usage);
}

void LinuxContainerRuntime::Release(const ContainerId& container_id, StatusCallback done) {
  workers_->SubmitUrgent(
      [this, container_id, done = std::move(done)] { RunRelease(container_id, done); });
}

void LinuxContainerRuntime::RunRelease(const ContainerId& id, const StatusCallback& done) {
  absl::Status status = id.Validate();
  if (status.ok()) {
    absl::MutexLock lock(&mutex_);
    const auto found = containers_.find(id);
    if (found != containers_.end() && found->second->phase != Container::Phase::kTerminated) {
      status = absl::FailedPreconditionError(
          absl::StrCat("container \"", id.text(), "\" still runs; destroy it first"));
    } else {
      if (found != containers_.end()) containers_.erase(found);
      unlink(StatePath(id).c_str());
    }
  }
  done(status);
}

}  // namespace tessera::agent
