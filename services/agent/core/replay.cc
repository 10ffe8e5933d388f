#include "services/agent/core/replay.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <string>
#include <utility>

#include "services/agent/core/executor_flow.h"
#include "services/agent/core/status_flow.h"
#include "services/agent/core/task_flow.h"
#include "services/agent/core/task_outcome.h"
#include "services/agent/core/task_validation.h"
#include "services/agent/core/wire_time.h"
#include "services/model/wire/description.h"
#include "services/model/wire/incarnation.h"
#include "services/model/wire/resources.h"

namespace tessera::agent {
namespace {

using checkpoint::Record;
using model::v1::TaskStatus;
using model::wire::FromProto;
using model::wire::ToProto;

// The link of what is read. A framework stays although its last task goes: a later record may need
// it, because a log that was shortened tells of one task after the other.
constexpr uint64_t kReplayLink = std::numeric_limits<uint64_t>::max();

class Replay {
 public:
  explicit Replay(AgentState* state) : state_(*state) {}

  // False when the record contradicts those before it.
  bool Read(const Record& record) {
    switch (record.kind_case()) {
      case Record::kIdentity:
        state_.SetInfo(std::make_shared<model::v1::AgentInfo>(record.identity().info()));
        return true;
      case Record::kEpoch:
        state_.session.RaiseEpoch(record.epoch().highest());
        return true;
      case Record::kTotal:
        return ReadTotal(record.total());
      case Record::kFramework:
        return ReadFramework(record.framework());
      case Record::kExecutor:
        return ReadExecutor(record.executor());
      case Record::kExecutorEnded:
        return ReadExecutorEnded(record.executor_ended());
      case Record::kPod:
        return ReadPod(record.pod());
      case Record::kPodEnded:
        return ReadPodEnded(record.pod_ended());
      case Record::kContainer:
        return ReadContainer(record.container());
      case Record::kLaunchProgress:
        return ReadProgress(record.launch_progress());
      case Record::kRunning:
        return ReadRunning(record.running());
      case Record::kContainerEnded:
        return ReadContainerEnded(record.container_ended());
      case Record::kTask:
        return ReadTaskRecord(record.task());
      case Record::kStatus:
        return ReadStatus(record.status());
      case Record::kAcknowledged:
        return ReadAcknowledged(record.acknowledged());
      case Record::kKill:
        return ReadKill(record.kill());
      case Record::kForgotten:
        return ReadForgotten(record.forgotten());
      case Record::kSandboxDeleted:
        state_.sandboxes.Remove(record.sandbox_deleted().id());
        return true;
      case Record::kSandboxKept:
        state_.sandboxes.Add(
            record.sandbox_kept().id(),
            {record.sandbox_kept().path(), FromTimestamp(record.sandbox_kept().ended_time()),
             record.sandbox_kept().in_pod()});
        return true;
      case Record::kDrain:
        state_.drain.reset();
        if (record.drain().has_config()) state_.drain = record.drain().config();
        return true;
      case Record::KIND_NOT_SET:
        // Of a newer version, which says that it may be passed over.
        return true;
    }
    return true;
  }

 private:
  bool ReadTotal(const Record::Total& record) {
    auto total = ResourcesOf(record.resources());
    if (!total.ok()) return false;
    state_.book.SetTotal(*std::move(total), record.version());
    return true;
  }

  bool ReadFramework(const Record::Framework& record) {
    model::Description description(record.info());
    const auto info = model::wire::ReadDescription<model::v1::FrameworkInfo>(description);
    if (!info.ok()) return false;
    state_.frameworks.Describe(record.framework_id(), FrameworkOf(*info, std::move(description)),
                               std::numeric_limits<size_t>::max());
    Framework* framework = state_.frameworks.Find(record.framework_id());
    framework->logged = true;
    framework->link = kReplayLink;
    return true;
  }

