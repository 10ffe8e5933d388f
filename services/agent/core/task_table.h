// The tasks of the agent, the frameworks and executors they belong to, and the resources they use.
//
// Invariants: a task is found by its serial number and by (framework, task id); serial numbers grow
// and are never reused; used() is the sum over tasks that have not ended and over executors that
// have such tasks; a framework is known while it has tasks.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "protos/tessera/model/v1/framework.pb.h"
#include "protos/tessera/model/v1/task.pb.h"
#include "services/agent/checkpoint/record.pb.h"
#include "services/agent/container/container_runtime.h"
#include "services/agent/core/agent_view.h"
#include "services/agent/core/status_stream.h"
#include "services/model/resources.h"

namespace tessera::agent {

using KillCause = checkpoint::Record::KillCause;

struct Task {
  enum class Phase {
    // Its record is not durable yet, or resources that it was promised are still being given back.
    kAccepted,
    // The runtime was asked for the container.
    kLaunching,
    kRunning,
    // It has a terminal state. Its container, if there was one, has ended.
    kEnded,
  };
  struct Kill {
    KillCause cause = checkpoint::Record::KILL_CAUSE_UNSPECIFIED;
    absl::Time deadline;
  };

  uint64_t serial = 0;
  std::string framework_id;
  model::v1::TaskInfo info;  // without data
  std::string executor_id;
  uint64_t group = 0;  // 0: none
  std::string container_id;
  std::string sandbox;
  model::Resources resources;  // unallocated
  absl::Time accepted;
  absl::Time started = absl::InfinitePast();
  uint32_t init_pid = 0;

  Phase phase = Phase::kAccepted;
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

  std::shared_ptr<const ContainerView> view;

  bool ended() const { return phase == Phase::kEnded; }
  // Nobody waits for its statuses: its framework or the agent was shut down.
  bool silent() const {
    return kill.has_value() && (kill->cause == checkpoint::Record::KILL_FRAMEWORK_SHUTDOWN ||
                                kill->cause == checkpoint::Record::KILL_AGENT_SHUTDOWN);
  }
};

struct Framework {
  model::v1::FrameworkInfo info;
  size_t tasks = 0;
  bool Has(model::v1::FrameworkInfo::Capability capability) const;
};

struct Executor {
  model::v1::ExecutorInfo info;
  model::Resources resources;  // unallocated
  size_t live_tasks = 0;
};

class TaskTable {
 public:
  using ExecutorKey = std::pair<std::string, std::string>;  // framework id, executor id

  // Takes a task in; gives it its serial number and counts its resources if it has not ended. The
  // framework is known already (PutFramework), and the executor if it names one (PutExecutor). Its
  // (framework, task id) must not be in the table.
  Task& Add(Task task);
  // While the log is replayed, frameworks and executors stay although their last task goes: a later
  // record may need them, because the log need not tell of tasks in the order of their lives (what
  // replaced a long log tells of one task after the other). EndReplay forgets those without tasks.
  void BeginReplay() { replaying_ = true; }
  void EndReplay();

  // Forgets a task that has ended.
  void Remove(uint64_t serial);
  // The task has ended: its resources are free. Returns the executor that this was the last live
  // task of, if any; its resources are free, too.
  std::optional<ExecutorKey> MarkEnded(Task& task);

  Task* Find(uint64_t serial);
  Task* Find(const std::string& framework_id, const std::string& task_id);
  Task* FindByContainer(const std::string& container_id);

  std::map<uint64_t, Task>& tasks() { return tasks_; }
  const std::map<uint64_t, Task>& tasks() const { return tasks_; }
  const std::map<std::string, Framework>& frameworks() const { return frameworks_; }
  const std::map<ExecutorKey, Executor>& executors() const { return executors_; }

  // True when this is news that belongs into the log.
  bool PutFramework(const model::v1::FrameworkInfo& info);
  const Framework* FindFramework(const std::string& framework_id) const;
  // True when the executor has no live task: the description given counts, and belongs into the
  // log.
  bool PutExecutor(const model::v1::ExecutorInfo& info, model::Resources resources);
  const Executor* FindExecutor(const ExecutorKey& key) const;

  const model::Resources& used() const { return used_; }
  // Without tasks that are silent() but not gone yet: what the master counts as used.
  model::Resources Promised() const;

 private:
  std::map<uint64_t, Task> tasks_;
  std::map<std::string, Framework> frameworks_;
  bool replaying_ = false;
  std::map<ExecutorKey, Executor> executors_;
  // Looked up only, never walked.
  absl::flat_hash_map<std::pair<std::string, std::string>, uint64_t> by_task_id_;
  absl::flat_hash_map<std::string, uint64_t> by_container_;
  model::Resources used_;
  uint64_t last_serial_ = 0;
};

}  // namespace tessera::agent
