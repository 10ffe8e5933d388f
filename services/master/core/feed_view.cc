#include "services/master/core/feed_view.h"

#include <memory>
#include <utility>

#include "services/master/core/times.h"
#include "services/model/wire/resources.h"

namespace tessera::master {
namespace {

pb::FrameworkState StateOf(const Framework& framework) {
  switch (framework.phase) {
    case FrameworkPhase::kActive:
      return pb::FRAMEWORK_STATE_ACTIVE;
    case FrameworkPhase::kRecovered:
      return pb::FRAMEWORK_STATE_RECOVERED;
    case FrameworkPhase::kAdmitting:
    case FrameworkPhase::kDisconnected:
      break;
  }
  return pb::FRAMEWORK_STATE_DISCONNECTED;
}

pb::AgentState StateOf(const Agent& agent) {
  switch (agent.phase) {
    case AgentPhase::kRecovered:
      return pb::AGENT_STATE_RECOVERED;
    case AgentPhase::kConnected:
      return pb::AGENT_STATE_CONNECTED;
    case AgentPhase::kAdmitting:
    case AgentPhase::kDisconnected:
      break;
  }
  return pb::AGENT_STATE_DISCONNECTED;
}

std::shared_ptr<feed::FrameworkRow> RowOf(const Framework& framework) {
  auto row = std::make_shared<feed::FrameworkRow>();
  row->id = framework.id;
  row->roles = {framework.info.roles().begin(), framework.info.roles().end()};
  row->suppressed_roles = {framework.suppressed_roles.begin(), framework.suppressed_roles.end()};
  row->registered_time = framework.registered_time;
  row->reregistered_time = framework.reregistered_time;
  row->info = framework.description;
  return row;
}

feed::AgentPtr RowOf(const Agent& agent) {
  auto record = std::make_shared<pb::AgentRecord>();
  *record->mutable_info() = agent.info;
  record->set_state(StateOf(agent));
  record->set_active(agent.active());
  if (agent.registered_time != absl::InfinitePast()) {
    SetTime(agent.registered_time, record->mutable_registered_time());
  }
  if (agent.reregistered_time != absl::InfinitePast()) {
    SetTime(agent.reregistered_time, record->mutable_reregistered_time());
  }
  if (agent.unavailability.has_value()) *record->mutable_unavailability() = *agent.unavailability;
  if (agent.drain.has_value()) *record->mutable_drain() = *agent.drain;
  record->set_deactivated(agent.deactivated);
  model::wire::ToProto(agent.total, record->mutable_total_resources());
  return record;
}

}  // namespace

feed::FrameworkPtr FeedView::CompletedRow(const Framework& framework, absl::Time now) {
  auto row = RowOf(framework);
  row->state = pb::FRAMEWORK_STATE_COMPLETED;
  row->unregistered_time = now;
  return row;
}

void FeedView::SetCluster(feed::v1::ClusterRecord cluster) {
  delta_.changes.push_back(
      feed::ClusterSet{std::make_shared<const feed::v1::ClusterRecord>(std::move(cluster))});
}

void FeedView::ShowAgent(const std::string& id) {
  if (const Agent* agent = agents_.FindById(id); agent != nullptr) {
    // Nobody has heard of one whose admission is under way.
    if (agent->phase != AgentPhase::kAdmitting) {
      delta_.changes.push_back(feed::AgentSet{RowOf(*agent)});
    }
  } else if (feed::AgentPtr unreachable = agents_.UnreachableRow(id); unreachable != nullptr) {
    delta_.changes.push_back(feed::AgentSet{std::move(unreachable)});
  }
}

void FeedView::ShowFramework(const std::string& id) {
  if (const Framework* framework = frameworks_.FindById(id); framework != nullptr) {
    if (framework->phase == FrameworkPhase::kAdmitting) return;
    auto row = RowOf(*framework);
    row->state = StateOf(*framework);
    delta_.changes.push_back(feed::FrameworkSet{std::move(row)});
  } else if (feed::FrameworkPtr completed = frameworks_.CompletedRow(id); completed != nullptr) {
    delta_.changes.push_back(feed::FrameworkSet{std::move(completed)});
  }
}

void FeedView::ShowRole(const std::string& name) {
  const Role* role = roles_.Find(name);
  if (role == nullptr) return;
  auto record = std::make_shared<feed::v1::RoleRecord>();
  record->set_name(name);
  record->set_weight_milli(role->weight_milli.value_or(1000));
  if (role->quota.has_value()) {
    *record->mutable_guarantees() = role->quota->guarantees();
    *record->mutable_limits() = role->quota->limits();
  }
  shown_roles_.insert(name);
  delta_.changes.push_back(feed::RoleSet{std::move(record)});
}

void FeedView::ShowTask(Ledger::TaskNote& note) {
  const feed::TaskFacts& facts = *note.facts;
  if (!note.place.has_value()) {
    delta_.changes.push_back(
        feed::TaskRemoved{facts.framework_id, facts.task_id, facts.incarnation});
    return;
  }
  if (note.fresh) {
    feed::TaskRow row;
    row.facts = note.facts;
    row.state = note.state;
    row.statuses = std::move(note.history);
    delta_.changes.push_back(feed::TaskSet{std::move(row)});
  }
  for (feed::StatusPtr& status : note.statuses) {
    delta_.changes.push_back(feed::TaskStatusAdded{
        facts.framework_id, facts.task_id, facts.incarnation, std::move(status), note.state});
  }
  if (note.moved) {
    delta_.changes.push_back(
        feed::TaskMoved{facts.framework_id, facts.task_id, facts.incarnation, *note.place});
  }
}

void FeedView::Flush(Ledger::Notes notes) {
  for (const std::string& name : notes.roles) ShowRole(name);
  for (const std::string& id : notes.agents) ShowAgent(id);
  for (const std::string& id : notes.frameworks) ShowFramework(id);
  for (auto& [incarnation, note] : notes.executors) {
    if (note.there) delta_.changes.push_back(feed::ExecutorSet{note.row});
  }
  for (auto& [incarnation, note] : notes.tasks) ShowTask(note);
  for (const auto& [number, fresh] : notes.offers) {
    if (const Offer* offer = offers_.Find(number); offer != nullptr) {
      delta_.changes.push_back(feed::OfferSet{offer->shown});
    } else if (!fresh) {
      delta_.changes.push_back(feed::OfferRemoved{offers_.IdOf(number)});
    }
  }
  for (const auto& [incarnation, note] : notes.executors) {
    if (note.there || note.fresh) continue;
    delta_.changes.push_back(
        feed::ExecutorRemoved{note.row->framework_id, note.row->executor_id, incarnation});
  }
  for (const std::string& id : notes.frameworks) {
    if (frameworks_.FindById(id) == nullptr && frameworks_.CompletedRow(id) == nullptr) {
      delta_.changes.push_back(feed::FrameworkRemoved{id});
    }
  }
  for (const std::string& id : notes.agents) {
    if (agents_.FindById(id) == nullptr && agents_.UnreachableRow(id) == nullptr) {
      delta_.changes.push_back(feed::AgentRemoved{id});
    }
  }
  for (const std::string& name : notes.roles) {
    if (roles_.Find(name) != nullptr || shown_roles_.erase(name) == 0) continue;
    delta_.changes.push_back(feed::RoleRemoved{name});
  }
  if (!delta_.changes.empty()) {
    delta_.version = ++version_;
    outbox_.Push(PublishFeed{epoch_, version_ == 1, std::exchange(delta_, {})});
  }
  if (std::exchange(beat_, false)) outbox_.Push(FeedHeartbeat{epoch_});
}

}  // namespace tessera::master
