// An agent without a machine: speaks AgentLinkService as a real one does and "runs" tasks at once.
//
// It registers, comes back with everything that it runs, answers pings, refuses masters of an older
// epoch, sends one status of a task at a time and repeats it until it is acknowledged. What it
// leaves out is containers, checkpoints and executors.
//
// Pure: messages in, messages out, time by argument.
// Threads: none; AgentFleet guards each agent by a lock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "protos/tessera/agentlink/v1/agent_link_service.pb.h"
#include "services/base/rng.h"
#include "services/model/incarnation.h"

namespace tessera::bench {

// What all agents of a fleet do alike.
struct AgentBehaviour {
  // Report STARTING before RUNNING, as a real agent does.
  bool reports_starting = false;
  // How long a task runs before it finishes; nullopt: until it is killed.
  std::optional<absl::Duration> task_duration;
  // An unacknowledged status is sent again after this.
  absl::Duration status_retry = absl::Seconds(10);
  // Entries of one Inventory message.
  int inventory_chunk = 1000;
};

struct AgentCounters {
  uint64_t tasks_started = 0;
  uint64_t tasks_ended = 0;
  uint64_t statuses_sent = 0;
  uint64_t statuses_repeated = 0;
  uint64_t stale_epochs = 0;
};

class SimulatedAgent {
 public:
  using Messages = agentlink::v1::ConnectRequest;

  // `info` is without an id; `behaviour` must outlive the agent.
  SimulatedAgent(model::v1::AgentInfo info, const AgentBehaviour* behaviour, uint64_t seed);

  // The first messages of a new stream.
  void Open(Messages* out);

  // Obeys a batch. An error means that the stream must end with it (FAILED_PRECONDITION: the
  // master's epoch is stale; PERMISSION_DENIED: the master shut the agent down, which then comes
  // back as a new one).
  absl::Status Handle(absl::Time now, const agentlink::v1::ConnectResponse& batch, Messages* out);

  // The stream is gone.
  void Closed();

  // Ends tasks whose time has come, and repeats statuses.
  void Wake(absl::Time now, Messages* out);
  // When Wake has something to do; InfiniteFuture when never.
  absl::Time NextDeadline() const;

  const std::string& id() const { return info_.id(); }
  bool registered() const { return registered_; }
  size_t live_tasks() const { return live_tasks_; }
  // Statuses that nobody has acknowledged yet.
  size_t unacknowledged() const;
  // The last ping's time and the master's patience, for the owner's check of a silent master.
  absl::Time last_heard() const { return last_heard_; }
  absl::Duration ping_timeout() const { return ping_timeout_; }
  const AgentCounters& counters() const { return counters_; }

 private:
  struct Task {
    // As it lies in an inventory.
    agentlink::v1::TaskEntry entry;
    // Statuses to be acknowledged one after the other; the first is under way.
    std::deque<model::v1::TaskStatus> pending;
    absl::Time end_at = absl::InfiniteFuture();
    absl::Time repeat_at = absl::InfiniteFuture();
    bool live = true;
  };
  // By framework id and incarnation.
  using Key = std::pair<std::string, model::Incarnation>;

  void RunTask(absl::Time now, const agentlink::v1::MasterMessage::RunTask& run, Messages* out);
  void KillTask(absl::Time now, const agentlink::v1::MasterMessage::KillTask& kill, Messages* out);
  void Acknowledge(absl::Time now, const agentlink::v1::MasterMessage::AcknowledgeUpdate& update,
                   Messages* out);
  void Add(absl::Time now, Task& task, model::v1::TaskState state, const std::string& message);
  void End(absl::Time now, Task& task, model::v1::TaskState state);
  void SendFirst(absl::Time now, Task& task, Messages* out);
  void Forget(std::map<Key, Task>::iterator task);
  bool HasTasks(const std::string& framework_id) const;
  void ForgetFramework(const std::string& framework_id);
  std::string NewUuid();

  model::v1::AgentInfo info_;
  const AgentBehaviour* behaviour_;
  base::Rng rng_;
  uint64_t highest_epoch_ = 0;
  bool registered_ = false;
  absl::Time last_heard_ = absl::InfiniteFuture();
  absl::Duration ping_timeout_ = absl::InfiniteDuration();
  // Descriptions of frameworks that have tasks here, and of those told on this stream.
  std::map<std::string, std::string> frameworks_;
  std::map<Key, Task> tasks_;
  size_t live_tasks_ = 0;
  // Not later than the earliest end or repetition.
  absl::Time deadline_ = absl::InfiniteFuture();
  AgentCounters counters_;
};

}  // namespace tessera::bench
