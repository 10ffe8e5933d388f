// One AgentCore with the world around it played by hand: a log in memory that loses what is not
// synced, a runtime that does what the test says, and a master that is the test.
#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "protos/tessera/model/v1/framework.pb.h"
#include "services/agent/core/agent_core.h"
#include "services/model/incarnation.h"
#include "services/model/wire/incarnation.h"

namespace tessera::agent::testing {

using agentlink::v1::AgentMessage;
using agentlink::v1::MasterMessage;

inline model::v1::Resource ScalarResource(const std::string& name, int64_t units) {
  model::v1::Resource resource;
  resource.set_name(name);
  resource.mutable_scalar()->set_milli(units * 1000);
  return resource;
}

inline AgentConfig TestConfig() {
  AgentConfig config;
  config.info.set_hostname("host-1");
  *config.info.add_resources() = ScalarResource("cpus", 4);
  *config.info.add_resources() = ScalarResource("mem", 4096);
  config.masters = {"m1:5050", "m2:5050"};
  config.sandbox_root = "/sandboxes";
  return config;
}

// The master asks for a task that the inventory did not list.
inline agentlink::v1::MasterMessage AskFor(const std::string& task, model::Incarnation incarnation,
                                           const std::string& framework = "fw-1") {
  agentlink::v1::MasterMessage message;
  auto* asked = message.mutable_reconcile_tasks()->add_tasks();
  asked->set_framework_id(framework);
  asked->set_task_id(task);
  *asked->mutable_incarnation() = model::wire::ToProto(incarnation);
  return message;
}

class AgentHarness {
 public:
  explicit AgentHarness(AgentConfig config = TestConfig()) : config_(std::move(config)) { Boot(); }

  // The agent process dies and comes back. What was not synced is lost; the runtime keeps what runs
  // and what has ended unreleased.
  void Restart(bool rebooted = false) {
    if (rebooted) {
      pods.clear();
      runtime_.running.clear();
      runtime_.ended_unreleased.clear();
    }
    written_.clear();
    answers_at_once_.clear();
    Boot(rebooted);
  }

  // With what the world answers at once, after all that the step has asked for.
  void Step(const Event& event) {
    Effects effects;
    core_->Step(now, event, &effects);
    for (Effect& effect : effects) {
      if (watch) watch(effect);
      std::visit([this](auto& e) { Do(e); }, effect);
    }
    while (!answers_at_once_.empty()) {
      const Event answer = std::move(answers_at_once_.front());
      answers_at_once_.pop_front();
      Step(answer);
    }
    if (auto_sync) Sync();
  }

  void Advance(absl::Duration duration) {
    const absl::Time end = now + duration;
    while (core_->NextDeadline() <= end) {
      now = std::max(now, core_->NextDeadline());
      Step(Wake{});
    }
    now = end;
  }

  // Everything written so far is durable.
  void Sync() {
    while (!written_.empty()) {
      Persist persist = std::move(written_.front());
      written_.pop_front();
      if (persist.replace) log.clear();
      log.insert(log.end(), persist.records.begin(), persist.records.end());
      Step(Persisted{persist.id});
    }
  }
  // The first `count` of the writes are durable, which the agent is not told: it dies before.
  void SyncSome(size_t count) {
    for (; count > 0 && !written_.empty(); --count) {
      Persist persist = std::move(written_.front());
      written_.pop_front();
      if (persist.replace) log.clear();
      log.insert(log.end(), persist.records.begin(), persist.records.end());
    }
  }
  size_t unsynced() const { return written_.size(); }

  // ---- The master ----

  void FromMaster(const std::vector<MasterMessage>& messages, uint64_t epoch_of_batch = 0) {
    LinkReceived received;
    received.link = link;
    received.batch.set_epoch(epoch_of_batch == 0 ? epoch : epoch_of_batch);
    for (const MasterMessage& message : messages) {
      if (message.has_run_task()) Describe(message.run_task().framework_id(), &received.batch);
      if (message.has_run_task_group()) {
        Describe(message.run_task_group().framework_id(), &received.batch);
      }
      *received.batch.add_messages() = message;
    }
    Step(received);
  }
  void FromMaster(const MasterMessage& message) { FromMaster(std::vector<MasterMessage>{message}); }

