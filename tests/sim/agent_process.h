// agent-svc on a machine of its own: the machine and what its disk holds survive a crash.
//
// The log is the real one (RecordLog) on a disk that takes its time (LogDisk). What gathers while a
// sync runs is written as one frame with the next, as LogWriter does.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "services/agent/checkpoint/record_log.h"
#include "services/agent/core/agent_core.h"
#include "tests/sim/log_disk.h"
#include "tests/sim/machine.h"
#include "tests/sim/world.h"

namespace tessera::sim {

struct AgentShape {
  int64_t cpus_milli = 4000;
  int64_t mem_milli = 4'096'000;
  DiskShape disk;
  // Empty: its own. Otherwise it announces the address of another agent.
  std::string address;
};

class AgentProcess : public Process, private MachineWitness {
 public:
  AgentProcess(World* world, std::string name, std::vector<std::string> masters, AgentShape shape);

  const AgentShape& shape() const { return shape_; }
  std::string address() const { return shape_.address.empty() ? name() + ":5051" : shape_.address; }
  // Of a process that is down: the machine is booted before the next start.
  void Reboot();
  // The same, and the disk is another one: the next start is that of a new agent.
  void Reinstall();
  // The disk gives the log no more space, or gives some again.
  void SetLogSpace(bool low);
  // What it says of itself; null while it is down.
  std::shared_ptr<const agent::AgentView> View() const;

 private:
  struct Tap {
    static void Fold(Digest* digest, const agent::RecoverContainers& effect);
    static void Fold(Digest* digest, const agent::OpenLink& effect);
    static void Fold(Digest* digest, const agent::SendToMaster& effect);
    static void Fold(Digest* digest, const agent::CloseLink& effect);
    static void Fold(Digest* digest, const agent::Persist& effect);
    static void Fold(Digest* digest, const agent::CreatePod& effect);
    static void Fold(Digest* digest, const agent::UpdatePod& effect);
    static void Fold(Digest* digest, const agent::DestroyPod& effect);
    static void Fold(Digest* digest, const agent::LaunchContainer& effect);
    static void Fold(Digest* digest, const agent::KillContainer& effect);
    static void Fold(Digest* digest, const agent::DestroyContainer& effect);
    static void Fold(Digest* digest, const agent::SignalContainer& effect);
    static void Fold(Digest* digest, const agent::ReleaseContainer& effect);
    static void Fold(Digest* digest, const agent::DeleteSandbox& effect);
    static void Fold(Digest* digest, const agent::AnswerOperator& effect);
    static void Fold(Digest* digest, const agent::Fatal& effect);
    template <typename Effect>
    static Bite MomentOf(const Effect&) {
      return Bite::kCount;
    }
    static Bite MomentOf(const agent::Persist&) { return Bite::kAgentPersists; }
    static Bite MomentOf(const agent::LaunchContainer&) { return Bite::kAgentLaunches; }
    static Bite MomentOf(const agent::SendToMaster& send);
  };
  struct Link {
    std::shared_ptr<Wire> wire;
    // Named by the master's end.
    std::shared_ptr<uint64_t> stream;
    std::string address;
  };

  void OnStart() override;
  void OnEnd() override;
  // What really happens on the machine.
  void Started(const agent::ContainerSpec& spec, const std::string& mark) override;
  void Ended(const std::string& container_id, const std::string& mark,
             const agent::ContainerTermination& termination) override;

  void CarryOut(std::vector<agent::Effect> effects);
  void Do(agent::RecoverContainers& recover);
  void Do(agent::OpenLink& open);
  void Do(agent::SendToMaster& send);
  void Do(agent::CloseLink& close);
  void Do(agent::Persist& persist);
  void Do(agent::CreatePod& create);
  void Do(agent::UpdatePod& update);
  void Do(agent::DestroyPod& destroy);
  void Do(agent::LaunchContainer& launch);
  void Do(agent::KillContainer& kill);
  void Do(agent::DestroyContainer& destroy);
  void Do(agent::SignalContainer& signal);
  void Do(agent::ReleaseContainer& release);
  void Do(agent::DeleteSandbox& remove);
  void Do(agent::AnswerOperator& answer);
  void Do(agent::Fatal& fatal);
  // Writes what has gathered, and tells the core when it is on the disk.
  void BeginSync();
  void EndSync();
  // Of what a master says: which launches it asks for, and in which epoch.
  void WatchCommands(const agentlink::v1::ConnectResponse& batch);
  void WatchLaunch(uint64_t epoch, const agentlink::v1::TaskLaunch& launch);

  World* world_;
  const std::vector<std::string> masters_;
  const AgentShape shape_;
  base::Rng rng_;
  Machine machine_;
  bool rebooted_ = false;
  bool log_space_low_ = false;

  // ---- The log. `writing_` is what the sync that runs writes.
  LogDisk disk_;
  std::unique_ptr<agent::RecordLog> log_;
  std::deque<agent::Persist> queue_;
  bool syncing_ = false;
  uint64_t writing_ = 0;
  uint64_t asked_ = 0;
  uint64_t durable_ = 0;
  // The newest records when a master's newest task had been taken note of.
  uint64_t asked_with_task_ = 0;

  std::unique_ptr<agent::AgentCore> core_;
  std::unique_ptr<CoreRunner<agent::AgentCore, agent::Event, agent::Effect, Tap>> runner_;
  std::unique_ptr<MachineRuntime> runtime_;
  std::map<uint64_t, Link> links_;

  // What an observer of the machine knows, over crashes: the highest epoch for which a container
  // was started, and by whom each launch (by its mark) was asked for.
  uint64_t obeyed_epoch_ = 0;
  std::map<std::string, uint64_t> launch_epochs_;
  std::set<std::string> forbidden_launches_;
};

}  // namespace tessera::sim
