#include "sdk/cpp/core/scheduler_core.h"

#include <algorithm>
#include <set>
#include <type_traits>
#include <utility>

#include "services/model/wire/task_state.h"
#include "services/rpc/error.h"

namespace tessera::sdk {

namespace {

using model::v1::ErrorDetail;
using model::v1::TaskState;
using model::v1::TaskStatus;
using scheduler::v1::AcceptOffersRequest;
using scheduler::v1::AcknowledgeRequest;
using scheduler::v1::KillTaskRequest;
using scheduler::v1::ReconcileTasksRequest;
using scheduler::v1::TeardownRequest;

// Tasks per reconciliation call: keeps each call far below the limit of a message.
constexpr int kReconcileTasksPerCall = 1000;
// Launches of one id whose ends are known again: an agent may repeat an end while others come and
// go.
constexpr size_t kLaunchesKept = 4;
// Updates per acknowledgement, for the same reason.
constexpr int kAcknowledgementsPerCall = 1000;

// No later state follows for a framework that asked about this task.
bool EndsTask(TaskState state) {
  return state == model::v1::TASK_UNKNOWN || model::wire::IsTerminal(state);
}

// It is not known whether the master has carried the call out.
bool OutcomeUnknown(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) ||
         absl::IsCancelled(status) || absl::IsUnknown(status) || absl::IsInternal(status);
}

// The session is over for the master; only a new subscription helps.
bool SessionLost(const absl::Status& status) {
  switch (rpc::ReasonOf(status)) {
    case ErrorDetail::NOT_LEADER:
    case ErrorDetail::UNKNOWN_FRAMEWORK:
    case ErrorDetail::FRAMEWORK_DISCONNECTED:
    case ErrorDetail::STALE_SUBSCRIPTION:
      return true;
    default:
      return false;
  }
}

// A repeat of the subscription cannot succeed.
bool EndsSession(const absl::Status& status) {
  switch (rpc::ReasonOf(status)) {
    case ErrorDetail::FRAMEWORK_REMOVED:
    case ErrorDetail::FRAMEWORK_FAILED_OVER:
    case ErrorDetail::INVALID_FIELD:
    case ErrorDetail::UNAUTHORIZED:
      return true;
    default:
      return absl::IsInvalidArgument(status) || absl::IsUnimplemented(status);
  }
}

// Nobody asks what such a call said: when it fails, the session's own ways make up for it. Its
// content is not kept until the answer.
bool IsQuiet(const Request& request) {
  return std::holds_alternative<AcknowledgeRequest>(request) ||
         std::holds_alternative<ReconcileTasksRequest>(request) ||
         std::holds_alternative<TeardownRequest>(request);
}

Request EmptyOfSameKind(const Request& request) {
  return std::visit([](const auto& r) { return Request(std::decay_t<decltype(r)>()); }, request);
}

template <typename Visitor>
void ForEachLaunched(const AcceptOffersRequest& request, Visitor visit) {
  for (const model::v1::Operation& operation : request.operations()) {
    for (const auto& task : operation.launch().tasks()) visit(task);
    for (const auto& task : operation.launch_group().group().tasks()) visit(task);
  }
}

}  // namespace

absl::Status ValidateConfig(const SchedulerConfig& config) {
  if (config.masters.empty()) {
    return absl::InvalidArgumentError("no master address: name at least one as host:port");
  }
  for (const std::string& address : config.masters) {
    if (address.find(':') == std::string::npos) {
      return absl::InvalidArgumentError("master address \"" + address +
                                        "\" has no port: write host:port");
    }
  }
  if (config.info.name().empty()) {
    return absl::InvalidArgumentError("the framework has no name: set info.name");
  }
  if (config.heartbeats_missed_max < 1) {
    return absl::InvalidArgumentError("heartbeats_missed_max must be at least 1");
  }
  return absl::OkStatus();
}

SchedulerCore::SchedulerCore(SchedulerConfig config, uint64_t seed)
    : config_(std::move(config)),
      random_(seed),
      leader_(config_.masters),
      reconnect_(config_.reconnect),
      reconcile_(config_.reconcile) {}

