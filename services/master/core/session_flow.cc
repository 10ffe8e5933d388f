#include "services/master/core/session_flow.h"

#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/master/core/framework_validation.h"
#include "services/master/core/refusals.h"
#include "services/master/core/times.h"
#include "services/rpc/error.h"

namespace tessera::master {
namespace {

constexpr char kTable[] = "frameworks/";

absl::Status FailedOver(const std::string& id) {
  return rpc::Error(absl::StatusCode::kAborted, pb::ErrorDetail::FRAMEWORK_FAILED_OVER,
                    absl::StrCat("a newer subscription of framework ", id, " took over"));
}

}  // namespace

reg::Write SessionFlow::Entry(
    const Framework& framework, const pb::FrameworkInfo& info,
    const google::protobuf::RepeatedPtrField<std::string>& suppressed) const {
  reg::FrameworkEntry entry;
  *entry.mutable_info() = info;
  entry.mutable_info()->set_id(framework.id);
  *entry.mutable_suppressed_roles() = suppressed;
  SetTime(framework.registered_time, entry.mutable_registered_time());
  return Put(kTable + framework.id, entry);
}

void SessionFlow::Refuse(StreamId stream, const absl::Status& status) {
  ++books_.counters().subscriptions_refused;
  sched::Event event;
  event.mutable_error()->set_message(std::string(status.message()));
  books_.out.ToFramework(stream, std::move(event));
  books_.out.CloseFramework(stream, status);
}

void SessionFlow::OnSubscribeOpened(const SubscribeOpened& event) {
  const sched::SubscribeRequest& request = event.request;
  const std::string& id = request.info().id();
  if (absl::Status status = ValidateFramework(
          books_.config(), request.info(), request.suppressed_roles(), request.offer_constraints());
      !status.ok()) {
    return Refuse(event.stream, status);
  }
  if (books_.frameworks.IsCompleted(id)) return Refuse(event.stream, FrameworkRemoved(id));
  if (books_.registry.full()) return Refuse(event.stream, TooMany("writes of the registry"));

  Framework* framework = id.empty() ? nullptr : books_.frameworks.FindById(id);
  if (framework == nullptr) {
    // An id that this cell gave is known as long as its framework lives.
    const std::string cell = books_.master_id().substr(0, books_.master_id().rfind('-') + 1);
    if (!id.empty() && absl::StartsWith(id, cell))
      return Refuse(event.stream, FrameworkRemoved(id));
    if (books_.frameworks.size() >= books_.config().frameworks_max) {
      return Refuse(event.stream, TooMany("frameworks"));
    }
    if (!books_.HasRoomForRoles(request.info().roles())) {
      return Refuse(event.stream, TooMany("roles"));
    }
    framework = &books_.frameworks.Add(id.empty() ? books_.NewFrameworkId() : id, request.info());
    framework->roles.clear();
    framework->registered_time = books_.now();
  } else {
    if (framework->removing) return Refuse(event.stream, FrameworkRemoved(id));
    if (absl::Status status = ValidateChange(framework->info, request.info()); !status.ok()) {
      return Refuse(event.stream, status);
    }
    if (!books_.HasRoomForRoles(request.info().roles())) {
      return Refuse(event.stream, TooMany("roles"));
    }
    if (framework->pending.has_value()) {
      books_.out.CloseFramework(framework->pending->stream, FailedOver(id));
    }
  }
  ++framework->counters.calls[static_cast<int>(CallType::kSubscribe)];
  books_.frameworks.SetPending(*framework, {event.stream, request});
  books_.registry.WriteOwn({Entry(*framework, request.info(), request.suppressed_roles())},
                           FrameworkSaved{framework->index, event.stream});
}

void SessionFlow::OnSaved(const FrameworkSaved& saved) {
  Framework* framework = books_.frameworks.Find(saved.framework);
  if (framework == nullptr || framework->removing) return;
  if (framework->pending.has_value() && framework->pending->stream == saved.stream) {
    return Begin(*framework);
  }
  if (framework->phase == FrameworkPhase::kAdmitting && !framework->pending.has_value()) {
    // Its stream ended before anybody heard of the id; nothing is in the row.
    books_.registry.WriteOwn({Delete(kTable + framework->id)}, Noted{});
    books_.frameworks.Remove(*framework);
  }
}

void SessionFlow::Begin(Framework& framework) {
  const Framework::Pending pending = std::move(*framework.pending);
  books_.frameworks.ClearPending(framework);
  const bool fresh = framework.phase == FrameworkPhase::kAdmitting;
  if (framework.connected()) {
    sched::Event event;
    event.mutable_error()->set_message("a newer subscription took over");
    books_.Tell(framework, std::move(event));
    books_.out.CloseFramework(framework.stream, FailedOver(framework.id));
    books_.offer_book.RemoveOffersOf(framework, OfferEnd::kDropped);
    books_.offer_book.DropInverseOffersOf(framework);
  }
  const bool was_connected = framework.connected();
  books_.frameworks.Connect(framework, pending.stream, books_.ids.NewSubscriptionId());
  framework.disconnected_time = absl::InfinitePast();
  if (fresh) {
    ++books_.counters().frameworks_registered;
    books_.frameworks.SetInfo(framework, pending.request.info());
    framework.roles.clear();
    framework.suppressed_roles = {pending.request.suppressed_roles().begin(),
                                  pending.request.suppressed_roles().end()};
    framework.offer_constraints = pending.request.offer_constraints();
    SetRoles(framework, framework.info);
    books_.allocator_view.AddToAllocator(framework);
  } else {
    framework.reregistered_time = books_.now();
    ApplySubscription(framework, pending.request.info(), pending.request.suppressed_roles(),
                      pending.request.offer_constraints());
    if (!was_connected) {
      books_.allocator_view.FrameworkActivated(framework);
    }
    BroadcastInfo(framework);
  }
  books_.out.Note(base::Severity::kInfo, "framework ", framework.id, " (", framework.info.name(),
                  ") subscribed");

  sched::Event event;
  auto* subscribed = event.mutable_subscribed();
  subscribed->set_framework_id(framework.id);
  subscribed->set_subscription_id(framework.subscription_id);
  SetDuration(books_.config().heartbeat_interval, subscribed->mutable_heartbeat_interval());
  subscribed->set_epoch(books_.epoch());
  subscribed->set_master_id(books_.master_id());
  books_.Tell(framework, std::move(event));
  books_.changed.FrameworkChanged(framework.id);
  OnHeartbeat({books_.now(), 0, TimerKind::kFrameworkHeartbeat, framework.index.value(),
               framework.session});
}

void SessionFlow::OnHeartbeat(const Timer& timer) {
  const FrameworkIndex index(static_cast<uint32_t>(timer.subject));
  Framework* framework = books_.frameworks.Find(index);
  if (framework == nullptr || framework->session != timer.generation || !framework->connected()) {
    return;
  }
  sched::Event event;
  event.mutable_heartbeat();
  books_.Tell(*framework, std::move(event));
  books_.timers.Arm(books_.now() + books_.config().heartbeat_interval,
                    TimerKind::kFrameworkHeartbeat, timer.subject, timer.generation);
}

void SessionFlow::SetRoles(Framework& framework, const pb::FrameworkInfo& info) {
  const std::set<std::string> after(info.roles().begin(), info.roles().end());
  const std::set<std::string> before = std::exchange(framework.roles, after);
  for (const std::string& role : after) {
    if (!before.contains(role)) books_.JoinRole(role);
  }
  for (const std::string& role : before) {
    if (after.contains(role)) continue;
    books_.LeaveRole(role);
    framework.demands.erase(role);
  }
  std::vector<OfferNumber> lost;
  for (OfferNumber number : framework.offers) {
    if (!after.contains(books_.offers.Find(number)->role)) lost.push_back(number);
  }
  for (OfferNumber number : lost) {
    books_.offer_book.RemoveOffer(*books_.offers.Find(number), OfferEnd::kRescinded);
  }
}

void SessionFlow::ApplySubscription(
    Framework& framework, const pb::FrameworkInfo& info,
    const google::protobuf::RepeatedPtrField<std::string>& suppressed,
    const pb::OfferConstraints& constraints) {
  const std::set<std::string> roles = framework.roles;
  books_.frameworks.SetInfo(framework, info);
  framework.roles = roles;
  SetRoles(framework, info);
  framework.suppressed_roles = {suppressed.begin(), suppressed.end()};
  framework.offer_constraints = constraints;
  books_.allocator_view.FrameworkUpdated(framework);
}

void SessionFlow::BroadcastInfo(const Framework& framework) {
  for (AgentIndex index : AgentsOf(framework)) {
    books_.Describe(framework, *books_.agents.Find(index));
  }
}

std::set<AgentIndex> SessionFlow::AgentsOf(const Framework& framework) {
  std::set<AgentIndex> agents;
  for (const auto& [agent, executors] : framework.executors) agents.insert(agent);
  for (const auto& [incarnation, index] : framework.tasks) {
    const Task& task = *books_.tasks.Find(index);
    if (!task.unreachable()) agents.insert(task.agent);
  }
  return agents;
}

void SessionFlow::OnStreamClosed(StreamId stream) {
  Framework* framework = books_.frameworks.FindByStream(stream);
  if (framework == nullptr) return;
  if (framework->pending.has_value() && framework->pending->stream == stream) {
    books_.frameworks.ClearPending(*framework);
    if (framework->phase == FrameworkPhase::kDisconnected ||
        framework->phase == FrameworkPhase::kRecovered) {
      AfterDisconnect(*framework);
    }
    return;
  }
  books_.out.Note(base::Severity::kInfo, "framework ", framework->id, " (", framework->info.name(),
                  ") disconnected");
  if (!framework->removing) Deactivate(*framework);
  books_.frameworks.Disconnect(*framework);
  framework->disconnected_time = books_.now();
  books_.changed.FrameworkChanged(framework->id);
  // A subscription on its way takes over; otherwise the time-out runs.
  if (!framework->pending.has_value()) AfterDisconnect(*framework);
}

void SessionFlow::Deactivate(Framework& framework) {
  books_.allocator_view.FrameworkDeactivated(framework);
  books_.offer_book.RemoveOffersOf(framework, OfferEnd::kDropped);
  books_.offer_book.DropInverseOffersOf(framework);
}

void SessionFlow::AfterDisconnect(Framework& framework) {
  if (framework.removing) return;
  if (framework.disconnected_time == absl::InfinitePast()) {
    framework.disconnected_time = books_.now();
  }
  if (framework.failover_timeout() == absl::ZeroDuration() &&
      framework.phase == FrameworkPhase::kDisconnected) {
    return BeginRemoval(framework);
  }
  reg::FrameworkEntry entry;
  *entry.mutable_info() = framework.info;
  for (const std::string& role : framework.suppressed_roles) entry.add_suppressed_roles(role);
  SetTime(framework.registered_time, entry.mutable_registered_time());
  SetTime(framework.disconnected_time, entry.mutable_disconnected_time());
  if (absl::Status written = books_.registry.Write({Put(kTable + framework.id, entry)}, Noted{});
      !written.ok()) {
    // A fail-over would begin its time anew.
    books_.out.Note(base::Severity::kWarning, "the absence of framework ", framework.id,
                    " is not kept: ", written.ToString());
  }
  absl::Duration grace = framework.failover_timeout();
  if (framework.phase == FrameworkPhase::kRecovered) {
    grace = std::max(grace, books_.config().framework_recovery_grace);
  }
  ArmFailover(framework, framework.disconnected_time + grace);
}

void SessionFlow::AwaitReturn(Framework& framework) {
  framework.phase = FrameworkPhase::kRecovered;
  framework.roles = {framework.info.roles().begin(), framework.info.roles().end()};
  for (const std::string& role : framework.roles) books_.JoinRole(role);
  ArmFailover(framework, books_.now() + std::max(framework.failover_timeout(),
                                                 books_.config().framework_recovery_grace));
  books_.allocator_view.AddToAllocator(framework);
  books_.changed.FrameworkChanged(framework.id);
}

void SessionFlow::ArmFailover(Framework& framework, absl::Time at) {
  books_.timers.Arm(at, TimerKind::kFrameworkFailover, framework.index.value(), framework.session);
}

void SessionFlow::OnFailoverTimeout(const Timer& timer) {
  Framework* framework =
      books_.frameworks.Find(FrameworkIndex(static_cast<uint32_t>(timer.subject)));
  if (framework == nullptr || framework->session != timer.generation || framework->connected() ||
      framework->pending.has_value()) {
    return;
  }
  books_.out.Note(base::Severity::kInfo, "framework ", framework->id, " did not come back in time");
  BeginRemoval(*framework);
}

Framework* SessionFlow::Enter(CallId call, const sched::Session& session, CallType type) {
  Framework* framework = books_.frameworks.FindById(session.framework_id());
  absl::Status refusal;
  if (framework == nullptr || framework->phase == FrameworkPhase::kAdmitting) {
    framework = nullptr;
    refusal = books_.frameworks.IsCompleted(session.framework_id())
                  ? FrameworkRemoved(session.framework_id())
                  : UnknownFramework(session.framework_id());
  } else {
    ++framework->counters.calls[static_cast<int>(type)];
    if (framework->removing) {
      refusal = FrameworkRemoved(framework->id);
    } else if (!framework->connected()) {
      refusal =
          rpc::Error(absl::StatusCode::kFailedPrecondition, pb::ErrorDetail::FRAMEWORK_DISCONNECTED,
                     absl::StrCat("framework ", framework->id, " has no open subscription"));
    } else if (session.subscription_id() != framework->subscription_id) {
      refusal =
          rpc::Error(absl::StatusCode::kFailedPrecondition, pb::ErrorDetail::STALE_SUBSCRIPTION,
                     "the subscription that the call names is not the current one");
    }
  }
  if (refusal.ok()) return framework;
  ++books_.counters().calls_refused;
  books_.out.RefuseCall(call, refusal);
  return nullptr;
}

void SessionFlow::OnCall(CallId call, const sched::UpdateFrameworkRequest& request) {
  Framework* framework = Enter(call, request.session(), CallType::kUpdateFramework);
  if (framework == nullptr) return;
  absl::Status refusal = ValidateFramework(books_.config(), request.info(),
                                           request.suppressed_roles(), request.offer_constraints());
  if (refusal.ok() && request.info().id() != framework->id) {
    refusal = rpc::InvalidField("info.id", "must be the id of the framework");
  }
  if (refusal.ok()) refusal = ValidateChange(framework->info, request.info());
  if (refusal.ok() && !books_.HasRoomForRoles(request.info().roles())) refusal = TooMany("roles");
  if (refusal.ok() && books_.registry.full()) refusal = TooMany("writes of the registry");
  if (refusal.ok()) {
    refusal = books_.registry.Write({Entry(*framework, request.info(), request.suppressed_roles())},
                                    FrameworkInfoChanged{framework->index, call, request});
  }
  if (refusal.ok()) return;
  ++books_.counters().calls_refused;
  books_.out.RefuseCall(call, refusal);
}

void SessionFlow::OnInfoChanged(const FrameworkInfoChanged& changed) {
  Framework* framework = books_.frameworks.Find(changed.framework);
  if (framework == nullptr || framework->id != changed.request.info().id()) {
    return books_.out.RefuseCall(changed.call, FrameworkRemoved(changed.request.info().id()));
  }
  ApplySubscription(*framework, changed.request.info(), changed.request.suppressed_roles(),
                    changed.request.offer_constraints());
  BroadcastInfo(*framework);
  books_.changed.FrameworkChanged(framework->id);
  books_.out.Reply(changed.call, sched::UpdateFrameworkResponse());
  // The entry that was written says nothing of a disconnection in between.
  if (!framework->connected() && !framework->pending.has_value()) AfterDisconnect(*framework);
}

void SessionFlow::OnCall(CallId call, const sched::TeardownRequest& request) {
  const std::string& id = request.session().framework_id();
  Framework* framework = books_.frameworks.FindById(id);
  if (books_.frameworks.IsCompleted(id)) return books_.out.Reply(call, sched::TeardownResponse());
  if (framework != nullptr && framework->removing) {
    framework->teardown_calls.push_back(call);
    return;
  }
  framework = Enter(call, request.session(), CallType::kTeardown);
  if (framework == nullptr) return;
  framework->teardown_calls.push_back(call);
  BeginRemoval(*framework);
}

void SessionFlow::CloseAll(const absl::Status& status) {
  books_.frameworks.ForEach([&](Framework& framework) {
    if (framework.pending.has_value()) {
      books_.out.CloseFramework(framework.pending->stream, status);
    }
    if (framework.connected()) books_.out.CloseFramework(framework.stream, status);
    for (CallId call : framework.teardown_calls) books_.out.RefuseCall(call, status);
    for (CallId call : framework.operator_teardown_calls) books_.out.RefuseOperator(call, status);
  });
}

}  // namespace tessera::master
