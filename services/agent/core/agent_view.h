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

// One more than the highest number of task.proto, so that every state and reason has its place.
inline constexpr size_t kTaskStates = model::v1::TaskState_ARRAYSIZE;
inline constexpr size_t kTaskReasons = model::v1::TaskStatusReason_ARRAYSIZE;

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
  // Launches given up because a stage of theirs took too long.
  uint64_t launch_timeouts = 0;
};

// Views of containers in pieces, so that a new list shares with the one before it all pieces in
// which nothing has changed.
struct ContainerViews {
  using Piece = std::vector<std::shared_ptr<const ContainerView>>;
  // Live ones by age.
  std::vector<std::shared_ptr<const Piece>> live;
  // Ended ones that are still known, oldest first.
  std::shared_ptr<const Piece> ended;

  template <typename Visit>
  void ForEachLive(Visit visit) const {
    for (const auto& piece : live) {
      for (const auto& container : *piece) visit(container);
    }
  }
  template <typename Visit>
  void ForEach(Visit visit) const {
    ForEachLive(visit);
    if (ended == nullptr) return;
    for (const auto& container : *ended) visit(container);
  }
  std::vector<std::shared_ptr<const ContainerView>> All() const {
    std::vector<std::shared_ptr<const ContainerView>> all;
    ForEach([&all](const auto& container) { all.push_back(container); });
    return all;
  }
};

struct AgentView {
  // Never null in what a core gives; shared with earlier views.
  std::shared_ptr<const model::v1::AgentInfo> info = std::make_shared<model::v1::AgentInfo>();
  std::vector<model::v1::Resource> total;
  std::vector<model::v1::Resource> used;
  uint64_t resource_version = 0;
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
  ContainerViews containers;
  AgentCounters counters;
};

}  // namespace tessera::agent
