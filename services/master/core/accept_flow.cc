#include "services/master/core/accept_flow.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/master/core/framework_validation.h"
#include "services/master/core/refusals.h"
#include "services/master/core/task_validation.h"
#include "services/model/wire/incarnation.h"
#include "services/model/wire/resources.h"
#include "services/rpc/error.h"

namespace tessera::master {
namespace {

absl::Status InvalidOffer(const std::string& what) {
  return rpc::Error(absl::StatusCode::kInvalidArgument, pb::ErrorDetail::INVALID_OFFER, what);
}

// Why an operation cannot be part of a call at all.
absl::Status CheckOperation(pb::Operation::KindCase kind) {
  switch (kind) {
    case pb::Operation::kLaunch:
    case pb::Operation::kLaunchGroup:
      return absl::OkStatus();
    case pb::Operation::KIND_NOT_SET:
      return rpc::InvalidField("operations", "an operation without a kind");
    case pb::Operation::kReserve:
    case pb::Operation::kUnreserve:
    case pb::Operation::kCreate:
    case pb::Operation::kDestroy:
    case pb::Operation::kGrowVolume:
    case pb::Operation::kShrinkVolume:
    case pb::Operation::kCreateDisk:
    case pb::Operation::kDestroyDisk:
      break;
  }
  return NotSupported(absl::StrCat("this master launches tasks only; the operation '",
                                   std::string(LabelOf(*OperationTypeOf(kind))),
                                   "' is not offered. The offers are untouched"));
}

// What the launches of a call come to when they are sent, with the description of the framework.
size_t LaunchBytes(const Framework& framework, const AcceptOffers& request) {
  size_t bytes = framework.description.size();
  for (const OperationRequest& operation : request.operations) {
    bytes += operation.executor.info.size();
    for (const TaskRequest& task : operation.tasks) {
      bytes += task.info.size();
      if (task.executor.has_value()) bytes += task.executor->info.size();
    }
  }
  return bytes;
}

}  // namespace

absl::Status AcceptFlow::CheckOffers(const Framework& framework,
                                     const std::vector<std::string>& ids) {
  const Offer* first = nullptr;
  std::set<std::string> seen;
  for (const std::string& id : ids) {
    if (!seen.insert(id).second)
      return InvalidOffer(absl::StrCat("offer ", id, " is listed twice"));
    const Offer* offer = books_.offers.FindById(id);
    if (offer == nullptr) return InvalidOffer(absl::StrCat("offer ", id, " is not outstanding"));
    if (offer->framework != framework.index) {
      return InvalidOffer(absl::StrCat("offer ", id, " is of another framework"));
    }
    if (first == nullptr) first = offer;
    if (offer->role != first->role) return InvalidOffer("the offers are to several roles");
    if (offer->agent != first->agent) return InvalidOffer("the offers are of several agents");
  }
  if (first == nullptr) return InvalidOffer("no offers are named");
  return absl::OkStatus();
}

void AcceptFlow::OnCall(CallId call, const AcceptOffers& request) {
  Framework* framework = sessions_.Enter(call, request.session, CallType::kAccept);
  if (framework == nullptr) return;
  absl::Status refusal;
  for (const OperationRequest& operation : request.operations) {
    if (refusal.ok()) refusal = CheckOperation(operation.kind);
  }
  const auto refuse = RefuseDuration(books_.config(), request.filters);
  if (refusal.ok()) refusal = refuse.status();
  if (refusal.ok() && request.offer_ids.size() > books_.config().offers_per_call_max) {
    refusal = TooMany("offers in one call");
  }
  if (const size_t tasks = request.tasks();
      refusal.ok() && (tasks > books_.config().tasks_per_call_max ||
                       books_.tasks.size() + tasks > books_.config().tasks_max)) {
    refusal = TooMany("tasks");
  }
  if (refusal.ok() && LaunchBytes(*framework, request) > books_.config().launch_bytes_max) {
    refusal = rpc::Error(
        absl::StatusCode::kResourceExhausted, pb::ErrorDetail::MESSAGE_TOO_LARGE,
        absl::StrCat("the tasks come to more than ", books_.config().launch_bytes_max,
                     " bytes. The offers are untouched: launch fewer tasks by one call"));
  }
  if (!refusal.ok()) {
    ++books_.counters().calls_refused;
    return books_.out.RefuseCall(call, refusal);
  }
  if (absl::Status why = CheckOffers(*framework, request.offer_ids); !why.ok()) {
    return RefuseOffers(call, *framework, request, why);
  }

  const Offer& first = *books_.offers.FindById(request.offer_ids.front());
  // An agent that is not connected has no offers.
  Accepted accepted{*framework, *books_.agents.Find(first.agent), first.role, {}, {}};
  absl::Duration lay;
  for (const std::string& id : request.offer_ids) {
    Offer& offer = *books_.offers.FindById(id);
    accepted.available += offer.resources;
    lay = std::max(lay, books_.now() - offer.made);
    framework->offers_unanswered = 0;
    books_.offer_book.RemoveOffer(offer, OfferEnd::kAccepted);
  }
  for (const OperationRequest& operation : request.operations) {
    if (operation.kind == pb::Operation::kLaunch) {
      Launch(accepted, operation);
    } else {
      LaunchGroup(accepted, operation);
    }
  }
  OfferBook::RaiseDemand(*framework, accepted.role, accepted.available);
  books_.allocator_view.GiveBack(framework->id, accepted.agent, accepted.available, *refuse);
  books_.allocator_view.EndAllocations(
      framework->id, static_cast<uint32_t>(request.offer_ids.size()),
      accepted.took ? AllocationEnd::kTaken : AllocationEnd::kLeft, lay);
  books_.out.Reply(call, std::move(accepted.response));
}

void AcceptFlow::RefuseOffers(CallId call, Framework& framework, const AcceptOffers& request,
                              const absl::Status& why) {
  // The offers are used up all the same, those of others are spared.
  for (const std::string& id : request.offer_ids) {
    Offer* offer = books_.offers.FindById(id);
    if (offer != nullptr && offer->framework == framework.index) {
      books_.offer_book.RemoveOffer(*offer, OfferEnd::kDropped);
    }
  }
  for (const OperationRequest& operation : request.operations) {
    for (const TaskRequest& task : operation.tasks) {
      // A repeat of a call that succeeded: the task lives, and says so by itself.
      if (framework.tasks.Newest(task.id).valid()) continue;
      TellRefused(framework, task.id, task.agent_id, pb::TASK_DROPPED, pb::REASON_INVALID_OFFERS,
                  std::string(why.message()));
    }
  }
  ++books_.counters().calls_refused;
  books_.out.RefuseCall(call, why);
}

void AcceptFlow::TellRefused(Framework& framework, const std::string& task_id,
                             const std::string& agent_id, pb::TaskState state,
                             pb::TaskStatusReason reason, const std::string& message) {
  const pb::TaskStatus status =
      books_.MakeStatus(task_id, agent_id, books_.StateFor(framework, state), reason, message);
  ++framework.counters.tasks_terminated[status.state()];
  ++books_.counters().tasks_terminated[{status.state(), status.source(), status.reason()}];
  books_.TellStatus(framework, status);
}

void AcceptFlow::RefuseTask(Accepted& accepted, const std::string& task_id, pb::TaskState state,
                            pb::TaskStatusReason reason, const std::string& message) {
  accepted.response.add_refused_task_ids(task_id);
  // A second task of the same id is refused by the answer only: an update would be taken for one of
  // the task that lives.
  if (accepted.framework.tasks.Newest(task_id).valid()) {
    accepted.response.add_ids_in_use(task_id);
    return;
  }
  TellRefused(accepted.framework, task_id, accepted.agent.id, state, reason, message);
}

void AcceptFlow::Launch(Accepted& accepted, const OperationRequest& launch) {
  for (const TaskRequest& task : launch.tasks) {
    if (launch.has_id) {
      RefuseTask(accepted, task.id, pb::TASK_ERROR, pb::REASON_TASK_INVALID,
                 "a launch cannot have an operation id: its tasks report");
      continue;
    }
    auto checked = CheckTask(
        {books_.config(), accepted.framework, accepted.agent, accepted.role, accepted.available},
        task);
    if (!checked.ok()) {
      RefuseTask(accepted, task.id, pb::TASK_ERROR, pb::REASON_TASK_INVALID,
                 std::string(checked.status().message()));
      continue;
    }
    books_.Describe(accepted.framework, accepted.agent);
    link::MasterMessage message;
    auto* run = message.mutable_run_task();
    run->set_framework_id(accepted.framework.id);
    run->set_resource_version(accepted.agent.resource_version);
    if (checked->executor.has_value()) {
      BookExecutor(accepted, *task.executor, *checked->executor, run->mutable_executor());
    }
    BookTask(accepted, task, checked->resources, run->has_executor() ? &run->executor() : nullptr,
             run->mutable_task());
    ++accepted.framework.counters.Of(OperationType::kLaunch);
    books_.Tell(accepted.agent, std::move(message));
  }
}

void AcceptFlow::LaunchGroup(Accepted& accepted, const OperationRequest& launch) {
  auto refuse_all = [&](const std::string& why) {
    for (const TaskRequest& task : launch.tasks) {
      RefuseTask(accepted, task.id, pb::TASK_ERROR, pb::REASON_TASK_GROUP_INVALID, why);
    }
  };
  if (launch.has_id) return refuse_all("a launch cannot have an operation id: its tasks report");
  auto checked = CheckGroup(
      {books_.config(), accepted.framework, accepted.agent, accepted.role, accepted.available},
      launch.executor, launch.tasks);
  if (!checked.ok()) return refuse_all(std::string(checked.status().message()));

  books_.Describe(accepted.framework, accepted.agent);
  link::MasterMessage message;
  auto* run = message.mutable_run_task_group();
  run->set_framework_id(accepted.framework.id);
  run->set_resource_version(accepted.agent.resource_version);
  BookExecutor(accepted, launch.executor, checked->executor, run->mutable_executor());
  for (size_t i = 0; i < launch.tasks.size(); ++i) {
    BookTask(accepted, launch.tasks[i], checked->tasks[i], &run->executor(), run->add_tasks());
  }
  ++accepted.framework.counters.Of(OperationType::kLaunchGroup);
  books_.Tell(accepted.agent, std::move(message));
}

void AcceptFlow::BookExecutor(Accepted& accepted, const ExecutorRequest& executor,
                              const CheckedExecutor& checked, link::ExecutorLaunch* launch) {
  const bool fresh = !checked.living.valid();
  const model::Incarnation incarnation = fresh ? books_.ids.NewIncarnation() : checked.living;
  launch->set_executor_id(executor.id);
  *launch->mutable_incarnation() = model::wire::ToProto(incarnation);
  launch->set_info(executor.info.bytes());
  launch->set_launch_executor(fresh);
  if (!fresh) {
    const feed::ExecutorPtr living =
        accepted.agent.executors.Find({accepted.framework.index, incarnation});
    return model::wire::ToProto(living->resources, launch->mutable_resources());
  }
  model::wire::ToProto(checked.resources, launch->mutable_resources());
  accepted.available -= checked.resources;
  accepted.took = true;
  books_.task_book.AddExecutor(accepted.agent, accepted.framework,
                               std::make_shared<const feed::ExecutorRow>(feed::ExecutorRow{
                                   accepted.framework.id, executor.id, incarnation,
                                   accepted.agent.id, checked.resources, executor.shown}));
}

void AcceptFlow::BookTask(Accepted& accepted, const TaskRequest& task,
                          const model::Resources& resources, const link::ExecutorLaunch* executor,
                          link::TaskLaunch* launch) {
  accepted.available -= resources;
  accepted.took = true;
  auto facts = std::make_shared<feed::TaskFacts>();
  facts->framework_id = accepted.framework.id;
  facts->task_id = task.id;
  facts->incarnation = books_.ids.NewIncarnation();
  facts->agent_id = accepted.agent.id;
  if (executor != nullptr) {
    facts->executor_id = executor->executor_id();
    facts->executor = model::wire::FromProto(executor->incarnation());
  }
  facts->resources = resources;
  facts->info = task.shown;
  launch->set_task_id(task.id);
  *launch->mutable_incarnation() = model::wire::ToProto(facts->incarnation);
  launch->set_info(task.info.bytes());
  model::wire::ToProto(resources, launch->mutable_resources());
  Task row;
  row.facts = std::move(facts);
  books_.task_book.AddTask(accepted.framework, accepted.agent, std::move(row));
  ++books_.counters().tasks_launched;
}

}  // namespace tessera::master
