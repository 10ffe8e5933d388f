#include "services/agent/runtime/fake_container_runtime.h"

#include <errno.h>
#include <signal.h>

#include <algorithm>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace tessera::agent {
namespace {

int Exited(int status) { return status << 8; }

absl::Status NotRunning(const std::string& id) {
  return absl::NotFoundError(absl::StrCat("no running container \"", id, "\""));
}

}  // namespace

FakeBehavior InterpretCommand(const ContainerSpec& spec) {
  FakeBehavior behavior;
  if (!spec.command.shell && spec.command.value != "true" && spec.command.value != "/bin/true") {
    behavior.failure = LaunchFailure{
        .step = LaunchStep::kExec,
        .error_number = ENOENT,
        .message = absl::StrCat("exec ", spec.command.value, ": No such file or directory")};
    return behavior;
  }
  for (absl::string_view word : absl::StrSplit(spec.command.value, ';')) {
    word = absl::StripAsciiWhitespace(word);
    double seconds = 0;
    int status = 0;
    if (word == "true" || word == "/bin/true" || absl::StartsWith(word, "echo ")) {
      behavior.wait_status = 0;
    } else if (word == "false") {
      behavior.wait_status = Exited(1);
    } else if (word == "trap '' TERM") {
      behavior.ignores_term = true;
    } else if (absl::StartsWith(word, "sleep ") &&
               absl::SimpleAtod(absl::StripPrefix(word, "sleep "), &seconds)) {
      behavior.runs_for += absl::Seconds(seconds);
    } else if (absl::StartsWith(word, "exit ") &&
               absl::SimpleAtoi(absl::StripPrefix(word, "exit "), &status)) {
      behavior.wait_status = Exited(status & 0xff);
      return behavior;
    } else {
      behavior.wait_status = Exited(127);
    }
  }
  return behavior;
}

void FakeMachine::Reboot() { containers_.clear(); }

size_t FakeMachine::running() const {
  return static_cast<size_t>(
      std::count_if(containers_.begin(), containers_.end(), [](const auto& entry) {
        return entry.second.started && !entry.second.termination.has_value();
      }));
}

void FakeMachine::EndUntil(absl::Time now) {
  for (auto& [id, container] : containers_) {
    if (!container.started || container.termination.has_value() || container.ends > now) continue;
    End(&container, container.ends, container.behavior.wait_status, true);
  }
}

void FakeMachine::End(Container* container, absl::Time when, int wait_status, bool command_exited) {
  container->ends = when;
  ContainerTermination end;
  end.container_id = container->spec.container_id;
  end.wait_status = wait_status;
  end.command_exited = command_exited;
  end.kill_requested = container->kill_requested;
  end.ended = when;
  end.message = DescribeWaitStatus(wait_status);
  if (container->behavior.runs_out_of_memory && !container->kill_requested) {
    const int64_t limit =
        container->spec.resources.memory_limit_bytes.value_or(kMinimumMemoryBytes);
    end.wait_status = SIGKILL;
    end.limitation = MemoryLimitation(limit, limit);
    end.message = end.limitation->message;
  }
  container->termination = std::move(end);
}

FakeContainerRuntime::FakeContainerRuntime(FakeMachine* machine, absl::Time now,
                                           TerminationCallback on_terminated,
                                           FakeRuntimeOptions options)
    : machine_(machine), on_terminated_(std::move(on_terminated)), options_(options), now_(now) {
  machine_->EndUntil(now);
}

void FakeContainerRuntime::After(absl::Duration delay, std::function<void()> call) {
  calls_.emplace(now_ + delay, std::move(call));
}

absl::Time FakeContainerRuntime::EarliestEnd() const {
  absl::Time earliest = absl::InfiniteFuture();
  for (const auto& [id, watched] : watched_) {
    const auto found = machine_->containers_.find(id);
    if (found != machine_->containers_.end()) earliest = std::min(earliest, found->second.ends);
  }
  return earliest;
}

absl::Time FakeContainerRuntime::NextDeadline() const {
  const absl::Time end = EarliestEnd();
  return calls_.empty() ? end : std::min(end, calls_.begin()->first);
}