void SchedulerCore::Step(absl::Time now, const Event& event, Effects* effects) {
  if (state_ == State::kEnded) return;
  std::visit([&](const auto& e) { On(now, e, effects); }, event);
  if (stop_.wanted) StopIfDone(now, effects);
}

absl::Time SchedulerCore::NextDeadline() const {
  if (state_ == State::kEnded) return absl::InfiniteFuture();
  absl::Time next = std::min(stop_.deadline, retry_at_);
  if (state_ == State::kOpening || state_ == State::kSubscribed) {
    next = std::min(next, stream_deadline_);
  }
  if (state_ == State::kSubscribed) next = std::min(next, reconcile_at_);
  return next;
}

void SchedulerCore::On(absl::Time now, const Start&, Effects* effects) {
  if (state_ == State::kIdle) Open(now, effects);
}

void SchedulerCore::Open(absl::Time now, Effects* effects) {
  state_ = State::kOpening;
  retry_at_ = absl::InfiniteFuture();
  stream_deadline_ = now + config_.subscribe_timeout;
  subscription_id_.clear();
  ++attempt_;
  OpenStream open{attempt_, leader_.address(), {}};
  *open.request.mutable_info() = config_.info;
  for (const std::string& role : config_.suppressed_roles) {
    open.request.add_suppressed_roles(role);
  }
  effects->push_back(std::move(open));
}

void SchedulerCore::On(absl::Time now, const StreamEvents& event, Effects* effects) {
  if (event.attempt != attempt_) return;
  for (const scheduler::v1::Event& e : event.events) {
    if (state_ != State::kOpening && state_ != State::kSubscribed) return;
    if (state_ == State::kSubscribed) {
      stream_deadline_ = now + heartbeat_interval_ * config_.heartbeats_missed_max;
    }
    switch (e.kind_case()) {
      case scheduler::v1::Event::kSubscribed:
        OnSubscribed(now, e, effects);
        break;
      case scheduler::v1::Event::kUpdate:
        OnUpdate(now, e, effects);
        break;
      case scheduler::v1::Event::kHeartbeat:
      case scheduler::v1::Event::KIND_NOT_SET:
        break;
      case scheduler::v1::Event::kOffers:
      case scheduler::v1::Event::kInverseOffers:
      case scheduler::v1::Event::kRescind:
      case scheduler::v1::Event::kOperationUpdate:
      case scheduler::v1::Event::kMessage:
      case scheduler::v1::Event::kFailure:
      case scheduler::v1::Event::kError:
        effects->push_back(Deliver{e});
        break;
    }
  }
}

void SchedulerCore::OnSubscribed(absl::Time now, const scheduler::v1::Event& event,
                                 Effects* effects) {
  const auto& subscribed = event.subscribed();
  config_.info.set_id(subscribed.framework_id());
  subscription_id_ = subscribed.subscription_id();
  heartbeat_interval_ = absl::Seconds(subscribed.heartbeat_interval().seconds()) +
                        absl::Nanoseconds(subscribed.heartbeat_interval().nanos());
  if (heartbeat_interval_ <= absl::ZeroDuration()) heartbeat_interval_ = absl::Seconds(15);
  state_ = State::kSubscribed;
  stream_deadline_ = now + heartbeat_interval_ * config_.heartbeats_missed_max;
  reconnect_.Reset();
  leader_.Succeeded();
  effects->push_back(Deliver{event});
  for (auto& [id, task] : tasks_) {
    if (task.kill_wanted) SendKill(id, task, effects);
  }
  StartReconciling(now);
  Reconcile(now, effects);
}

bool SchedulerCore::EndedTask::Knows(const TaskStatus& status) const {
  const std::string& container = status.container_status().container_id();
  return std::any_of(launches.begin(), launches.end(), [&](const Launch& launch) {
    return (!launch.uuid.empty() && launch.uuid == status.uuid()) ||
           (!launch.container_id.empty() && launch.container_id == container);
  });
}

