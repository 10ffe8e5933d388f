#include "services/agent/core/admission_flow.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/agent/core/task_validation.h"
#include "services/base/status_macros.h"
#include "services/model/wire/description.h"
#include "services/model/wire/incarnation.h"
#include "services/model/wire/resources.h"

namespace tessera::agent {

using agentlink::v1::MasterMessage;
using agentlink::v1::TaskLaunch;
using checkpoint::Record;
using model::v1::ExecutorInfo;
using model::v1::TaskInfo;
using model::wire::FromProto;

namespace {

// Of a name that is only kept to be shown with a refusal.
constexpr size_t kRefusedNameBytes = 256;

// At most so many bytes of a text, whole characters only.
std::string CutText(const std::string& text, size_t bytes_max) {
  size_t size = std::min(text.size(), bytes_max);
  if (size < text.size()) {
    while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80) --size;
  }
  return text.substr(0, size);
}

}  // namespace

void AdmissionFlow::OnDescribeFramework(const MasterMessage::DescribeFramework& message) {
  model::Description description(message.info());
  const auto info = model::wire::ReadDescription<model::v1::FrameworkInfo>(description);
  if (!info.ok() || info->id() != message.framework_id()) {
    ++state_.Count().ignored_messages;
    return;
  }
  Framework framework = FrameworkOf(*info, std::move(description));
  framework.link = state_.session.link();
  if (!state_.frameworks.Describe(message.framework_id(), std::move(framework),
                                  state_.config.frameworks_max)) {
    ++state_.Count().ignored_messages;
    return;
  }
  tasks_.LogFramework(message.framework_id(), /*only_with_tasks=*/true);
}

void AdmissionFlow::OnRunTask(const MasterMessage::RunTask& message) {
  Decide({message.framework_id(),
          message.has_executor() ? &message.executor() : nullptr,
          {&message.task()},
          message.resource_version(),
          /*group=*/false});
}

void AdmissionFlow::OnRunTaskGroup(const MasterMessage::RunTaskGroup& message) {
  Launch launch{message.framework_id(),
                &message.executor(),
                {},
                message.resource_version(),
                /*group=*/true};
  for (const TaskLaunch& task : message.tasks()) launch.tasks.push_back(&task);
  Decide(launch);
}

void AdmissionFlow::Decide(const Launch& launch) {
  // A repeated command: the tasks' own statuses tell what became of them.
  bool known = launch.tasks.empty();
  std::set<model::Incarnation> named;
  for (const TaskLaunch* task : launch.tasks) {
    const model::Incarnation incarnation = FromProto(task->incarnation());
    known = known || !incarnation.valid() || !named.insert(incarnation).second ||
            state_.tasks.Find(incarnation) != nullptr;
  }
  if (known) {
    ++state_.Count().ignored_messages;
    return;
  }
  Plan plan;
  if (const auto refusal = Check(launch, &plan); refusal.has_value()) {
    RefuseAll(launch, *refusal);
  } else {
    Accept(launch, std::move(plan));
  }
}

std::optional<AdmissionFlow::Refusal> AdmissionFlow::Check(const Launch& launch, Plan* plan) const {
  const auto dropped = [](model::v1::TaskStatusReason reason, std::string why, bool once = false) {
    return Refusal{model::v1::TASK_DROPPED, reason, std::move(why), once};
  };
  const Framework* framework = state_.frameworks.Find(launch.framework_id);
  if (framework == nullptr) {
    return dropped(model::v1::REASON_INVALID_OFFERS,
                   "the agent was not told of the framework " + launch.framework_id, true);
  }
  if (state_.tasks.size() + launch.tasks.size() > state_.config.tasks_max) {
    return dropped(model::v1::REASON_INVALID_OFFERS,
                   absl::StrCat("the agent holds ", state_.tasks.size(), " tasks and may hold ",
                                state_.config.tasks_max),
                   true);
  }
  if (state_.log_space_low) {
    return dropped(model::v1::REASON_INVALID_OFFERS, "the disk of the agent's log is full", true);
  }
  if (state_.drain.has_value()) {
    return dropped(model::v1::REASON_AGENT_DRAINING, "the agent is drained");
  }
  if (launch.resource_version != state_.book.version()) {
    return dropped(
        model::v1::REASON_INVALID_OFFERS,
        absl::StrCat("the agent's resources have changed: their version is ", state_.book.version(),
                     ", the launch was made for ", launch.resource_version));
  }
  absl::Status valid = CheckExecutor(launch, plan);
  if (valid.ok() && launch.executor != nullptr && !plan->begins.has_value()) {
    const Executor* executor = state_.executors.Find(FromProto(launch.executor->incarnation()));
    if (executor == nullptr || executor->ending) {
      return dropped(model::v1::REASON_EXECUTOR_TERMINATED,
                     absl::StrCat("the executor ", launch.executor->executor_id(),
                                  " has ended on this agent"));
    }
  }
  if (valid.ok()) valid = PlanTasks(launch, *framework, plan);
  if (!valid.ok()) {
    return Refusal{
        model::v1::TASK_ERROR,
        launch.group ? model::v1::REASON_TASK_GROUP_INVALID : model::v1::REASON_TASK_INVALID,
        std::string(valid.message())};
  }
  if (!state_.book.Has(plan->needs)) {
    return dropped(model::v1::REASON_RESOURCES_UNKNOWN,
                   absl::StrCat("the agent does not have ", model::ToString(plan->needs)));
  }
  if (!state_.book.Fits(plan->needs)) {
    return dropped(model::v1::REASON_INVALID_OFFERS,
                   absl::StrCat("the agent has no ", model::ToString(plan->needs), " left of ",
                                model::ToString(state_.book.total())));
  }
  return std::nullopt;
}

