// The settings of agent-svc as one value, and the check whether they fit together.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "services/agent/core/agent_config.h"
#include "services/agent/server/machine.h"

namespace tessera::agent {

struct AgentSettings {
  std::string master;
  std::string listen;
  std::string http_listen;
  std::string advertise;
  std::string http_advertise;
  std::string work_dir;
  std::string runtime_dir;
  std::string resources;
  std::string attributes;
  std::string default_role;
  std::string hostname;
  std::string region;
  std::string zone;
  std::string cgroups_root;
  std::string isolation;
  int launch_workers = 4;
  int parked_containers = 8;
  absl::Duration gc_delay;
  absl::Duration registration_backoff;
  absl::Duration registration_backoff_max;
  absl::Duration status_retry;
  bool switch_user = true;
  bool limit_cpu_to_request = false;
};

// The flag, or a name of this agent's own made of its work directory, so that several agents of one
// machine keep apart.
std::string CgroupsRootOf(const AgentSettings& settings);

// INVALID_ARGUMENT naming the flag, what is wrong with it, and what to do. Pure.
absl::Status CheckSettings(const AgentSettings& settings);

// Says in `info` where others reach the servers that are bound to these addresses. Pure.
void TellAddresses(const AgentSettings& settings, const std::string& grpc_bound,
                   const std::string& http_bound, model::v1::AgentInfo* info);

// What the core is told, without the addresses that are known only once the servers listen. The
// settings have been checked. Pure.
absl::StatusOr<AgentConfig> MakeConfig(const AgentSettings& settings, const MachineFacts& facts);

}  // namespace tessera::agent
