// A container runtime in memory, on virtual time: for tests of the agent and for the simulator.
//
// FakeMachine is what survives an agent: its containers run on while no runtime is attached. A
// FakeContainerRuntime is one agent's life on it; destroying it is the agent's death, with every
// callback that was still to come.
//
// Time passes only in AdvanceTo, which delivers callbacks in the order of their times. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "services/agent/runtime/container_runtime.h"

namespace tessera::agent {

// What a fake container does.
struct FakeBehavior {
  // Set: the launch fails so, at its end.
  std::optional<LaunchFailure> failure;
  absl::Duration runs_for;
  int wait_status = 0;  // wait(2) encoding, of an undisturbed end
  bool ignores_term = false;
  // Ends with a memory limitation.
  bool runs_out_of_memory = false;
};

// Understands a few words of the shell: `true`, `false`, `exit N`, `sleep SECONDS`, `trap '' TERM`,
// in a sequence parted by `;`. Anything else exits with 127 as a shell line, and fails to exec
// without one.
FakeBehavior InterpretCommand(const ContainerSpec& spec);

class FakeMachine {
 public:
  using Behavior = std::function<FakeBehavior(const ContainerSpec&)>;

  explicit FakeMachine(Behavior behavior = InterpretCommand) : behavior_(std::move(behavior)) {}

  // Forgets every container, as a reboot does.
  void Reboot();

  size_t running() const;

 private:
  friend class FakeContainerRuntime;

  struct Container {
    ContainerSpec spec;
    FakeBehavior behavior;
    LaunchedContainer launched;
    bool started = false;
    // When the end comes; of a container that has ended, when it came.
    absl::Time ends = absl::InfiniteFuture();
    std::optional<ContainerTermination> termination;
    bool kill_requested = false;
  };

  // Ends what has to end by `now`.
  void EndUntil(absl::Time now);
  void End(Container* container, absl::Time when, int wait_status, bool command_exited);

  const Behavior behavior_;
  std::map<std::string, Container> containers_;
  int64_t next_pid_ = 1000;
};

struct FakeRuntimeOptions {
  absl::Duration launch_takes = absl::Milliseconds(2);
  absl::Duration call_takes = absl::Microseconds(100);
};

class FakeContainerRuntime : public ContainerRuntime {
 public:
  // `machine` must outlive the runtime.
  FakeContainerRuntime(FakeMachine* machine, absl::Time now, TerminationCallback on_terminated,
                       FakeRuntimeOptions options = {});
  ~FakeContainerRuntime() override = default;

  // Lets time pass and delivers what falls due. Callbacks may call the runtime again.
  void AdvanceTo(absl::Time now);

  // When the next callback is due; InfiniteFuture without one.
  absl::Time NextDeadline() const;

  void Recover(std::vector<std::string> expected_container_ids, RecoveryCallback done) override;
  void Launch(ContainerSpec spec, LaunchCallback done) override;
  void Signal(const std::string& container_id, int signal_number, StatusCallback done) override;
  void Kill(const std::string& container_id, absl::Duration grace, StatusCallback done) override;
  void Destroy(const std::string& container_id, StatusCallback done) override;
  void Update(const std::string& container_id, ContainerResources resources,
              StatusCallback done) override;
  void ReadUsage(const std::string& container_id, UsageCallback done) override;
  void Release(const std::string& container_id, StatusCallback done) override;
  RuntimeCounters Counters() const override;

 private:
  void After(absl::Duration delay, std::function<void()> call);
  // Launching or running; null otherwise.
  FakeMachine::Container* FindLive(const std::string& id);
  void FinishLaunch(const std::string& id, const LaunchCallback& done);
  void Terminate(const std::string& id, int wait_status);
  // Tells of ends that nobody was told of.
  absl::Time EarliestEnd() const;
  void TellEnds(absl::Time now);

  FakeMachine* const machine_;
  const TerminationCallback on_terminated_;
  const FakeRuntimeOptions options_;
  absl::Time now_;
  bool recovered_ = false;
  std::multimap<absl::Time, std::function<void()>> calls_;
  std::map<std::string, bool> watched_;  // ids whose end is to be told
  RuntimeCounters counters_;
};

}  // namespace tessera::agent
