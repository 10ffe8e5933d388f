// A simulated machine on virtual time: containers that run for a while and end, in pods or alone.
//
// A Machine is what survives an agent: its containers run on while no runtime is attached. A
// MachineRuntime is one agent's life on it: a ContainerRuntime that passes the same conformance
// suite as the one for Linux (machine_test.cc). Destroying it is the agent's death, with every
// callback that was still to come.
//
// A command is a line of a few words of the shell, in a sequence parted by `;`: `true`, `false`,
// `exit N`, `sleep SECONDS`, `sleep inf`, `trap '' TERM`, `echo ...`, and `launch MARK`, which says
// which launch of the simulation it is (TaskChecker). Anything else exits with 127 as a shell line,
// and fails to exec without one.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "services/agent/container/container_runtime.h"
#include "services/base/rng.h"
#include "tests/sim/event_loop.h"

namespace tessera::sim {

// What a command does.
struct Script {
  std::string mark;
  absl::Duration runs_for;
  int wait_status = 0;  // wait(2) encoding, of an undisturbed end
  bool ignores_term = false;
  bool speaks = false;
  // Set: it cannot be executed.
  std::optional<agent::LaunchFailure> failure;
};
Script ReadScript(const agent::ContainerCommand& command);

// Who hears what really happens on a machine.
class MachineWitness {
 public:
  virtual ~MachineWitness() = default;
  virtual void Started(const agent::ContainerSpec& spec, const std::string& mark) = 0;
  virtual void Ended(const std::string& container_id, const std::string& mark,
                     const agent::ContainerTermination& termination) = 0;
};

struct MachineOptions {
  absl::Duration launch_takes = absl::Milliseconds(2);
  absl::Duration call_takes = absl::Microseconds(100);
  // Of the launches, this part fails at its last step.
  double launch_failures = 0;
  // Of the commands, this part ignores a polite kill.
  double stubborn = 0;
};

class Machine {
 public:
  // `witness` may be null.
  Machine(EventLoop* loop, base::Rng rng, MachineOptions options, MachineWitness* witness)
      : loop_(loop), rng_(rng), options_(options), witness_(witness) {}
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  // Ends every container and forgets them, as a reboot does.
  void Reboot();
  size_t running() const;
  // What the machine's clock says apart from the loop's time.
  void SetClockError(absl::Duration error) { clock_error_ = error; }

 private:
  friend class MachineRuntime;

  struct Container {
    agent::ContainerSpec spec;
    Script script;
    agent::LaunchedContainer launched;
    bool started = false;
    std::optional<agent::ContainerTermination> end;
    bool kill_requested = false;
    // When it is killed at the latest.
    absl::Time killed_at = absl::InfiniteFuture();
    // Of this container among all of the machine's: ids are used again.
    uint64_t serial = 0;
  };
  struct Pod {
    agent::CreatedPod created;
    agent::ContainerResources limits;
  };

  Container* Find(const std::string& id);
  // Launching or running; null otherwise.
  Container* FindLive(const std::string& id);
  // The same life of it, running; null otherwise.
  Container* FindRunning(const std::string& id, uint64_t serial);
  // Its command is exec'ed.
  void Start(Container* container);
  void End(Container* container, int wait_status, bool command_exited);
  void KillAt(const std::string& id, uint64_t serial, absl::Time when);
  void EndPod(const std::string& pod_id);
  agent::ContainerIdentity NewIdentity();

  EventLoop* loop_;
  base::Rng rng_;
  const MachineOptions options_;
  MachineWitness* witness_;
  absl::Duration clock_error_;
  std::map<std::string, Container> containers_;
  std::map<std::string, Pod> pods_;
  uint64_t serials_ = 0;
  int64_t next_pid_ = 1000;
  uint64_t boots_ = 1;
  // The runtime that is attached; null between two lives of the agent.
  class MachineRuntime* runtime_ = nullptr;
};

class MachineRuntime final : public agent::ContainerRuntime {
 public:
  // `machine` must outlive the runtime; one at a time is attached to it.
  MachineRuntime(Machine* machine, TerminationCallback on_terminated);
  ~MachineRuntime() override;

  void Recover(agent::ExpectedContainers expected, RecoveryCallback done) override;
  void CreatePod(agent::PodSpec spec, PodCallback done) override;
  void UpdatePod(const agent::ContainerId& pod_id, agent::ContainerResources limits,
                 StatusCallback done) override;
  void DestroyPod(const agent::ContainerId& pod_id, StatusCallback done) override;
  void Launch(agent::ContainerSpec spec, LaunchCallback done) override;
  void Signal(const agent::ContainerId& container_id, int signal_number,
              StatusCallback done) override;
  void Kill(const agent::ContainerId& container_id, absl::Duration grace,
            StatusCallback done) override;
  void Destroy(const agent::ContainerId& container_id, StatusCallback done) override;
  void Update(const agent::ContainerId& container_id, agent::ContainerResources resources,
              StatusCallback done) override;
  void ReadUsage(const agent::ContainerId& container_id, UsageCallback done) override;
  void Release(const agent::ContainerId& container_id, StatusCallback done) override;
  agent::RuntimeCounters Counters() const override;

 private:
  friend class Machine;

  // Runs the call later, if this life still lasts then.
  void After(absl::Duration delay, std::function<void()> call);
  void Terminated(const agent::ContainerTermination& termination);
  void FinishLaunch(const std::string& id, uint64_t serial, const LaunchCallback& done);
  // Why a container cannot be launched now; empty: it can.
  std::optional<agent::LaunchFailure> WhyNot(const agent::ContainerSpec& spec) const;
  agent::RecoveryResult Find(const agent::ExpectedContainers& expected);

  Machine* const machine_;
  const TerminationCallback on_terminated_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  bool recovered_ = false;
  agent::RuntimeCounters counters_;
};

}  // namespace tessera::sim