  // Lets the agent dial and admits it.
  void Register(const std::string& id = "agent-1") {
    Advance(absl::Seconds(15));
    MasterMessage message;
    message.mutable_registered()->set_agent_id(id);
    message.mutable_registered()->mutable_ping_timeout()->set_seconds(75);
    FromMaster(message);
  }

  // How a framework describes itself; told to the agent before its first launch on a link, unless
  // its inventory has said the same, and when it has changed.
  model::v1::FrameworkInfo& Framework(const std::string& id = "fw-1") {
    model::v1::FrameworkInfo& info = frameworks_[id];
    if (info.id().empty()) {
      info.set_id(id);
      info.set_name(id);
      info.set_user("root");
    }
    return info;
  }

  // A new launch each time, also of an id that was launched before.
  MasterMessage RunTask(const std::string& task, int64_t cpus = 1,
                        const std::string& framework = "fw-1") {
    return RunTask(Info(task, cpus), framework);
  }
  MasterMessage RunTask(const model::v1::TaskInfo& info, const std::string& framework = "fw-1") {
    MasterMessage message;
    message.mutable_run_task()->set_framework_id(framework);
    *message.mutable_run_task()->mutable_task() = Launch(info, framework);
    message.mutable_run_task()->set_resource_version(resource_version);
    return message;
  }

  struct GroupShape {
    std::string executor = "exec";
    // The executor begins with this group; its incarnation is a new one.
    bool begins = true;
    int64_t executor_cpus = 1;
    std::string framework = "fw-1";
    model::v1::ExecutorInfo::Type type = model::v1::ExecutorInfo::DEFAULT;
    std::string name;
  };
  MasterMessage RunGroup(const std::vector<std::string>& tasks, const GroupShape& shape) {
    std::vector<model::v1::TaskInfo> infos;
    for (const std::string& task : tasks) infos.push_back(Info(task));
    return RunGroupOf(infos, shape);
  }
  MasterMessage RunGroup(const std::vector<std::string>& tasks) {
    return RunGroup(tasks, GroupShape());
  }
  MasterMessage RunGroupOf(const std::vector<model::v1::TaskInfo>& tasks, const GroupShape& shape) {
    MasterMessage message;
    auto* group = message.mutable_run_task_group();
    group->set_framework_id(shape.framework);
    group->set_resource_version(resource_version);
    model::v1::ExecutorInfo info;
    info.set_type(shape.type);
    info.set_id(shape.executor);
    info.set_name(shape.name);
    auto* executor = group->mutable_executor();
    executor->set_executor_id(shape.executor);
    executor->set_info(info.SerializeAsString());
    if (shape.executor_cpus > 0) {
      *executor->add_resources() = ScalarResource("cpus", shape.executor_cpus);
      executor->mutable_resources(0)->set_allocation_role("web");
    }
    executor->set_launch_executor(shape.begins);
    model::Incarnation& newest = executors_[{shape.framework, shape.executor}];
    if (shape.begins) newest = NewIncarnation();
    *executor->mutable_incarnation() = model::wire::ToProto(newest);
    for (const model::v1::TaskInfo& task : tasks) {
      *group->add_tasks() = Launch(task, shape.framework);
    }
    return message;
  }
  model::Incarnation ExecutorIncarnation(const std::string& executor = "exec",
                                         const std::string& framework = "fw-1") {
    return executors_[{framework, executor}];
  }

