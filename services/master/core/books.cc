#include "services/master/core/books.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "services/base/bug.h"
#include "services/master/core/times.h"
#include "services/model/wire/resources.h"

namespace tessera::master {
namespace {

// The sums are kept without empty entries, so that equal contents are equal maps.
void SubtractFrom(absl::btree_map<FrameworkIndex, model::Resources>& sums, FrameworkIndex key,
                  const model::Resources& resources) {
  auto found = sums.find(key);
  if (TESSERA_BUG_IF(found == sums.end(), "subtracted from nothing")) return;
  found->second -= resources;
  if (found->second.empty()) sums.erase(found);
}

}  // namespace

Books::Books(const MasterConfig* config, MasterCounters* counters, uint64_t epoch,
             const std::string& master_id, RequestIds* request_ids, Outbox* outbox, base::Rng rng)
    : offers(absl::StrCat(master_id, "-O")),
      inverse_offers(absl::StrCat(master_id, "-I")),
      out(*outbox),
      registry(config, epoch, request_ids, rng.Fork(), outbox, &timers, counters),
      allocator(config, epoch, request_ids, rng.Fork(), outbox, &timers, counters),
      feed(epoch, &agents, &frameworks, &roles, &offers, outbox),
      config_(config),
      counters_(counters),
      epoch_(epoch),
      master_id_(master_id),
      rng_(rng.Fork()) {}

std::string Books::NewFrameworkId() {
  std::string id;
  do {
    id = absl::StrFormat("%s-%04d", master_id_, framework_ids_++);
  } while (frameworks.FindById(id) != nullptr || frameworks.IsCompleted(id));
  return id;
}

std::string Books::NewAgentId() {
  std::string id;
  do {
    id = absl::StrCat(master_id_, "-S", agent_ids_++);
  } while (agents.IsKnown(id));
  return id;
}

std::string Books::NewSubscriptionId() { return absl::StrCat(epoch_, "-", ++subscription_ids_); }

void Books::Tell(Framework& framework, sched::Event event) {
  if (!framework.connected()) return;
  const int kind = static_cast<int>(event.kind_case());
  if (kind >= 1 && kind <= kEventTypes) ++framework.counters.events[kind - 1];
  out.ToFramework(framework.stream, std::move(event));
}

bool Books::Tell(Agent& agent, link::MasterMessage message) {
  if (!agent.connected()) return false;
  out.ToAgent(agent.stream, std::move(message));
  return true;
}

void Books::Describe(const Framework& framework, Agent& agent) {
  uint64_t& told = agent.described[framework.index];
  if (told == framework.description_version) return;
  told = framework.description_version;
  link::MasterMessage message;
  message.mutable_describe_framework()->set_framework_id(framework.id);
  message.mutable_describe_framework()->set_info(framework.description.bytes());
  Tell(agent, std::move(message));
}

pb::TaskState Books::StateFor(const Framework& framework, pb::TaskState state) {
  if (!framework.partition_aware && NeedsPartitionAware(state)) return pb::TASK_LOST;
  return state;
}

void Books::TellStatus(Framework& framework, pb::TaskStatus status) {
  status.set_state(StateFor(framework, status.state()));
  sched::Event event;
  *event.mutable_update()->mutable_status() = std::move(status);
  Tell(framework, std::move(event));
}

void Books::TellStatus(Framework& framework, const Task& task, pb::TaskStatus status) {
  if (!task.superseded) TellStatus(framework, std::move(status));
}

pb::TaskStatus Books::MakeStatus(const std::string& task_id, const std::string& agent_id,
                                 pb::TaskState state, pb::TaskStatusReason reason,
                                 const std::string& message) const {
  pb::TaskStatus status;
  status.set_task_id(task_id);
  status.set_agent_id(agent_id);
  status.set_state(state);
  status.set_source(pb::SOURCE_MASTER);
  status.set_reason(reason);
  status.set_message(message);
  SetTime(now_, status.mutable_timestamp());
  return status;
}

// ---- offers -------------------------------------------------------------------------------------

namespace {

// As the allocator does with what it allocates.
void LowerDemand(Framework& framework, const std::string& role, const model::Resources& resources) {
  const auto demand = framework.demands.find(role);
  if (demand == framework.demands.end() || demand->second.left.empty()) return;
  demand->second.left -= model::Quantities::OfScalars(resources);
}

}  // namespace

pb::Offer Books::AddOffer(Framework& framework, Agent& agent, std::string role,
                          model::Resources resources) {
  Offer& offer = offers.Add(
      {OfferNumber(), framework.index, agent.index, std::move(role), resources, now_, {}});
  LowerDemand(framework, offer.role, offer.resources);
  framework.offers.insert(offer.number);
  agent.offers.insert(offer.number);
  agent.offered[framework.index] += offer.resources;
  agent.held += offer.resources.UnallocatedCopy();
  ++framework.counters.offers_sent;
  ++counters_->offers_sent;
  if (config_->offer_timeout != absl::InfiniteDuration()) {
    timers.Arm(now_ + config_->offer_timeout, TimerKind::kOfferTimeout, offer.number.value());
  }

  pb::Offer message;
  message.set_id(offers.IdOf(offer.number));
  message.set_framework_id(framework.id);
  message.set_agent_id(agent.id);
  message.set_hostname(agent.info.hostname());
  message.set_agent_address(agent.info.address());
  if (agent.info.has_domain()) *message.mutable_domain() = agent.info.domain();
  model::wire::ToProto(offer.resources, message.mutable_resources());
  message.set_role(offer.role);
  *message.mutable_attributes() = agent.info.attributes();
  for (std::string& id : agent.executors.IdsOf(framework.index)) {
    message.add_executor_ids(std::move(id));
  }
  if (agent.unavailability.has_value()) *message.mutable_unavailability() = *agent.unavailability;
  offer.shown = feed::MakeOffer(message, std::move(resources));
  changed.OfferAdded(offer.number);
  return message;
}

void Books::RemoveOffer(Offer& offer, OfferEnd end, std::optional<absl::Duration> refuse) {
  Framework* framework = frameworks.Find(offer.framework);
  Agent* agent = agents.Find(offer.agent);
  if (TESSERA_BUG_IF(framework == nullptr || agent == nullptr, "an offer without its parties")) {
    return;
  }
  const std::string id = offers.IdOf(offer.number);
  framework->offers.erase(offer.number);
  agent->offers.erase(offer.number);
  SubtractFrom(agent->offered, framework->index, offer.resources);
  agent->held -= offer.resources.UnallocatedCopy();
  switch (end) {
    case OfferEnd::kAccepted:
      ++framework->counters.offers_accepted;
      ++counters_->offers_accepted;
      break;
    case OfferEnd::kDeclined:
      ++framework->counters.offers_declined;
      ++counters_->offers_declined;
      break;
    case OfferEnd::kTimedOut:
    case OfferEnd::kRescinded: {
      ++framework->counters.offers_rescinded;
      ++counters_->offers_rescinded;
      sched::Event event;
      event.mutable_rescind()->add_offer_ids(id);
      Tell(*framework, std::move(event));
      break;
    }
    case OfferEnd::kDropped:
      break;
  }
  if (end != OfferEnd::kAccepted) {
    RaiseDemand(*framework, offer.role, offer.resources);
    // What was taken back is still wanted, too.
    GiveBack(framework->id, *agent, offer.resources, refuse.value_or(absl::ZeroDuration()));
    const bool left = end == OfferEnd::kDeclined || end == OfferEnd::kTimedOut;
    EndAllocations(framework->id, 1, left ? AllocationEnd::kLeft : AllocationEnd::kWithdrawn,
                   now_ - offer.made);
    // It forgot, or will, what was offered of the agent, and does not hear that it comes back.
    if (!agent->in_allocator) RestateDemand(*framework, offer.role);
  }
  changed.OfferRemoved(offer.number);
  offers.Remove(offer.number);
}

void Books::EndAllocations(const std::string& framework_id, uint32_t count, AllocationEnd end,
                           absl::Duration lay) {
  auto* ended = allocator.Add().mutable_offers_ended();
  ended->set_framework_id(framework_id);
  ended->set_offers(count);
  ended->set_accepted(end == AllocationEnd::kTaken ? count : 0);
  ended->set_withdrawn(end == AllocationEnd::kWithdrawn ? count : 0);
  SetDuration(std::max(lay, absl::ZeroDuration()), ended->mutable_lay());
}

void Books::RaiseDemand(Framework& framework, const std::string& role,
                        const model::Resources& resources) {
  const auto demand = framework.demands.find(role);
  if (demand == framework.demands.end()) return;
  const model::Quantities back = model::Quantities::OfScalars(resources);
  for (const auto& [name, wanted] : demand->second.wanted) {
    demand->second.left.Set(name, std::min(wanted, demand->second.left.Get(name) + back.Get(name)));
  }
}

void Books::RemoveOffersOf(Framework& framework, OfferEnd end) {
  while (!framework.offers.empty()) RemoveOffer(*offers.Find(*framework.offers.begin()), end);
}

void Books::RescindOffersOf(Agent& agent) {
  while (!agent.offers.empty()) {
    RemoveOffer(*offers.Find(*agent.offers.begin()), OfferEnd::kRescinded);
  }
  if (!agent.active()) RescindInverseOffersOf(agent);
}

void Books::GiveBack(const std::string& framework_id, const Agent& agent,
                     const model::Resources& resources, std::optional<absl::Duration> refuse) {
  if (!agent.in_allocator || resources.empty()) return;
  auto* recovered = allocator.Add().mutable_recovered();
  recovered->set_framework_id(framework_id);
  recovered->set_agent_id(agent.id);
  model::wire::ToProto(resources, recovered->mutable_resources());
  // Zero is a refusal, too: without a filter, but not to be offered again at once.
  if (refuse.has_value()) SetDuration(*refuse, recovered->mutable_refuse_duration());
}

// ---- use of resources ---------------------------------------------------------------------------

void Books::Use(Agent& agent, FrameworkIndex framework, const model::Resources& resources) {
  if (resources.empty()) return;
  agent.used[framework] += resources;
  agent.held += resources.UnallocatedCopy();
}

void Books::Release(Agent& agent, FrameworkIndex framework, const model::Resources& resources) {
  if (resources.empty()) return;
  SubtractFrom(agent.used, framework, resources);
  agent.held -= resources.UnallocatedCopy();
  GiveBack(frameworks.Find(framework)->id, agent, resources, std::nullopt);
}

// ---- tasks --------------------------------------------------------------------------------------

void Books::UncountState(Framework& framework, const Task& task) {
  // A task that was called lost with its agent has been counted as ended.
  if (IsTerminal(task.state)) return;
  --framework.counters.tasks[task.state];
  --counters_->tasks[task.state];
}

void Books::CountState(Framework& framework, pb::TaskState from, pb::TaskState to,
                       const pb::TaskStatus& status) {
  if (from != pb::TASK_STATE_UNSPECIFIED && !IsTerminal(from)) {
    --framework.counters.tasks[from];
    --counters_->tasks[from];
  }
  if (IsTerminal(to)) {
    ++framework.counters.tasks_terminated[to];
    ++counters_->tasks_terminated[{to, status.source(), status.reason()}];
  } else {
    ++framework.counters.tasks[to];
    ++counters_->tasks[to];
  }
}

Task& Books::AddTask(Framework& framework, Agent& agent, Task row,
                     std::vector<feed::StatusPtr> history) {
  const TaskIndex index = tasks.Add(std::move(row));
  Task& task = *tasks.Find(index);
  task.index = index;
  task.framework = framework.index;
  task.agent = agent.index;
  if (Task* older = tasks.Find(framework.tasks.Add(task)); older != nullptr) {
    older->superseded = true;
  }
  agent.tasks.insert(index);
  agent.described_bytes += task.facts->info.size();
  if (task.holds()) Use(agent, framework.index, task.resources());
  if (!IsTerminal(task.state)) {
    ++framework.counters.tasks[task.state];
    ++counters_->tasks[task.state];
  }
  if (framework.completed_set.erase(task.incarnation()) > 0) {
    auto& ring = framework.completed;
    ring.erase(std::find_if(ring.begin(), ring.end(), [&task](const auto& completed) {
      return completed->incarnation == task.incarnation();
    }));
  }
  changed.TaskAdded(task.facts, task.state, std::move(history));
  return task;
}

bool Books::SetTaskState(Task& task, pb::TaskState state, const pb::TaskStatus& status,
                         feed::StatusPtr shown) {
  Framework* framework = frameworks.Find(task.framework);
  if (IsTerminal(task.state) && !task.unreachable()) return false;
  const pb::TaskState from = task.state;
  const bool held = task.holds();
  task.state = state;
  if (from != state) CountState(*framework, from, state, status);
  if (held && IsTerminal(state)) {
    Agent* agent = agents.Find(task.agent);
    if (!TESSERA_BUG_IF(agent == nullptr, "a task that holds resources has no agent")) {
      Release(*agent, task.framework, task.resources());
    }
  }
  changed.TaskStatus(task.facts, task.state,
                     shown != nullptr ? std::move(shown) : feed::MakeStatus(status));
  return true;
}

void Books::MoveToUnreachable(Task& task, const pb::TaskStatus& status) {
  Framework* framework = frameworks.Find(task.framework);
  Agent* agent = agents.Find(task.agent);
  if (TESSERA_BUG_IF(agent == nullptr || !task.holds(), "moved a task that is not live")) return;
  SetTaskState(task, StateFor(*framework, pb::TASK_UNREACHABLE), status);
  // Ending as LOST has released already.
  if (task.holds()) Release(*agent, task.framework, task.resources());
  TakeFromAgent(*agent, task);
  task.agent = AgentIndex();
  task.unreachable_since = now_;
  task.unreachable_order = ++unreachable_order_;
  framework->unreachable[task.unreachable_order] = task.index;
  unreachable_[task.agent_id()][task.unreachable_order] = task.index;
  changed.TaskMoved(task.facts, feed::TASK_PLACE_UNREACHABLE);
  if (framework->unreachable.size() > config_->unreachable_tasks_per_framework_max) {
    Task* oldest = tasks.Find(framework->unreachable.begin()->second);
    changed.TaskMoved(oldest->facts, std::nullopt);
    ForgetTask(*oldest);
  }
}

void Books::TakeFromAgent(Agent& agent, const Task& task) {
  if (agent.tasks.erase(task.index) > 0) agent.described_bytes -= task.facts->info.size();
}

void Books::DetachTask(Task& task) {
  Framework* framework = frameworks.Find(task.framework);
  if (Agent* agent = agents.Find(task.agent); agent != nullptr) TakeFromAgent(*agent, task);
  framework->tasks.Remove(task);
  if (!task.unreachable()) return;
  framework->unreachable.erase(task.unreachable_order);
  auto of_agent = unreachable_.find(task.agent_id());
  of_agent->second.erase(task.unreachable_order);
  if (of_agent->second.empty()) unreachable_.erase(of_agent);
}

void Books::ForgetTask(Task& task) {
  UncountState(*frameworks.Find(task.framework), task);
  DetachTask(task);
  tasks.Remove(task.index);
}

void Books::CompleteTask(Task& task) {
  Framework* framework = frameworks.Find(task.framework);
  if (TESSERA_BUG_IF(task.holds(), "completed a task that holds resources")) return;
  std::shared_ptr<const feed::TaskFacts> facts = task.facts;
  ForgetTask(task);
  changed.TaskMoved(facts, feed::TASK_PLACE_COMPLETED);
  framework->completed_set.insert(facts->incarnation);
  framework->completed.push_back(std::move(facts));
  while (framework->completed.size() > config_->completed_tasks_per_framework_max) {
    changed.TaskMoved(framework->completed.front(), std::nullopt);
    framework->completed_set.erase(framework->completed.front()->incarnation);
    framework->completed.pop_front();
  }
}

Task Books::Rebooked(const Task& task) {
  Task row;
  row.facts = task.facts;
  row.kill_wanted = task.kill_wanted;
  row.kill_policy = task.kill_policy;
  return row;
}

Task* Books::FindTask(Framework& framework, const std::string& task_id) {
  return tasks.Find(framework.tasks.Newest(task_id));
}

Task* Books::FindTask(Framework& framework, const model::Incarnation& incarnation) {
  return tasks.Find(framework.tasks.Find(incarnation));
}

std::vector<TaskIndex> Books::UnreachableTasksOf(const std::string& agent_id) const {
  std::vector<TaskIndex> tasks_of_it;
  auto of_agent = unreachable_.find(agent_id);
  if (of_agent == unreachable_.end()) return tasks_of_it;
  tasks_of_it.reserve(of_agent->second.size());
  for (const auto& [order, index] : of_agent->second) tasks_of_it.push_back(index);
  return tasks_of_it;
}

// ---- executors ----------------------------------------------------------------------------------

void Books::AddExecutor(Agent& agent, Framework& framework, feed::ExecutorPtr executor) {
  Use(agent, framework.index, executor->resources);
  ++framework.executors[agent.index];
  agent.described_bytes += executor->info.size();
  changed.ExecutorAdded(executor);
  agent.executors.Add(framework.index, std::move(executor));
}

bool Books::RemoveExecutor(Agent& agent, const ExecutorTable::Key& key) {
  feed::ExecutorPtr executor = agent.executors.Find(key);
  if (executor == nullptr) return false;
  agent.described_bytes -= executor->info.size();
  agent.executors.Remove(key);
  Framework& framework = *frameworks.Find(key.first);
  auto count = framework.executors.find(agent.index);
  if (--count->second == 0) framework.executors.erase(count);
  Release(agent, key.first, executor->resources);
  changed.ExecutorRemoved(std::move(executor));
  return true;
}

// ---- roles --------------------------------------------------------------------------------------

void Books::JoinRole(const std::string& role) {
  if (++roles.Get(role).frameworks == 1) changed.RoleChanged(role);
}

void Books::LeaveRole(const std::string& role) {
  --roles.Get(role).frameworks;
  if (roles.DropIfEmpty(role)) changed.RoleChanged(role);
}

// ---- the end of a Step --------------------------------------------------------------------------

void Books::Flush() {
  allocator.Flush();
  registry.Flush();
  feed.Flush(changed.Take());
}

}  // namespace tessera::master
