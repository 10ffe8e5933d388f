#include "cli/run/batch_scheduler.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "services/rpc/error.h"

namespace tessera::cli {

namespace {

using model::v1::TaskState;

// How long unused resources stay away: soon again while tasks wait, long when none does.
constexpr absl::Duration kRefuseWhileWaiting = absl::Seconds(1);
constexpr absl::Duration kRefuseWhenIdle = absl::Hours(1);
constexpr absl::Duration kFailoverTimeout = absl::Minutes(2);
// Without an offer for so long, waiting tasks ask for resources again; less and less often.
constexpr absl::Duration kFirstAsk = absl::Seconds(5);
constexpr absl::Duration kLastAsk = absl::Minutes(1);
// And this long after the master was too busy to be asked.
constexpr absl::Duration kAskAfterRefusal = absl::Seconds(1);

// The task does not run and did not end by itself: it may be launched again.
bool Lost(TaskState state) {
  switch (state) {
    case model::v1::TASK_LOST:
    case model::v1::TASK_DROPPED:
    case model::v1::TASK_GONE:
    case model::v1::TASK_GONE_BY_OPERATOR:
    case model::v1::TASK_UNKNOWN:
      return true;
    default:
      return false;
  }
}

bool EndedByItself(TaskState state) {
  return state == model::v1::TASK_FINISHED || state == model::v1::TASK_FAILED ||
         state == model::v1::TASK_KILLED || state == model::v1::TASK_ERROR;
}

// Plain resources of an offer, by name, in thousandths. Reserved ones are used only when they are
// reserved as a whole to the offer's role without further identity, so they are left alone here.
std::map<std::string, int64_t> PlainScalars(const model::v1::Offer& offer) {
  std::map<std::string, int64_t> amounts;
  for (const auto& resource : offer.resources()) {
    if (!resource.has_scalar() || resource.reservations_size() > 0 || resource.has_disk() ||
        resource.revocable() || resource.has_provider_id()) {
      continue;
    }
    amounts[resource.name()] += resource.scalar().milli();
  }
  return amounts;
}

void SetRefusal(absl::Duration refuse, model::v1::Filters* filters) {
  filters->mutable_refuse_duration()->set_seconds(absl::ToInt64Seconds(refuse));
}

// The same call can work later. (After most of these the session is opened anew, which states no
// suppressed role.)
bool MayWorkLater(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kUnimplemented:
      return false;
    default:
      return true;
  }
}

}  // namespace

std::string HowTeardownWent(const std::string& framework_id, bool ended,
                            const absl::Status& session) {
  if (ended && session.ok()) return "the framework and its tasks were ended";
  return absl::StrCat("no master has confirmed the end of framework ", framework_id,
                      session.ok() ? "" : absl::StrCat(" (", session.message(), ")"),
                      "; its tasks may run on until a master has missed it for ",
                      absl::FormatDuration(kFailoverTimeout),
                      ": see `tessera tasks --framework=", framework_id, "`");
}

BatchScheduler::BatchScheduler(Job job, int attempts_max)
    : job_(std::move(job)), attempts_max_(attempts_max) {
  absl::MutexLock lock(&mu_);
  outcomes_.resize(job_.tasks.size());
  for (size_t i = 0; i < job_.tasks.size(); ++i) waiting_.push_back(i);
  progress_.waiting = waiting_.size();
}

model::v1::FrameworkInfo BatchScheduler::FrameworkOf(const Job& job) {
  model::v1::FrameworkInfo info;
  info.set_name(job.name);
  info.set_user(job.user);
  info.add_roles(job.role);
  info.set_checkpoint(true);
  info.mutable_failover_timeout()->set_seconds(absl::ToInt64Seconds(kFailoverTimeout));
  info.add_capabilities(model::v1::FrameworkInfo::PARTITION_AWARE);
  info.add_capabilities(model::v1::FrameworkInfo::TASK_KILLING_STATE);
  return info;
}

BatchProgress BatchScheduler::Snapshot() const {
  absl::MutexLock lock(&mu_);
  return progress_;
}

std::map<std::string, TaskOutcome> BatchScheduler::Outcomes() const {
  absl::MutexLock lock(&mu_);
  std::map<std::string, TaskOutcome> outcomes;
  for (size_t i = 0; i < outcomes_.size(); ++i) outcomes[job_.tasks[i].name] = outcomes_[i];
  return outcomes;
}

void BatchScheduler::Subscribed(const scheduler::v1::Event::Subscribed& subscribed) {
  absl::MutexLock lock(&mu_);
  progress_.framework_id = subscribed.framework_id();
  progress_.connected = true;
  suppressed_ = false;  // the subscription states no suppressed role
  ask_wait_ = kFirstAsk;
  ask_at_ = absl::Now() + ask_wait_;
}

