// Operators: they change quotas and weights, kill tasks, drain agents, take them out of service and
// give them up, and do maintenance, now and then, and do not look what happens to be busy.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "protos/tessera/operators/v1/operator_service.pb.h"
#include "services/master/core/master_events.h"
#include "tests/sim/world.h"

namespace tessera::sim {

// What is agreed on for a role; in thousandths, 0: nothing is.
struct AgreedQuota {
  std::string role;
  int64_t guaranteed_cpus = 0, guaranteed_mem = 0;
  int64_t most_cpus = 0, most_mem = 0;
};

struct OperatorShape {
  // Mean time between two changes; infinite: none.
  absl::Duration pause = absl::InfiniteDuration();
  // The roles whose quotas and weights they change.
  std::vector<std::string> roles;
  // What the cluster has: quotas are drawn as parts of it.
  int64_t cpus_milli = 0, mem_milli = 0;
  int64_t weight_min = 100, weight_max = 10'000;
  // A guarantee is less than this part of the cluster.
  double guarantee_max = 0.5;
  // Mean time between two deeds about tasks, agents and machines; infinite: none.
  absl::Duration meddling = absl::InfiniteDuration();
  // Of those, this part gives an agent up for good.
  double gone = 0.1;
  // What Settle() brings about; every other role of `roles` has no quota then.
  std::vector<AgreedQuota> agreed;
};

class OperatorProcess : public Process {
 public:
  OperatorProcess(World* world, std::vector<std::string> masters, OperatorShape shape);

  // From now on nothing is changed but what it takes to have the quotas that are agreed on.
  void Settle();
  bool settled() const { return settled_ && agents_mended_ && machines_mended_; }
  // Changes that a master has confirmed.
  uint64_t changes() const { return changes_; }

 private:
  void OnStart() override;
  void OnEnd() override;
  void ChangeLater();
  void MeddleLater();
  void Meddle();
  // Kills a task that was launched not long ago.
  void KillTask();
  void MeddleWithAgent(const std::string& hostname, const std::string& agent_id);
  // One step of a maintenance: announces it, begins it, or ends it.
  void Maintain(const std::string& hostname);
  // What is left to bring everything back into service; tried again until it is done.
  void MendAgents();
  void MendMachines();
  operators::v1::UpdateQuotaRequest DrawQuotas();
  operators::v1::UpdateWeightsRequest DrawWeights();
  operators::v1::UpdateQuotaRequest Agreed() const;
  // Asks some master; whoever does not lead refuses.
  void Ask(master::OperatorRequest request, std::function<void(const absl::Status&)> answer);
  void AskFor(master::OperatorRequest request,
              std::function<void(const absl::StatusOr<master::OperatorAnswer>&)> answer);

  World* world_;
  const std::vector<std::string> masters_;
  const OperatorShape shape_;
  base::Rng rng_;
  bool settling_ = false;
  bool settled_ = false;
  bool agents_mended_ = false;
  bool machines_mended_ = false;
  // Agents (by hostname) that were drained or deactivated, with the ids under which they were.
  std::map<std::string, std::string> out_of_service_;
  // Every agent that ever was.
  std::set<std::string> touched_;
  int tries_ = 0;
  // Machines with a maintenance: announced, or (true) begun.
  std::map<std::string, bool> maintained_;
  uint64_t changes_ = 0;
};

}  // namespace tessera::sim
