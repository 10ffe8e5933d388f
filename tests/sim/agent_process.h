// agent-svc on a machine of its own: the machine and the synced part of the log survive a crash.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "services/agent/core/agent_core.h"
#include "tests/sim/machine.h"
#include "tests/sim/world.h"

namespace tessera::sim {

struct AgentShape {
  int64_t cpus_milli = 4000;
  int64_t mem_milli = 4'096'000;
};

class AgentProcess : public Process {
 public:
  AgentProcess(World* world, std::string name, std::vector<std::string> masters, AgentShape shape);

  const AgentShape& shape() const { return shape_; }

 private:
  struct Log {
    std::vector<agent::checkpoint::Record> synced;
    std::vector<agent::Persist> written;
  };

  void OnStart() override;
  void OnEnd() override;
  void CarryOut(std::vector<agent::Effect> effects);
  void Do(agent::RecoverContainers& recover);
  void Do(agent::OpenLink& open);
  void Do(agent::SendToMaster& send);
  void Do(agent::CloseLink& close);
  void Do(agent::Persist& persist);
  void Do(agent::LaunchContainer& launch);
  void Do(agent::KillContainer& kill);
  void Do(agent::DestroyContainer& destroy);
  void Do(agent::SignalContainer& signal);
  void Do(agent::ReleaseContainer& release);
  void Do(agent::DeleteSandbox& remove);
  void Do(agent::AnswerOperator& answer);
  void Do(agent::Fatal& fatal);
  void Sync();
  // For the rule that agents refuse a lower epoch than one they have obeyed.
  void WatchCommands(const agentlink::v1::ConnectResponse& batch);

  World* world_;
  const std::vector<std::string> masters_;
  const AgentShape shape_;
  base::Rng rng_;
  Machine machine_;
  Log log_;
  bool syncing_ = false;
  std::unique_ptr<agent::AgentCore> core_;
  std::unique_ptr<CoreRunner<agent::AgentCore, agent::Event, agent::Effect>> runner_;
  struct Link {
    std::shared_ptr<Wire> wire;
    // Named by the master's end.
    std::shared_ptr<uint64_t> stream;
    std::string address;
  };
  std::map<uint64_t, Link> links_;
  // What an observer of the machine knows, over crashes: the highest epoch for which a container
  // was started, and by whom each task ("<framework>/<task>") was asked for.
  uint64_t obeyed_epoch_ = 0;
  std::map<std::string, uint64_t> task_epochs_;
  std::set<std::string> forbidden_tasks_;
};

}  // namespace tessera::sim