void BatchScheduler::Disconnected(const absl::Status&) {
  absl::MutexLock lock(&mu_);
  progress_.connected = false;
}

void BatchScheduler::Rescinded(const std::vector<std::string>&) {
  // Offers are answered at once, so there is nothing to take back: a launch that crossed the
  // rescind is told as TASK_DROPPED.
}

void BatchScheduler::Ended(const absl::Status& status) {
  absl::MutexLock lock(&mu_);
  progress_.connected = false;
  progress_.session = status;
}

void BatchScheduler::CallFailed(const sdk::Request& request, const absl::Status& status) {
  if (std::holds_alternative<scheduler::v1::ReviveOffersRequest>(request)) {
    absl::MutexLock lock(&mu_);
    if (waiting_.empty()) return;
    if (MayWorkLater(status)) {
      ask_at_ = std::min(ask_at_, absl::Now() + kAskAfterRefusal);
    } else {
      progress_.session = absl::Status(
          status.code(), absl::StrCat("the master offers nothing for the ", waiting_.size(),
                                      " tasks that wait: ", status.message()));
    }
    return;
  }
  const auto* accept = std::get_if<scheduler::v1::AcceptOffersRequest>(&request);
  if (accept == nullptr) return;
  // With an unknown outcome, and with invalid offers, updates tell what became of the tasks.
  const bool told_by_updates = absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) ||
                               absl::IsCancelled(status) || absl::IsUnknown(status) ||
                               absl::IsInternal(status) ||
                               rpc::ReasonOf(status) == model::v1::ErrorDetail::INVALID_OFFER;
  if (told_by_updates) return;
  for (const auto& operation : accept->operations()) {
    for (const auto& task : operation.launch().tasks()) {
      model::v1::TaskStatus refused;
      refused.set_task_id(task.id());
      // A session that was lost meanwhile refuses without looking at the task.
      refused.set_state(absl::IsInvalidArgument(status) ? model::v1::TASK_ERROR
                                                        : model::v1::TASK_DROPPED);
      refused.set_message(std::string(status.message()));
      Update(refused);
    }
  }
}

void BatchScheduler::Offers(std::vector<model::v1::Offer> offers) {
  absl::MutexLock lock(&mu_);
  ask_wait_ = kFirstAsk;
  ask_at_ = absl::Now() + ask_wait_;
  scheduler::v1::DeclineOffersRequest decline;
  for (const model::v1::Offer& offer : offers) {
    std::vector<model::v1::TaskInfo> tasks = Fit(offer);
    if (tasks.empty()) {
      decline.add_offer_ids(offer.id());
      continue;
    }
    scheduler::v1::AcceptOffersRequest accept;
    accept.add_offer_ids(offer.id());
    auto* launch = accept.add_operations()->mutable_launch();
    for (auto& task : tasks) *launch->add_tasks() = std::move(task);
    SetRefusal(waiting_.empty() ? kRefuseWhenIdle : kRefuseWhileWaiting, accept.mutable_filters());
    call_(std::move(accept));
  }
  if (decline.offer_ids_size() > 0) {
    SetRefusal(waiting_.empty() ? kRefuseWhenIdle : kRefuseWhileWaiting, decline.mutable_filters());
    call_(std::move(decline));
  }
  if (waiting_.empty() && !suppressed_) {
    suppressed_ = true;
    call_(scheduler::v1::SuppressOffersRequest());
  }
}

void BatchScheduler::Tick(absl::Time now) {
  absl::MutexLock lock(&mu_);
  if (waiting_.empty() || !progress_.connected || now < ask_at_) return;
  suppressed_ = false;
  ask_at_ = now + ask_wait_;
  ask_wait_ = std::min(ask_wait_ * 2, kLastAsk);
  call_(scheduler::v1::ReviveOffersRequest());
}

std::vector<model::v1::TaskInfo> BatchScheduler::Fit(const model::v1::Offer& offer) {
  std::map<std::string, int64_t> left = PlainScalars(offer);
  std::vector<model::v1::TaskInfo> tasks;
  while (!waiting_.empty()) {
    const JobTask& task = job_.tasks[waiting_.front()];
    if (left["cpus"] < task.cpus_milli || left["mem"] < task.mem_milli ||
        left["disk"] < task.disk_milli) {
      break;
    }
    left["cpus"] -= task.cpus_milli;
    left["mem"] -= task.mem_milli;
    left["disk"] -= task.disk_milli;
    tasks.push_back(Describe(waiting_.front(), offer));
    live_[tasks.back().id()] = Live{waiting_.front()};
    waiting_.pop_front();
  }
  progress_.waiting = waiting_.size();
  progress_.live = live_.size();
  return tasks;
}

