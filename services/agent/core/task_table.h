// The tasks of the agent: what their frameworks know of them.
//
// Invariants: a task is named by the incarnation that the master gave it; ids that frameworks chose
// go along and may be borne by several tasks at once, one that lives and others that are not
// forgotten yet. A task is there from its acceptance (or refusal) until its last status is durably
// acknowledged, or its framework or the agent was shut down.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "protos/tessera/model/v1/task.pb.h"
#include "services/agent/checkpoint/record.pb.h"
#include "services/agent/container/container_runtime.h"
#include "services/agent/container/container_spec.h"
#include "services/agent/core/agent_view.h"
#include "services/agent/core/resource_book.h"
#include "services/agent/core/status_stream.h"
#include "services/model/description.h"
#include "services/model/incarnation.h"

namespace tessera::agent {

using KillCause = checkpoint::Record::KillCause;

struct Task {
  struct Kill {
    KillCause cause = checkpoint::Record::KILL_CAUSE_UNSPECIFIED;
    absl::Time deadline;
  };

  model::Incarnation incarnation;
  std::string framework_id;
  std::string task_id;
  // A serialised model.v1.TaskInfo, without data.
  model::Description info;
  std::string name;
  // What of the description counts while the task lives. Unset: the agent's own; no limit.
  std::optional<absl::Duration> kill_grace;
  std::optional<absl::Duration> completion_time;
  Holding holding;
  // Of a container that is in no pod; a pod has the sum of those of its tasks.
  ContainerResources limits;
  std::string executor_id;
  model::Incarnation executor;  // not valid: the agent supervises it by itself
  uint64_t group = 0;           // 0: none
  absl::Time accepted;

  // Empty when there never was to be one.
  std::string container_id;
  absl::Time started = absl::InfinitePast();
  uint32_t init_pid = 0;

  // It has a terminal state, and no container.
  bool ended = false;
  // The record of the task itself is in the log.
  bool durable = false;
  std::optional<Kill> kill;
  // The newest state, and the newest that is durable (which is all that may be told).
  model::v1::TaskState state = model::v1::TASK_STAGING;
  model::v1::TaskState durable_state = model::v1::TASK_STAGING;
  StatusStream stream;
  // Durable statuses, oldest first, the newest of a run of equal states only.
  std::vector<model::v1::TaskStatus> history;
  model::v1::TaskState sent_state = model::v1::TASK_STATE_UNSPECIFIED;
  std::string sent_uuid;

  // Nobody waits for its statuses: its framework or the agent was shut down.
  bool silent() const {
    return kill.has_value() && (kill->cause == checkpoint::Record::KILL_FRAMEWORK_SHUTDOWN ||
                                kill->cause == checkpoint::Record::KILL_AGENT_SHUTDOWN);
  }
};

class TaskTable {
 public:
  // Its incarnation must not be in the table.
  Task& Add(Task task);
  // Forgets a task that has ended.
  void Remove(model::Incarnation incarnation);

  Task* Find(model::Incarnation incarnation) {
    auto found = tasks_.find(incarnation);
    return found == tasks_.end() ? nullptr : &found->second;
  }

  const Task* Find(model::Incarnation incarnation) const {
    auto found = tasks_.find(incarnation);
    return found == tasks_.end() ? nullptr : &found->second;
  }

  void SetState(Task& task, model::v1::TaskState state);
  void MarkEnded(Task& task);
  // So many more statuses (or fewer) wait for their acknowledgement.
  void CountPending(int64_t more) {
    pending_statuses_ += more;
    ++changes_;
  }

  std::map<model::Incarnation, Task>& tasks() { return tasks_; }
  const std::map<model::Incarnation, Task>& tasks() const { return tasks_; }
  size_t size() const { return tasks_.size(); }
  // Those that have not ended, by age.
  std::vector<model::Incarnation> Live() const;
  // Members of a group that are not forgotten, by age.
  std::vector<model::Incarnation> Group(uint64_t group) const;
  uint64_t last_group() const { return last_group_; }

  size_t live() const { return live_; }
  size_t pending_statuses() const { return static_cast<size_t>(pending_statuses_); }
  // Of those that have not ended, by the state they are in.
  const std::array<uint64_t, kTaskStates>& states() const { return states_; }

  // Grows with each change of what readers see.
  uint64_t changes() const { return changes_; }

 private:
  std::map<model::Incarnation, Task> tasks_;
  std::map<uint64_t, std::vector<model::Incarnation>> groups_;
  uint64_t last_group_ = 0;
  size_t live_ = 0;
  int64_t pending_statuses_ = 0;
  std::array<uint64_t, kTaskStates> states_{};
  uint64_t changes_ = 0;
};

}  // namespace tessera::agent
