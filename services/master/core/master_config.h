// Settings of the master's core: identity, time-outs, bounds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace tessera::master {

struct MasterConfig {
  // ---- identity
  // Names this process in campaigns; must be unique among the candidates.
  std::string candidate_id;
  // `host:port` at which others reach this master's gRPC and HTTP servers.
  std::string address;
  std::string http_address;
  std::string hostname;
  std::string cluster_name;
  std::string version;
  // Shown to readers of the state.
  std::map<std::string, std::string> flags;
  absl::Time start_time = absl::UnixEpoch();

  // ---- frameworks
  absl::Duration heartbeat_interval = absl::Seconds(15);
  // After a fail-over: how long frameworks that were connected to the old leader may take to come
  // back, when their own fail-over time-out is shorter.
  absl::Duration framework_recovery_grace = absl::Minutes(2);
  // Roles that may subscribe besides `*`; empty: any.
  std::vector<std::string> allowed_roles;
  bool root_submissions = true;

  // ---- the state feed
  // Followers leave a feed that has shown no heartbeat of the master for a few of these.
  absl::Duration feed_heartbeat_interval = absl::Seconds(5);

  // ---- offers
  // Outstanding offers and inverse offers are taken back after this; infinite: never.
  absl::Duration offer_timeout = absl::Minutes(2);
  absl::Duration default_refuse_duration = absl::Seconds(5);

  // ---- agents
  absl::Duration ping_interval = absl::Seconds(15);
  // Pings in a row without an answer after which an agent is unreachable.
  int ping_misses_max = 5;
  // How long a stream may take until it says who it is, and then from one part of its inventory to
  // the next; ten times as long for all of it.
  absl::Duration inventory_timeout = absl::Seconds(30);
  // After a fail-over: how long agents may take to come back.
  absl::Duration agent_reregister_timeout = absl::Minutes(10);
  // After a fail-over: when a larger part of the agents than this is missing, none is marked
  // unreachable, because the fault is more likely here.
  int recovery_removal_limit_percent = 100;
  // At most one agent is marked unreachable in this time; zero: no limit.
  absl::Duration unreachable_marking_interval = absl::ZeroDuration();
  // After a fail-over the allocator waits for this part of the agents, but not longer than that.
  int allocator_recovery_percent = 80;
  absl::Duration allocator_recovery_timeout = absl::Minutes(1);
  // An allocator that answers nothing for this long gets a new stream with a snapshot. It is pinged
  // four times as often.
  absl::Duration allocator_timeout = absl::Minutes(1);

  // ---- registry
  absl::Duration retry_initial = absl::Milliseconds(100);
  absl::Duration retry_max = absl::Seconds(5);
  // The leader stops this long before its lease ends.
  absl::Duration lease_margin = absl::Milliseconds(500);
  uint32_t read_page_size = 5000;
  // What the registry takes: bytes of a key and of a record. What would be larger is refused to
  // whoever brings it, because a write that the registry refuses ends the reign.
  size_t record_key_bytes_max = 1024;
  size_t record_bytes_max = 1 << 20;
  // Writes that go into one transaction, and their bytes. Well below what the registry takes.
  size_t commit_writes_max = 1000;
  size_t commit_bytes_max = 2 << 20;
  // Entries of unreachable agents, gone agents and completed frameworks that the registry keeps;
  // the oldest are forgotten first.
  size_t unreachable_agents_max = 102'400;
  size_t gone_agents_max = 102'400;
  size_t completed_ids_max = 100'000;

  // ---- bounds
  size_t frameworks_max = 10'000;
  size_t roles_per_framework_max = 100;
  // Roles that have a framework, a weight or a quota, and all that are above them, each counted
  // once: nodes of the allocator's tree. That has room for twice as many; the rest is for roles
  // that resources are reserved to, and for those that nobody has any more.
  size_t role_nodes_max = 500'000;
  size_t agents_max = 100'000;
  size_t agent_streams_max = 150'000;
  size_t tasks_max = 2'000'000;
  size_t offers_max = 500'000;
  size_t inverse_offers_max = 100'000;
  // Machines of the maintenance schedule.
  size_t maintenance_machines_max = 10'000;
  // Answers of frameworks that one GetMaintenanceStatus tells.
  size_t maintenance_answers_max = 100'000;
  // Operations in one AcceptOffers, offers in one call, tasks in one call.
  size_t offers_per_call_max = 10'000;
  size_t tasks_per_call_max = 10'000;
  // Bytes of one TaskInfo, one FrameworkInfo with its constraints and suppressed roles, one message
  // to an executor.
  size_t task_bytes_max = 1 << 20;
  size_t framework_bytes_max = 256 << 10;
  size_t message_bytes_max = 1 << 20;
  // Bytes of one AgentInfo, and of the total resources that an agent reports.
  size_t agent_bytes_max = 512 << 10;
  // Bytes that the launches of one call send to an agent. Each task travels with the description of
  // its framework.
  size_t launch_bytes_max = 32 << 20;
  // Frameworks, tasks and executors that one agent may bring when it re-registers, and their bytes:
  // followers of the feed get what one inventory changes as one message, of at most 64 MiB.
  size_t inventory_max = 20'000;
  size_t inventory_bytes_max = 48 << 20;
  // Bytes of the tasks and executors of one agent, with which nothing more is launched there: what
  // was launched has to come back. The rest of an inventory is for statuses and frameworks.
  size_t agent_tasks_bytes_max = 24 << 20;
  // Agents that may be between the first word of their re-registration and its end; others are told
  // to come again a little later. Those that nobody knows have places of their own, so that they
  // keep no known one out.
  size_t reregistrations_max = 1'000;
  size_t unknown_reregistrations_max = 100;
  // Bytes of the inventories of all of them together; half of it for those that nobody knows.
  size_t inventories_bytes_max = size_t{1} << 30;
  // Registry writes that may wait, and their bytes.
  size_t registry_queue_max = 200'000;
  size_t registry_queue_bytes_max = 256 << 20;
  size_t completed_frameworks_max = 50;
  size_t completed_tasks_per_framework_max = 1'000;
  size_t unreachable_tasks_per_framework_max = 1'000;
};

// INVALID_ARGUMENT names the setting that is wrong and what it should be.
absl::Status Validate(const MasterConfig& config);

}  // namespace tessera::master