absl::Status AdmissionFlow::CheckExecutor(const Launch& launch, Plan* plan) const {
  if (launch.executor == nullptr) return absl::OkStatus();
  const model::Incarnation incarnation = FromProto(launch.executor->incarnation());
  if (!incarnation.valid()) return absl::InvalidArgumentError("executor: has no incarnation");
  ASSIGN_OR_RETURN(
      const std::string bytes,
      model::wire::WithoutField(launch.executor->info(), ExecutorInfo::kDataFieldNumber));
  Executor executor;
  executor.info = model::Description(bytes);
  ASSIGN_OR_RETURN(const auto info, model::wire::ReadDescription<ExecutorInfo>(executor.info));
  RETURN_IF_ERROR(ValidateGroupExecutor(info));
  if (info.id() != launch.executor->executor_id()) {
    return absl::InvalidArgumentError("executor: its description has another id");
  }
  if (!launch.group) {
    return absl::InvalidArgumentError("executor: of type DEFAULT runs task groups only");
  }
  // One that lives already begins no second time.
  if (const Executor* lives = state_.executors.Find(incarnation); lives != nullptr) {
    // What its containers join is told by its description; the rest is there.
    plan->pod = PlanPod(info, *state_.frameworks.Find(launch.framework_id), state_.config);
    plan->pod.pod_id = lives->pod_id;
    if (const Pod* pod = state_.pods.Find(lives->pod_id); pod != nullptr) {
      plan->pod.sandbox = pod->sandbox;
    }
    return absl::OkStatus();
  }
  if (!launch.executor->launch_executor()) return absl::OkStatus();
  executor.incarnation = incarnation;
  executor.framework_id = launch.framework_id;
  executor.executor_id = info.id();
  ASSIGN_OR_RETURN(executor.holding.resources, FromProto(launch.executor->resources()));
  executor.shutdown_grace = ShutdownGraceOf(info);
  plan->pod = PlanPod(info, *state_.frameworks.Find(launch.framework_id), state_.config);
  plan->pod.pod_id = pods_.NewId();
  plan->pod.sandbox = absl::StrCat(state_.config.sandbox_root, "/", launch.framework_id, "/",
                                   info.id(), "/", plan->pod.pod_id.text());
  executor.pod_id = plan->pod.pod_id;
  plan->needs += executor.holding.resources.UnallocatedCopy();
  plan->begins = std::move(executor);
  return absl::OkStatus();
}

Task AdmissionFlow::NamedTask(const Launch& launch, const TaskLaunch& launched) const {
  Task task;
  task.incarnation = FromProto(launched.incarnation());
  task.framework_id = launch.framework_id;
  task.task_id = launched.task_id();
  if (launch.executor != nullptr) {
    task.executor_id = launch.executor->executor_id();
    task.executor = FromProto(launch.executor->incarnation());
  }
  task.accepted = state_.now;
  return task;
}