  bool ReadExecutor(const Record::Executor& record) {
    Executor executor;
    executor.incarnation = FromProto(record.incarnation());
    executor.framework_id = record.framework_id();
    executor.executor_id = record.executor_id();
    executor.info = model::Description(record.info());
    executor.pod_id = record.pod_id();
    const auto info = model::wire::ReadDescription<model::v1::ExecutorInfo>(executor.info);
    auto resources = FromProto(record.resources());
    if (!executor.incarnation.valid() || !info.ok() || !resources.ok() ||
        state_.executors.Find(executor.incarnation) != nullptr) {
      return false;
    }
    executor.shutdown_grace = ShutdownGraceOf(*info);
    executor.holding.resources = *std::move(resources);
    if (Pod* pod = state_.pods.Find(executor.pod_id); pod != nullptr) {
      pod->executor = executor.incarnation;
    }
    state_.book.Promise(&state_.executors.Add(std::move(executor)).holding);
    return true;
  }

  bool ReadExecutorEnded(const Record::ExecutorEnded& record) {
    Executor* executor = state_.executors.Find(FromProto(record.incarnation()));
    if (executor == nullptr) return false;
    state_.book.Free(&executor->holding);
    state_.executors.Remove(executor->incarnation);
    return true;
  }

  bool ReadPod(const Record::Pod& record) {
    if (state_.pods.Find(record.id()) != nullptr) return false;
    Pod pod;
    pod.id = record.id();
    pod.framework_id = record.framework_id();
    pod.sandbox = record.sandbox();
    pod.shared = record.shared();
    // Whatever was asked of the runtime, it may have been done.
    pod.touched = true;
    pod.phase = Pod::Phase::kReady;
    state_.pods.Add(std::move(pod));
    return true;
  }

  bool ReadPodEnded(const Record::PodEnded& record) {
    const Pod* pod = state_.pods.Find(record.id());
    if (pod == nullptr) return false;
    if (!pod->shared) {
      const Container* container = state_.containers.Find(record.id());
      if (container != nullptr) state_.containers.Remove(container->serial);
    }
    Keep(record.id(), record.sandbox(), record.ended_time(), /*in_pod=*/false);
    state_.pods.Remove(record.id());
    return true;
  }

  bool ReadContainer(const Record::Container& record) {
    Pod* pod = state_.pods.Find(record.pod_id());
    if (pod == nullptr || state_.containers.Find(record.id()) != nullptr) return false;
    Container container;
    container.id = record.id();
    container.pod_id = record.pod_id();
    container.sandbox = record.sandbox().empty() ? pod->sandbox : record.sandbox();
    container.task = FromProto(record.task());
    // How far it came, the runtime will tell. Until then it may have a container.
    container.stage = LaunchStage::kContainer;
    ++pod->containers;
    state_.containers.Add(std::move(container));
    return true;
  }

  bool ReadProgress(const Record::LaunchProgress& record) {
    Container* container = state_.containers.Find(record.container_id());
    if (container == nullptr) return false;
    container->came_to = LaunchStageNamed(record.step());
    return true;
  }

  bool ReadRunning(const Record::Running& record) {
    Container* container = state_.containers.Find(record.container_id());
    Task* task = container == nullptr ? nullptr : state_.tasks.Find(container->task);
    if (task == nullptr) return false;
    container->phase = Container::Phase::kRunning;
    task->started = FromTimestamp(record.start_time());
    task->init_pid = record.init_pid();
    return true;
  }

  bool ReadContainerEnded(const Record::ContainerEnded& record) {
    const Container* container = state_.containers.Find(record.id());
    if (container == nullptr) return false;
    if (Pod* pod = state_.pods.Find(container->pod_id); pod != nullptr) --pod->containers;
    Keep(record.id(), record.sandbox(), record.ended_time(), /*in_pod=*/true);
    state_.containers.Remove(container->serial);
    return true;
  }

  void Keep(const std::string& id, const std::string& sandbox,
            const google::protobuf::Timestamp& ended, bool in_pod) {
    if (!sandbox.empty()) state_.sandboxes.Add(id, {sandbox, FromTimestamp(ended), in_pod});
  }

