#include "services/master/core/agent_registration.h"

#include <google/protobuf/util/message_differencer.h>

#include <map>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/base/status_macros.h"
#include "services/master/core/agent_settings.h"
#include "services/master/core/framework_validation.h"
#include "services/master/core/refusals.h"
#include "services/master/core/times.h"
#include "services/model/ids.h"
#include "services/model/wire/description.h"
#include "services/model/wire/incarnation.h"
#include "services/model/wire/resources.h"
#include "services/rpc/error.h"

namespace tessera::master {
namespace {

absl::Status Replaced() { return absl::AbortedError("a newer stream of the same agent took over"); }

absl::Status TryLater(base::Rng& rng, const std::string& why) {
  return Later(absl::StatusCode::kUnavailable, pb::ErrorDetail::CONFLICTING_TRANSITION,
               rng.Jitter(absl::Seconds(1), 0.5), why);
}

absl::Status ManyComeBack(base::Rng& rng) {
  return Later(absl::StatusCode::kResourceExhausted, pb::ErrorDetail::OVERLOADED,
               rng.Jitter(absl::Seconds(1), 0.5), "many agents come back at once");
}

absl::Status TooLarge(const std::string& what, size_t max) {
  return rpc::Error(absl::StatusCode::kResourceExhausted, pb::ErrorDetail::MESSAGE_TOO_LARGE,
                    absl::StrCat(what, ": at most ", max, " bytes are taken"));
}

absl::StatusOr<feed::ExecutorRow> ReadExecutorEntry(const link::ExecutorEntry& entry) {
  if (absl::Status status = model::ValidateId("executor id", entry.executor_id()); !status.ok()) {
    return rpc::InvalidField("inventory.executors.executor_id", std::string(status.message()));
  }
  feed::ExecutorRow executor;
  executor.incarnation = model::wire::FromProto(entry.incarnation());
  if (!executor.incarnation.valid()) {
    return rpc::InvalidField("inventory.executors.incarnation", "is missing");
  }
  auto resources = model::wire::FromProto(entry.resources());
  if (!resources.ok()) {
    return rpc::InvalidField("inventory.executors.resources",
                             std::string(resources.status().message()));
  }
  executor.framework_id = entry.framework_id();
  executor.executor_id = entry.executor_id();
  executor.resources = *std::move(resources);
  executor.info = model::Description(entry.info());
  pb::ExecutorInfo info;
  if (!info.ParseFromString(entry.info()) || info.id() != entry.executor_id()) {
    info.Clear();
    info.set_id(entry.executor_id());
    executor.info = model::wire::Describe(info);
  }
  return executor;
}

absl::StatusOr<model::Resources> CheckAgent(const MasterConfig& config,
                                            const link::AgentMessage::Register& registration) {
  const pb::AgentInfo& info = registration.info();
  const model::wire::ResourceMessages& total = registration.total_resources();
  // Its record has to fit into the registry, and everybody who follows the cluster gets it.
  if (registration.ByteSizeLong() > config.agent_bytes_max) {
    return TooLarge("an agent's description", config.agent_bytes_max);
  }
  if (info.hostname().empty() || info.hostname().size() > 255) {
    return rpc::InvalidField("register.info.hostname", "must have 1 to 255 bytes");
  }
  if (!info.id().empty()) {
    if (absl::Status status = model::ValidateId("agent id", info.id()); !status.ok()) {
      return rpc::InvalidField("register.info.id", std::string(status.message()));
    }
  }
  auto resources = model::wire::FromProto(total.empty() ? info.resources() : total);
  if (!resources.ok()) {
    return rpc::InvalidField("register.info.resources", std::string(resources.status().message()));
  }
  for (const model::Resource& resource : *resources) {
    if (resource.IsAllocated()) {
      return rpc::InvalidField("register.info.resources", "a total is allocated to nobody");
    }
  }
  return resources;
}

absl::StatusOr<ReturningTask> ReadTaskEntry(const link::TaskEntry& entry) {
  if (absl::Status status = model::ValidateId("task id", entry.task_id()); !status.ok()) {
    return rpc::InvalidField("inventory.tasks.task_id", std::string(status.message()));
  }
  if (entry.state() == pb::TASK_STATE_UNSPECIFIED || !pb::TaskState_IsValid(entry.state()) ||
      entry.state() == pb::TASK_UNKNOWN) {
    return rpc::InvalidField("inventory.tasks.state", "is not a state that a task is in");
  }
  ReturningTask task;
  task.facts.incarnation = model::wire::FromProto(entry.incarnation());
  if (!task.facts.incarnation.valid()) {
    return rpc::InvalidField("inventory.tasks.incarnation", "is missing");
  }
  auto resources = model::wire::FromProto(entry.resources());
  if (!resources.ok()) {
    return rpc::InvalidField("inventory.tasks.resources",
                             std::string(resources.status().message()));
  }
  task.facts.framework_id = entry.framework_id();
  task.facts.task_id = entry.task_id();
  task.facts.executor_id = entry.executor_id();
  task.facts.executor = model::wire::FromProto(entry.executor());
  task.facts.resources = *std::move(resources);
  task.facts.info = model::Description(entry.info());
  // Of a task that was refused an agent knows no more than the id, and readers find it by that.
  pb::TaskInfo info;
  if (!info.ParseFromString(entry.info()) || info.id() != entry.task_id()) {
    info.Clear();
    info.set_id(entry.task_id());
    task.facts.info = model::wire::Describe(info);
  }
  task.state = entry.state();
  const bool told = entry.status_update_state() != pb::TASK_STATE_UNSPECIFIED &&
                    pb::TaskState_IsValid(entry.status_update_state());
  // An end is told in its turn.
  task.told_before = told                        ? entry.status_update_state()
                     : IsTerminal(entry.state()) ? pb::TASK_STAGING
                                                 : entry.state();
  task.history.reserve(entry.statuses_size());
  for (const pb::TaskStatus& status : entry.statuses()) {
    // Of those in a row with one state readers keep the newest.
    if (!task.history.empty() && task.history.back()->state == status.state()) {
      task.history.pop_back();
    }
    task.history.push_back(feed::MakeStatus(status));
  }
  return task;
}

}  // namespace

void AgentRegistration::Refuse(AgentStreamId stream, const absl::Status& status) {
  ++books_.counters().agents_refused;
  // They dial again and again.
  constexpr uint64_t kNoteEvery = 100;
  if (books_.counters().agents_refused % kNoteEvery == 1) {
    books_.out.Note(base::Severity::kInfo, "an agent was refused (",
                    books_.counters().agents_refused, " so far): ", status.ToString());
  }
  streams_.Close(stream, status);
}

void AgentRegistration::OnRegister(AgentStreamId stream, AgentSession& session,
                                   const link::AgentMessage::Register& registration) {
  auto total = CheckAgent(books_.config(), registration);
  if (!total.ok()) return Refuse(stream, total.status());
  session.registration = registration;
  session.total = *std::move(total);
  session.resource_version = registration.resource_version();
  if (registration.highest_epoch() > books_.epoch()) {
    const std::string words = absl::StrCat(
        "this master has epoch ", books_.epoch(), ", the agent has obeyed ",
        registration.highest_epoch(),
        "; if no other master leads, the registry was restored from an older backup or emptied: "
        "start registry-svc once with --epoch_at_least=",
        registration.highest_epoch());
    // Agents dial again and again: the registry is asked, and people are told, once for each epoch.
    if (registration.highest_epoch() > doubted_epoch_) {
      doubted_epoch_ = registration.highest_epoch();
      epoch_doubt_ = true;
      books_.out.Note(base::Severity::kError, "agent at ", registration.info().hostname(),
                      " refused: ", words);
    }
    return Refuse(stream, rpc::Error(absl::StatusCode::kFailedPrecondition,
                                     pb::ErrorDetail::STALE_EPOCH, words));
  }
  const MachineName machine = MachineOf(registration.info());
  // One that is gone is told so: it has to end its tasks first of all.
  if (books_.machines.IsDown(machine) && !books_.agents.IsGone(registration.info().id())) {
    return Refuse(stream, RefusalOf(machine));
  }
  if (books_.registry.full()) return Refuse(stream, TooMany("writes of the registry"));
  if (registration.info().id().empty()) {
    RegisterNew(stream, session);
  } else {
    RegisterAgain(stream, session);
  }
}

void AgentRegistration::RegisterNew(AgentStreamId stream, AgentSession& session) {
  const pb::AgentInfo& info = session.registration.info();
  Agent* same = info.address().empty() ? nullptr : books_.agents.FindByAddress(info.address());
  if (same != nullptr && same->phase == AgentPhase::kAdmitting) {
    // It dialled again before its admission was answered.
    ReplaceAdmitting(*same, stream);
    session.phase = SessionPhase::kWaiting;
    session.agent = same->index;
    return;
  }
  if (same != nullptr && same->connected()) {
    // Whoever is right, its tasks run: pings find out when it has gone.
    return Refuse(stream, AddressInUse(info.address(), same->id,
                                       books_.rng().Jitter(books_.config().ping_interval, 0.5)));
  }
  if (same != nullptr && same->transition != AgentTransition::kNone) {
    return Refuse(stream, TryLater(books_.rng(), "the agent at this address is being changed"));
  }
  if (books_.agents.size() >= books_.config().agents_max) return Refuse(stream, TooMany("agents"));
  // An agent that lost its id has lost its tasks, too; so has one that was given up: nobody else
  // would ever tell the end of its tasks. An id that was taken away never comes back.
  if (same != nullptr) loss_.MarkGone(std::string(same->id), AgentRemoval::kReplaced, CallId());
  const std::string lost = books_.agents.UnreachableAt(info.address());
  if (!lost.empty() && !books_.agents.IsMarkingGone(lost)) {
    loss_.MarkGone(lost, AgentRemoval::kReplaced, CallId());
  }

  Agent& agent = books_.agents.Add(books_.NewAgentId(), info);
  books_.offer_book.UpdateUnavailability(agent);
  agent.total = session.total;
  agent.resource_version = session.resource_version;
  agent.admitting_stream = stream;
  agent.registered_time = books_.now();
  session.phase = SessionPhase::kWaiting;
  session.agent = agent.index;
  books_.registry.WriteOwn({Put("agents/admitted/" + agent.id, RecordOf(agent))},
                           AgentAdmitted{agent.index});
}

void AgentRegistration::ReplaceAdmitting(Agent& agent, AgentStreamId stream) {
  const AgentStreamId older = std::exchange(agent.admitting_stream, stream);
  const AgentSession* session = streams_.Find(older);
  if (session == nullptr) return;
  if (!session->closed) books_.out.CloseAgent(older, Replaced());
  streams_.Forget(older);
}

void AgentRegistration::OnAdmitted(const AgentAdmitted& admitted) {
  Agent* agent = books_.agents.Find(admitted.agent);
  if (agent == nullptr || agent->phase != AgentPhase::kAdmitting) return;
  ++books_.counters().agents_registered;
  books_.out.Note(base::Severity::kDetail, "agent ", agent->id, " at ", agent->info.hostname(),
                  " admitted");
  const AgentStreamId stream = std::exchange(agent->admitting_stream, AgentStreamId());
  AgentSession* session = streams_.Find(stream);
  bool leaves = false;
  if (session != nullptr) {
    leaves = session->leaves;
    agent->total = session->total;
    agent->resource_version = session->resource_version;
  }
  if (session == nullptr || session->closed) {
    agent->phase = AgentPhase::kDisconnected;
    streams_.Forget(stream);
  } else {
    session->phase = SessionPhase::kAttached;
    books_.agents.Connect(*agent, stream);
    SendRegistered(books_, *agent);
  }
  books_.allocator_view.AddToAllocator(*agent);
  books_.changed.AgentChanged(agent->id);
  watch_.StartWatch(*agent);
  if (leaves) loss_.Leave(*agent);
}

absl::Status AgentRegistration::RefusalOf(const MachineName& machine) {
  return MachineDown(ToString(machine), books_.rng().Jitter(absl::Seconds(10), 0.5));
}

absl::Status AgentRegistration::MayReturn(const std::string& id) {
  if (books_.agents.IsGone(id)) return AgentGone(id);
  if (books_.agents.IsMarkingGone(id)) {
    return TryLater(books_.rng(), "the agent is being declared gone");
  }
  const Agent* agent = books_.agents.FindById(id);
  if (agent == nullptr) {
    return books_.agents.size() >= books_.config().agents_max ? TooMany("agents")
                                                              : absl::OkStatus();
  }
  if (agent->going_down) return TryLater(books_.rng(), "the agent is being taken down");
  switch (agent->transition) {
    case AgentTransition::kNone:
    case AgentTransition::kReadmitting:
      return absl::OkStatus();
    case AgentTransition::kChangingSettings:
    case AgentTransition::kMarkingUnreachable:
    case AgentTransition::kMarkingGone:
      break;
  }
  return TryLater(books_.rng(), "another change of the agent is under way");
}

void AgentRegistration::RegisterAgain(AgentStreamId stream, AgentSession& session) {
  if (absl::Status status = MayReturn(session.registration.info().id()); !status.ok()) {
    return Refuse(stream, status);
  }
  const bool known = books_.agents.IsKnown(session.registration.info().id());
  if (!streams_.BeginReturn(session, known)) {
    return Refuse(stream, ManyComeBack(books_.rng()));
  }
  session.phase = SessionPhase::kInventory;
}

absl::Status AgentRegistration::TakeInventory(AgentSession& session,
                                              const link::AgentMessage::Inventory& chunk) {
  const size_t entries = session.frameworks.size() + session.tasks.size() +
                         session.executors.size() + chunk.frameworks_size() + chunk.tasks_size() +
                         chunk.executors_size() + chunk.operations_size();
  if (entries > books_.config().inventory_max) return TooMany("entries of an inventory");
  const size_t bytes = chunk.ByteSizeLong();
  if (session.inventory_bytes + bytes > books_.config().inventory_bytes_max) {
    return TooLarge("an inventory", books_.config().inventory_bytes_max);
  }
  if (!streams_.AddInventory(session, bytes)) return ManyComeBack(books_.rng());
  for (const std::string& description : chunk.frameworks()) {
    pb::FrameworkInfo framework;
    if (!framework.ParseFromString(description)) {
      return rpc::InvalidField("inventory.frameworks", "cannot be read");
    }
    if (absl::Status status = model::ValidateId("framework id", framework.id()); !status.ok()) {
      return rpc::InvalidField("inventory.frameworks.id", std::string(status.message()));
    }
    ASSIGN_OR_RETURN(pb::FrameworkInfo valid, ValidPart(books_.config(), framework));
    session.frameworks.push_back({std::move(valid), model::Description(description)});
  }
  for (const link::TaskEntry& entry : chunk.tasks()) {
    ASSIGN_OR_RETURN(session.tasks.emplace_back(), ReadTaskEntry(entry));
  }
  for (const link::ExecutorEntry& entry : chunk.executors()) {
    ASSIGN_OR_RETURN(session.executors.emplace_back(), ReadExecutorEntry(entry));
  }
  if (chunk.operations_size() > 0) {
    // This master applies none: another, of a newer version, did. They stay the agent's.
    books_.counters().inventory_operations += static_cast<uint64_t>(chunk.operations_size());
    books_.out.Note(base::Severity::kWarning, "agent ", session.registration.info().id(),
                    " brings ", chunk.operations_size(),
                    " operations that this master cannot follow");
  }
  return absl::OkStatus();
}

void AgentRegistration::OnInventory(AgentStreamId stream, AgentSession& session,
                                    const link::AgentMessage::Inventory& chunk) {
  if (absl::Status status = TakeInventory(session, chunk); !status.ok()) {
    return Refuse(stream, status);
  }
  if (chunk.last()) FinishInventory(stream, session);
}

absl::Status AgentRegistration::CheckFrameworks(const AgentSession& session) const {
  std::map<std::string_view, const pb::FrameworkInfo*> brought;
  for (const ReturningFramework& framework : session.frameworks) {
    brought.emplace(framework.info.id(), &framework.info);
  }
  std::set<std::string_view> fresh;
  std::set<std::string> roles;
  const auto meet = [&](const std::string& id) {
    if (books_.frameworks.FindById(id) != nullptr || books_.frameworks.IsCompleted(id)) return true;
    auto found = brought.find(id);
    if (found == brought.end()) return false;
    if (fresh.insert(id).second) {
      roles.insert(found->second->roles().begin(), found->second->roles().end());
    }
    return true;
  };
  for (const ReturningTask& task : session.tasks) {
    const std::string& id = task.facts.framework_id;
    if (!meet(id)) {
      return rpc::InvalidField("inventory.tasks.framework_id",
                               absl::StrCat("framework '", id, "' is not in the inventory"));
    }
  }
  // Those of unknown frameworks are not booked.
  for (const feed::ExecutorRow& executor : session.executors) meet(executor.framework_id);
  if (!fresh.empty() && books_.frameworks.size() + fresh.size() > books_.config().frameworks_max) {
    return TooMany("frameworks");
  }
  return books_.HasRoomForRoles(roles) ? absl::OkStatus() : TooMany("roles");
}

void AgentRegistration::FinishInventory(AgentStreamId stream, AgentSession& session) {
  const pb::AgentInfo& info = session.registration.info();
  absl::Status refusal = MayReturn(info.id());
  if (const MachineName machine = MachineOf(info);
      refusal.ok() && books_.machines.IsDown(machine)) {
    refusal = RefusalOf(machine);
  }
  if (refusal.ok()) refusal = CheckFrameworks(session);
  if (!refusal.ok()) return Refuse(stream, refusal);
  Agent* agent = books_.agents.FindById(info.id());
  if (agent != nullptr && agent->info.hostname() != info.hostname()) {
    return Refuse(
        stream,
        rpc::InvalidField("register.info.hostname",
                          absl::StrCat("agent ", info.id(), " is known at ", agent->info.hostname(),
                                       ": a copy of its work ",
                                       "directory, or a renamed machine? Start it with an empty "
                                       "work directory, or declare the old one gone")));
  }
  if (const auto waiting = streams_.Waiting(info.id()); waiting.has_value()) {
    // An older stream of this agent asked the registry; its answer will find it superseded.
    AgentSession* older = streams_.Find(*waiting);
    if (older != nullptr && !older->closed) {
      books_.out.CloseAgent(*waiting, Replaced());
      older->closed = true;
    }
  }
  if (agent != nullptr && agent->transition == AgentTransition::kNone &&
      google::protobuf::util::MessageDifferencer::Equals(agent->info, info)) {
    return returns_.Return(stream, session);
  }
  session.phase = SessionPhase::kWaiting;
  streams_.SetWaiting(info.id(), stream);
  std::vector<reg::Write> writes;
  reg::AdmittedAgent record;
  if (agent != nullptr) {
    agent->transition = AgentTransition::kReadmitting;
    record = RecordOf(*agent);
  } else {
    SetTime(books_.now(), record.mutable_admitted_time());
    writes.push_back(Delete("agents/unreachable/" + info.id()));
  }
  *record.mutable_info() = info;
  writes.push_back(Put("agents/admitted/" + info.id(), record));
  books_.registry.WriteOwn(std::move(writes), AgentReadmitted{stream});
}

void AgentRegistration::OnReadmitted(const AgentReadmitted& readmitted) {
  AgentSession* session = streams_.Find(readmitted.stream);
  if (session == nullptr) return;
  const std::string id = session->registration.info().id();
  if (streams_.Waiting(id) != readmitted.stream) return streams_.Forget(readmitted.stream);
  streams_.EndWaiting(id);
  Agent* agent = books_.agents.FindById(id);
  if (agent != nullptr && agent->transition == AgentTransition::kReadmitting) {
    agent->transition = AgentTransition::kNone;
  }
  returns_.Return(readmitted.stream, *session);
}

}  // namespace tessera::master