void FakeContainerRuntime::TellEnds(absl::Time now) {
  machine_->EndUntil(now);
  std::vector<ContainerTermination> ends;
  for (auto watched = watched_.begin(); watched != watched_.end();) {
    const auto found = machine_->containers_.find(watched->first);
    const bool ended = found != machine_->containers_.end() &&
                       found->second.termination.has_value() && found->second.ends <= now;
    if (ended) ends.push_back(*found->second.termination);
    watched = ended || found == machine_->containers_.end() ? watched_.erase(watched)
                                                            : std::next(watched);
  }
  for (const ContainerTermination& end : ends) {
    ++counters_.terminations;
    if (end.limitation.has_value()) ++counters_.memory_limitations;
    on_terminated_(end);
  }
}

void FakeContainerRuntime::AdvanceTo(absl::Time now) {
  for (;;) {
    const absl::Time next = NextDeadline();
    if (next > now || next == absl::InfiniteFuture()) break;
    now_ = std::max(now_, next);
    if (!calls_.empty() && calls_.begin()->first <= EarliestEnd()) {
      const std::function<void()> call = std::move(calls_.begin()->second);
      calls_.erase(calls_.begin());
      call();
    } else {
      TellEnds(now_);
    }
  }
  now_ = std::max(now_, now);
}

void FakeContainerRuntime::Recover(std::vector<std::string> expected_container_ids,
                                   RecoveryCallback done) {
  After(options_.call_takes,
        [this, expected = std::move(expected_container_ids), done = std::move(done)] {
          if (recovered_) return done(absl::FailedPreconditionError("Recover was called before"));
          recovered_ = true;
          machine_->EndUntil(now_);
          RecoveryResult result;
          for (const std::string& id : expected) {
            const auto found = machine_->containers_.find(id);
            if (found == machine_->containers_.end() || !found->second.started) {
              machine_->containers_.erase(id);
              result.containers.push_back({id, RecoveredContainer::Lost{"it was never launched"}});
            } else if (found->second.termination.has_value()) {
              result.containers.push_back(
                  {id, RecoveredContainer::Terminated{*found->second.termination}});
            } else {
              watched_[id] = true;
              result.containers.push_back(
                  {id, RecoveredContainer::Running{found->second.launched,
                                                   found->second.kill_requested}});
            }
          }
          const std::set<std::string> asked_for(expected.begin(), expected.end());
          for (auto entry = machine_->containers_.begin(); entry != machine_->containers_.end();) {
            if (asked_for.count(entry->first) > 0) {
              ++entry;
              continue;
            }
            if (entry->second.started && !entry->second.termination.has_value()) {
              result.destroyed_orphans.push_back(entry->first);
            }
            entry = machine_->containers_.erase(entry);
          }
          done(std::move(result));
        });
}

void FakeContainerRuntime::Launch(ContainerSpec spec, LaunchCallback done) {
  std::optional<LaunchFailure> refused;
  const std::string id = spec.container_id;
  const absl::Status valid = ValidateContainerSpec(spec);
  if (!valid.ok()) {
    refused = LaunchFailure{LaunchStep::kSpec, 0, std::string(valid.message())};
  } else if (!recovered_) {
    refused = LaunchFailure{LaunchStep::kAborted, 0, "the runtime has not recovered yet"};
  } else if (machine_->containers_.count(id) > 0) {
    refused =
        LaunchFailure{LaunchStep::kSpec, 0, absl::StrCat("container \"", id, "\" exists already")};
  }
  if (refused.has_value()) {
    ++counters_.launch_failures;
    After(options_.call_takes, [done = std::move(done), refused] { done(*refused); });
    return;
  }
  FakeMachine::Container container;
  container.behavior = machine_->behavior_(spec);
  container.spec = std::move(spec);
  machine_->containers_.emplace(id, std::move(container));
  After(options_.launch_takes, [this, id, done = std::move(done)] { FinishLaunch(id, done); });
}

void FakeContainerRuntime::FinishLaunch(const std::string& id, const LaunchCallback& done) {
  FakeMachine::Container& container = machine_->containers_.at(id);
  std::optional<LaunchFailure> failure = container.behavior.failure;
  if (container.kill_requested) {
    failure = LaunchFailure{LaunchStep::kAborted, 0, "destroyed before it was started"};
  }
  if (failure.has_value()) {
    machine_->containers_.erase(id);
    ++counters_.launch_failures;
    return done(*failure);
  }
  container.started = true;
  container.launched.container_id = id;
  container.launched.identity = {
      .init_pid = machine_->next_pid_++, .init_start_ticks = 1, .boot_id = "fake"};
  container.launched.started = now_;
  container.ends = now_ + container.behavior.runs_for;
  watched_[id] = true;
  ++counters_.launches;
  done(container.launched);
}

