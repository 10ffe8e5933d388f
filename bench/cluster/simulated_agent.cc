#include "bench/cluster/simulated_agent.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/model/wire/incarnation.h"
#include "services/rpc/error.h"

namespace tessera::bench {

using agentlink::v1::AgentMessage;
using agentlink::v1::MasterMessage;
using model::v1::ErrorDetail;
using model::v1::TaskState;

SimulatedAgent::SimulatedAgent(model::v1::AgentInfo info, const AgentBehaviour* behaviour,
                               uint64_t seed)
    : info_(std::move(info)), behaviour_(behaviour), rng_(seed) {}

void SimulatedAgent::Open(Messages* out) {
  registered_ = false;
  AgentMessage::Register* registration = out->add_messages()->mutable_register_();
  *registration->mutable_info() = info_;
  registration->set_highest_epoch(highest_epoch_);
  *registration->mutable_total_resources() = info_.resources();
  registration->set_resource_version(1);
  if (info_.id().empty()) return;

  AgentMessage::Inventory* chunk = out->add_messages()->mutable_inventory();
  int entries = 0;
  const auto room = [&] {
    if (entries++ < behaviour_->inventory_chunk) return;
    chunk = out->add_messages()->mutable_inventory();
    entries = 1;
  };
  for (const auto& [id, framework] : frameworks_) {
    room();
    chunk->add_frameworks(framework);
  }
  for (const auto& [key, task] : tasks_) {
    room();
    agentlink::v1::TaskEntry* entry = chunk->add_tasks();
    *entry = task.entry;
    if (!task.pending.empty()) {
      entry->set_status_update_state(task.pending.front().state());
      entry->set_status_update_uuid(task.pending.front().uuid());
    }
  }
  chunk->set_last(true);
}

absl::Status SimulatedAgent::Handle(absl::Time now, const agentlink::v1::ConnectResponse& batch,
                                    Messages* out) {
  if (batch.epoch() < highest_epoch_) {
    ++counters_.stale_epochs;
    return rpc::Error(absl::StatusCode::kFailedPrecondition, ErrorDetail::STALE_EPOCH,
                      absl::StrCat("epoch ", batch.epoch(), " is older than ", highest_epoch_));
  }
  highest_epoch_ = batch.epoch();
  last_heard_ = now;
  for (const MasterMessage& message : batch.messages()) {
    switch (message.kind_case()) {
      case MasterMessage::kRegistered:
        info_.set_id(message.registered().agent_id());
        ping_timeout_ = absl::Seconds(message.registered().ping_timeout().seconds());
        registered_ = true;
        for (auto& [key, task] : tasks_) SendFirst(now, task, out);
        break;
      case MasterMessage::kPing:
        out->add_messages()->mutable_pong()->set_sequence(message.ping().sequence());
        break;
      case MasterMessage::kRunTask:
        RunTask(now, message.run_task(), out);
        break;
      case MasterMessage::kKillTask:
        KillTask(now, message.kill_task(), out);
        break;
      case MasterMessage::kAcknowledgeUpdate:
        Acknowledge(now, message.acknowledge_update(), out);
        break;
      case MasterMessage::kReconcileTasks:
        for (const auto& asked : message.reconcile_tasks().tasks()) {
          const auto [place, is_new] = tasks_.try_emplace(
              {asked.framework_id(), model::wire::FromProto(asked.incarnation())});
          if (!is_new) continue;  // its status is under way already
          Task& task = place->second;
          task.live = false;
          task.entry.set_framework_id(asked.framework_id());
          task.entry.set_task_id(asked.task_id());
          *task.entry.mutable_incarnation() = asked.incarnation();
          Add(now, task, model::v1::TASK_DROPPED, "the agent does not know it");
          SendFirst(now, task, out);
        }
        break;
      case MasterMessage::kDescribeFramework:
        frameworks_[message.describe_framework().framework_id()] =
            message.describe_framework().info();
        break;
      case MasterMessage::kShutdownFramework:
        ForgetFramework(message.shutdown_framework().framework_id());
        break;
      case MasterMessage::kShutdown:
        tasks_.clear();
        frameworks_.clear();
        live_tasks_ = 0;
        info_.clear_id();
        return absl::PermissionDeniedError(
            absl::StrCat("shut down by the master: ", message.shutdown().message()));
      // Executors, operations and drains are beyond the simulation.
      case MasterMessage::kRunTaskGroup:
      case MasterMessage::kAcknowledgeOperation:
      case MasterMessage::kFrameworkToExecutor:
      case MasterMessage::kShutdownExecutor:
      case MasterMessage::kApplyOperation:
      case MasterMessage::kDrain:
      case MasterMessage::KIND_NOT_SET:
        break;
    }
  }
  return absl::OkStatus();
}

void SimulatedAgent::Closed() {
  // The next stream is told anew of those that have nothing here.
  std::erase_if(frameworks_, [this](const auto& framework) { return !HasTasks(framework.first); });
  registered_ = false;
  last_heard_ = absl::InfiniteFuture();
}

void SimulatedAgent::RunTask(absl::Time now, const MasterMessage::RunTask& run, Messages* out) {
  const auto [entry, is_new] =
      tasks_.try_emplace({run.framework_id(), model::wire::FromProto(run.task().incarnation())});
  if (!is_new) return;
  ++counters_.tasks_started;
  ++live_tasks_;
  Task& task = entry->second;
  task.entry.set_framework_id(run.framework_id());
  task.entry.set_task_id(run.task().task_id());
  *task.entry.mutable_incarnation() = run.task().incarnation();
  task.entry.set_info(run.task().info());
  *task.entry.mutable_resources() = run.task().resources();
  task.entry.set_durable(true);
  if (behaviour_->reports_starting) Add(now, task, model::v1::TASK_STARTING, "");
  Add(now, task, model::v1::TASK_RUNNING, "");
  if (behaviour_->task_duration) {
    if (*behaviour_->task_duration == absl::ZeroDuration()) {
      End(now, task, model::v1::TASK_FINISHED);
    } else {
      task.end_at = now + *behaviour_->task_duration;
      deadline_ = std::min(deadline_, task.end_at);
    }
  }
  SendFirst(now, task, out);
}

void SimulatedAgent::KillTask(absl::Time now, const MasterMessage::KillTask& kill, Messages* out) {
  const auto found = tasks_.find({kill.framework_id(), model::wire::FromProto(kill.incarnation())});
  if (found == tasks_.end() || !found->second.live) return;
  const bool idle = found->second.pending.empty();
  End(now, found->second, model::v1::TASK_KILLED);
  if (idle) SendFirst(now, found->second, out);
}

void SimulatedAgent::Acknowledge(absl::Time now, const MasterMessage::AcknowledgeUpdate& update,
                                 Messages* out) {
  const auto found =
      tasks_.find({update.framework_id(), model::wire::FromProto(update.incarnation())});
  if (found == tasks_.end()) return;
  Task& task = found->second;
  if (task.pending.empty() || task.pending.front().uuid() != update.uuid()) return;
  task.pending.pop_front();
  task.repeat_at = absl::InfiniteFuture();
  if (!task.pending.empty()) {
    SendFirst(now, task, out);
  } else if (!task.live) {
    Forget(found);
  }
}

void SimulatedAgent::Add(absl::Time now, Task& task, TaskState state, const std::string& message) {
  model::v1::TaskStatus status;
  status.set_task_id(task.entry.task_id());
  status.set_state(state);
  status.set_message(message);
  status.set_source(model::v1::SOURCE_AGENT);
  status.set_agent_id(info_.id());
  status.set_uuid(NewUuid());
  const absl::Duration since_epoch = now - absl::UnixEpoch();
  const int64_t nanos = absl::ToInt64Nanoseconds(since_epoch);
  status.mutable_timestamp()->set_seconds(nanos / 1'000'000'000);
  status.mutable_timestamp()->set_nanos(static_cast<int32_t>(nanos % 1'000'000'000));
  task.entry.set_state(state);
  *task.entry.add_statuses() = status;
  task.pending.push_back(std::move(status));
}

void SimulatedAgent::End(absl::Time now, Task& task, TaskState state) {
  Add(now, task, state, "");
  task.live = false;
  task.end_at = absl::InfiniteFuture();
  --live_tasks_;
  ++counters_.tasks_ended;
}

void SimulatedAgent::SendFirst(absl::Time now, Task& task, Messages* out) {
  if (task.pending.empty() || !registered_) return;
  AgentMessage::StatusUpdate* update = out->add_messages()->mutable_status_update();
  update->set_framework_id(task.entry.framework_id());
  *update->mutable_status() = task.pending.front();
  update->set_latest_state(task.entry.state());
  *update->mutable_incarnation() = task.entry.incarnation();
  task.repeat_at = now + behaviour_->status_retry;
  deadline_ = std::min(deadline_, task.repeat_at);
  ++counters_.statuses_sent;
}

void SimulatedAgent::Wake(absl::Time now, Messages* out) {
  if (now < deadline_) return;
  deadline_ = absl::InfiniteFuture();
  for (auto& [key, task] : tasks_) {
    if (task.end_at <= now) {
      const bool idle = task.pending.empty();
      End(now, task, model::v1::TASK_FINISHED);
      if (idle) SendFirst(now, task, out);
    } else if (registered_ && task.repeat_at <= now) {
      ++counters_.statuses_repeated;
      SendFirst(now, task, out);
    }
    deadline_ =
        std::min({deadline_, task.end_at, registered_ ? task.repeat_at : absl::InfiniteFuture()});
  }
}

absl::Time SimulatedAgent::NextDeadline() const { return deadline_; }

size_t SimulatedAgent::unacknowledged() const {
  size_t count = 0;
  for (const auto& [key, task] : tasks_) count += task.pending.size();
  return count;
}

void SimulatedAgent::Forget(std::map<Key, Task>::iterator task) {
  // The framework's description is of use for its next launch on this stream.
  tasks_.erase(task);
}

bool SimulatedAgent::HasTasks(const std::string& framework_id) const {
  const auto first = tasks_.lower_bound({framework_id, model::Incarnation()});
  return first != tasks_.end() && first->first.first == framework_id;
}

void SimulatedAgent::ForgetFramework(const std::string& framework_id) {
  auto task = tasks_.lower_bound({framework_id, model::Incarnation()});
  while (task != tasks_.end() && task->first.first == framework_id) {
    if (task->second.live) {
      --live_tasks_;
      ++counters_.tasks_ended;
    }
    task = tasks_.erase(task);
  }
  frameworks_.erase(framework_id);
}

std::string SimulatedAgent::NewUuid() {
  const uint64_t words[2] = {rng_.Next(), rng_.Next()};
  std::string uuid(sizeof(words), '\0');
  std::memcpy(uuid.data(), words, sizeof(words));
  return uuid;
}

}  // namespace tessera::bench
