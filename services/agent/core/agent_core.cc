#include "services/agent/core/agent_core.h"

#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "services/agent/core/replay.h"
#include "services/base/bug.h"
#include "services/model/wire/resources.h"
#include "services/rpc/error.h"

namespace tessera::agent {

using agentlink::v1::AgentMessage;
using agentlink::v1::MasterMessage;
using checkpoint::Record;

namespace {

bool ComesBeforeRegistration(const MasterMessage& message) {
  return message.has_registered() || message.has_ping() || message.has_shutdown();
}

void RefuseOperation(const MasterMessage::ApplyOperation& message, AgentState* state) {
  AgentMessage answer;
  AgentMessage::OperationUpdate* update = answer.mutable_operation_update();
  update->set_framework_id(message.framework_id());
  update->set_latest_state(model::v1::OPERATION_ERROR);
  update->mutable_status()->set_operation_id(message.operation().id());
  update->mutable_status()->set_state(model::v1::OPERATION_ERROR);
  update->mutable_status()->set_message("this agent applies no operations to its resources");
  update->mutable_status()->set_agent_id(state->info->id());
  state->Send(std::move(answer));
}

std::vector<model::v1::Resource> MessagesOf(const model::Resources& resources) {
  google::protobuf::RepeatedPtrField<model::v1::Resource> messages;
  model::wire::ToProto(resources, &messages);
  return {messages.begin(), messages.end()};
}

}  // namespace

AgentCore::AgentCore(AgentConfig config, UuidSource uuids, base::Rng rng)
    : state_(std::move(config), std::move(uuids), rng),
      statuses_(&state_),
      pods_(&state_),
      executors_(&state_, &pods_),
      tasks_(&state_, &statuses_, &pods_, &executors_),
      admissions_(&state_, &statuses_, &pods_, &executors_, &tasks_),
      link_(&state_, &statuses_),
      drains_(&state_, &tasks_, &link_),
      operators_(&state_, &tasks_),
      recovery_(&state_, &pods_, &executors_, &link_, &drains_) {}

void AgentCore::Step(absl::Time now, const Event& event, Effects* effects) {
  if (recovery_.failed()) return;
  state_.now = now;
  state_.effects = effects;
  std::visit([this](const auto& e) { On(e); }, event);
  for (const DeadlineKey& key : state_.deadlines.TakeDue(now)) RunDeadline(key);
  Settle();
  pods_.ActOnKills();
  if (auto persist = state_.journal.Flush([this] { return EssenceOf(state_); })) {
    if (persist->replace) ++state_.Count().log_compactions;
    state_.Emit(*std::move(persist));
  }
  state_.deadlines.Set(DeadlineKey::OfAgent(DeadlineKind::kSandboxes),
                       recovery_.done() ? state_.sandboxes.NextDeadline() : absl::InfiniteFuture());
  state_.effects = nullptr;
}

absl::Time AgentCore::NextDeadline() const { return state_.deadlines.Next(); }

void AgentCore::SettleContainers() {
  while (true) {
    if (const auto change = pods_.TakeChange()) {
      tasks_.OnContainer(*change);
      operators_.OnContainer(*change);
    } else if (const auto executor = pods_.TakeEndedExecutor()) {
      executors_.OnPodEnded(*executor);
    } else {
      return;
    }
  }
}

void AgentCore::Settle() {
  do {
    SettleContainers();
    while (const auto next = state_.journal.TakeDue()) {
      std::visit([this](const auto& n) { Continue(n); }, *next);
      SettleContainers();
    }
    drains_.FinishIfDone();
  } while (link_.ObeyKept([this](const MasterMessage& message) { Obey(message); }));
}

// ---- Events ----

void AgentCore::On(const Started& event) { recovery_.On(event); }

void AgentCore::On(const ContainersRecovered& event) {
  if (!recovery_.On(event)) return;
  SettleContainers();
  recovery_.Resume();
}

void AgentCore::On(const LinkReceived& event) {
  link_.On(event, [this](const MasterMessage& message) { Obey(message); });
}

void AgentCore::On(const LinkClosed& event) {
  if (link_.On(event)) drains_.Leave("the master says that this agent is gone");
}

void AgentCore::On(const Persisted& event) {
  const bool known = state_.journal.Persisted(event.id);
  TESSERA_BUG_IF(!known, "records are durable that were never written");
}

void AgentCore::On(const PodCreated& event) { pods_.On(event); }
void AgentCore::On(const PodDestroyed& event) { pods_.On(event); }
void AgentCore::On(const ContainerLaunched& event) { pods_.On(event); }
void AgentCore::On(const ContainerEnded& event) { pods_.On(event); }

void AgentCore::On(const SandboxDeleted& event) {
  if (!event.status.ok()) {
    ++state_.Count().sandbox_delete_errors;
    state_.sandboxes.Postpone(event.id, state_.now);
    return;
  }
  ++state_.Count().sandboxes_deleted;
  state_.sandboxes.Remove(event.id);
  Record record;
  record.mutable_sandbox_deleted()->set_id(event.id);
  state_.journal.Write(std::move(record));
}

void AgentCore::On(const DiskUsed& event) {
  state_.sandboxes.SetDiskUsed(event.fraction);
  if (recovery_.done()) DeleteOldSandboxes();
}

void AgentCore::On(const LogSpace& event) { state_.log_space_low = event.low; }
void AgentCore::On(const OperatorSignal& event) { operators_.On(event); }
void AgentCore::On(const OperatorWait& event) { operators_.On(event); }
void AgentCore::On(const OperatorGone& event) { operators_.On(event); }

void AgentCore::DeleteOldSandboxes() {
  for (auto& [id, sandbox] : state_.sandboxes.TakeDue(state_.now)) {
    state_.Emit(DeleteSandbox{id, sandbox.path, /*with_empty_parents=*/!sandbox.in_pod});
  }
}

// ---- The master ----

void AgentCore::Obey(const MasterMessage& message) {
  if (!state_.session.registered() && !ComesBeforeRegistration(message)) {
    ++state_.Count().ignored_messages;
    return;
  }
  switch (message.kind_case()) {
    case MasterMessage::kRegistered:
      return link_.OnRegistered(message.registered());
    case MasterMessage::kPing:
      return link_.OnPing(message.ping());
    case MasterMessage::kShutdown:
      return drains_.Leave(message.shutdown().message());
    case MasterMessage::kDescribeFramework:
      admissions_.OnDescribeFramework(message.describe_framework());
      break;
    case MasterMessage::kRunTask:
      admissions_.OnRunTask(message.run_task());
      break;
    case MasterMessage::kRunTaskGroup:
      admissions_.OnRunTaskGroup(message.run_task_group());
      break;
    case MasterMessage::kKillTask:
      tasks_.OnKillTask(message.kill_task());
      break;
    case MasterMessage::kAcknowledgeUpdate:
      statuses_.OnAcknowledge(message.acknowledge_update());
      break;
    case MasterMessage::kShutdownExecutor:
      tasks_.OnShutdownExecutor(message.shutdown_executor());
      break;
    case MasterMessage::kShutdownFramework:
      tasks_.OnShutdownFramework(message.shutdown_framework().framework_id());
      break;
    case MasterMessage::kReconcileTasks:
      tasks_.OnReconcile(message.reconcile_tasks());
      break;
    case MasterMessage::kDrain:
      drains_.OnDrain(message.drain().config());
      break;
    case MasterMessage::kApplyOperation:
      RefuseOperation(message.apply_operation(), &state_);
      break;
    // There are no operations to acknowledge and no executors to talk to.
    case MasterMessage::kAcknowledgeOperation:
    case MasterMessage::kFrameworkToExecutor:
    // Of a newer master.
    case MasterMessage::KIND_NOT_SET:
      ++state_.Count().ignored_messages;
      break;
  }
  SettleContainers();
}

// ---- What is durable ----

void AgentCore::Continue(const after::Launch& next) { pods_.OnRecorded(next.launch); }

void AgentCore::Continue(const after::Status& next) {
  if (Task* task = state_.tasks.Find(next.task); task != nullptr) statuses_.OnDurable(*task);
}

void AgentCore::Continue(const after::Acknowledgement& next) {
  Task* task = state_.tasks.Find(next.task);
  if (task != nullptr && statuses_.OnAcknowledgementDurable(*task)) tasks_.Forget(next.task);
}

void AgentCore::Continue(const after::Forget& next) { tasks_.OnForgotten(next); }

void AgentCore::Continue(const after::Release& next) {
  state_.Emit(ReleaseContainer{next.container_id});
}

void AgentCore::Continue(const after::ExecutorExit& next) { executors_.TellExit(next); }

void AgentCore::Continue(const after::Registration& next) { link_.CompleteRegistration(next.link); }

void AgentCore::Continue(const after::Dial&) {
  if (!state_.leaving) link_.DialSoon();
}

// ---- Deadlines ----

void AgentCore::RunDeadline(const DeadlineKey& key) {
  Task* task = state_.tasks.Find(key.task);
  switch (key.kind) {
    case DeadlineKind::kDial:
      if (recovery_.done()) link_.Dial();
      return;
    case DeadlineKind::kRegistration:
      return link_.OnRegistrationDeadline();
    case DeadlineKind::kPing:
      return link_.OnPingDeadline();
    case DeadlineKind::kSandboxes:
      return DeleteOldSandboxes();
    case DeadlineKind::kStatusRetry:
      if (task != nullptr) statuses_.SendHead(*task);
      return;
    case DeadlineKind::kCompletion:
      if (task != nullptr) tasks_.OnCompletionDeadline(*task);
      return;
    case DeadlineKind::kLaunch: {
      const Container* container = state_.containers.Find(key.serial);
      if (container != nullptr) tasks_.OnLaunchDeadline(container->task);
      return;
    }
    case DeadlineKind::kKill:
      return pods_.OnKillDeadline(key.serial);
    case DeadlineKind::kPod:
      return pods_.OnPodDeadline(key.serial);
  }
}

// ---- Views ----

std::shared_ptr<const AgentView> AgentCore::View() const {
  auto view = std::make_shared<AgentView>();
  view->info = state_.info;
  view->total = MessagesOf(state_.book.total());
  view->used = MessagesOf(state_.book.used());
  view->resource_version = state_.book.version();
  view->recovered = recovery_.done();
  view->registered = state_.session.registered();
  view->draining = state_.drain.has_value();
  if (state_.session.registered()) view->master_address = state_.session.address();
  view->highest_epoch = state_.session.highest_epoch();
  view->started = recovery_.started();
  view->recovery_time = recovery_.duration();
  view->frameworks = state_.frameworks.with_tasks();
  view->sandboxes_kept = state_.sandboxes.size();
  view->unacknowledged_statuses = state_.tasks.pending_statuses();
  view->tasks = state_.tasks.states();
  view->containers = state_.views.Present();
  view->counters = state_.counters;
  return view;
}

}  // namespace tessera::agent