bool SchedulerCore::IsOfEarlierLaunch(const TaskStatus& status) const {
  const auto ended = ended_.find(status.task_id());
  return ended != ended_.end() && tasks_.contains(status.task_id()) && ended->second.Knows(status);
}

void SchedulerCore::OnUpdate(absl::Time now, const scheduler::v1::Event& event, Effects* effects) {
  const TaskStatus& status = event.update().status();
  if (IsOfEarlierLaunch(status)) {
    Acknowledge(status, effects);
    if (status.uuid().empty()) return;
    // The master still had the earlier one when it was asked: it may have meant that.
    Task& newer = tasks_.at(status.task_id());
    if (!newer.reconciled || BeingLaunched(newer)) return;
    newer.reconciled = false;
    reconcile_at_ = std::min(reconcile_at_, now + reconcile_.Next(random_));
    return;
  }
  const auto it = tasks_.find(status.task_id());
  const auto ended = ended_.find(status.task_id());
  if (it == tasks_.end() && ended != ended_.end()) {
    // The end that is known, once more: repeated by the agent, or the answer to a question that was
    // asked before it came. Without a uuid nobody but the master speaks, who may know less.
    const EndedTask& known = ended->second;
    if (status.uuid().empty() || known.Knows(status) || status.state() == known.state) {
      Acknowledge(status, effects);
      return;
    }
  }
  if (it == tasks_.end()) {
    effects->push_back(Deliver{event});
    return;
  }
  Task& task = it->second;
  task.reconciled = true;
  if (!status.agent_id().empty()) task.agent_id = status.agent_id();
  if (!status.uuid().empty() && status.uuid() == task.delivered_uuid) {
    if (task.handled) Acknowledge(status, effects);
    return;
  }
  // An answer to reconciliation that tells nothing new.
  if (status.reason() == model::v1::REASON_RECONCILIATION && status.state() == task.state) return;
  task.state = status.state();
  task.delivered_uuid = status.uuid();
  task.handled = false;
  effects->push_back(Deliver{event});
}

void SchedulerCore::On(absl::Time, const UpdateHandled& event, Effects* effects) {
  const TaskStatus& status = event.status;
  Acknowledge(status, effects);
  const auto it = tasks_.find(status.task_id());
  if (it == tasks_.end() || it->second.delivered_uuid != status.uuid()) return;
  it->second.handled = true;
  if (!EndsTask(status.state())) return;
  tasks_.erase(it);
  NoteEnded(status.task_id(), {status.uuid(), status.container_status().container_id()},
            status.state());
}

void SchedulerCore::NoteEnded(const std::string& task_id, EndedTask::Launch launch,
                              model::v1::TaskState state) {
  const auto [it, fresh] = ended_.try_emplace(task_id);
  EndedTask& ended = it->second;
  ended.state = state;
  // One without a uuid never ran: what may still be said is about those before it.
  if (!launch.uuid.empty()) ended.launches.push_back(std::move(launch));
  if (ended.launches.size() > kLaunchesKept) ended.launches.erase(ended.launches.begin());
  if (!fresh) return;
  ended_order_.push_back(task_id);
  while (ended_order_.size() > config_.ended_tasks_max) {
    ended_.erase(ended_order_.front());
    ended_order_.pop_front();
  }
}

void SchedulerCore::Acknowledge(const TaskStatus& status, Effects* effects) {
  // Without a uuid there is nothing to acknowledge. While disconnected the update will come again.
  if (status.uuid().empty() || state_ != State::kSubscribed) return;
  const auto add_to = [&status](AcknowledgeRequest* request) {
    auto* update = request->add_updates();
    update->set_agent_id(status.agent_id());
    update->set_task_id(status.task_id());
    update->set_uuid(status.uuid());
  };
  // Updates that were handled in one batch of the strand go together.
  if (!effects->empty()) {
    if (auto* last = std::get_if<SendCall>(&effects->back())) {
      auto* batch = std::get_if<AcknowledgeRequest>(&last->request);
      if (batch != nullptr && batch->updates_size() < kAcknowledgementsPerCall) {
        add_to(batch);
        return;
      }
    }
  }
  AcknowledgeRequest request;
  add_to(&request);
  Send(std::move(request), effects);
}

