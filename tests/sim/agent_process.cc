#include "tests/sim/agent_process.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/sim/fold.h"
#include "tests/sim/master_process.h"

namespace tessera::sim {

namespace {

// What the machine does to containers, besides what they do themselves.
MachineOptions MachineFaults() {
  MachineOptions options;
  options.launch_failures = 0.02;
  options.stubborn = 0.3;
  return options;
}

}  // namespace

// ---- What is folded, and when strikes hit

void AgentProcess::Tap::Fold(Digest* digest, const agent::RecoverContainers& effect) {
  FoldAll(digest, effect.expected_pod_ids, effect.expected_container_ids);
}
void AgentProcess::Tap::Fold(Digest* digest, const agent::OpenLink& effect) {
  FoldAll(digest, effect.link, effect.address);
}
void AgentProcess::Tap::Fold(Digest* digest, const agent::SendToMaster& effect) {
  FoldAll(digest, effect.link, effect.message);
}
void AgentProcess::Tap::Fold(Digest* digest, const agent::CloseLink& effect) {
  FoldAll(digest, effect.link, effect.reason);
}
void AgentProcess::Tap::Fold(Digest* digest, const agent::Persist& effect) {
  FoldAll(digest, effect.id, effect.records, effect.replace);
}
void AgentProcess::Tap::Fold(Digest* digest, const agent::CreatePod& effect) {
  FoldAll(digest, effect.spec.pod_id.text(), effect.spec.sandbox, effect.spec.limits.cpus_milli,
          effect.spec.limits.memory_limit_bytes);
}
void AgentProcess::Tap::Fold(Digest* digest, const agent::UpdatePod& effect) {
  FoldAll(digest, effect.pod_id, effect.limits.cpus_milli, effect.limits.memory_limit_bytes);
}
void AgentProcess::Tap::Fold(Digest* digest, const agent::DestroyPod& effect) {
  FoldAll(digest, effect.pod_id);
}
void AgentProcess::Tap::Fold(Digest* digest, const agent::LaunchContainer& effect) {
  FoldAll(digest, effect.spec.container_id.text(), effect.spec.sandbox, effect.spec.command.value,
          effect.spec.command.arguments, effect.spec.resources.cpus_milli,
          effect.spec.resources.memory_limit_bytes);
  for (const auto& [name, value] : effect.spec.environment) FoldAll(digest, name, value);
}
void AgentProcess::Tap::Fold(Digest* digest, const agent::KillContainer& effect) {
  FoldAll(digest, effect.container_id, effect.grace);
}
void AgentProcess::Tap::Fold(Digest* digest, const agent::DestroyContainer& effect) {
  FoldAll(digest, effect.container_id);
}
void AgentProcess::Tap::Fold(Digest* digest, const agent::SignalContainer& effect) {
  FoldAll(digest, effect.container_id, effect.signal_number);
}
void AgentProcess::Tap::Fold(Digest* digest, const agent::ReleaseContainer& effect) {
  FoldAll(digest, effect.container_id);
}
void AgentProcess::Tap::Fold(Digest* digest, const agent::DeleteSandbox& effect) {
  FoldAll(digest, effect.id, effect.path);
}
void AgentProcess::Tap::Fold(Digest* digest, const agent::AnswerOperator& effect) {
  FoldAll(digest, effect.call, effect.status);
}
void AgentProcess::Tap::Fold(Digest* digest, const agent::Fatal& effect) {
  FoldAll(digest, effect.message);
}

Bite AgentProcess::Tap::MomentOf(const agent::SendToMaster& send) {
  if (send.message.has_status_update()) return Bite::kAgentReports;
  if (send.message.has_inventory()) return Bite::kAgentListsInventory;
  return Bite::kCount;
}

// ---- The process

AgentProcess::AgentProcess(World* world, std::string name, std::vector<std::string> masters,
                           AgentShape shape)
    : Process(&world->loop, name),
      world_(world),
      masters_(std::move(masters)),
      shape_(std::move(shape)),
      rng_(world->rng.Fork()),
      machine_(&world->loop, world->rng.Fork(), MachineFaults(), this) {
  world->machines.SetTotal(name, shape_.cpus_milli, shape_.mem_milli * 1024 * 1024 / 1000);
}

void AgentProcess::OnStart() {
  agent::AgentConfig config;
  config.info.set_hostname(name());
  config.info.set_address(address());
  for (const auto& [resource, milli] :
       {std::pair{"cpus", shape_.cpus_milli}, std::pair{"mem", shape_.mem_milli}}) {
    auto* r = config.info.add_resources();
    r->set_name(resource);
    r->mutable_scalar()->set_milli(milli);
  }
  config.masters = masters_;
  config.compact_records_min = 64;
  auto uuids = [rng = rng_.Fork()]() mutable {
    std::string uuid(16, '\0');
    for (char& c : uuid) c = static_cast<char>(rng.Below(256));
    return uuid;
  };
  log_ = std::make_unique<agent::RecordLog>(&disk_);
  auto records = log_->Recover();
  disk_.Settle();
  if (!records.ok()) {
    world_->verdict.Fail("an agent's log can be read",
                         absl::StrCat(name(), ": ", records.status().message()));
    return;
  }
  if (log_->torn_bytes() > 0) world_->faults.Add(Bite::kAgentLogTorn);
  asked_ = durable_ = asked_with_task_ = writing_ = 0;
  machine_.SetClockError(clock_error());
  runtime_ = std::make_unique<MachineRuntime>(
      &machine_, [this](const agent::ContainerTermination& termination) {
        runner_->Step(agent::ContainerEnded{termination});
      });
  core_ = std::make_unique<agent::AgentCore>(config, uuids, rng_.Fork());
  runner_ = std::make_unique<CoreRunner<agent::AgentCore, agent::Event, agent::Effect, Tap>>(
      world_, this, core_.get(), agent::Event(agent::Wake{}),
      [this](std::vector<agent::Effect> effects) { CarryOut(std::move(effects)); });
  runner_->Step(agent::Started{*std::move(records), std::exchange(rebooted_, false)});
  if (log_space_low_) runner_->Step(agent::LogSpace{true});
}

void AgentProcess::OnEnd() {
  const bool unsynced = syncing_ || !queue_.empty();
  if (stopping()) {
    // Who stops writes all that it was given.
    while (syncing_ || !queue_.empty()) {
      if (!syncing_) BeginSync();
      disk_.Settle();
      syncing_ = false;
    }
  } else {
    if (unsynced) world_->faults.Add(Bite::kAgentCrashWithUnsynced);
    disk_.Crash(&rng_);
  }
  queue_.clear();
  syncing_ = false;
  runner_.reset();
  core_.reset();
  runtime_.reset();
  log_.reset();
  links_.clear();
  world_->network.Drop(this);
}

void AgentProcess::Reboot() {
  if (machine_.running() > 0) world_->faults.Add(Bite::kReboot);
  machine_.Reboot();
  rebooted_ = true;
}

void AgentProcess::Reinstall() {
  Reboot();
  disk_.Format();
  world_->faults.Add(Bite::kAgentReinstalled);
}

void AgentProcess::SetLogSpace(bool low) {
  if (std::exchange(log_space_low_, low) == low || runner_ == nullptr) return;
  runner_->Step(agent::LogSpace{low});
}

std::shared_ptr<const agent::AgentView> AgentProcess::View() const {
  return core_ == nullptr ? nullptr : core_->View();
}

void AgentProcess::CarryOut(std::vector<agent::Effect> effects) {
  for (agent::Effect& effect : effects) std::visit([this](auto& e) { Do(e); }, effect);
}

// ---- The link

void AgentProcess::Do(agent::OpenLink& open) {
  if (durable_ < asked_with_task_) world_->faults.Add(Bite::kRedialWithUnsyncedTasks);
  const auto it = world_->masters.find(open.address);
  const uint64_t number = open.link;
  const auto closed = [this, number](const absl::Status& status) {
    links_.erase(number);
    runner_->Step(agent::LinkClosed{number, status});
  };
  if (it == world_->masters.end()) {
    Later(absl::Milliseconds(1), [closed] { closed(absl::UnavailableError("no such address")); });
    return;
  }
  MasterProcess* master = it->second;
  auto stream = std::make_shared<uint64_t>(0);
  auto wire = world_->network.Connect({this, closed},
                                      {master, [master, stream](const absl::Status& status) {
                                         if (*stream != 0) master->AgentClosed(*stream, status);
                                       }});
  if (wire == nullptr) return;
  links_[number] = {wire, stream, open.address};
  std::weak_ptr<Wire> weak = wire;
  wire->Send(this, [this, number, master, stream, weak] {
    *stream = master->OpenAgent(
        [this, number, master, weak](agentlink::v1::ConnectResponse batch) {
          const auto live = weak.lock();
          if (live == nullptr) return;
          live->Send(master, [this, number, batch = std::move(batch)] {
            WatchCommands(batch);
            runner_->Step(agent::LinkReceived{number, batch});
            const bool tasks = std::any_of(
                batch.messages().begin(), batch.messages().end(), [](const auto& message) {
                  return message.has_run_task() || message.has_run_task_group();
                });
            if (tasks) asked_with_task_ = asked_;
          });
        },
        [master, weak](const absl::Status& status) {
          if (const auto live = weak.lock()) live->Close(master, status);
        });
  });
}

void AgentProcess::Do(agent::SendToMaster& send) {
  const auto it = links_.find(send.link);
  if (it == links_.end()) return;
  MasterProcess* master = world_->masters.at(it->second.address);
  world_->Say([&] { return absl::StrCat(name(), " says ", send.message.ShortDebugString()); });
  agentlink::v1::ConnectRequest batch;
  *batch.add_messages() = std::move(send.message);
  it->second.wire->Send(this, [master, stream = it->second.stream, batch = std::move(batch)] {
    master->AgentSent(*stream, batch);
  });
}

void AgentProcess::Do(agent::CloseLink& close) {
  const auto it = links_.find(close.link);
  if (it == links_.end()) return;
  it->second.wire->Close(this, close.reason);
}

void AgentProcess::WatchCommands(const agentlink::v1::ConnectResponse& batch) {
  for (const auto& message : batch.messages()) {
    world_->Say([&] { return absl::StrCat(name(), " is told ", message.ShortDebugString()); });
  }
  for (const auto& message : batch.messages()) {
    if (message.has_run_task()) WatchLaunch(batch.epoch(), message.run_task().task());
    for (const auto& launch : message.run_task_group().tasks()) {
      WatchLaunch(batch.epoch(), launch);
    }
  }
}

void AgentProcess::WatchLaunch(uint64_t epoch, const agentlink::v1::TaskLaunch& launch) {
  if (log_space_low_) world_->faults.Add(Bite::kTaskWithoutLogSpace);
  model::v1::TaskInfo info;
  if (!info.ParseFromString(launch.info())) {
    world_->verdict.Fail("descriptions travel as they came",
                         absl::StrCat(name(), " is sent a task ", launch.task_id(),
                                      " with bytes that are no description"));
    return;
  }
  const std::string mark = ReadScript({.value = info.command().value()}).mark;
  if (epoch < obeyed_epoch_) {
    forbidden_launches_.insert(mark);
  } else {
    launch_epochs_[mark] = epoch;
  }
}

// ---- The log

void AgentProcess::Do(agent::Persist& persist) {
  asked_ = persist.id;
  queue_.push_back(std::move(persist));
  if (!syncing_) BeginSync();
}

void AgentProcess::BeginSync() {
  std::vector<agent::checkpoint::Record> records;
  bool replace = false;
  for (agent::Persist& next : queue_) {
    // A replacement makes what gathered before it superfluous.
    if (next.replace) records.clear();
    replace = replace || next.replace;
    writing_ = next.id;
    std::move(next.records.begin(), next.records.end(), std::back_inserter(records));
  }
  queue_.clear();
  const absl::Status written = replace ? log_->Replace(records) : log_->Append(records);
  if (!written.ok()) {
    world_->verdict.Fail("an agent's log can be written",
                         absl::StrCat(name(), ": ", written.message()));
    return;
  }
  syncing_ = true;
  if (stopping()) return;
  Later(DrawSync(world_, shape_.disk, &rng_), [this] { EndSync(); });
}

void AgentProcess::EndSync() {
  disk_.Settle();
  syncing_ = false;
  durable_ = writing_;
  if (!queue_.empty()) BeginSync();
  runner_->Step(agent::Persisted{durable_});
}

// ---- Containers

void AgentProcess::Do(agent::RecoverContainers& recover) {
  agent::ExpectedContainers expected;
  expected.pods.assign(recover.expected_pod_ids.begin(), recover.expected_pod_ids.end());
  expected.containers.assign(recover.expected_container_ids.begin(),
                             recover.expected_container_ids.end());
  runtime_->Recover(std::move(expected), [this](absl::StatusOr<agent::RecoveryResult> result) {
    runner_->Step(agent::ContainersRecovered{std::move(result)});
  });
}

void AgentProcess::Do(agent::CreatePod& create) {
  const std::string id = create.spec.pod_id;
  runtime_->CreatePod(std::move(create.spec), [this, id](agent::PodResult result) {
    runner_->Step(agent::PodCreated{id, std::move(result)});
  });
}

void AgentProcess::Do(agent::UpdatePod& update) {
  runtime_->UpdatePod(update.pod_id, update.limits, [](const absl::Status&) {});
}

void AgentProcess::Do(agent::DestroyPod& destroy) {
  runtime_->DestroyPod(destroy.pod_id, [this, id = destroy.pod_id](const absl::Status& status) {
    runner_->Step(agent::PodDestroyed{id, status});
  });
}

void AgentProcess::Do(agent::LaunchContainer& launch) {
  const std::string id = launch.spec.container_id;
  runtime_->Launch(std::move(launch.spec), [this, id](agent::LaunchResult result) {
    runner_->Step(agent::ContainerLaunched{id, std::move(result)});
  });
}

void AgentProcess::Do(agent::KillContainer& kill) {
  runtime_->Kill(kill.container_id, kill.grace, [](const absl::Status&) {});
}
void AgentProcess::Do(agent::DestroyContainer& destroy) {
  runtime_->Destroy(destroy.container_id, [](const absl::Status&) {});
}
void AgentProcess::Do(agent::SignalContainer& signal) {
  runtime_->Signal(signal.container_id, signal.signal_number, [](const absl::Status&) {});
}
void AgentProcess::Do(agent::ReleaseContainer& release) {
  runtime_->Release(release.container_id, [](const absl::Status&) {});
}
void AgentProcess::Do(agent::DeleteSandbox& remove) {
  Later(absl::Milliseconds(1), [this, id = remove.id] {
    runner_->Step(agent::SandboxDeleted{id, absl::OkStatus()});
  });
}
void AgentProcess::Do(agent::AnswerOperator&) {}
void AgentProcess::Do(agent::Fatal& fatal) {
  world_->verdict.Fail("agents go on", name() + ": " + fatal.message);
}

void AgentProcess::Started(const agent::ContainerSpec& spec, const std::string& mark) {
  world_->machines.Started(name(), spec.container_id, spec.resources.cpus_milli,
                           spec.resources.memory_limit_bytes.value_or(0));
  world_->Say(
      [&] { return absl::StrCat(name(), " runs ", mark, " in ", spec.container_id.text()); });
  if (mark.empty()) return;
  if (forbidden_launches_.contains(mark) && !launch_epochs_.contains(mark)) {
    world_->verdict.Fail("agents refuse a lower epoch",
                         name() + " starts " + mark + " for a master that leads no more");
  }
  const auto epoch = launch_epochs_.find(mark);
  if (epoch != launch_epochs_.end()) obeyed_epoch_ = std::max(obeyed_epoch_, epoch->second);
  world_->tasks.Started(name(), mark);
}

void AgentProcess::Ended(const std::string& container_id, const std::string& mark,
                         const agent::ContainerTermination& termination) {
  world_->machines.Ended(name(), container_id);
  world_->Say([&] { return absl::StrCat(name(), " ran ", mark, " in ", container_id); });
  if (mark.empty()) return;
  world_->tasks.Ended(mark, termination.wait_status == 0, termination.kill_requested);
}

}  // namespace tessera::sim