  bool ReadTaskRecord(const Record::Task& record) {
    Task task;
    if (!ReadTask(record, state_.config, &task) || state_.tasks.Find(task.incarnation) != nullptr)
      return false;
    task.ended = task.container_id.empty();
    state_.frameworks.AddTask(task.framework_id);
    Task& added = state_.tasks.Add(std::move(task));
    if (added.ended) return true;
    state_.book.Promise(&added.holding);
    if (Executor* executor = state_.executors.Find(added.executor); executor != nullptr) {
      executor->tasks.insert(added.incarnation);
    }
    return true;
  }

  void EndTask(Task& task) {
    if (task.ended) return;
    state_.tasks.MarkEnded(task);
    state_.book.Free(&task.holding);
    Executor* executor = state_.executors.Find(task.executor);
    if (executor != nullptr) executor->tasks.erase(task.incarnation);
  }

  void Remove(const Task& task) {
    const std::string framework_id = task.framework_id;
    state_.tasks.Remove(task.incarnation);
    state_.frameworks.RemoveTask(framework_id, kReplayLink);
  }

  bool ReadStatus(const Record::Status& record) {
    Task* task = state_.tasks.Find(FromProto(record.task()));
    if (task == nullptr) return false;
    task->stream.Add(record.status());
    state_.tasks.CountPending(1);
    state_.tasks.SetState(*task, record.status().state());
    StatusFlow::NoteDurable(*task);
    if (IsTerminal(task->state)) EndTask(*task);
    return true;
  }

  bool ReadAcknowledged(const Record::Acknowledged& record) {
    Task* task = state_.tasks.Find(FromProto(record.task()));
    if (task == nullptr || !task->stream.Acknowledge(record.uuid())) return false;
    const TaskStatus head = task->stream.PopHead();
    state_.tasks.CountPending(-1);
    task->sent_state = head.state();
    task->sent_uuid = head.uuid();
    if (IsTerminal(head.state())) Remove(*task);
    return true;
  }

  bool ReadKill(const Record::Kill& record) {
    Task* task = state_.tasks.Find(FromProto(record.task()));
    if (task == nullptr) return false;
    const absl::Time deadline = FromTimestamp(record.deadline());
    task->kill = Task::Kill{record.cause(), deadline};
    Container* container = state_.containers.Find(task->container_id);
    if (container != nullptr) container->kill_deadline = deadline;
    if (!task->silent()) return true;
    state_.book.Withdraw(&task->holding);
    state_.tasks.CountPending(-static_cast<int64_t>(task->stream.pending().size()));
    task->stream.Clear();
    return true;
  }

  bool ReadForgotten(const Record::Forgotten& record) {
    Task* task = state_.tasks.Find(FromProto(record.task()));
    if (task == nullptr) return true;
    EndTask(*task);
    Remove(*task);
    return true;
  }

  AgentState& state_;
};

class Essence {
 public:
  explicit Essence(const AgentState& state) : state_(state) {}

  std::vector<Record> Write() {
    *Add().mutable_identity()->mutable_info() = *state_.info;
    Add().mutable_epoch()->set_highest(state_.session.highest_epoch());
    Record::Total* total = Add().mutable_total();
    ToProto(state_.book.total(), total->mutable_resources());
    total->set_version(state_.book.version());
    if (state_.drain.has_value()) *Add().mutable_drain()->mutable_config() = *state_.drain;
    for (const auto& [id, framework] : state_.frameworks.frameworks()) {
      if (framework.tasks == 0) continue;
      Record::Framework* entry = Add().mutable_framework();
      entry->set_framework_id(id);
      entry->set_info(framework.info.bytes());
    }
    WritePods();
    for (const auto& [incarnation, task] : state_.tasks.tasks()) {
      if (IsKept(task)) Add() = RecordOf(task);
    }
    WriteContainers();
    for (const auto& [incarnation, task] : state_.tasks.tasks()) {
      if (IsKept(task)) WriteStatuses(task);
    }
    for (const auto& [id, sandbox] : state_.sandboxes.sandboxes()) {
      Record::SandboxKept* kept = Add().mutable_sandbox_kept();
      kept->set_id(id);
      kept->set_path(sandbox.path);
      *kept->mutable_ended_time() = ToTimestamp(sandbox.ended);
      kept->set_in_pod(sandbox.in_pod);
    }
    return std::move(records_);
  }