void SchedulerCore::On(absl::Time, const AdoptTasks& event, Effects*) {
  for (const AdoptTasks::Task& adopted : event.tasks) {
    Task task;
    task.agent_id = adopted.agent_id;
    task.state = model::v1::TASK_STATE_UNSPECIFIED;
    tasks_.emplace(adopted.task_id, std::move(task));
    if (!adopted.earlier_uuid.empty()) {
      NoteEnded(adopted.task_id, {adopted.earlier_uuid, adopted.earlier_container_id},
                model::v1::TASK_STATE_UNSPECIFIED);
    }
  }
  if (state_ == State::kSubscribed && !event.tasks.empty()) reconcile_at_ = absl::InfinitePast();
}

void SchedulerCore::On(absl::Time, const MakeCall& event, Effects* effects) {
  if (state_ != State::kSubscribed) {
    if (const auto* kill = std::get_if<KillTaskRequest>(&event.request)) {
      const auto it = tasks_.find(kill->task_id());
      if (it != tasks_.end()) {
        it->second.kill_wanted = true;
        it->second.has_kill_policy = kill->has_kill_policy();
        it->second.kill_policy = kill->kill_policy();
        return;  // sent with the next subscription
      }
    }
    effects->push_back(CallFailed{
        event.request, absl::FailedPreconditionError(
                           "there is no session with a master now; offers and calls of the last "
                           "one are void")});
    return;
  }
  if (calls_.size() >= config_.calls_in_flight_max) {
    effects->push_back(CallFailed{
        event.request, absl::ResourceExhaustedError("too many calls wait for their answers")});
    return;
  }
  if (const auto* accept = std::get_if<AcceptOffersRequest>(&event.request)) Track(*accept);
  if (const auto* kill = std::get_if<KillTaskRequest>(&event.request)) {
    const auto it = tasks_.find(kill->task_id());
    if (it != tasks_.end()) {
      it->second.kill_wanted = true;
      it->second.has_kill_policy = kill->has_kill_policy();
      it->second.kill_policy = kill->kill_policy();
      if (BeingLaunched(it->second)) return;  // sent when the launch is answered
    }
  }
  Send(event.request, effects);
}

void SchedulerCore::Track(const AcceptOffersRequest& request) {
  ForEachLaunched(request, [&](const model::v1::TaskInfo& info) {
    Task task;
    task.agent_id = info.agent_id();
    task.reconciled = true;  // unless the call's outcome becomes doubtful
    task.launch_call = next_call_;
    tasks_.emplace(info.id(), std::move(task));
  });
}

scheduler::v1::Session SchedulerCore::CurrentSession() const {
  scheduler::v1::Session session;
  session.set_framework_id(config_.info.id());
  session.set_subscription_id(subscription_id_);
  return session;
}

void SchedulerCore::Send(Request request, Effects* effects) {
  std::visit([&](auto& r) { *r.mutable_session() = CurrentSession(); }, request);
  const uint64_t id = next_call_++;
  calls_.emplace(id, CallInFlight{IsQuiet(request) ? EmptyOfSameKind(request) : request, attempt_});
  effects->push_back(SendCall{id, leader_.address(), std::move(request)});
}

void SchedulerCore::SendKill(const std::string& task_id, const Task& task, Effects* effects) {
  KillTaskRequest request;
  request.set_task_id(task_id);
  if (task.has_kill_policy) *request.mutable_kill_policy() = task.kill_policy;
  Send(std::move(request), effects);
}