model::v1::TaskInfo BatchScheduler::Describe(size_t index, const model::v1::Offer& offer) {
  const JobTask& task = job_.tasks[index];
  TaskOutcome& outcome = outcomes_[index];
  ++outcome.attempts;
  outcome.agent_id = offer.agent_id();
  outcome.agent_address = offer.agent_address();
  outcome.launched = absl::Now();
  outcome.running = absl::InfinitePast();
  outcome.task_id =
      outcome.attempts == 1 ? task.name : absl::StrCat(task.name, ".", outcome.attempts);

  model::v1::TaskInfo info;
  info.set_name(task.name);
  info.set_id(outcome.task_id);
  info.set_agent_id(offer.agent_id());
  const auto add = [&](const char* name, int64_t milli) {
    if (milli <= 0) return;
    auto* resource = info.add_resources();
    resource->set_name(name);
    resource->mutable_scalar()->set_milli(milli);
    resource->set_allocation_role(offer.role());
  };
  add("cpus", task.cpus_milli);
  add("mem", task.mem_milli);
  add("disk", task.disk_milli);
  auto* command = info.mutable_command();
  command->set_shell(task.argv.empty());
  command->set_value(task.argv.empty() ? task.shell : task.argv.front());
  for (const std::string& argument : task.argv) command->add_arguments(argument);
  for (const auto& [name, value] : task.environment) {
    auto* variable = command->add_environment();
    variable->set_name(name);
    variable->set_value(value);
  }
  if (!task.user.empty()) command->set_user(task.user);
  return info;
}

void BatchScheduler::LaunchAgain(const std::string& task_id) {
  const auto it = live_.find(task_id);
  if (it == live_.end()) return;
  const size_t index = it->second.index;
  live_.erase(it);
  waiting_.push_back(index);
  ++progress_.relaunched;
  progress_.waiting = waiting_.size();
  progress_.live = live_.size();
  if (suppressed_) {
    suppressed_ = false;
    ask_wait_ = kFirstAsk;
    ask_at_ = absl::Now() + ask_wait_;
    call_(scheduler::v1::ReviveOffersRequest());
  }
}

void BatchScheduler::Update(const model::v1::TaskStatus& status) {
  std::string name;
  TaskOutcome outcome;
  bool running = false, ended = false;
  {
    absl::MutexLock lock(&mu_);
    const auto it = live_.find(status.task_id());
    if (it == live_.end()) {
      // An attempt that was given up, or a repeat: must not end a task twice.
      for (TaskOutcome& known : outcomes_) {
        if (known.task_id == status.task_id() && EndedByItself(status.state()) &&
            EndedByItself(known.state)) {
          ++known.terminal_updates;
        }
      }
      return;
    }
    const size_t index = it->second.index;
    TaskOutcome& known = outcomes_[index];
    if (status.state() == model::v1::TASK_RUNNING && known.running == absl::InfinitePast()) {
      known.running = absl::Now();
      running = true;
      ++progress_.running;
    }
    if (EndedByItself(status.state())) {
      if (known.running != absl::InfinitePast()) --progress_.running;
      EndTask(status.task_id(), status);
      ended = true;
    } else if (Lost(status.state())) {
      if (known.running != absl::InfinitePast()) --progress_.running;
      if (known.attempts < attempts_max_) {
        LaunchAgain(status.task_id());
      } else {
        EndTask(status.task_id(), status);
        ended = true;
      }
    }
    name = job_.tasks[index].name;
    outcome = known;
  }
  if (running && on_running_) on_running_(name, outcome);
  if (ended && on_ended_) on_ended_(name, outcome);
}

void BatchScheduler::EndTask(const std::string& task_id, const model::v1::TaskStatus& status) {
  const auto it = live_.find(task_id);
  TaskOutcome& outcome = outcomes_[it->second.index];
  outcome.state = status.state();
  outcome.message = status.message();
  if (status.has_wait_status()) outcome.wait_status = status.wait_status();
  outcome.ended = absl::Now();
  outcome.terminal_updates = 1;
  live_.erase(it);
  progress_.live = live_.size();
  if (status.state() == model::v1::TASK_FINISHED) {
    ++progress_.finished;
  } else {
    ++progress_.failed;
  }
  progress_.done = waiting_.empty() && live_.empty();
}

}  // namespace tessera::cli
