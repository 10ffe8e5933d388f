// A simulated machine: containers that run for a while and end. It survives the agent process, as
// the kernel does.
//
// A task's command is a line `sim <seconds> <exit status>`: so long it runs, and so it ends.
// `forever` in place of seconds runs until it is killed.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>

#include "services/agent/container/container_runtime.h"
#include "services/base/rng.h"
#include "tests/sim/checkers.h"
#include "tests/sim/event_loop.h"

namespace tessera::sim {

// "<framework>/<task>" of a sandbox, which is <root>/<framework>/<task>/<container>.
std::string TaskOfSandbox(const std::string& sandbox);

class Machine {
 public:
  Machine(EventLoop* loop, base::Rng rng, std::string name, MachineChecker* machines,
          TaskChecker* tasks)
      : loop_(loop), rng_(rng), name_(std::move(name)), machines_(machines), tasks_(tasks) {}

  // Where ends and launch results go while an agent process listens; it resets them when it dies.
  std::function<void(const std::string& id, agent::LaunchResult)> on_launched;
  std::function<void(const agent::ContainerTermination&)> on_ended;

  void Launch(const agent::ContainerSpec& spec);
  void Kill(const std::string& id, absl::Duration grace);
  void Destroy(const std::string& id);
  void Release(const std::string& id);
  agent::RecoveryResult Recover(const std::vector<std::string>& expected);

 private:
  struct Container {
    agent::LaunchedContainer launched;
    std::string framework, task;
    bool running = false;
    bool kill_requested = false;
    agent::ContainerTermination end;
  };

  void End(const std::string& id, int wait_status, bool command_exited);

  EventLoop* loop_;
  base::Rng rng_;
  std::string name_;
  MachineChecker* machines_;
  TaskChecker* tasks_;
  std::map<std::string, Container> containers_;
};

}  // namespace tessera::sim
