// What a simulated run consists of, drawn from its seed before anything runs.
//
// Two kinds of clusters. An ordinary one is small and has every kind of fault. A crowd has a
// hundred frameworks, of which few are honest, and fewer faults.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "services/allocator/wire/stream_core.h"
#include "services/base/rng.h"
#include "services/master/core/master_config.h"
#include "tests/sim/agent_process.h"
#include "tests/sim/feed_outlet.h"
#include "tests/sim/framework_process.h"
#include "tests/sim/network.h"
#include "tests/sim/operator_process.h"
#include "tests/sim/run_kind.h"

namespace tessera::sim {

// Mean times between faults of each kind; infinite: never in this run.
struct FaultRates {
  absl::Duration registry_crash = absl::InfiniteDuration();
  absl::Duration allocator_crash = absl::InfiniteDuration();
  absl::Duration master_crash = absl::InfiniteDuration();
  absl::Duration agent_crash = absl::InfiniteDuration();
  absl::Duration framework_crash = absl::InfiniteDuration();
  absl::Duration state_crash = absl::InfiniteDuration();
  absl::Duration wire_break = absl::InfiniteDuration();
  absl::Duration partition = absl::InfiniteDuration();
  // Of the processes that are ended, this part stops in an orderly way in place of crashing.
  double orderly = 0;
  // Of the partitions, this part cuts a state-svc off from a master: it lags while others go on.
  double readers_apart = 0;
  // Of the broken wires and the partitions, this part is silent: nobody is told. Of the silent
  // partitions, this part lets one direction through.
  double silent = 0;
  double one_way = 0;
  // A crash, or broken connections, at a moment that hurts (strikes.h).
  absl::Duration strike = absl::InfiniteDuration();
  // Of the agents that crash, this part is booted, and this part comes back as a new agent.
  double reboots = 0;
  double reinstalls = 0;
  // A second agent announces the address of one of the agents, for a while.
  absl::Duration twin = absl::InfiniteDuration();
  // The disk of an agent's log gives no more space, for a while.
  absl::Duration log_space = absl::InfiniteDuration();
  // Clocks are wrong by about so much, in each life of a process by something else.
  absl::Duration clock_error;
};

struct MasterPlan {
  master::MasterConfig config;
  FeedOutletOptions feed;
};

struct ReaderPlan {
  std::string address;
  std::vector<std::string> feeds;  // whom it may follow
  FeedOutletOptions feed;
};

struct ClusterPlan {
  RunKind kind = RunKind::kOrdinary;
  allocator::StreamCoreConfig allocator;
  std::vector<MasterPlan> masters;
  std::vector<ReaderPlan> readers;
  std::vector<AgentShape> agents;
  std::vector<FrameworkShape> frameworks;
  OperatorShape operators;
  FaultRates rates;
  DiskShape registry_disk;
  absl::Duration fault_phase = absl::Minutes(10);
  // Honest frameworks have so many more wishes when everything is healed.
  int wishes_after_healing = 0;
  // One line for people.
  std::string summary;

  std::vector<std::string> MasterAddresses() const;
};

NetworkOptions DrawNetwork(base::Rng* draws);
ClusterPlan DrawPlan(RunKind kind, base::Rng* draws);

}  // namespace tessera::sim
