// What an AgentCore is told once, when it is made. Units are in the types; bounds are per agent.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "protos/tessera/model/v1/agent.pb.h"

namespace tessera::agent {

// Gives 16 bytes that nobody else has. The simulator hands in one that follows its seed.
using UuidSource = std::function<std::string()>;

struct AgentConfig {
  // The machine as the operator describes it; its `id` is ignored.
  model::v1::AgentInfo info;
  // `host:port` of each master that may lead. Not empty.
  std::vector<std::string> masters;
  // Absolute. Sandboxes are <root>/<framework id>/<task id>/<container id>.
  std::string sandbox_root = "/var/lib/tessera/agent/sandboxes";
  // Run commands as the user that their task or framework names; otherwise as the agent's own.
  bool switch_user = true;
  // Limit cpu time to the request (CFS quota) for tasks that name no limit of their own.
  bool limit_cpu_to_request = false;
  // Variables that every container gets; a task's own win.
  std::vector<std::pair<std::string, std::string>> container_environment;

  // Wait between two tries to reach a master: doubles from the first to the second, with jitter.
  absl::Duration dial_backoff_min = absl::Milliseconds(250);
  absl::Duration dial_backoff_max = absl::Seconds(10);
  // A link that is not answered with Registered for this long is given up.
  absl::Duration registration_timeout = absl::Seconds(60);
  // Used until the master says another one.
  absl::Duration ping_timeout = absl::Seconds(75);

  // A status is sent again after the first, then twice as long each time up to the second.
  absl::Duration status_retry_min = absl::Seconds(10);
  absl::Duration status_retry_max = absl::Minutes(10);

  // Between the polite and the forced kill of a task that says nothing about it.
  absl::Duration kill_grace = absl::Seconds(3);
  // The same when a framework or the agent itself is shut down.
  absl::Duration shutdown_grace = absl::Seconds(5);
  // A container that should be dead is destroyed again each time this has passed.
  absl::Duration destroy_retry = absl::Seconds(10);

  // The runtime has a time limit of its own for a launch; this one is for a runtime that does not
  // answer.
  absl::Duration container_launch_timeout = absl::Minutes(5);

  // How long a sandbox outlives its container when the disk is empty; it falls as the disk fills.
  absl::Duration gc_delay = absl::Hours(24 * 7);
  // Fraction of the disk that sandboxes shall leave free.
  double gc_disk_headroom = 0.1;

  // Frameworks that are described here at once.
  size_t frameworks_max = 10'000;
  // Tasks, ended but unacknowledged ones included. More are dropped with a reason.
  size_t tasks_max = 20'000;
  // Largest description of a task, without `data`.
  size_t task_bytes_max = 4 << 20;
  // Batches of a master that wait for its epoch to be durable.
  size_t held_batches_max = 1'024;
  // Entries and bytes of one Inventory message.
  size_t inventory_entries_max = 1'000;
  size_t inventory_bytes_max = 2 << 20;
  // Ended containers that WaitContainer and the container list still know.
  size_t ended_containers_max = 200;
  // Records after which the log is replaced by its essence, if that is at most a quarter of it.
  size_t compact_records_min = 8'192;
};

}  // namespace tessera::agent