  static model::v1::TaskInfo Info(const std::string& task, int64_t cpus = 1) {
    model::v1::TaskInfo info;
    info.set_id(task);
    info.set_name(task);
    info.mutable_command()->set_shell(true);
    info.mutable_command()->set_value("sleep 1000");
    *info.add_resources() = ScalarResource("cpus", cpus);
    *info.add_resources() = ScalarResource("mem", 64);
    for (auto& resource : *info.mutable_resources()) resource.set_allocation_role("web");
    return info;
  }
  // The newest launch of the id; one that the agent has never heard of when there was none.
  model::Incarnation TaskIncarnation(const std::string& task,
                                     const std::string& framework = "fw-1") {
    model::Incarnation& newest = tasks_[{framework, task}];
    if (!newest.valid()) newest = NewIncarnation();
    return newest;
  }
  MasterMessage Kill(const std::string& task, int64_t grace_seconds = -1,
                     const std::string& framework = "fw-1") {
    return Kill(TaskIncarnation(task, framework), task, grace_seconds, framework);
  }
  static MasterMessage Kill(model::Incarnation incarnation, const std::string& task,
                            int64_t grace_seconds = -1, const std::string& framework = "fw-1") {
    MasterMessage message;
    message.mutable_kill_task()->set_framework_id(framework);
    message.mutable_kill_task()->set_task_id(task);
    *message.mutable_kill_task()->mutable_incarnation() = model::wire::ToProto(incarnation);
    if (grace_seconds >= 0) {
      message.mutable_kill_task()->mutable_kill_policy()->mutable_grace_period()->set_seconds(
          grace_seconds);
    }
    return message;
  }
  void Acknowledge(const AgentMessage::StatusUpdate& update) {
    MasterMessage message;
    message.mutable_acknowledge_update()->set_framework_id(update.framework_id());
    message.mutable_acknowledge_update()->set_task_id(update.status().task_id());
    message.mutable_acknowledge_update()->set_uuid(update.status().uuid());
    *message.mutable_acknowledge_update()->mutable_incarnation() = update.incarnation();
    FromMaster(message);
  }
  // Acknowledges until nothing more comes; returns "<task>:<state>" in order.
  std::vector<std::string> Drain() {
    std::vector<std::string> told;
    while (!sent.empty()) {
      const AgentMessage message = std::move(sent.front());
      sent.pop_front();
      if (!message.has_status_update()) continue;
      const auto& update = message.status_update();
      told.push_back(absl::StrCat(update.status().task_id(), ":",
                                  model::v1::TaskState_Name(update.status().state())));
      statuses[update.status().task_id()].push_back(update.status());
      if (!update.status().uuid().empty()) Acknowledge(update);
    }
    return told;
  }
  std::vector<AgentMessage::StatusUpdate> TakeUpdates() {
    std::vector<AgentMessage::StatusUpdate> updates;
    for (const AgentMessage& message : sent) {
      if (message.has_status_update()) updates.push_back(message.status_update());
    }
    sent.clear();
    return updates;
  }
  std::vector<AgentMessage> TakeSent() {
    return {std::make_move_iterator(sent.begin()), std::make_move_iterator(sent.end())};
  }

  // ---- The runtime ----

  const ContainerSpec& SpecOf(const std::string& task) { return specs_.at(ContainerOf(task)); }
  const ContainerSpec& SpecOfContainer(const std::string& id) { return specs_.at(id); }
  // Of the task's newest launch that the runtime was asked for.
  std::string ContainerOf(const std::string& task) {
    for (auto id = launched.rbegin(); id != launched.rend(); ++id) {
      if (TaskOf(*id) == task) return *id;
    }
    return "";
  }
  std::string TaskOf(const std::string& container_id) {
    for (const auto& [name, value] : specs_.at(container_id).environment) {
      if (name == "TESSERA_TASK_ID") return value;
    }
    return "";
  }
  void Launched(const std::string& task) { ContainerStarts(ContainerOf(task)); }
  void ContainerStarts(const std::string& id) {
    ContainerStartsUnseen(id);
    Step(ContainerLaunched{id, runtime_.running[id]});
  }
  // The runtime started it, and the agent died before it heard.
  void LaunchedUnseen(const std::string& task) { ContainerStartsUnseen(ContainerOf(task)); }
  void ContainerStartsUnseen(const std::string& id) {
    LaunchedContainer container;
    container.container_id = id;
    container.identity.init_pid = 100;
    container.started = now;
    runtime_.running[id] = container;
  }
  void LaunchFails(const std::string& task, LaunchStep step, const std::string& why) {
    ContainerFails(ContainerOf(task), step, why);
  }
  void ContainerFails(const std::string& id, LaunchStep step, const std::string& why) {
    Step(ContainerLaunched{id, LaunchFailure{step, 2, why}});
  }
  // While the agent is `down`, the runtime remembers for its return.
  void Ends(const std::string& task, int wait_status, bool memory = false, bool down = false) {
    ContainerEnds(ContainerOf(task), wait_status, memory, down);
  }
  void ContainerEnds(const std::string& id, int wait_status, bool memory = false,
                     bool down = false) {
    ContainerTermination termination;
    termination.container_id = id;
    termination.wait_status = wait_status;
    termination.command_exited = true;
    termination.ended = now;
    termination.kill_requested = runtime_.killed.count(id) > 0;
    if (memory) {
      termination.limitation = ContainerLimitation{ContainerLimitation::Resource::kMemory,
                                                   "memory limit exceeded", 64 << 20, 64 << 20};
    }
    runtime_.running.erase(id);
    runtime_.ended_unreleased[id] = termination;
    if (!down) Step(ContainerEnded{termination});
  }

