#include "services/agent/core/pod_flow.h"

#include <algorithm>
#include <memory>
#include <set>
#include <type_traits>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "services/agent/core/task_validation.h"
#include "services/agent/core/wire_time.h"
#include "services/base/bug.h"
#include "services/base/overloaded.h"
#include "services/model/wire/incarnation.h"
#include "services/model/wire/resources.h"

namespace tessera::agent {

using checkpoint::Record;

namespace {

ContainerView ViewOf(const Container& container, const Task& task) {
  ContainerView view;
  view.container_id = container.id;
  view.framework_id = task.framework_id;
  view.task_id = task.task_id;
  view.task_name = task.name;
  view.executor_id = task.executor_id;
  view.sandbox = container.sandbox;
  google::protobuf::RepeatedPtrField<model::v1::Resource> resources;
  model::wire::ToProto(task.holding.resources, &resources);
  view.resources.assign(resources.begin(), resources.end());
  if (!view.resources.empty()) view.role = view.resources.front().allocation_role();
  return view;
}

}  // namespace

std::string PodFlow::NewId() const { return absl::BytesToHexString(state_.uuids()); }

Pod& PodFlow::AddPod(Pod pod) {
  Record record;
  record.mutable_pod()->set_id(pod.id);
  record.mutable_pod()->set_framework_id(pod.framework_id);
  record.mutable_pod()->set_sandbox(pod.sandbox);
  record.mutable_pod()->set_shared(pod.shared);
  state_.journal.Write(std::move(record));
  return state_.pods.Add(std::move(pod));
}

void PodFlow::AddContainer(ContainerSpec spec, const std::string& pod_id, const Task& task) {
  Pod* pod = state_.pods.Find(pod_id);
  if (TESSERA_BUG_IF(pod == nullptr, "a container was added to a pod that is not there")) return;
  Record record;
  record.mutable_container()->set_id(spec.container_id);
  record.mutable_container()->set_pod_id(pod_id);
  if (spec.sandbox != pod->sandbox) record.mutable_container()->set_sandbox(spec.sandbox);
  *record.mutable_container()->mutable_task() = model::wire::ToProto(task.incarnation);
  state_.journal.Write(std::move(record));

  Container container;
  container.id = spec.container_id;
  container.pod_id = pod_id;
  container.sandbox = spec.sandbox;
  container.task = task.incarnation;
  container.spec = std::make_unique<ContainerSpec>(std::move(spec));
  ++pod->containers;
  Show(state_.containers.Add(std::move(container)), task);
}

void PodFlow::Show(const Container& container, const Task& task) {
  state_.views.Begin(container.serial, ViewOf(container, task));
}

void PodFlow::Begin(std::vector<model::Incarnation> tasks, model::Incarnation executor) {
  recording_[++last_launch_] = {std::move(tasks), executor};
  state_.journal.After(after::Launch{last_launch_});
}

// ---- Launch ----

void PodFlow::OnRecorded(uint64_t launch) {
  auto found = recording_.find(launch);
  if (TESSERA_BUG_IF(found == recording_.end(), "an unknown launch is durable")) return;
  Launch recorded = std::move(found->second);
  recording_.erase(found);
  for (const model::Incarnation& incarnation : recorded.tasks) {
    Task* task = state_.tasks.Find(incarnation);
    if (task == nullptr) continue;
    task->durable = true;
    Container* container = state_.containers.Find(task->container_id);
    if (container != nullptr) Enter(*container, LaunchStage::kRoom);
  }
  waiting_.push_back(std::move(recorded));
  LaunchWaiting();
}

model::Resources PodFlow::NeedsOf(const Launch& launch) {
  model::Resources needs;
  for (const model::Incarnation& incarnation : launch.tasks) {
    const Task* task = state_.tasks.Find(incarnation);
    if (task != nullptr && task->holding.counted && !task->holding.occupies) {
      needs += task->holding.resources.UnallocatedCopy();
    }
  }
  const Executor* executor = state_.executors.Find(launch.executor);
  if (executor != nullptr && !executor->holding.occupies) {
    needs += executor->holding.resources.UnallocatedCopy();
  }
  return needs;
}

// The master counts resources of a framework that was shut down as free at once, while its
// containers still get their time to end: what it gives away meanwhile waits for them.
void PodFlow::LaunchWaiting() {
  while (!waiting_.empty()) {
    if (!state_.book.HasRoom(NeedsOf(waiting_.front()))) return;
    const Launch launch = std::move(waiting_.front());
    waiting_.pop_front();
    StartAll(launch);
  }
}

void PodFlow::StartAll(const Launch& launch) {
  Executor* executor = state_.executors.Find(launch.executor);
  if (executor != nullptr) state_.book.Occupy(&executor->holding);
  std::set<std::string> grown;
  for (const model::Incarnation& incarnation : launch.tasks) {
    Task* task = state_.tasks.Find(incarnation);
    if (task == nullptr) continue;
    Container* container = state_.containers.Find(task->container_id);
    // Killed meanwhile.
    if (container == nullptr) continue;
    state_.book.Occupy(&task->holding);
    Pod* pod = state_.pods.Find(container->pod_id);
    const bool waits = pod != nullptr && pod->shared && pod->phase != Pod::Phase::kReady;
    // The limits grow before what needs them comes.
    if (pod != nullptr && pod->shared && !waits && grown.insert(pod->id).second) {
      UpdateLimits(pod->id);
    }
    Enter(*container, waits ? LaunchStage::kPod : LaunchStage::kContainer);
  }
}

void PodFlow::Enter(Container& container, LaunchStage stage) {
  container.stage = stage;
  state_.deadlines.Set(DeadlineKey::OfContainer(DeadlineKind::kLaunch, container.serial),
                       state_.now + TimeFor(stage, state_.config));
  Pod* pod = state_.pods.Find(container.pod_id);
  if (stage == LaunchStage::kPod || stage == LaunchStage::kContainer) {
    Record record;
    record.mutable_launch_progress()->set_container_id(container.id);
    record.mutable_launch_progress()->set_step(std::string(NameOf(stage)));
    state_.journal.Note(std::move(record));
    if (pod != nullptr) pod->touched = true;
  }
  switch (stage) {
    case LaunchStage::kRecord:
    case LaunchStage::kRoom:
      return;
    case LaunchStage::kPod:
      if (pod == nullptr) return;
      pod->waiting.push_back(container.serial);
      if (pod->phase == Pod::Phase::kPlanned) Create(*pod);
      return;
    case LaunchStage::kContainer:
      ++state_.Count().launches;
      state_.Emit(LaunchContainer{std::move(*container.spec)});
      container.spec = nullptr;
      return;
  }
}

// ---- Pods ----

ContainerResources PodFlow::LimitsOf(const Pod& pod) {
  ContainerResources limits;
  limits.cpus_milli = 0;
  limits.memory_limit_bytes = 0;
  limits.cpu_limit_milli = 0;
  // One that is not limited makes the sum unlimited.
  const auto add = [](std::optional<int64_t>* sum, const std::optional<int64_t>& part) {
    if (!part.has_value()) {
      *sum = std::nullopt;
    } else if (sum->has_value()) {
      *sum = **sum + *part;
    }
  };
  const Executor* executor = state_.executors.Find(pod.executor);
  if (executor != nullptr) {
    const ContainerResources own = LimitsOfExecutor(executor->holding.resources, state_.config);
    limits.cpus_milli += own.cpus_milli;
    add(&limits.memory_limit_bytes, own.memory_limit_bytes);
    add(&limits.cpu_limit_milli, own.cpu_limit_milli);
    for (const model::Incarnation& incarnation : executor->tasks) {
      const Task* task = state_.tasks.Find(incarnation);
      if (task == nullptr) continue;
      limits.cpus_milli += task->limits.cpus_milli;
      add(&limits.memory_limit_bytes, task->limits.memory_limit_bytes);
      add(&limits.cpu_limit_milli, task->limits.cpu_limit_milli);
    }
  }
  if (limits.memory_limit_bytes == 0) limits.memory_limit_bytes = std::nullopt;
  if (limits.cpu_limit_milli == 0) limits.cpu_limit_milli = std::nullopt;
  limits.memory_soft_limit_bytes = limits.memory_limit_bytes;
  return limits;
}

void PodFlow::Create(Pod& pod) {
  if (TESSERA_BUG_IF(pod.spec == nullptr, "a pod without a spec was to be made")) return;
  pod.phase = Pod::Phase::kCreating;
  PodSpec spec = *pod.spec;
  spec.limits = LimitsOf(pod);
  state_.Emit(CreatePod{std::move(spec)});
}

void PodFlow::UpdateLimits(const std::string& pod_id) {
  const Pod* pod = state_.pods.Find(pod_id);
  if (pod == nullptr || pod->phase != Pod::Phase::kReady) return;
  state_.Emit(UpdatePod{pod->id, LimitsOf(*pod)});
}

std::vector<Container*> PodFlow::TakeWaiting(Pod& pod) {
  std::vector<Container*> waiting;
  for (const uint64_t serial : std::exchange(pod.waiting, {})) {
    Container* container = state_.containers.Find(serial);
    // Others were killed meanwhile.
    if (container != nullptr && container->stage == LaunchStage::kPod) waiting.push_back(container);
  }
  return waiting;
}

void PodFlow::On(const PodCreated& event) {
  Pod* pod = state_.pods.Find(event.pod_id);
  if (pod == nullptr || pod->phase != Pod::Phase::kCreating) {
    // Only a pod of an agent that has left can come here: nobody wants it.
    if (std::holds_alternative<CreatedPod>(event.result)) state_.Emit(DestroyPod{event.pod_id});
    return;
  }
  if (const auto* failure = std::get_if<LaunchFailure>(&event.result)) {
    pod->phase = Pod::Phase::kPlanned;
    if (pod->to_end) return ClosePod(*pod);
    for (Container* container : TakeWaiting(*pod)) {
      ++state_.Count().launch_errors;
      Close(*container, ContainerChange::NotStarted{*failure});
    }
    return;
  }
  pod->phase = Pod::Phase::kReady;
  if (pod->to_end) return Destroy(*pod);
  for (Container* container : TakeWaiting(*pod)) Enter(*container, LaunchStage::kContainer);
}

void PodFlow::EndPod(const std::string& pod_id) {
  Pod* pod = state_.pods.Find(pod_id);
  if (pod == nullptr || pod->to_end) return;
  TESSERA_BUG_IF(pod->containers > 0, "a pod ended before its containers");
  pod->to_end = true;
  switch (pod->phase) {
    case Pod::Phase::kPlanned:
      return ClosePod(*pod);
    case Pod::Phase::kReady:
      return Destroy(*pod);
    // The runtime's answer comes first.
    case Pod::Phase::kCreating:
    case Pod::Phase::kEnding:
      return;
  }
}

void PodFlow::Destroy(Pod& pod) {
  pod.phase = Pod::Phase::kEnding;
  state_.Emit(DestroyPod{pod.id});
}

void PodFlow::On(const PodDestroyed& event) {
  Pod* pod = state_.pods.Find(event.pod_id);
  if (pod == nullptr || pod->phase != Pod::Phase::kEnding) return;
  if (event.status.ok()) return ClosePod(*pod);
  ++state_.Count().destroy_retries;
  state_.deadlines.Set(DeadlineKey::OfPod(DeadlineKind::kPod, pod->serial),
                       state_.now + state_.config.destroy_retry);
}

void PodFlow::OnPodDeadline(uint64_t serial) {
  Pod* pod = state_.pods.Find(serial);
  if (pod != nullptr && pod->phase == Pod::Phase::kEnding) Destroy(*pod);
}

void PodFlow::ClosePod(Pod& pod) {
  state_.deadlines.Clear(DeadlineKey::OfPod(DeadlineKind::kPod, pod.serial));
  Record record;
  record.mutable_pod_ended()->set_id(pod.id);
  if (pod.touched) {
    record.mutable_pod_ended()->set_sandbox(pod.sandbox);
    *record.mutable_pod_ended()->mutable_ended_time() = ToTimestamp(state_.now);
    state_.sandboxes.Add(pod.id, {pod.sandbox, state_.now, /*in_pod=*/false});
  }
  state_.journal.Write(std::move(record));
  if (pod.executor.valid()) ended_executors_.push_back(pod.executor);
  const std::string id = pod.id;
  state_.pods.Remove(id);
}

// ---- Containers ----

void PodFlow::On(const ContainerLaunched& event) {
  Container* container = state_.containers.Find(event.container_id);
  if (container == nullptr || container->phase != Container::Phase::kLaunching ||
      !IsAtRuntime(container->stage)) {
    // Only a container of an agent that has left can come here: nobody wants it.
    if (std::holds_alternative<LaunchedContainer>(event.result)) {
      state_.Emit(DestroyContainer{event.container_id});
    }
    return;
  }
  if (const auto* failure = std::get_if<LaunchFailure>(&event.result)) {
    if (!container->kill_deadline.has_value()) ++state_.Count().launch_errors;
    return Close(*container, ContainerChange::NotStarted{*failure});
  }
  Run(*container, std::get<LaunchedContainer>(event.result), false);
  // The kill came during the launch: it had no time to start anything of worth.
  if (container->kill_deadline.has_value()) state_.Emit(DestroyContainer{container->id});
}

void PodFlow::Run(Container& container, const LaunchedContainer& launched, bool kill_requested) {
  state_.deadlines.Clear(DeadlineKey::OfContainer(DeadlineKind::kLaunch, container.serial));
  if (container.phase != Container::Phase::kRunning) {
    container.phase = Container::Phase::kRunning;
    Record record;
    record.mutable_running()->set_container_id(container.id);
    *record.mutable_running()->mutable_start_time() = ToTimestamp(launched.started);
    record.mutable_running()->set_init_pid(static_cast<uint32_t>(launched.identity.init_pid));
    state_.journal.Write(std::move(record));
  }
  state_.views.Change(container.serial, [&](ContainerView* view) {
    view->init_pid = static_cast<uint32_t>(launched.identity.init_pid);
    view->started = launched.started;
    if (!container.kill_deadline.has_value()) view->state = ContainerView::State::kRunning;
  });
  changes_.push_back({container.serial, container.id, container.task,
                      ContainerChange::Started{launched, kill_requested}});
}

// ---- Kill ----

bool PodFlow::Kill(Container& container, absl::Time deadline) {
  if (container.phase == Container::Phase::kLaunching && !IsAtRuntime(container.stage)) {
    LaunchFailure never_started;
    never_started.step = LaunchStep::kAborted;
    Close(container, ContainerChange::NotStarted{std::move(never_started)});
    return true;
  }
  container.kill_deadline = deadline;
  kills_.insert(container.serial);
  state_.views.Change(container.serial,
                      [](ContainerView* view) { view->state = ContainerView::State::kEnding; });
  return false;
}

void PodFlow::ActOnKills() {
  for (const uint64_t serial : std::exchange(kills_, {})) {
    const Container* container = state_.containers.Find(serial);
    if (container == nullptr) continue;
    const absl::Duration grace = *container->kill_deadline - state_.now;
    if (container->phase == Container::Phase::kLaunching || grace <= absl::ZeroDuration()) {
      state_.Emit(DestroyContainer{container->id});
    } else {
      state_.Emit(KillContainer{container->id, grace});
    }
    state_.deadlines.Set(
        DeadlineKey::OfContainer(DeadlineKind::kKill, serial),
        std::max(*container->kill_deadline, state_.now) + state_.config.destroy_retry);
  }
}

void PodFlow::OnKillDeadline(uint64_t serial) {
  const Container* container = state_.containers.Find(serial);
  if (container == nullptr) return;
  ++state_.Count().destroy_retries;
  state_.Emit(DestroyContainer{container->id});
  state_.deadlines.Set(DeadlineKey::OfContainer(DeadlineKind::kKill, serial),
                       state_.now + state_.config.destroy_retry);
}

// ---- End ----

void PodFlow::On(const ContainerEnded& event) {
  Container* container = state_.containers.Find(event.termination.container_id);
  if (container == nullptr) {
    state_.Emit(ReleaseContainer{event.termination.container_id});
    return;
  }
  Close(*container, ContainerChange::Ended{event.termination});
}

template <typename What>
void PodFlow::Close(Container& container, What what) {
  state_.deadlines.Clear(DeadlineKey::OfContainer(DeadlineKind::kLaunch, container.serial));
  state_.deadlines.Clear(DeadlineKey::OfContainer(DeadlineKind::kKill, container.serial));
  const bool touched =
      container.phase == Container::Phase::kRunning || IsAtRuntime(container.stage);
  Pod* pod = state_.pods.Find(container.pod_id);
  if (!TESSERA_BUG_IF(pod == nullptr, "a container ended whose pod is not there")) {
    --pod->containers;
    if (pod->shared) {
      Record record;
      Record::ContainerEnded* ended = record.mutable_container_ended();
      ended->set_id(container.id);
      if (touched) {
        ended->set_sandbox(container.sandbox);
        *ended->mutable_ended_time() = ToTimestamp(state_.now);
        state_.sandboxes.Add(container.id, {container.sandbox, state_.now, /*in_pod=*/true});
      }
      state_.journal.Write(std::move(record));
    } else {
      ClosePod(*pod);
    }
  }
  if constexpr (std::is_same_v<What, ContainerChange::Ended>) {
    state_.journal.After(after::Release{container.id});
  }
  changes_.push_back({container.serial, container.id, container.task, std::move(what)});
  state_.containers.Remove(container.serial);
}

// ---- Recovery ----

void PodFlow::Recover(const RecoveredPod& found) {
  Pod* pod = state_.pods.Find(found.pod_id);
  if (TESSERA_BUG_IF(pod == nullptr, "a pod was recovered that nobody asked for")) return;
  pod->phase = found.pod.has_value() ? Pod::Phase::kReady : Pod::Phase::kPlanned;
}

void PodFlow::Recover(const RecoveredContainer& found) {
  Container* container = state_.containers.Find(found.container_id);
  if (TESSERA_BUG_IF(container == nullptr, "a container was recovered that nobody asked for")) {
    return;
  }
  std::visit(base::Overloaded{
                 [&](const RecoveredContainer::Running& running) { Resume(*container, running); },
                 [&](const RecoveredContainer::Terminated& ended) {
                   Close(*container, ContainerChange::Ended{ended.termination});
                 },
                 [&](const RecoveredContainer::Lost& lost) { CloseLost(*container, lost); },
             },
             found.state);
}

void PodFlow::Resume(Container& container, const RecoveredContainer::Running& running) {
  if (container.kill_deadline.has_value()) kills_.insert(container.serial);
  if (Task* task = state_.tasks.Find(container.task); task != nullptr) {
    state_.book.Occupy(&task->holding);
    Executor* executor = state_.executors.Find(task->executor);
    if (executor != nullptr) state_.book.Occupy(&executor->holding);
  }
  Run(container, running.container, running.kill_requested);
}

void PodFlow::CloseLost(Container& container, const RecoveredContainer::Lost& found) {
  ContainerChange::Lost lost{found.reason};
  if (container.phase == Container::Phase::kLaunching && container.came_to.has_value()) {
    const std::string_view stage = NameOf(*container.came_to);
    absl::StrAppend(&lost.why, " (its launch had come to the stage ",
                    absl::string_view(stage.data(), stage.size()), ")");
  }
  Close(container, std::move(lost));
}

std::optional<model::Incarnation> PodFlow::TakeEndedExecutor() {
  if (ended_executors_.empty()) return std::nullopt;
  const model::Incarnation executor = ended_executors_.front();
  ended_executors_.pop_front();
  return executor;
}

std::optional<ContainerChange> PodFlow::TakeChange() {
  if (changes_.empty()) return std::nullopt;
  ContainerChange change = std::move(changes_.front());
  changes_.pop_front();
  return change;
}

}  // namespace tessera::agent
