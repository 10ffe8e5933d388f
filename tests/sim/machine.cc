#include "tests/sim/machine.h"

#include <signal.h>

#include <cstdlib>
#include <utility>

#include "absl/strings/str_split.h"

namespace tessera::sim {

namespace {

constexpr double kLaunchFailures = 0.02;
// Of the commands, this part ignores a polite kill.
constexpr double kStubborn = 0.3;

}  // namespace

std::string TaskOfSandbox(const std::string& sandbox) {
  const std::vector<std::string> path = absl::StrSplit(sandbox, '/', absl::SkipEmpty());
  if (path.size() < 3) return "";
  return path[path.size() - 3] + "/" + path[path.size() - 2];
}

void Machine::Launch(const agent::ContainerSpec& spec) {
  const std::string id = spec.container_id;
  Container container;
  const std::pair<std::string, std::string> owner =
      absl::StrSplit(TaskOfSandbox(spec.sandbox), absl::MaxSplits('/', 1));
  container.framework = owner.first;
  container.task = owner.second;
  const absl::Duration delay = absl::Milliseconds(1 + rng_.Exponential(5));
  if (containers_.contains(id)) {
    loop_->After(delay, [this, id] {
      if (on_launched) {
        on_launched(id, agent::LaunchFailure{agent::LaunchStep::kSpec, 0, "the id is taken"});
      }
    });
    return;
  }
  if (rng_.Chance(kLaunchFailures)) {
    loop_->After(delay, [this, id] {
      if (on_launched) {
        on_launched(id, agent::LaunchFailure{agent::LaunchStep::kExec, 2, "exec: no such file"});
      }
    });
    return;
  }
  container.running = true;
  container.launched.container_id = id;
  container.launched.identity.init_pid = static_cast<int64_t>(rng_.Below(1 << 20)) + 2;
  container.launched.started = loop_->now();
  const agent::LaunchedContainer launched = container.launched;
  machines_->Started(name_, id, container.framework + "/" + container.task,
                     spec.resources.cpus_milli, spec.resources.memory_limit_bytes.value_or(0));
  containers_.emplace(id, std::move(container));
  const std::vector<std::string> words = absl::StrSplit(spec.command.value, ' ');
  loop_->After(delay, [this, id, launched] {
    if (on_launched) on_launched(id, launched);
  });
  if (words.size() == 3 && words[1] != "forever") {
    const int exit_status = std::atoi(words[2].c_str());
    loop_->After(delay + absl::Seconds(std::atof(words[1].c_str())),
                 [this, id, exit_status] { End(id, exit_status << 8, /*command_exited=*/true); });
  }
}

void Machine::End(const std::string& id, int wait_status, bool command_exited) {
  const auto it = containers_.find(id);
  if (it == containers_.end() || !it->second.running) return;
  Container& container = it->second;
  container.running = false;
  container.end.container_id = id;
  container.end.wait_status = wait_status;
  container.end.command_exited = command_exited;
  container.end.kill_requested = container.kill_requested;
  container.end.ended = loop_->now();
  container.end.message = agent::DescribeWaitStatus(wait_status);
  machines_->Ended(name_, id);
  tasks_->Truth(container.framework, container.task, wait_status == 0, container.kill_requested);
  loop_->Note(container.task, static_cast<uint64_t>(wait_status));
  if (on_ended) on_ended(container.end);
}

void Machine::Kill(const std::string& id, absl::Duration grace) {
  const auto it = containers_.find(id);
  if (it == containers_.end()) return;
  it->second.kill_requested = true;
  if (rng_.Chance(kStubborn)) {
    loop_->After(grace, [this, id] { End(id, SIGKILL, /*command_exited=*/false); });
  } else {
    loop_->After(std::min(grace, absl::Milliseconds(rng_.Exponential(50))),
                 [this, id] { End(id, SIGTERM, /*command_exited=*/true); });
  }
}

void Machine::Destroy(const std::string& id) {
  const auto it = containers_.find(id);
  if (it == containers_.end()) return;
  it->second.kill_requested = true;
  loop_->After(absl::Milliseconds(rng_.Exponential(5)),
               [this, id] { End(id, SIGKILL, /*command_exited=*/false); });
}

void Machine::Release(const std::string& id) {
  const auto it = containers_.find(id);
  if (it != containers_.end() && !it->second.running) containers_.erase(it);
}

agent::RecoveryResult Machine::Recover(const std::vector<std::string>& expected) {
  agent::RecoveryResult result;
  for (const std::string& id : expected) {
    agent::RecoveredContainer recovered;
    recovered.container_id = id;
    const auto it = containers_.find(id);
    if (it == containers_.end()) {
      recovered.state = agent::RecoveredContainer::Lost{"never launched"};
    } else if (it->second.running) {
      recovered.state =
          agent::RecoveredContainer::Running{it->second.launched, it->second.kill_requested};
    } else {
      recovered.state = agent::RecoveredContainer::Terminated{it->second.end};
    }
    result.containers.push_back(std::move(recovered));
  }
  // What nobody expects is destroyed.
  std::vector<std::string> orphans;
  for (const auto& [id, container] : containers_) {
    if (std::find(expected.begin(), expected.end(), id) == expected.end()) orphans.push_back(id);
  }
  for (const std::string& id : orphans) {
    containers_[id].kill_requested = true;
    if (containers_[id].running) End(id, SIGKILL, false);
    containers_.erase(id);
    result.destroyed_orphans.push_back(id);
  }
  return result;
}

}  // namespace tessera::sim