 private:
  Record& Add() { return records_.emplace_back(); }

  // The others are about to be forgotten; of those that end in silence that stands in the log
  // already, or in what this replaces.
  static bool IsKept(const Task& task) {
    return !task.ended || (!task.silent() && !task.stream.empty());
  }

  void WritePods() {
    for (const auto& [id, pod] : state_.pods.pods()) {
      Record::Pod* entry = Add().mutable_pod();
      entry->set_id(pod.id);
      entry->set_framework_id(pod.framework_id);
      entry->set_sandbox(pod.sandbox);
      entry->set_shared(pod.shared);
    }
    for (const auto& [incarnation, executor] : state_.executors.executors()) {
      Add() = RecordOf(executor);
    }
  }

  void WriteContainers() {
    for (const auto& [serial, container] : state_.containers.containers()) {
      const Pod* pod = state_.pods.Find(container.pod_id);
      Record::Container* entry = Add().mutable_container();
      entry->set_id(container.id);
      entry->set_pod_id(container.pod_id);
      if (pod == nullptr || container.sandbox != pod->sandbox)
        entry->set_sandbox(container.sandbox);
      *entry->mutable_task() = ToProto(container.task);
      const Task* task = state_.tasks.Find(container.task);
      if (container.phase == Container::Phase::kRunning && task != nullptr) {
        Record::Running* running = Add().mutable_running();
        running->set_container_id(container.id);
        *running->mutable_start_time() = ToTimestamp(task->started);
        running->set_init_pid(task->init_pid);
      } else if (IsAtRuntime(container.stage)) {
        Record::LaunchProgress* progress = Add().mutable_launch_progress();
        progress->set_container_id(container.id);
        progress->set_step(std::string(NameOf(container.stage)));
      }
    }
  }

  void WriteAcknowledged(const Task& task, const std::string& uuid) {
    Record::Acknowledged* acknowledged = Add().mutable_acknowledged();
    *acknowledged->mutable_task() = ToProto(task.incarnation);
    acknowledged->set_uuid(uuid);
  }

  void WriteStatus(const Task& task, const TaskStatus& status) {
    Record::Status* entry = Add().mutable_status();
    *entry->mutable_task() = ToProto(task.incarnation);
    *entry->mutable_status() = status;
  }

  // The kill, then history that was delivered, then what is still to be.
  void WriteStatuses(const Task& task) {
    if (task.kill.has_value()) {
      Record::Kill* kill = Add().mutable_kill();
      *kill->mutable_task() = ToProto(task.incarnation);
      kill->set_cause(task.kill->cause);
      *kill->mutable_deadline() = ToTimestamp(task.kill->deadline);
    }
    const auto& pending = task.stream.pending();
    const auto durable = pending.begin() + static_cast<ptrdiff_t>(task.stream.durable());
    for (const TaskStatus& status : task.history) {
      const bool undelivered = std::any_of(pending.begin(), durable, [&](const TaskStatus& other) {
        return other.uuid() == status.uuid();
      });
      if (undelivered || task.silent()) continue;
      WriteStatus(task, status);
      WriteAcknowledged(task, status.uuid());
    }
    for (const TaskStatus& status : pending) WriteStatus(task, status);
    if (task.stream.head_acknowledged()) WriteAcknowledged(task, pending.front().uuid());
  }

  const AgentState& state_;
  std::vector<Record> records_;
};

}  // namespace

size_t ReplayLog(const std::vector<Record>& records, AgentState* state) {
  Replay replay(state);
  size_t contradictions = 0;
  for (const Record& record : records) contradictions += replay.Read(record) ? 0 : 1;
  state->frameworks.ForgetIdle();
  return contradictions;
}

std::vector<Record> EssenceOf(const AgentState& state) { return Essence(state).Write(); }

}  // namespace tessera::agent