  AgentCore& core() { return *core_; }

  // Sees each effect before it is done.
  std::function<void(const Effect&)> watch;
  absl::Time now = absl::FromUnixSeconds(1'700'000'000);
  bool auto_sync = true;
  uint64_t epoch = 1;
  // As the agent told it last.
  uint64_t resource_version = 0;
  std::vector<checkpoint::Record> log;
  // The current link, and what was dialled.
  uint64_t link = 0;
  std::vector<std::string> dialled;
  std::vector<absl::Status> closed;
  std::deque<AgentMessage> sent;
  std::map<std::string, std::vector<model::v1::TaskStatus>> statuses;
  // Answer for pods at once.
  bool auto_pods = true;
  // Those that are there, and all that were asked for.
  std::map<std::string, PodSpec> pods;
  std::vector<std::string> created_pods;
  std::vector<std::string> destroyed_pods;
  std::vector<std::string> launched;
  std::vector<std::pair<std::string, absl::Duration>> kills;
  std::vector<std::string> destroyed;
  std::set<std::string> released;
  std::vector<std::string> deleted_sandboxes;
  std::vector<std::string> deleted_with_parents;
  std::vector<AnswerOperator> answers;
  std::string fatal;

 private:
  void Boot(bool rebooted = false) {
    core_ = std::make_unique<AgentCore>(
        config_,
        [this] {
          std::string uuid(16, '\0');
          for (int i = 0; i < 8; ++i) uuid[i] = static_cast<char>(uuids_ >> (8 * i));
          ++uuids_;
          return uuid;
        },
        base::Rng(7));
    sent.clear();
    link = 0;
    Step(Started{log, rebooted});
  }

  void Do(RecoverContainers& effect) {
    RecoveryResult result;
    for (const std::string& id : effect.expected_pod_ids) {
      RecoveredPod found;
      found.pod_id = id;
      if (pods.count(id) > 0) {
        found.pod = CreatedPod{id, {}, {}};
      } else {
        found.lost = "nothing of it exists";
      }
      result.pods.push_back(std::move(found));
    }
    for (const std::string& id : effect.expected_container_ids) {
      RecoveredContainer found;
      found.container_id = id;
      if (auto it = runtime_.running.find(id); it != runtime_.running.end()) {
        found.state = RecoveredContainer::Running{it->second, runtime_.killed.count(id) > 0};
      } else if (auto it = runtime_.ended_unreleased.find(id);
                 it != runtime_.ended_unreleased.end()) {
        found.state = RecoveredContainer::Terminated{it->second};
      } else {
        found.state = RecoveredContainer::Lost{"nothing of it exists"};
      }
      result.containers.push_back(found);
    }
    answers_at_once_.push_back(ContainersRecovered{result});
  }
  model::Incarnation NewIncarnation() { return {epoch, ++last_number_}; }
  agentlink::v1::TaskLaunch Launch(const model::v1::TaskInfo& info, const std::string& framework) {
    agentlink::v1::TaskLaunch launch;
    launch.set_task_id(info.id());
    launch.set_info(info.SerializeAsString());
    *launch.mutable_resources() = info.resources();
    const model::Incarnation incarnation = NewIncarnation();
    tasks_[{framework, info.id()}] = incarnation;
    *launch.mutable_incarnation() = model::wire::ToProto(incarnation);
    return launch;
  }
  void Describe(const std::string& framework, agentlink::v1::ConnectResponse* batch) {
    std::string info = Framework(framework).SerializeAsString();
    if (described_[framework] == info) return;
    described_[framework] = info;
    auto* message = batch->add_messages()->mutable_describe_framework();
    message->set_framework_id(framework);
    message->set_info(std::move(info));
  }
  void Do(OpenLink& effect) {
    link = effect.link;
    described_.clear();
    dialled.push_back(effect.address);
    sent.clear();
  }
  void Do(SendToMaster& effect) {
    // As the master does: what the inventory lists is not said again.
    for (const std::string& bytes : effect.message.inventory().frameworks()) {
      model::v1::FrameworkInfo info;
      if (info.ParseFromString(bytes)) described_[info.id()] = bytes;
    }
    if (effect.message.has_register_()) {
      resource_version = effect.message.register_().resource_version();
    }
    if (effect.link == link) sent.push_back(effect.message);
  }
  void Do(CloseLink& effect) { closed.push_back(effect.reason); }
  void Do(Persist& effect) { written_.push_back(effect); }
  void Do(CreatePod& effect) {
    pods[effect.spec.pod_id] = effect.spec;
    created_pods.push_back(effect.spec.pod_id);
    if (!auto_pods) return;
    answers_at_once_.push_back(
        PodCreated{effect.spec.pod_id, CreatedPod{effect.spec.pod_id, {}, {}}});
  }
  void Do(UpdatePod& effect) { pods.at(effect.pod_id).limits = effect.limits; }
  void Do(DestroyPod& effect) {
    destroyed_pods.push_back(effect.pod_id);
    if (!auto_pods) return;
    pods.erase(effect.pod_id);
    answers_at_once_.push_back(PodDestroyed{effect.pod_id, absl::OkStatus()});
  }
  void Do(LaunchContainer& effect) {
    specs_[effect.spec.container_id] = effect.spec;
    launched.push_back(effect.spec.container_id);
  }
  void Do(KillContainer& effect) {
    kills.emplace_back(effect.container_id, effect.grace);
    runtime_.killed.insert(effect.container_id);
  }
  void Do(DestroyContainer& effect) {
    destroyed.push_back(effect.container_id);
    runtime_.killed.insert(effect.container_id);
  }
  void Do(SignalContainer&) {}
  void Do(ReleaseContainer& effect) {
    released.insert(effect.container_id);
    runtime_.ended_unreleased.erase(effect.container_id);
  }
  void Do(DeleteSandbox& effect) {
    deleted_sandboxes.push_back(effect.path);
    if (effect.with_empty_parents) deleted_with_parents.push_back(effect.path);
    answers_at_once_.push_back(SandboxDeleted{effect.id, absl::OkStatus()});
  }
  void Do(AnswerOperator& effect) { answers.push_back(effect); }
  void Do(Fatal& effect) { fatal = effect.message; }

  const AgentConfig config_;
  std::unique_ptr<AgentCore> core_;
  uint64_t uuids_ = 1;
  uint64_t last_number_ = 0;
  std::map<std::string, model::v1::FrameworkInfo> frameworks_;
  // On this link, as it was told.
  std::map<std::string, std::string> described_;
  // The newest incarnation, by framework and id.
  std::map<std::pair<std::string, std::string>, model::Incarnation> tasks_;
  std::map<std::pair<std::string, std::string>, model::Incarnation> executors_;
  std::deque<Event> answers_at_once_;
  std::deque<Persist> written_;
  std::map<std::string, ContainerSpec> specs_;
  // What the runtime has, by container.
  struct Runtime {
    std::map<std::string, LaunchedContainer> running;
    std::set<std::string> killed;
    std::map<std::string, ContainerTermination> ended_unreleased;
  } runtime_;
};

}  // namespace tessera::agent::testing