void SchedulerCore::On(absl::Time now, const CallAnswered& event, Effects* effects) {
  const auto it = calls_.find(event.id);
  if (it == calls_.end()) return;
  CallInFlight call = std::move(it->second);
  calls_.erase(it);
  if (std::holds_alternative<TeardownRequest>(call.request)) {
    const bool gone = event.status.ok() || absl::IsNotFound(event.status) ||
                      rpc::ReasonOf(event.status) == ErrorDetail::FRAMEWORK_REMOVED;
    if (gone) {
      End(absl::OkStatus(), effects);
      return;
    }
    stop_.teardown_sent = false;  // again with the next subscription
  }
  const bool of_this_session = call.attempt == attempt_ && state_ == State::kSubscribed;
  const auto* accept = std::get_if<AcceptOffersRequest>(&call.request);
  if (event.status.ok()) {
    for (const std::string& task_id : event.ids_in_use) TellIdInUse(task_id, event.id, effects);
    if (accept != nullptr && of_this_session) SendHeldKills(*accept, effects);
    return;
  }

  const bool unknown = OutcomeUnknown(event.status);
  if (accept != nullptr) {
    if (unknown) {
      // Those of an older session are asked for already.
      if (of_this_session)
        ForEachLaunched(*accept, [&](const model::v1::TaskInfo& info) {
          const auto task = tasks_.find(info.id());
          if (task != tasks_.end()) task->second.reconciled = false;
        });
    } else if (rpc::ReasonOf(event.status) != ErrorDetail::INVALID_OFFER) {
      // Refused as a whole: no task was booked and no update will come. (Tasks of invalid offers
      // are reported by updates.)
      ForEachLaunched(*accept, [&](const model::v1::TaskInfo& info) { tasks_.erase(info.id()); });
    }
  }
  if (!IsQuiet(call.request)) effects->push_back(CallFailed{std::move(call.request), event.status});
  if (of_this_session && (unknown || SessionLost(event.status))) {
    DropStream(now, event.status, effects);
  }
}

void SchedulerCore::TellIdInUse(const std::string& task_id, uint64_t launch_call,
                                Effects* effects) {
  const auto it = tasks_.find(task_id);
  // Otherwise it is the task that has the id which is tracked.
  if (it == tasks_.end() || it->second.launch_call != launch_call) return;
  it->second.state = model::v1::TASK_DROPPED;
  it->second.kill_wanted = false;
  scheduler::v1::Event event;
  TaskStatus& status = *event.mutable_update()->mutable_status();
  status.set_task_id(task_id);
  status.set_agent_id(it->second.agent_id);
  status.set_state(model::v1::TASK_DROPPED);
  status.set_source(model::v1::SOURCE_MASTER);
  status.set_reason(model::v1::REASON_TASK_INVALID);
  status.set_message(
      "the id is in use: the task that had it lives, or its end has not been "
      "acknowledged where it ran; take another id");
  effects->push_back(Deliver{std::move(event)});
}

// Kills of tasks whose launch had not been answered when they were asked for.
void SchedulerCore::SendHeldKills(const AcceptOffersRequest& launch, Effects* effects) {
  ForEachLaunched(launch, [&](const model::v1::TaskInfo& info) {
    const auto it = tasks_.find(info.id());
    if (it != tasks_.end() && it->second.kill_wanted) SendKill(info.id(), it->second, effects);
  });
}

void SchedulerCore::DropStream(absl::Time now, absl::Status reason, Effects* effects) {
  effects->push_back(CancelStream{attempt_});
  Lost(now, reason, effects);
}

void SchedulerCore::On(absl::Time now, const StreamEnded& event, Effects* effects) {
  if (event.attempt != attempt_) return;
  if (state_ != State::kOpening && state_ != State::kSubscribed) return;
  Lost(now, event.status, effects);
}

void SchedulerCore::Lost(absl::Time now, const absl::Status& status, Effects* effects) {
  const bool was_subscribed = state_ == State::kSubscribed;
  ++attempt_;  // whatever the old stream still says is stale
  subscription_id_.clear();
  stream_deadline_ = absl::InfiniteFuture();
  reconcile_at_ = absl::InfiniteFuture();
  stop_.teardown_sent = false;
  if (EndsSession(status)) {
    End(status, effects);
    return;
  }
  if (was_subscribed) effects->push_back(Disconnected{status});
  const bool hinted = leader_.Failed(status);
  state_ = State::kWaiting;
  retry_at_ = hinted ? now : now + reconnect_.Next(random_);
  if (hinted) Open(now, effects);
}

