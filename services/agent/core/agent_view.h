// The agent as readers see it: an immutable snapshot that the strand publishes.
//
// Threads: immutable, shared.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "protos/tessera/model/v1/agent.pb.h"
#include "protos/tessera/model/v1/resources.pb.h"
#include "protos/tessera/model/v1/task.pb.h"
#include "services/agent/container/container_runtime.h"

namespace tessera::agent {

struct ContainerView {
  enum class State { kStarting, kRunning, kEnding, kEnded };
  std::string container_id;
  State state = State::kStarting;
  std::string framework_id;
  std::string task_id;
  std::string task_name;
  std::string executor_id;
  std::string role;
  std::string sandbox;
  uint32_t init_pid = 0;
  absl::Time started = absl::InfinitePast();
  std::vector<model::v1::Resource> resources;
  std::optional<ContainerTermination> termination;
  // How the task ended.
  model::v1::TaskState final_state = model::v1::TASK_STATE_UNSPECIFIED;
  model::v1::TaskStatusReason final_reason = model::v1::TASK_STATUS_REASON_UNSPECIFIED;
};

inline constexpr size_t kTaskStates = 16;
inline constexpr size_t kTaskReasons = 32;

// Counts since the process started.
struct AgentCounters {
  // By terminal state and reason, as numbered in task.proto.
  std::array<std::array<uint64_t, kTaskReasons>, kTaskStates> terminal_tasks{};
  uint64_t tasks_accepted = 0;
  uint64_t tasks_refused = 0;
  uint64_t launches = 0;
  uint64_t launch_errors = 0;
  uint64_t status_updates = 0;
  uint64_t status_update_retries = 0;
  uint64_t acknowledgements = 0;
  // Acknowledgements that fit no status, duplicates of tasks, messages for nobody.
  uint64_t ignored_messages = 0;
  uint64_t stale_batches = 0;
  uint64_t dials = 0;
  uint64_t registrations = 0;
  uint64_t ping_timeouts = 0;
  uint64_t destroy_retries = 0;
  uint64_t recovery_errors = 0;
  uint64_t sandboxes_deleted = 0;
  uint64_t sandbox_delete_errors = 0;
  uint64_t log_compactions = 0;
};

struct AgentView {
  model::v1::AgentInfo info;
  std::vector<model::v1::Resource> total;
  std::vector<model::v1::Resource> used;
  bool recovered = false;
  bool registered = false;
  bool draining = false;
  std::string master_address;
  uint64_t highest_epoch = 0;
  absl::Time started = absl::InfinitePast();
  absl::Duration recovery_time;
  size_t frameworks = 0;
  size_t unacknowledged_statuses = 0;
  size_t sandboxes_kept = 0;
  // Tasks by the state they are in now, as numbered in task.proto.
  std::array<uint64_t, kTaskStates> tasks{};
  // Live ones by the time they were accepted, then ended ones that are still known.
  std::vector<std::shared_ptr<const ContainerView>> containers;
  AgentCounters counters;
};

}  // namespace tessera::agent
