#include "services/master/core/agent_table.h"

#include <utility>

#include "services/base/bug.h"
#include "services/master/core/times.h"

namespace tessera::master {

void SubtractFrom(absl::btree_map<FrameworkIndex, model::Resources>& sums, FrameworkIndex key,
                  const model::Resources& resources) {
  auto found = sums.find(key);
  if (TESSERA_BUG_IF(found == sums.end(), "subtracted from nothing")) return;
  found->second -= resources;
  if (found->second.empty()) sums.erase(found);
}

Agent& AgentTable::Add(std::string id, const pb::AgentInfo& info) {
  RemoveUnreachable(id);
  const AgentIndex index = rows_.Add(Agent());
  Agent& agent = *rows_.Find(index);
  agent.index = index;
  agent.watch = ++watches_;
  agent.id = std::move(id);
  ids_[agent.id] = index;
  SetInfo(agent, info);
  return agent;
}

void AgentTable::SetInfo(Agent& agent, const pb::AgentInfo& info) {
  auto forget = addresses_.find(agent.info.address());
  if (forget != addresses_.end() && forget->second == agent.index) addresses_.erase(forget);
  agent.info = info;
  agent.info.set_id(agent.id);
  agent.machine = MachineOf(info);
  if (!info.address().empty()) addresses_[info.address()] = agent.index;
}

void AgentTable::Remove(Agent& agent) {
  auto address = addresses_.find(agent.info.address());
  if (address != addresses_.end() && address->second == agent.index) addresses_.erase(address);
  ids_.erase(agent.id);
  rows_.Remove(agent.index);
}

Agent* AgentTable::FindById(const std::string& id) {
  auto found = ids_.find(id);
  return found == ids_.end() ? nullptr : rows_.Find(found->second);
}

Agent* AgentTable::FindByAddress(const std::string& address) {
  auto found = addresses_.find(address);
  return found == addresses_.end() ? nullptr : rows_.Find(found->second);
}

void AgentTable::Connect(Agent& agent, AgentStreamId stream) {
  agent.phase = AgentPhase::kConnected;
  agent.stream = stream;
  agent.described.clear();
  BeginWatch(agent);
}

void AgentTable::BeginWatch(Agent& agent) {
  agent.watch = ++watches_;
  agent.ping_answered = true;
  agent.pings_missed = 0;
}

void AgentTable::Disconnect(Agent& agent) {
  if (TESSERA_BUG_IF(!agent.connected(), "disconnected an agent that has no stream")) return;
  agent.phase = AgentPhase::kDisconnected;
  agent.stream = AgentStreamId();
}

std::vector<std::string> AgentTable::AddUnreachable(const std::string& id,
                                                    const pb::AgentInfo& info, absl::Time time,
                                                    size_t max) {
  RemoveUnreachable(id);
  auto row = std::make_shared<pb::AgentRecord>();
  *row->mutable_info() = info;
  row->mutable_info()->set_id(id);
  row->set_state(pb::AGENT_STATE_UNREACHABLE);
  SetTime(time, row->mutable_unreachable_time());
  unreachable_[id] = {time, ++order_, info.address(), MachineOf(info), std::move(row)};
  if (!info.address().empty()) unreachable_addresses_[info.address()] = id;
  unreachable_order_[order_] = id;
  std::vector<std::string> forgotten;
  while (unreachable_.size() > max) {
    forgotten.push_back(unreachable_order_.begin()->second);
    RemoveUnreachable(forgotten.back());
  }
  return forgotten;
}

void AgentTable::RemoveUnreachable(const std::string& id) {
  auto found = unreachable_.find(id);
  if (found == unreachable_.end()) return;
  unreachable_order_.erase(found->second.order);
  auto at = unreachable_addresses_.find(found->second.address);
  if (at != unreachable_addresses_.end() && at->second == id) unreachable_addresses_.erase(at);
  unreachable_.erase(found);
}

std::string AgentTable::UnreachableAt(const std::string& address) const {
  auto found = unreachable_addresses_.find(address);
  return found == unreachable_addresses_.end() ? std::string() : found->second;
}

feed::AgentPtr AgentTable::UnreachableRow(const std::string& id) const {
  auto found = unreachable_.find(id);
  return found == unreachable_.end() ? nullptr : found->second.row;
}

std::optional<absl::Time> AgentTable::UnreachableSince(const std::string& id) const {
  auto found = unreachable_.find(id);
  if (found == unreachable_.end()) return std::nullopt;
  return found->second.since;
}

std::vector<std::string> AgentTable::AddGone(const std::string& id, size_t max) {
  RemoveUnreachable(id);
  marking_gone_.erase(id);
  std::vector<std::string> forgotten;
  if (!gone_.try_emplace(id, order_ + 1).second) return forgotten;
  gone_order_[++order_] = id;
  while (gone_.size() > max) {
    forgotten.push_back(gone_order_.begin()->second);
    gone_.erase(forgotten.back());
    gone_order_.erase(gone_order_.begin());
  }
  return forgotten;
}

}  // namespace tessera::master
