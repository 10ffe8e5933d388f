// The streams of agents: what each has said until its agent is admitted, and whose it is then.
//
// Invariants: a session is counted among those on their way back, and its inventory among the
// bytes, from the begin of its return until that is over, however it ends; of the streams of one
// agent that wait for the registry the newest is known by the agent's id.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "services/feed/rows.h"
#include "services/master/core/indexes.h"
#include "services/master/core/master_config.h"
#include "services/master/core/outbox.h"
#include "services/model/description.h"
#include "services/model/resources.h"

namespace tessera::master {

enum class SessionPhase : uint8_t {
  kNew,        // nothing has come yet
  kInventory,  // re-registers; chunks are on their way
  kWaiting,    // for the registry
  kAttached,   // is an agent's stream
};

// What an agent that comes back brings.
struct ReturningTask {
  feed::TaskFacts facts;
  pb::TaskState state = pb::TASK_STATE_UNSPECIFIED;
  // Task::told_before.
  pb::TaskState told_before = pb::TASK_STATE_UNSPECIFIED;
  std::vector<feed::StatusPtr> history;
};
struct ReturningFramework {
  pb::FrameworkInfo info;
  // As the agent has it.
  model::Description description;
};

struct AgentSession {
  SessionPhase phase = SessionPhase::kNew;
  AgentIndex agent;
  link::AgentMessage::Register registration;
  model::Resources total;
  uint64_t resource_version = 0;
  std::vector<ReturningFramework> frameworks;
  std::vector<ReturningTask> tasks;
  std::vector<feed::ExecutorRow> executors;
  size_t inventory_bytes = 0;
  // When it was opened, and when it said something last; until it waits for the registry.
  absl::Time opened;
  absl::Time heard;
  // Which count it is in while it is on its way back.
  size_t* returning = nullptr;
  // The stream ended while the registry was asked.
  bool closed = false;
  // It left while the registry was asked.
  bool leaves = false;

  // When a stream that does not go on has had its time.
  absl::Time InventoryDue(const MasterConfig& config) const;
};

class AgentStreams {
 public:
  AgentStreams(const MasterConfig* config, Outbox* outbox) : config_(*config), out_(*outbox) {}

  // The session of a stream that is new. References to sessions hold until they are forgotten.
  AgentSession& Open(AgentStreamId stream, absl::Time now);
  // Null when there is none.
  AgentSession* Find(AgentStreamId stream);
  // The session is over; its stream has ended.
  void Forget(AgentStreamId stream);
  // Ends the stream, and the session with it.
  void Close(AgentStreamId stream, const absl::Status& status);
  void CloseAll(const absl::Status& status);
  size_t size() const { return sessions_.size(); }

  // The session is on its way back; `known`: its agent's id is. False when too many are.
  bool BeginReturn(AgentSession& session, bool known);
  // Counts bytes of its inventory. False when there is no room for them: whoever is sent away makes
  // room for those that stay.
  bool AddInventory(AgentSession& session, size_t bytes);
  void EndReturn(AgentSession& session);

  // The newest stream of this agent that waits for the registry.
  void SetWaiting(const std::string& agent_id, AgentStreamId stream);
  std::optional<AgentStreamId> Waiting(const std::string& agent_id) const;
  void EndWaiting(const std::string& agent_id) { waiting_.erase(agent_id); }

 private:
  const MasterConfig& config_;
  Outbox& out_;
  // A map whose elements stay where they are: sessions are held by reference while others end.
  std::map<AgentStreamId, AgentSession> sessions_;
  absl::flat_hash_map<std::string, AgentStreamId> waiting_;
  // Sessions that are on their way back: of ids that are known, and of others.
  size_t returning_ = 0;
  size_t returning_unknown_ = 0;
  // The sum of their `inventory_bytes`.
  size_t inventories_bytes_ = 0;
};

}  // namespace tessera::master
