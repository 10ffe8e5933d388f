#include "services/master/core/accept_flow.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/master/core/framework_validation.h"
#include "services/master/core/refusals.h"
#include "services/master/core/task_validation.h"
#include "services/model/wire/resources.h"
#include "services/rpc/error.h"

namespace tessera::master {
namespace {

absl::Status InvalidOffer(const std::string& what) {
  return rpc::Error(absl::StatusCode::kInvalidArgument, pb::ErrorDetail::INVALID_OFFER, what);
}

// Why an operation cannot be part of a call at all.
absl::Status CheckOperation(const pb::Operation& operation) {
  switch (operation.kind_case()) {
    case pb::Operation::kLaunch:
    case pb::Operation::kLaunchGroup:
      return absl::OkStatus();
    case pb::Operation::KIND_NOT_SET:
      return rpc::InvalidField("operations", "an operation without a kind");
    default:
      return NotSupported(absl::StrCat(
          "this master launches tasks only; the operation '",
          std::string(kOperationTypeLabels[static_cast<int>(operation.kind_case()) - 2]),
          "' is not offered. The offers are untouched"));
  }
}

// What the launches of a call come to when they are sent: the description of the framework goes
// with each task, that of a group's executor with each member.
size_t LaunchBytes(const Framework& framework, const sched::AcceptOffersRequest& request) {
  const size_t info = framework.info.ByteSizeLong();
  size_t bytes = request.ByteSizeLong();
  for (const pb::Operation& operation : request.operations()) {
    bytes += operation.has_launch() ? operation.launch().tasks_size() * info
                                    : info + operation.launch_group().group().tasks_size() *
                                                 operation.launch_group().executor().ByteSizeLong();
  }
  return bytes;
}

}  // namespace

absl::Status AcceptFlow::CheckOffers(const Framework& framework,
                                     const google::protobuf::RepeatedPtrField<std::string>& ids) {
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

void AcceptFlow::OnCall(CallId call, const sched::AcceptOffersRequest& request) {
  Framework* framework = sessions_.Enter(call, request.session(), CallType::kAccept);
  if (framework == nullptr) return;
  size_t tasks = 0;
  absl::Status refusal;
  for (const pb::Operation& operation : request.operations()) {
    if (refusal.ok()) refusal = CheckOperation(operation);
    tasks += operation.launch().tasks_size() + operation.launch_group().group().tasks_size();
  }
  const auto refuse = RefuseDuration(books_.config(), request.filters());
  if (refusal.ok()) refusal = refuse.status();
  if (refusal.ok() &&
      request.offer_ids_size() > static_cast<int>(books_.config().offers_per_call_max)) {
    refusal = TooMany("offers in one call");
  }
  if (refusal.ok() && (tasks > books_.config().tasks_per_call_max ||
                       books_.tasks.size() + tasks > books_.config().tasks_max)) {
    refusal = TooMany("tasks");
  }
  if (refusal.ok() && LaunchBytes(*framework, request) > books_.config().launch_bytes_max) {
    refusal = rpc::Error(
        absl::StatusCode::kResourceExhausted, pb::ErrorDetail::MESSAGE_TOO_LARGE,
        absl::StrCat("the tasks, each with the framework's description, come to more than ",
                     books_.config().launch_bytes_max,
                     " bytes. The offers are untouched: launch fewer tasks by one call"));
  }
  if (!refusal.ok()) {
    ++books_.counters().calls_refused;
    return books_.out.RefuseCall(call, refusal);
  }
  if (absl::Status why = CheckOffers(*framework, request.offer_ids()); !why.ok()) {
    return RefuseOffers(call, *framework, request, why);
  }

  const Offer& first = *books_.offers.FindById(request.offer_ids(0));
  // An agent that is not connected has no offers.
  Accepted accepted{*framework, *books_.agents.Find(first.agent), first.role, {}, {}};
  absl::Duration lay;
  for (const std::string& id : request.offer_ids()) {
    Offer& offer = *books_.offers.FindById(id);
    accepted.available += offer.resources;
    lay = std::max(lay, books_.now() - offer.made);
    framework->offers_unanswered = 0;
    books_.RemoveOffer(offer, OfferEnd::kAccepted);
  }
  for (const pb::Operation& operation : request.operations()) {
    if (operation.has_launch()) {
      Launch(accepted, operation.launch(), !operation.id().empty());
    } else {
      LaunchGroup(accepted, operation.launch_group(), !operation.id().empty());
    }
  }
  Books::RaiseDemand(*framework, accepted.role, accepted.available);
  books_.GiveBack(framework->id, accepted.agent, accepted.available, *refuse);
  books_.EndAllocations(framework->id, static_cast<uint32_t>(request.offer_ids_size()),
                        accepted.took ? AllocationEnd::kTaken : AllocationEnd::kLeft, lay);
  books_.out.Reply(call, std::move(accepted.response));
}

void AcceptFlow::RefuseOffers(CallId call, Framework& framework,
                              const sched::AcceptOffersRequest& request, const absl::Status& why) {
  // The offers are used up all the same, those of others are spared.
  for (const std::string& id : request.offer_ids()) {
    Offer* offer = books_.offers.FindById(id);
    if (offer != nullptr && offer->framework == framework.index) {
      books_.RemoveOffer(*offer, OfferEnd::kDropped);
    }
  }
  auto drop = [&](const pb::TaskInfo& task) {
    // A repeat of a call that succeeded: the task lives, and says so by itself.
    if (framework.tasks.contains(task.id())) return;
    TellRefused(framework, task.id(), task.agent_id(), pb::TASK_DROPPED, pb::REASON_INVALID_OFFERS,
                std::string(why.message()));
  };
  for (const pb::Operation& operation : request.operations()) {
    for (const pb::TaskInfo& task : operation.launch().tasks()) drop(task);
    for (const pb::TaskInfo& task : operation.launch_group().group().tasks()) drop(task);
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
  if (accepted.framework.tasks.contains(task_id)) return;
  TellRefused(accepted.framework, task_id, accepted.agent.id, state, reason, message);
}

void AcceptFlow::Launch(Accepted& accepted, const pb::Operation::Launch& launch,
                        bool has_operation_id) {
  for (const pb::TaskInfo& task : launch.tasks()) {
    if (has_operation_id) {
      RefuseTask(accepted, task.id(), pb::TASK_ERROR, pb::REASON_TASK_INVALID,
                 "a launch cannot have an operation id: its tasks report");
      continue;
    }
    auto checked = CheckTask(
        {books_.config(), accepted.framework, accepted.agent, accepted.role, accepted.available},
        task);
    if (!checked.ok()) {
      RefuseTask(accepted, task.id(), pb::TASK_ERROR, pb::REASON_TASK_INVALID,
                 std::string(checked.status().message()));
      continue;
    }
    link::MasterMessage message;
    auto* run = message.mutable_run_task();
    *run->mutable_framework() = accepted.framework.info;
    *run->mutable_task() = task;
    run->mutable_task()->set_agent_id(accepted.agent.id);
    model::wire::ToProto(checked->resources, run->mutable_task()->mutable_resources());
    if (task.has_executor()) {
      auto* executor = run->mutable_task()->mutable_executor();
      executor->set_framework_id(accepted.framework.id);
      if (checked->new_executor) {
        model::wire::ToProto(checked->executor_resources, executor->mutable_resources());
        BookExecutor(accepted, *executor, checked->executor_resources);
      }
    }
    BookTask(accepted, run->task(), checked->resources);
    ++accepted.framework.counters.operations[0];
    books_.Tell(accepted.agent, std::move(message));
  }
}

void AcceptFlow::LaunchGroup(Accepted& accepted, const pb::Operation::LaunchGroup& launch,
                             bool has_operation_id) {
  auto refuse_all = [&](const std::string& why) {
    for (const pb::TaskInfo& task : launch.group().tasks()) {
      RefuseTask(accepted, task.id(), pb::TASK_ERROR, pb::REASON_TASK_GROUP_INVALID, why);
    }
  };
  if (has_operation_id) return refuse_all("a launch cannot have an operation id: its tasks report");
  auto checked = CheckGroup(
      {books_.config(), accepted.framework, accepted.agent, accepted.role, accepted.available},
      launch.executor(), launch.group());
  if (!checked.ok()) return refuse_all(std::string(checked.status().message()));

  link::MasterMessage message;
  auto* run = message.mutable_run_task_group();
  *run->mutable_framework() = accepted.framework.info;
  *run->mutable_executor() = launch.executor();
  run->mutable_executor()->set_framework_id(accepted.framework.id);
  if (checked->new_executor) {
    model::wire::ToProto(checked->executor_resources, run->mutable_executor()->mutable_resources());
    BookExecutor(accepted, run->executor(), checked->executor_resources);
  }
  for (int i = 0; i < launch.group().tasks_size(); ++i) {
    auto* task = run->mutable_group()->add_tasks();
    *task = launch.group().tasks(i);
    task->set_agent_id(accepted.agent.id);
    model::wire::ToProto(checked->tasks[i], task->mutable_resources());
    if (!task->has_executor()) *task->mutable_executor() = run->executor();
    BookTask(accepted, *task, checked->tasks[i]);
  }
  ++accepted.framework.counters.operations[1];
  books_.Tell(accepted.agent, std::move(message));
}

void AcceptFlow::BookExecutor(Accepted& accepted, const pb::ExecutorInfo& executor,
                              const model::Resources& resources) {
  accepted.available -= resources;
  accepted.took = true;
  books_.AddExecutor(accepted.agent, accepted.framework, executor, resources);
}

void AcceptFlow::BookTask(Accepted& accepted, const pb::TaskInfo& task,
                          const model::Resources& resources) {
  accepted.available -= resources;
  accepted.took = true;
  pb::TaskRecord record;
  record.set_framework_id(accepted.framework.id);
  *record.mutable_info() = task;
  record.mutable_info()->clear_data();
  record.set_state(pb::TASK_STAGING);
  books_.AddTask(accepted.framework, accepted.agent, record, resources);
  ++books_.counters().tasks_launched;
}

}  // namespace tessera::master
