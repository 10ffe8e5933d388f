#include "services/agent/core/agent_core.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "services/agent/core/task_outcome.h"
#include "services/agent/core/task_validation.h"
#include "services/agent/core/wire_time.h"
#include "services/base/bug.h"
#include "services/model/wire/resources.h"
#include "services/rpc/error.h"

namespace tessera::agent {

using checkpoint::Record;

AgentCore::AgentCore(AgentConfig config, UuidSource uuids, base::Rng rng)
    : config_(std::move(config)),
      uuids_(std::move(uuids)),
      info_(config_.info),
      session_(config_, rng),
      sandboxes_(config_.gc_delay, config_.gc_disk_headroom),
      compact_at_(config_.compact_records_min) {
  info_.clear_id();
  auto total = ResourcesOf(config_.info.resources());
  if (!TESSERA_BUG_IF(!total.ok(), "an agent core was made with resources that are not valid")) {
    total_ = *std::move(total);
  }
}

void AgentCore::Step(absl::Time now, const Event& event, Effects* effects) {
  if (stage_ == Stage::kFailed) return;
  now_ = now;
  effects_ = effects;
  ++view_version_;
  std::visit([this](const auto& e) { On(e); }, event);
  for (const DeadlineKey& key : deadlines_.TakeDue(now)) RunDeadline(key);
  RunHeld();
  ActOnKills();
  FlushRecords();
  deadlines_.Set({DeadlineKind::kSandboxes, 0},
                 stage_ == Stage::kRunning ? sandboxes_.NextDeadline() : absl::InfiniteFuture());
  effects_ = nullptr;
}

absl::Time AgentCore::NextDeadline() const { return deadlines_.Next(); }

// ---- Durability ----

void AgentCore::AfterDurable(HeldAction action) {
  held_.push_back({records_.empty() ? last_persist_ : last_persist_ + 1, std::move(action)});
}

void AgentCore::RunHeld() {
  while (!held_.empty() && held_.front().persist_id <= durable_) {
    const HeldAction action = std::move(held_.front().action);
    held_.pop_front();
    if (const auto* held = std::get_if<HeldRelease>(&action)) {
      effects_->push_back(ReleaseContainer{held->container_id});
    } else if (const auto* held = std::get_if<HeldForget>(&action)) {
      Forget(*held);
    } else if (const auto* held = std::get_if<HeldExecutorExit>(&action)) {
      agentlink::v1::AgentMessage message;
      message.mutable_executor_exited()->set_framework_id(held->executor.first);
      message.mutable_executor_exited()->set_executor_id(held->executor.second);
      Send(std::move(message));
    } else if (const auto* held = std::get_if<HeldRegistration>(&action)) {
      CompleteRegistration(held->link);
    } else {
      const uint64_t serial = std::visit(
          [](const auto& a) -> uint64_t {
            if constexpr (requires { a.serial; }) return a.serial;
            return 0;
          },
          action);
      Task* task = tasks_.Find(serial);
      if (task == nullptr) continue;
      if (std::holds_alternative<HeldLaunch>(action)) {
        task->durable = true;
        LaunchOrWait(*task);
      } else if (std::holds_alternative<HeldStatus>(action)) {
        task->durable = true;
        NoteDurableStatus(*task);
        if (task->stream.durable() == 1) SendHead(*task);
      } else if (!task->stream.empty()) {
        const model::v1::TaskStatus head = task->stream.PopHead();
        if (IsTerminal(head.state())) {
          tasks_.Remove(serial);
          FinishDrain();
        } else {
          SendHead(*task);
        }
      }
    }
  }
  if (!Gated()) ObeyHeldMessages();
  if (!held_.empty() && held_.front().persist_id <= durable_) RunHeld();
}

void AgentCore::FlushRecords() {
  if (records_.empty()) return;
  records_in_log_ += records_.size();
  Persist persist;
  persist.id = ++last_persist_;
  if (records_in_log_ >= compact_at_) {
    std::vector<Record> essence = Essence();
    // Not worth it, and not soon again, when the log is mostly alive.
    compact_at_ = std::max(config_.compact_records_min, essence.size() * 4);
    if (essence.size() * 4 <= records_in_log_) {
      persist.replace = true;
      records_in_log_ = essence.size();
      ++counters_.log_compactions;
      records_ = std::move(essence);
    }
  }
  persist.records = std::move(records_);
  records_.clear();
  effects_->push_back(std::move(persist));
}

void AgentCore::On(const Persisted& event) {
  TESSERA_BUG_IF(event.id > last_persist_, "records are durable that were never written");
  durable_ = std::max(durable_, std::min(event.id, last_persist_));
}

// ---- Deadlines ----

void AgentCore::RunDeadline(const DeadlineKey& key) {
  switch (key.kind) {
    case DeadlineKind::kDial:
      Dial();
      return;
    case DeadlineKind::kRegistration:
      EndLink(absl::DeadlineExceededError("the master did not answer the registration"));
      return;
    case DeadlineKind::kPing:
      ++counters_.ping_timeouts;
      EndLink(absl::DeadlineExceededError("no ping from the master"));
      return;
    case DeadlineKind::kSandboxes:
      DeleteOldSandboxes();
      return;
    default:
      break;
  }
  Task* task = tasks_.Find(key.subject);
  if (task == nullptr) return;
  if (key.kind == DeadlineKind::kStatusRetry) {
    SendHead(*task);
  } else if (task->ended()) {
    return;
  } else if (key.kind == DeadlineKind::kCompletion) {
    if (!task->kill.has_value()) {
      KillTask(*task, Record::KILL_COMPLETION_TIME, absl::ZeroDuration());
    }
  } else {
    ++counters_.destroy_retries;
    effects_->push_back(DestroyContainer{task->container_id});
    deadlines_.Set(key, now_ + config_.destroy_retry);
  }
}

void AgentCore::DeleteOldSandboxes() {
  for (auto& [id, path] : sandboxes_.TakeDue(now_)) {
    effects_->push_back(DeleteSandbox{id, path});
  }
}

void AgentCore::On(const SandboxDeleted& event) {
  if (!event.status.ok()) {
    ++counters_.sandbox_delete_errors;
    sandboxes_.Postpone(event.container_id, now_);
    return;
  }
  ++counters_.sandboxes_deleted;
  sandboxes_.Remove(event.container_id);
  Record record;
  record.mutable_sandbox_deleted()->set_container_id(event.container_id);
  Write(std::move(record));
}

void AgentCore::On(const DiskUsed& event) {
  sandboxes_.SetDiskUsed(event.fraction);
  if (stage_ == Stage::kRunning) DeleteOldSandboxes();
}

// ---- Operators ----

void AgentCore::On(const OperatorSignal& event) {
  Task* task = tasks_.FindByContainer(event.container_id);
  absl::Status status;
  if (task == nullptr || task->ended()) {
    status = rpc::Error(absl::StatusCode::kNotFound, model::v1::ErrorDetail::UNKNOWN_CONTAINER,
                        absl::StrCat("no container runs with the id ", event.container_id));
  } else if (event.signal_number == 9) {
    KillTask(*task, Record::KILL_OPERATOR, absl::ZeroDuration());
  } else {
    effects_->push_back(SignalContainer{event.container_id, event.signal_number});
  }
  effects_->push_back(AnswerOperator{event.call, status, std::nullopt});
}

void AgentCore::On(const OperatorWait& event) {
  for (const auto& view : ended_) {
    if (view->container_id != event.container_id) continue;
    effects_->push_back(AnswerOperator{event.call, absl::OkStatus(), view->termination});
    return;
  }
  const Task* task = tasks_.FindByContainer(event.container_id);
  if (task == nullptr || task->ended()) {
    effects_->push_back(AnswerOperator{
        event.call,
        rpc::Error(absl::StatusCode::kNotFound, model::v1::ErrorDetail::UNKNOWN_CONTAINER,
                   absl::StrCat("no container is known by the id ", event.container_id)),
        std::nullopt});
    return;
  }
  waits_[event.container_id].push_back(event.call);
  wait_of_call_[event.call] = event.container_id;
}

void AgentCore::On(const OperatorGone& event) {
  auto found = wait_of_call_.find(event.call);
  if (found == wait_of_call_.end()) return;
  auto calls = waits_.find(found->second);
  if (calls != waits_.end()) {
    std::erase(calls->second, event.call);
    if (calls->second.empty()) waits_.erase(calls);
  }
  wait_of_call_.erase(found);
}

// ---- Views ----

void AgentCore::RefreshView(Task& task) {
  if (task.container_id.empty()) return;
  auto view = std::make_shared<ContainerView>();
  view->container_id = task.container_id;
  view->state = task.kill.has_value()                 ? ContainerView::State::kEnding
                : task.phase == Task::Phase::kRunning ? ContainerView::State::kRunning
                                                      : ContainerView::State::kStarting;
  view->framework_id = task.framework_id;
  view->task_id = task.info.id();
  view->task_name = task.info.name();
  view->executor_id = task.executor_id;
  view->sandbox = task.sandbox;
  view->init_pid = task.init_pid;
  view->started = task.started;
  view->resources.assign(task.info.resources().begin(), task.info.resources().end());
  if (!view->resources.empty()) view->role = view->resources.front().allocation_role();
  task.view = std::move(view);
}

void AgentCore::FinishView(Task& task, const std::optional<ContainerTermination>& termination) {
  RefreshView(task);
  if (task.view == nullptr) return;
  auto view = std::make_shared<ContainerView>(*task.view);
  view->state = ContainerView::State::kEnded;
  view->termination = termination;
  view->final_state = task.state;
  ended_.push_back(view);
  if (ended_.size() > config_.ended_containers_max) ended_.pop_front();
  task.view = nullptr;
  auto waiting = waits_.find(task.container_id);
  if (waiting == waits_.end()) return;
  for (const uint64_t call : waiting->second) {
    effects_->push_back(AnswerOperator{call, absl::OkStatus(), termination});
    wait_of_call_.erase(call);
  }
  waits_.erase(waiting);
}

std::shared_ptr<const AgentView> AgentCore::View() const {
  auto view = std::make_shared<AgentView>();
  view->info = info_;
  google::protobuf::RepeatedPtrField<model::v1::Resource> messages;
  model::wire::ToProto(total_, &messages);
  view->total.assign(messages.begin(), messages.end());
  model::wire::ToProto(tasks_.used(), &messages);
  view->used.assign(messages.begin(), messages.end());
  view->recovered = stage_ == Stage::kRunning;
  view->registered = session_.registered();
  view->draining = drain_.has_value();
  if (session_.registered()) view->master_address = session_.address();
  view->highest_epoch = session_.highest_epoch();
  view->started = started_;
  view->recovery_time = recovery_time_;
  view->frameworks = tasks_.frameworks().size();
  view->sandboxes_kept = sandboxes_.size();
  for (const auto& [serial, task] : tasks_.tasks()) {
    view->unacknowledged_statuses += task.stream.pending().size();
    if (!task.ended()) {
      ++view->tasks[static_cast<size_t>(task.state) % kTaskStates];
      if (task.view != nullptr) view->containers.push_back(task.view);
    }
  }
  view->containers.insert(view->containers.end(), ended_.begin(), ended_.end());
  view->counters = counters_;
  return view;
}

}  // namespace tessera::agent