absl::Status AdmissionFlow::PlanTasks(const Launch& launch, const Framework& framework,
                                      Plan* plan) const {
  std::set<std::string> ids;
  for (const TaskLaunch* launched : launch.tasks) {
    PlannedTask planned;
    planned.task = NamedTask(launch, *launched);
    ASSIGN_OR_RETURN(const std::string bytes,
                     model::wire::WithoutField(launched->info(), TaskInfo::kDataFieldNumber));
    planned.task.info = model::Description(bytes);
    ASSIGN_OR_RETURN(planned.info, model::wire::ReadDescription<TaskInfo>(planned.task.info));
    if (planned.info.id() != launched->task_id()) {
      return absl::InvalidArgumentError("task.id: the description has another one");
    }
    ASSIGN_OR_RETURN(planned.task.holding.resources, FromProto(launched->resources()));
    RETURN_IF_ERROR(ValidateTask(launch.framework_id, planned.info, planned.task.holding.resources,
                                 launch.group, state_.config));
    if (!ids.insert(launched->task_id()).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("two tasks of the group are ", launched->task_id()));
    }
    NoteTaskInfo(planned.info, &planned.task);
    planned.task.limits = LimitsOf(planned.task.holding.resources, planned.info, state_.config);
    plan->needs += planned.task.holding.resources.UnallocatedCopy();
    if (launch.group) planned.task.group = state_.tasks.last_group() + 1;

    ContainerPlace place;
    const std::string name = pods_.NewId();
    if (launch.group) {
      place.pod = &plan->pod;
      place.container_id = plan->pod.pod_id.Child(name);
      place.sandbox = absl::StrCat(plan->pod.sandbox, "/containers/", name);
    } else {
      place.container_id = name;
      place.sandbox = absl::StrCat(state_.config.sandbox_root, "/", launch.framework_id, "/",
                                   launched->task_id(), "/", name);
    }
    planned.task.container_id = place.container_id;
    ASSIGN_OR_RETURN(planned.spec, PlanContainer(planned.task, planned.info, place, framework,
                                                 state_.info->id(), state_.config));
    plan->tasks.push_back(std::move(planned));
  }
  return absl::OkStatus();
}

void AdmissionFlow::Accept(const Launch& launch, Plan plan) {
  model::Incarnation begins;
  if (plan.begins.has_value()) {
    begins = plan.begins->incarnation;
    executors_.Begin(*std::move(plan.begins), std::move(plan.pod));
  }
  std::vector<model::Incarnation> admitted;
  for (PlannedTask& planned : plan.tasks) {
    ++state_.Count().tasks_accepted;
    Task& task = tasks_.Admit(std::move(planned.task));
    admitted.push_back(task.incarnation);
    std::string pod_id = planned.spec.container_id;
    if (launch.group) {
      pod_id = state_.executors.Find(task.executor)->pod_id;
    } else {
      Pod pod;
      pod.id = pod_id;
      pod.framework_id = task.framework_id;
      pod.sandbox = planned.spec.sandbox;
      pods_.AddPod(std::move(pod));
    }
    pods_.AddContainer(std::move(planned.spec), pod_id, task);
  }
  pods_.Begin(admitted, begins);
  for (const model::Incarnation& incarnation : admitted) {
    statuses_.Record(*state_.tasks.Find(incarnation), model::v1::TASK_STARTING);
  }
}

void AdmissionFlow::RefuseAll(const Launch& launch, const Refusal& refusal) {
  for (const TaskLaunch* launched : launch.tasks) {
    Task task = NamedTask(launch, *launched);
    if (refusal.once) {
      ++state_.Count().tasks_refused;
      statuses_.TellOnce(task, statuses_.Make(task, refusal.state, refusal.reason, refusal.why));
      continue;
    }
    TaskInfo kept;
    TaskInfo described;
    // What of it can be read is shown; it is not judged here.
    if (described.ParsePartialFromString(launched->info())) {
      kept.set_name(CutText(described.name(), kRefusedNameBytes));
    }
    kept.set_id(launched->task_id());
    task.info = model::wire::Describe(kept);
    task.name = kept.name();
    tasks_.Refuse(std::move(task), refusal.state, refusal.reason, refusal.why);
  }
  if (launch.executor == nullptr || !launch.executor->launch_executor()) return;
  const model::Incarnation executor = FromProto(launch.executor->incarnation());
  if (state_.executors.Find(executor) != nullptr) return;
  executors_.Refuse(launch.framework_id, launch.executor->executor_id(), executor);
}

}  // namespace tessera::agent
