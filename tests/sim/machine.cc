#include "tests/sim/machine.h"

#include <errno.h>
#include <signal.h>

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace tessera::sim {

using agent::ContainerId;
using agent::LaunchFailure;
using agent::LaunchStep;

namespace {

int Exited(int status) { return status << 8; }

absl::Status NotRunning(const std::string& id) {
  return absl::NotFoundError(absl::StrCat("no running container \"", id, "\""));
}

LaunchFailure Failure(LaunchStep step, std::string message) {
  return {.step = step, .error_number = 0, .message = std::move(message)};
}

}  // namespace

Script ReadScript(const agent::ContainerCommand& command) {
  Script script;
  if (!command.shell && command.value != "true" && command.value != "/bin/true") {
    script.failure = LaunchFailure{
        .step = LaunchStep::kExec,
        .error_number = ENOENT,
        .message = absl::StrCat("exec ", command.value, ": No such file or directory")};
    return script;
  }
  for (absl::string_view word : absl::StrSplit(command.value, ';')) {
    word = absl::StripAsciiWhitespace(word);
    double seconds = 0;
    int status = 0;
    if (word == "true" || word == "/bin/true") {
      script.wait_status = 0;
    } else if (absl::StartsWith(word, "echo ")) {
      script.speaks = true;
    } else if (word == "false") {
      script.wait_status = Exited(1);
    } else if (word == "trap '' TERM") {
      script.ignores_term = true;
    } else if (word == "sleep inf") {
      script.runs_for = absl::InfiniteDuration();
    } else if (absl::StartsWith(word, "sleep ") &&
               absl::SimpleAtod(absl::StripPrefix(word, "sleep "), &seconds)) {
      script.runs_for += absl::Seconds(seconds);
    } else if (absl::StartsWith(word, "launch ")) {
      script.mark = std::string(absl::StripPrefix(word, "launch "));
    } else if (absl::StartsWith(word, "exit ") &&
               absl::SimpleAtoi(absl::StripPrefix(word, "exit "), &status)) {
      script.wait_status = Exited(status & 0xff);
      return script;
    } else {
      script.wait_status = Exited(127);
    }
  }
  return script;
}

// ---- The machine

Machine::Container* Machine::Find(const std::string& id) {
  const auto it = containers_.find(id);
  return it == containers_.end() ? nullptr : &it->second;
}

Machine::Container* Machine::FindLive(const std::string& id) {
  Container* container = Find(id);
  return container == nullptr || container->end.has_value() ? nullptr : container;
}

Machine::Container* Machine::FindRunning(const std::string& id, uint64_t serial) {
  Container* container = FindLive(id);
  const bool same = container != nullptr && container->started && container->serial == serial;
  return same ? container : nullptr;
}

size_t Machine::running() const {
  return static_cast<size_t>(std::count_if(
      containers_.begin(), containers_.end(),
      [](const auto& entry) { return entry.second.started && !entry.second.end.has_value(); }));
}

agent::ContainerIdentity Machine::NewIdentity() {
  return {.init_pid = next_pid_++,
          .init_start_ticks = serials_,
          .boot_id = absl::StrCat("boot-", boots_)};
}

void Machine::Start(Container* container) {
  const std::string id = container->spec.container_id;
  const uint64_t serial = container->serial;
  container->started = true;
  container->launched.container_id = id;
  container->launched.identity = NewIdentity();
  container->launched.started = loop_->now() + clock_error_;
  if (witness_ != nullptr) witness_->Started(container->spec, container->script.mark);
  if (container->script.runs_for == absl::InfiniteDuration()) return;
  loop_->After(container->script.runs_for, [this, id, serial] {
    Container* running = FindRunning(id, serial);
    if (running != nullptr) End(running, running->script.wait_status, true);
  });
}

void Machine::End(Container* container, int wait_status, bool command_exited) {
  if (!container->started || container->end.has_value()) return;
  agent::ContainerTermination end;
  end.container_id = container->spec.container_id;
  end.wait_status = wait_status;
  end.command_exited = command_exited;
  end.kill_requested = container->kill_requested;
  end.ended = loop_->now() + clock_error_;
  end.message = agent::DescribeWaitStatus(wait_status);
  container->end = end;
  loop_->Note(container->script.mark, static_cast<uint64_t>(wait_status));
  if (witness_ != nullptr) witness_->Ended(end.container_id, container->script.mark, end);
  if (runtime_ != nullptr) runtime_->Terminated(end);
  // Those below it in its path go with it.
  const ContainerId above = end.container_id;
  for (auto& [id, other] : containers_) {
    if (above.IsAncestorOf(id)) End(&other, SIGKILL, false);
  }
}

void Machine::KillAt(const std::string& id, uint64_t serial, absl::Time when) {
  Container* container = FindRunning(id, serial);
  if (container == nullptr || when >= container->killed_at) return;
  container->killed_at = when;
  loop_->At(when, [this, id, serial] {
    if (Container* late = FindRunning(id, serial)) End(late, SIGKILL, false);
  });
}

void Machine::EndPod(const std::string& pod_id) {
  const ContainerId pod = pod_id;
  for (auto it = containers_.begin(); it != containers_.end(); ++it) {
    if (!pod.IsAncestorOf(it->first)) continue;
    it->second.kill_requested = true;
    End(&it->second, SIGKILL, false);
  }
  pods_.erase(pod_id);
}

void Machine::Reboot() {
  for (auto& [id, container] : containers_) End(&container, SIGKILL, false);
  containers_.clear();
  pods_.clear();
  ++boots_;
}

// ---- One agent's life on it

MachineRuntime::MachineRuntime(Machine* machine, TerminationCallback on_terminated)
    : machine_(machine), on_terminated_(std::move(on_terminated)) {
  machine_->runtime_ = this;
}

MachineRuntime::~MachineRuntime() {
  *alive_ = false;
  machine_->runtime_ = nullptr;
  // Of the launches that were under way some come to their end without it, and others leave
  // nothing: the record of the container is written, or not yet.
  for (auto it = machine_->containers_.begin(); it != machine_->containers_.end();) {
    Machine::Container& container = it->second;
    const bool ends = container.kill_requested || container.script.failure.has_value();
    if (!container.started && (ends || machine_->rng_.Chance(0.5))) {
      it = machine_->containers_.erase(it);
      continue;
    }
    if (!container.started) machine_->Start(&container);
    ++it;
  }
}

void MachineRuntime::After(absl::Duration delay, std::function<void()> call) {
  machine_->loop_->After(delay, [alive = alive_, call = std::move(call)] {
    if (*alive) call();
  });
}

void MachineRuntime::Terminated(const agent::ContainerTermination& termination) {
  After(absl::ZeroDuration(), [this, termination] {
    // Nobody is told of what ended before Recover found it ended.
    if (!recovered_) return;
    ++counters_.terminations;
    on_terminated_(termination);
  });
}

agent::RecoveryResult MachineRuntime::Find(const agent::ExpectedContainers& expected) {
  agent::RecoveryResult result;
  std::set<std::string> known;
  for (const ContainerId& id : expected.pods) {
    known.insert(id);
    agent::RecoveredPod pod{.pod_id = id, .pod = std::nullopt, .lost = ""};
    const auto it = machine_->pods_.find(id);
    if (it == machine_->pods_.end()) {
      pod.lost = "it was never created, or destroyed";
    } else {
      pod.pod = it->second.created;
    }
    result.pods.push_back(std::move(pod));
  }
  for (const ContainerId& id : expected.containers) known.insert(id);
  // What nobody expects is destroyed, and what is in a pod that is.
  std::vector<std::string> orphans;
  for (const auto& [id, pod] : machine_->pods_) {
    if (!known.contains(id)) orphans.push_back(id);
  }
  for (const std::string& id : orphans) {
    machine_->EndPod(id);
    result.destroyed_orphans.push_back(id);
  }
  for (auto it = machine_->containers_.begin(); it != machine_->containers_.end();) {
    Machine::Container& container = it->second;
    if (known.contains(it->first)) {
      ++it;
      continue;
    }
    container.kill_requested = true;
    machine_->End(&container, SIGKILL, false);
    result.destroyed_orphans.push_back(it->first);
    it = machine_->containers_.erase(it);
  }
  for (const ContainerId& id : expected.containers) {
    agent::RecoveredContainer recovered;
    recovered.container_id = id;
    if (const Machine::Container* container = machine_->Find(id); container == nullptr) {
      recovered.state = agent::RecoveredContainer::Lost{"it was never launched"};
    } else if (container->end.has_value()) {
      recovered.state = agent::RecoveredContainer::Terminated{*container->end};
    } else {
      recovered.state =
          agent::RecoveredContainer::Running{container->launched, container->kill_requested};
    }
    result.containers.push_back(std::move(recovered));
  }
  return result;
}

void MachineRuntime::Recover(agent::ExpectedContainers expected, RecoveryCallback done) {
  After(machine_->options_.call_takes,
        [this, expected = std::move(expected), done = std::move(done)] {
          if (recovered_) return done(absl::FailedPreconditionError("Recover was called before"));
          agent::RecoveryResult result = Find(expected);
          // Ends that were on their way to be told are in the result.
          After(absl::ZeroDuration(), [this] { recovered_ = true; });
          After(absl::ZeroDuration(), [done, result = std::move(result)] { done(result); });
        });
}

void MachineRuntime::CreatePod(agent::PodSpec spec, PodCallback done) {
  After(machine_->options_.launch_takes, [this, spec = std::move(spec), done = std::move(done)] {
    const std::string id = spec.pod_id;
    const absl::Status valid = agent::ValidatePodSpec(spec);
    if (!valid.ok()) return done(Failure(LaunchStep::kSpec, std::string(valid.message())));
    if (!recovered_) {
      return done(Failure(LaunchStep::kAborted, "the runtime has not recovered yet"));
    }
    if (machine_->pods_.contains(id) || machine_->containers_.contains(id)) {
      return done(Failure(LaunchStep::kSpec, absl::StrCat("pod \"", id, "\" exists already")));
    }
    Machine::Pod& pod = machine_->pods_[id];
    pod.created.pod_id = id;
    if (spec.namespaces.pid || spec.namespaces.ipc || spec.namespaces.uts || spec.namespaces.net) {
      pod.created.keeper = machine_->NewIdentity();
    }
    pod.limits = spec.limits;
    done(pod.created);
  });
}

void MachineRuntime::UpdatePod(const ContainerId& pod_id, agent::ContainerResources limits,
                               StatusCallback done) {
  After(machine_->options_.call_takes, [this, pod_id, limits, done = std::move(done)] {
    const auto it = machine_->pods_.find(pod_id);
    if (it == machine_->pods_.end()) {
      return done(absl::NotFoundError(absl::StrCat("no pod \"", pod_id.text(), "\"")));
    }
    it->second.limits = limits;
    done(absl::OkStatus());
  });
}

void MachineRuntime::DestroyPod(const ContainerId& pod_id, StatusCallback done) {
  After(machine_->options_.call_takes, [this, pod_id, done = std::move(done)] {
    machine_->EndPod(pod_id);
    // After the ends of its containers are told.
    After(absl::ZeroDuration(), [done] { done(absl::OkStatus()); });
  });
}

std::optional<LaunchFailure> MachineRuntime::WhyNot(const agent::ContainerSpec& spec) const {
  const absl::Status valid = agent::ValidateContainerSpec(spec);
  if (!valid.ok()) return Failure(LaunchStep::kSpec, std::string(valid.message()));
  if (!recovered_) return Failure(LaunchStep::kAborted, "the runtime has not recovered yet");
  const std::string& id = spec.container_id;
  if (machine_->containers_.contains(id) || machine_->pods_.contains(id)) {
    return Failure(LaunchStep::kSpec, absl::StrCat("container \"", id, "\" exists already"));
  }
  if (!spec.container_id.has_parent()) return std::nullopt;
  const ContainerId parent = spec.container_id.Parent();
  const bool lives = parent.has_parent()
                         ? machine_->FindLive(parent) != nullptr && machine_->Find(parent)->started
                         : machine_->pods_.contains(parent);
  if (lives) return std::nullopt;
  return Failure(LaunchStep::kPod, absl::StrCat("\"", parent.text(), "\" does not live"));
}

void MachineRuntime::Launch(agent::ContainerSpec spec, LaunchCallback done) {
  if (const std::optional<LaunchFailure> refused = WhyNot(spec)) {
    ++counters_.launch_failures;
    After(machine_->options_.call_takes, [done = std::move(done), refused] { done(*refused); });
    return;
  }
  const std::string id = spec.container_id;
  Machine::Container container;
  container.script = ReadScript(spec.command);
  if (machine_->rng_.Chance(machine_->options_.stubborn)) container.script.ignores_term = true;
  if (machine_->rng_.Chance(machine_->options_.launch_failures)) {
    container.script.failure = Failure(LaunchStep::kExec, "exec: a fault of the machine");
  }
  container.serial = ++machine_->serials_;
  container.spec = std::move(spec);
  const uint64_t serial = container.serial;
  machine_->containers_.emplace(id, std::move(container));
  const absl::Duration takes =
      machine_->options_.launch_takes * (0.5 + machine_->rng_.Exponential(0.5));
  After(takes, [this, id, serial, done = std::move(done)] { FinishLaunch(id, serial, done); });
}

void MachineRuntime::FinishLaunch(const std::string& id, uint64_t serial,
                                  const LaunchCallback& done) {
  Machine::Container* container = machine_->Find(id);
  // Its pod was destroyed, or the machine was booted: the place may be another's.
  const bool gone = container == nullptr || container->serial != serial;
  std::optional<LaunchFailure> failure = gone ? std::nullopt : container->script.failure;
  if (gone || container->kill_requested) {
    failure = Failure(LaunchStep::kAborted, "destroyed before it was started");
  }
  if (failure.has_value()) {
    if (!gone) machine_->containers_.erase(id);
    ++counters_.launch_failures;
    return done(*failure);
  }
  machine_->Start(container);
  ++counters_.launches;
  done(container->launched);
}

void MachineRuntime::Signal(const ContainerId& container_id, int signal_number,
                            StatusCallback done) {
  if (signal_number == SIGKILL) return Destroy(container_id, std::move(done));
  After(machine_->options_.call_takes, [this, container_id, signal_number, done = std::move(done)] {
    Machine::Container* container = machine_->FindLive(container_id);
    if (container == nullptr || !container->started) return done(NotRunning(container_id));
    const bool ends = signal_number == SIGTERM || signal_number == SIGINT ||
                      signal_number == SIGHUP || signal_number == SIGQUIT;
    if (ends && !(signal_number == SIGTERM && container->script.ignores_term)) {
      machine_->End(container, signal_number, true);
    }
    done(absl::OkStatus());
  });
}

void MachineRuntime::Kill(const ContainerId& container_id, absl::Duration grace,
                          StatusCallback done) {
  After(machine_->options_.call_takes, [this, container_id, grace, done = std::move(done)] {
    Machine::Container* container = machine_->FindLive(container_id);
    if (container == nullptr) return done(NotRunning(container_id));
    container->kill_requested = true;
    if (container->started && grace <= absl::ZeroDuration()) {
      machine_->End(container, SIGKILL, false);
    } else if (container->started && !container->script.ignores_term) {
      machine_->End(container, SIGTERM, true);
    } else if (container->started) {
      machine_->KillAt(container_id, container->serial, machine_->loop_->now() + grace);
    }
    done(absl::OkStatus());
  });
}

void MachineRuntime::Destroy(const ContainerId& container_id, StatusCallback done) {
  After(machine_->options_.call_takes, [this, container_id, done = std::move(done)] {
    Machine::Container* container = machine_->FindLive(container_id);
    if (container == nullptr) return done(NotRunning(container_id));
    container->kill_requested = true;
    machine_->End(container, SIGKILL, false);
    done(absl::OkStatus());
  });
}

void MachineRuntime::Update(const ContainerId& container_id, agent::ContainerResources resources,
                            StatusCallback done) {
  After(machine_->options_.call_takes, [this, container_id, resources, done = std::move(done)] {
    const absl::Status valid = agent::ValidateContainerResources(resources);
    if (!valid.ok()) return done(valid);
    Machine::Container* container = machine_->FindLive(container_id);
    if (container == nullptr || !container->started) return done(NotRunning(container_id));
    const std::optional<int64_t> before = container->spec.resources.memory_limit_bytes;
    container->spec.resources = resources;
    if (before.has_value() && resources.memory_limit_bytes.value_or(0) < *before) {
      container->spec.resources.memory_limit_bytes = before;
    }
    done(absl::OkStatus());
  });
}

void MachineRuntime::ReadUsage(const ContainerId& container_id, UsageCallback done) {
  After(machine_->options_.call_takes, [this, container_id, done = std::move(done)] {
    const auto pod = machine_->pods_.find(container_id);
    const Machine::Container* container = machine_->FindLive(container_id);
    const bool runs = container != nullptr && container->started;
    if (!runs && pod == machine_->pods_.end()) return done(NotRunning(container_id));
    agent::ContainerUsage usage;
    usage.taken = machine_->loop_->now() + machine_->clock_error_;
    usage.cpu_user_time = absl::Milliseconds(1);
    usage.cpu_system_time = absl::Milliseconds(1);
    usage.memory_total_bytes = int64_t{1} << 20;
    const std::optional<int64_t> limit =
        runs ? container->spec.resources.memory_limit_bytes : pod->second.limits.memory_limit_bytes;
    if (limit.has_value()) usage.memory_limit_bytes = std::max(*limit, agent::kMinimumMemoryBytes);
    done(usage);
  });
}

void MachineRuntime::Release(const ContainerId& container_id, StatusCallback done) {
  After(machine_->options_.call_takes, [this, container_id, done = std::move(done)] {
    if (machine_->FindLive(container_id) != nullptr) {
      return done(absl::FailedPreconditionError("it still runs"));
    }
    machine_->containers_.erase(container_id);
    done(absl::OkStatus());
  });
}

agent::RuntimeCounters MachineRuntime::Counters() const {
  agent::RuntimeCounters counters = counters_;
  counters.running = machine_->running();
  return counters;
}

}  // namespace tessera::sim
