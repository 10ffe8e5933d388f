#include "tests/sim/agent_process.h"

#include <glog/logging.h>

#include <utility>

#include "tests/sim/master_process.h"

namespace tessera::sim {

AgentProcess::AgentProcess(World* world, std::string name, std::vector<std::string> masters,
                           AgentShape shape)
    : Process(&world->loop, name),
      world_(world),
      masters_(std::move(masters)),
      shape_(shape),
      rng_(world->rng.Fork()),
      machine_(&world->loop, world->rng.Fork(), name, &world->machines, &world->tasks) {
  world->machines.SetTotal(name, shape.cpus_milli, shape.mem_milli * 1024 * 1024 / 1000);
}

void AgentProcess::OnStart() {
  agent::AgentConfig config;
  config.info.set_hostname(name());
  config.info.set_address(name() + ":5051");
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
  core_ = std::make_unique<agent::AgentCore>(config, uuids, rng_.Fork());
  runner_ = std::make_unique<CoreRunner<agent::AgentCore, agent::Event, agent::Effect>>(
      this, core_.get(), agent::Event(agent::Wake{}),
      [this](std::vector<agent::Effect> effects) { CarryOut(std::move(effects)); });
  machine_.on_launched = [this](const std::string& id, agent::LaunchResult result) {
    runner_->Step(agent::ContainerLaunched{id, std::move(result)});
  };
  machine_.on_ended = [this](const agent::ContainerTermination& termination) {
    // Never inside the call that caused it.
    Later(absl::ZeroDuration(),
          [this, termination] { runner_->Step(agent::ContainerEnded{termination}); });
  };
  runner_->Step(agent::Started{log_.synced, /*rebooted=*/false});
}

void AgentProcess::OnEnd() {
  // A prefix of what was written may have reached the disk. Who stops writes it all.
  const size_t kept = stopping() ? log_.written.size() : rng_.Below(log_.written.size() + 1);
  for (size_t i = 0; i < kept; ++i) {
    agent::Persist& persist = log_.written[i];
    if (persist.replace) log_.synced.clear();
    log_.synced.insert(log_.synced.end(), persist.records.begin(), persist.records.end());
  }
  log_.written.clear();
  syncing_ = false;
  machine_.on_launched = nullptr;
  machine_.on_ended = nullptr;
  runner_.reset();
  core_.reset();
  links_.clear();
  world_->network.Drop(this);
}

void AgentProcess::CarryOut(std::vector<agent::Effect> effects) {
  for (agent::Effect& effect : effects) std::visit([this](auto& e) { Do(e); }, effect);
}

void AgentProcess::Do(agent::RecoverContainers& recover) {
  Later(absl::Milliseconds(rng_.Exponential(5)), [this, ids = recover.expected_container_ids] {
    runner_->Step(agent::ContainersRecovered{machine_.Recover(ids)});
  });
}

void AgentProcess::Do(agent::OpenLink& open) {
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
  for (const auto& task : send.message.inventory().tasks()) {
    VLOG(1) << loop().now() << " " << name() << " brings " << task.framework_id() << " "
            << task.info().id() << " " << model::v1::TaskState_Name(task.state());
  }
  if (send.message.has_status_update()) {
    const auto& status = send.message.status_update().status();
    VLOG(1) << loop().now() << " " << name() << " reports " << status.task_id() << " "
            << model::v1::TaskState_Name(status.state());
  }
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

void AgentProcess::Do(agent::Persist& persist) {
  log_.written.push_back(std::move(persist));
  if (syncing_) return;
  syncing_ = true;
  Later(absl::Milliseconds(rng_.Exponential(2)), [this] { Sync(); });
}

void AgentProcess::Sync() {
  syncing_ = false;
  uint64_t last = 0;
  for (agent::Persist& persist : log_.written) {
    if (persist.replace) log_.synced.clear();
    log_.synced.insert(log_.synced.end(), persist.records.begin(), persist.records.end());
    last = persist.id;
  }
  log_.written.clear();
  runner_->Step(agent::Persisted{last});
}

void AgentProcess::WatchCommands(const agentlink::v1::ConnectResponse& batch) {
  for (const auto& message : batch.messages()) {
    if (message.has_acknowledge_update() || message.has_kill_task() ||
        message.has_shutdown_framework() || message.has_reconcile_tasks()) {
      VLOG(1) << loop().now() << " " << name() << " is told " << message.ShortDebugString();
    }
    if (!message.has_run_task()) continue;
    const std::string key =
        message.run_task().framework().id() + "/" + message.run_task().task().id();
    if (batch.epoch() < obeyed_epoch_) {
      forbidden_tasks_.insert(key);
    } else {
      task_epochs_[key] = batch.epoch();
    }
  }
}

void AgentProcess::Do(agent::LaunchContainer& launch) {
  const std::string key = TaskOfSandbox(launch.spec.sandbox);
  if (forbidden_tasks_.contains(key) && !task_epochs_.contains(key)) {
    world_->verdict.Fail("agents refuse a lower epoch",
                         name() + " starts " + key + " for a master that leads no more");
  }
  const auto epoch = task_epochs_.find(key);
  if (epoch != task_epochs_.end()) obeyed_epoch_ = std::max(obeyed_epoch_, epoch->second);
  machine_.Launch(launch.spec);
}
void AgentProcess::Do(agent::KillContainer& kill) { machine_.Kill(kill.container_id, kill.grace); }
void AgentProcess::Do(agent::DestroyContainer& destroy) { machine_.Destroy(destroy.container_id); }
void AgentProcess::Do(agent::SignalContainer&) {}
void AgentProcess::Do(agent::ReleaseContainer& release) { machine_.Release(release.container_id); }
void AgentProcess::Do(agent::DeleteSandbox& remove) {
  Later(absl::Milliseconds(1), [this, id = remove.container_id] {
    runner_->Step(agent::SandboxDeleted{id, absl::OkStatus()});
  });
}
void AgentProcess::Do(agent::AnswerOperator&) {}
void AgentProcess::Do(agent::Fatal& fatal) {
  world_->verdict.Fail("agents go on", name() + ": " + fatal.message);
}

}  // namespace tessera::sim
