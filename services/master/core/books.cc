#include "services/master/core/books.h"

#include <utility>

#include "services/master/core/times.h"

namespace tessera::master {

Books::Books(const MasterConfig* config, MasterCounters* counters, uint64_t epoch,
             const std::string& master_id, RequestIds* request_ids, Outbox* outbox, base::Rng rng)
    : Tables(master_id),
      out(*outbox),
      registry(config, epoch, request_ids, rng.Fork(), outbox, &timers, counters),
      allocator(config, epoch, request_ids, rng.Fork(), outbox, &timers, counters),
      allocator_view(this, &allocator),
      feed(epoch, &agents, &frameworks, &roles, &offers, outbox),
      task_book(this),
      offer_book(this),
      ids(epoch, master_id),
      config_(config),
      counters_(counters),
      rng_(rng.Fork()) {}

std::string Books::NewFrameworkId() {
  return ids.NewFrameworkId([this](const std::string& id) {
    return frameworks.FindById(id) != nullptr || frameworks.IsCompleted(id);
  });
}

std::string Books::NewAgentId() {
  return ids.NewAgentId([this](const std::string& id) { return agents.IsKnown(id); });
}

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

void Books::JoinRole(const std::string& role) {
  if (++roles.Get(role).frameworks == 1) changed.RoleChanged(role);
}

void Books::LeaveRole(const std::string& role) {
  --roles.Get(role).frameworks;
  if (roles.DropIfEmpty(role)) changed.RoleChanged(role);
}

void Books::Flush() {
  allocator.Flush();
  registry.Flush();
  feed.Flush(changed.Take());
}

}  // namespace tessera::master
