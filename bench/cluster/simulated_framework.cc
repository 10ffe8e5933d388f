#include "bench/cluster/simulated_framework.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "services/model/wire/task_state.h"

namespace tessera::bench {

using model::v1::TaskState;
using model::wire::IsTerminal;

namespace {

// An agent that has all that is wanted of it is not offered again for this long.
constexpr int kRefuseFullSeconds = 24 * 3600;

int64_t AmountOf(const model::v1::Offer& offer, const std::string& name) {
  int64_t milli = 0;
  for (const auto& resource : offer.resources()) {
    if (resource.name() == name && resource.has_scalar() && !resource.revocable()) {
      milli += resource.scalar().milli();
    }
  }
  return milli;
}

bool IsLoss(TaskState state) { return IsTerminal(state) && state != model::v1::TASK_FINISHED; }

}  // namespace

SimulatedFramework::SimulatedFramework(model::v1::FrameworkInfo info, const FrameworkDemand* demand)
    : info_(std::move(info)), demand_(demand) {}

void SimulatedFramework::Subscribed(const scheduler::v1::Event::Subscribed& subscribed) {
  info_.set_id(subscribed.framework_id());
  session_.set_framework_id(subscribed.framework_id());
  session_.set_subscription_id(subscribed.subscription_id());
}

void SimulatedFramework::Closed() {
  session_.clear_subscription_id();
  kept_.clear();
}

bool SimulatedFramework::Full() const {
  return demand_->live_max > 0 && live_ + demand_->tasks_per_offer_max > demand_->live_max;
}

std::optional<model::v1::Offer> SimulatedFramework::TakeKept() {
  if (kept_.empty() || Full()) return std::nullopt;
  model::v1::Offer offer = std::move(kept_.front());
  kept_.pop_front();
  return offer;
}

void SimulatedFramework::Rescind(const scheduler::v1::Event::Rescind& rescind) {
  for (const std::string& id : rescind.offer_ids()) {
    std::erase_if(kept_, [&](const model::v1::Offer& offer) { return offer.id() == id; });
  }
}

SimulatedFramework::Answer SimulatedFramework::Use(absl::Time now, const model::v1::Offer& offer,
                                                   scheduler::v1::AcceptOffersRequest* accept,
                                                   scheduler::v1::DeclineOffersRequest* decline) {
  if (Full()) {
    kept_.push_back(offer);
    return Answer::kKeep;
  }
  if (origin_ == absl::InfinitePast()) origin_ = now;
  const uint32_t agent = AgentIndex(offer.agent_id());
  int64_t count = demand_->tasks_per_offer_max;
  if (demand_->cpus_milli > 0) {
    count = std::min(count, AmountOf(offer, "cpus") / demand_->cpus_milli);
  }
  if (demand_->mem_milli > 0) count = std::min(count, AmountOf(offer, "mem") / demand_->mem_milli);
  bool full = false;
  if (demand_->tasks_per_agent > 0) {
    const int64_t wanted = demand_->tasks_per_agent - agents_[agent].live;
    full = count >= wanted;
    count = std::min<int64_t>(count, std::max<int64_t>(wanted, 0));
  }
  const auto refuse = [&](model::v1::Filters* filters, int seconds) {
    filters->mutable_refuse_duration()->set_seconds(seconds);
  };
  if (count <= 0) {
    *decline->mutable_session() = session_;
    decline->add_offer_ids(offer.id());
    refuse(decline->mutable_filters(), full ? kRefuseFullSeconds : 1);
    return Answer::kDecline;
  }
  *accept->mutable_session() = session_;
  accept->add_offer_ids(offer.id());
  refuse(accept->mutable_filters(), full ? kRefuseFullSeconds : 0);
  auto* launch = accept->add_operations()->mutable_launch();
  for (int64_t i = 0; i < count; ++i) {
    *launch->add_tasks() = MakeTask(tasks_.size(), offer);
    Task task;
    task.launched_at = static_cast<float>(absl::ToDoubleSeconds(now - origin_));
    task.agent = agent;
    tasks_.push_back(task);
  }
  agents_[agent].live += static_cast<int>(count);
  live_ += static_cast<int>(count);
  counts_.launched += count;
  return Answer::kAccept;
}

bool SimulatedFramework::Note(absl::Time now, const model::v1::TaskStatus& status,
                              scheduler::v1::AcknowledgeRequest* acknowledge) {
  if (!status.uuid().empty()) {
    auto* update = acknowledge->add_updates();
    update->set_agent_id(status.agent_id());
    update->set_task_id(status.task_id());
    update->set_uuid(status.uuid());
  }
  Task* task = Find(status.task_id());
  if (task == nullptr || task->state == State::kOver) return false;
  if (status.state() == model::v1::TASK_RUNNING && task->state != State::kRunning) {
    task->state = State::kRunning;
    ++counts_.running_now;
    if (!task->running_heard) {
      task->running_heard = true;
      ++counts_.running_heard;
      latencies_.push_back(static_cast<float>(absl::ToDoubleSeconds(now - origin_)) -
                           task->launched_at);
    }
  }
  if (!IsTerminal(status.state())) return false;
  if (task->state == State::kRunning) --counts_.running_now;
  task->state = State::kOver;
  --agents_[task->agent].live;
  --live_;
  ++counts_.ended;
  if (!IsLoss(status.state())) return false;
  ++counts_.lost;
  return true;
}

void SimulatedFramework::ForgetStates() {
  for (Task& task : tasks_) {
    if (task.state == State::kRunning) task.state = State::kLaunched;
  }
  counts_.running_now = 0;
}

std::unordered_map<std::string, int> SimulatedFramework::TasksByAgent() const {
  std::unordered_map<std::string, int> tasks;
  for (const Agent& agent : agents_) tasks[agent.id] = agent.live;
  return tasks;
}

model::v1::TaskInfo SimulatedFramework::MakeTask(uint64_t number,
                                                 const model::v1::Offer& offer) const {
  model::v1::TaskInfo task;
  task.set_id(absl::StrCat(info_.name(), "-", number));
  task.set_name(task.id());
  task.set_agent_id(offer.agent_id());
  const std::pair<const char*, int64_t> amounts[] = {{"cpus", demand_->cpus_milli},
                                                     {"mem", demand_->mem_milli}};
  for (const auto& [name, milli] : amounts) {
    if (milli == 0) continue;
    auto* resource = task.add_resources();
    resource->set_name(name);
    resource->mutable_scalar()->set_milli(milli);
    resource->set_allocation_role(offer.role());
  }
  task.mutable_command()->set_shell(true);
  task.mutable_command()->set_value("dummy command");
  for (int i = 0; i < demand_->labels; ++i) {
    auto* label = task.mutable_labels()->add_label();
    label->set_key(absl::StrCat("key", i));
    label->set_value(absl::StrCat("value", i));
  }
  return task;
}

uint32_t SimulatedFramework::AgentIndex(const std::string& id) {
  const auto [entry, is_new] = agent_index_.try_emplace(id, agents_.size());
  if (is_new) agents_.push_back({id, 0});
  return entry->second;
}

SimulatedFramework::Task* SimulatedFramework::Find(const std::string& task_id) {
  const absl::string_view id(task_id.data(), task_id.size());
  uint64_t number = 0;
  if (!absl::SimpleAtoi(id.substr(id.rfind('-') + 1), &number) || number >= tasks_.size()) {
    return nullptr;
  }
  return &tasks_[number];
}

}  // namespace tessera::bench