FakeMachine::Container* FakeContainerRuntime::FindLive(const std::string& id) {
  machine_->EndUntil(now_);
  const auto found = machine_->containers_.find(id);
  if (found == machine_->containers_.end() || found->second.termination.has_value()) return nullptr;
  return &found->second;
}

void FakeContainerRuntime::Terminate(const std::string& id, int wait_status) {
  FakeMachine::Container* container = FindLive(id);
  if (container == nullptr || !container->started) return;
  machine_->End(container, now_, wait_status, wait_status != SIGKILL);
}

void FakeContainerRuntime::Signal(const std::string& container_id, int signal_number,
                                  StatusCallback done) {
  if (signal_number == SIGKILL) return Destroy(container_id, std::move(done));
  After(options_.call_takes, [this, container_id, signal_number, done = std::move(done)] {
    FakeMachine::Container* container = FindLive(container_id);
    if (container == nullptr || !container->started) return done(NotRunning(container_id));
    const bool ends = signal_number == SIGTERM || signal_number == SIGINT ||
                      signal_number == SIGHUP || signal_number == SIGQUIT;
    if (ends && !(signal_number == SIGTERM && container->behavior.ignores_term)) {
      Terminate(container_id, signal_number);
    }
    done(absl::OkStatus());
  });
}

void FakeContainerRuntime::Kill(const std::string& container_id, absl::Duration grace,
                                StatusCallback done) {
  After(options_.call_takes, [this, container_id, grace, done = std::move(done)] {
    FakeMachine::Container* container = FindLive(container_id);
    if (container == nullptr) return done(NotRunning(container_id));
    container->kill_requested = true;
    if (container->started && grace <= absl::ZeroDuration()) {
      Terminate(container_id, SIGKILL);
    } else if (container->started && !container->behavior.ignores_term) {
      Terminate(container_id, SIGTERM);
    } else if (container->started) {
      After(grace, [this, container_id] { Terminate(container_id, SIGKILL); });
    }
    done(absl::OkStatus());
  });
}

void FakeContainerRuntime::Destroy(const std::string& container_id, StatusCallback done) {
  After(options_.call_takes, [this, container_id, done = std::move(done)] {
    FakeMachine::Container* container = FindLive(container_id);
    if (container == nullptr) return done(NotRunning(container_id));
    container->kill_requested = true;
    Terminate(container_id, SIGKILL);
    done(absl::OkStatus());
  });
}

void FakeContainerRuntime::Update(const std::string& container_id, ContainerResources resources,
                                  StatusCallback done) {
  After(options_.call_takes, [this, container_id, resources, done = std::move(done)] {
    FakeMachine::Container* container = FindLive(container_id);
    if (container == nullptr || !container->started) return done(NotRunning(container_id));
    const std::optional<int64_t> before = container->spec.resources.memory_limit_bytes;
    container->spec.resources = resources;
    if (before.has_value() && resources.memory_limit_bytes.value_or(0) < *before) {
      container->spec.resources.memory_limit_bytes = before;
    }
    done(absl::OkStatus());
  });
}

void FakeContainerRuntime::ReadUsage(const std::string& container_id, UsageCallback done) {
  After(options_.call_takes, [this, container_id, done = std::move(done)] {
    FakeMachine::Container* container = FindLive(container_id);
    if (container == nullptr || !container->started) return done(NotRunning(container_id));
    ContainerUsage usage;
    usage.taken = now_;
    usage.cpu_user_time = now_ - container->launched.started;
    usage.cpu_system_time = absl::ZeroDuration();
    usage.cpus_limit_milli = container->spec.resources.cpu_limit_milli;
    usage.memory_total_bytes = int64_t{1} << 20;
    usage.memory_rss_bytes = int64_t{1} << 20;
    usage.memory_limit_bytes = container->spec.resources.memory_limit_bytes;
    usage.processes = 2;
    usage.threads = 2;
    done(usage);
  });
}

void FakeContainerRuntime::Release(const std::string& container_id, StatusCallback done) {
  After(options_.call_takes, [this, container_id, done = std::move(done)] {
    if (FindLive(container_id) != nullptr) {
      return done(absl::FailedPreconditionError(
          absl::StrCat("container \"", container_id, "\" still runs; destroy it first")));
    }
    // A termination on its way comes before it is forgotten.
    TellEnds(now_);
    machine_->containers_.erase(container_id);
    done(absl::OkStatus());
  });
}

RuntimeCounters FakeContainerRuntime::Counters() const {
  RuntimeCounters counters = counters_;
  counters.running = machine_->running();
  return counters;
}

}  // namespace tessera::agent