void SchedulerCore::End(absl::Status status, Effects* effects) {
  if (state_ == State::kOpening || state_ == State::kSubscribed) {
    effects->push_back(CancelStream{attempt_});
  }
  state_ = State::kEnded;
  calls_.clear();
  effects->push_back(Ended{std::move(status)});
}

void SchedulerCore::On(absl::Time now, const Stop& event, Effects* effects) {
  stop_.wanted = true;
  stop_.teardown_wanted = stop_.teardown_wanted || event.teardown;
  stop_.deadline = now + config_.stop_timeout;
  if (state_ == State::kIdle || (!stop_.teardown_wanted && state_ != State::kSubscribed)) {
    End(absl::OkStatus(), effects);
  }
}

void SchedulerCore::StopIfDone(absl::Time now, Effects* effects) {
  if (state_ == State::kEnded) return;
  if (now >= stop_.deadline) {
    End(stop_.teardown_wanted
            ? absl::DeadlineExceededError(
                  "the framework could not be torn down in time; it ends when its "
                  "failover_timeout has passed")
            : absl::OkStatus(),
        effects);
    return;
  }
  if (stop_.teardown_wanted) {
    // A framework without an id was never registered: nothing is left behind.
    if (config_.info.id().empty() && state_ != State::kSubscribed) {
      End(absl::OkStatus(), effects);
    } else if (state_ == State::kSubscribed && !stop_.teardown_sent) {
      stop_.teardown_sent = true;
      Send(TeardownRequest(), effects);
    }
    return;
  }
  if (calls_.empty() || state_ != State::kSubscribed) End(absl::OkStatus(), effects);
}

void SchedulerCore::StartReconciling(absl::Time now) {
  for (auto& [id, task] : tasks_) task.reconciled = false;
  reconcile_.Reset();
  reconcile_at_ = now;
}

// Its launch is on its way: a question about it could overtake it, and the master would answer for
// a task that it has not heard of as if it were gone. Launches of older sessions cannot take effect
// any more.
bool SchedulerCore::BeingLaunched(const Task& task) const {
  const auto call = calls_.find(task.launch_call);
  return call != calls_.end() && call->second.attempt == attempt_;
}

void SchedulerCore::Reconcile(absl::Time now, Effects* effects) {
  ReconcileTasksRequest request;
  bool asked = false;
  for (const auto& [id, task] : tasks_) {
    if (task.reconciled) continue;
    asked = true;  // or will be, in the next round
    if (BeingLaunched(task)) continue;
    auto* wanted = request.add_tasks();
    wanted->set_task_id(id);
    wanted->set_agent_id(task.agent_id);
    if (request.tasks_size() == kReconcileTasksPerCall) {
      Send(std::move(request), effects);
      request = ReconcileTasksRequest();
    }
  }
  if (request.tasks_size() > 0) Send(std::move(request), effects);
  reconcile_at_ = now + (asked ? reconcile_.Next(random_) : config_.reconcile_interval);
}

void SchedulerCore::On(absl::Time now, const Wake&, Effects* effects) {
  if (state_ == State::kWaiting && now >= retry_at_) {
    Open(now, effects);
    return;
  }
  const bool streaming = state_ == State::kOpening || state_ == State::kSubscribed;
  if (streaming && now >= stream_deadline_) {
    DropStream(now, absl::UnavailableError("the master was silent for too long"), effects);
    return;
  }
  if (state_ == State::kSubscribed && now >= reconcile_at_) {
    const bool all_known = std::all_of(tasks_.begin(), tasks_.end(),
                                       [](const auto& t) { return t.second.reconciled; });
    // The periodic round: everything is asked for again.
    if (all_known) StartReconciling(now);
    Reconcile(now, effects);
  }
}

}  // namespace tessera::sdk
