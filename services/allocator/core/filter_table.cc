#include "services/allocator/core/filter_table.h"

#include <algorithm>
#include <utility>

namespace tessera::allocator {

bool FilterTable::Add(ClientNum client, AgentNum agent, Bag refused, absl::Time deadline,
                      const Vocabulary& words) {
  if (Index(client) >= clients_.size()) clients_.resize(Index(client) + 1);
  Client& owner = clients_[Index(client)];
  std::vector<Filter>& filters = owner.by_agent[agent];
  const size_t covered = std::erase_if(filters, [&](const Filter& filter) {
    return filter.deadline <= deadline && Contains(refused, filter.refused, words);
  });
  owner.count -= covered;
  size_ -= covered;
  if (size_ >= bound_ || owner.count >= client_bound_ || filters.size() >= kFiltersOnAgentMax) {
    if (filters.empty()) owner.by_agent.erase(agent);
    return false;
  }
  if (covered > 0) CompactDeadlines();
  const uint64_t serial = next_serial_++;
  filters.push_back({serial, deadline, std::move(refused)});
  ++owner.count;
  ++size_;
  deadlines_.push_back({deadline, serial, client, agent});
  std::push_heap(deadlines_.begin(), deadlines_.end());
  return true;
}

bool FilterTable::IsFiltered(ClientNum client, AgentNum agent, const Bag& candidate,
                             const Vocabulary& words) const {
  if (!HasAny(client)) return false;
  const auto& by_agent = clients_[Index(client)].by_agent;
  const auto found = by_agent.find(agent);
  if (found == by_agent.end()) return false;
  return std::any_of(found->second.begin(), found->second.end(), [&](const Filter& filter) {
    return Contains(filter.refused, candidate, words);
  });
}

bool FilterTable::IsLive(const Deadline& deadline) const {
  const auto& by_agent = clients_[Index(deadline.client)].by_agent;
  const auto found = by_agent.find(deadline.agent);
  return found != by_agent.end() &&
         std::any_of(found->second.begin(), found->second.end(),
                     [&](const Filter& filter) { return filter.serial == deadline.serial; });
}

void FilterTable::Expire(absl::Time now, absl::FunctionRef<void(ClientNum, AgentNum)> removed) {
  while (!deadlines_.empty() && deadlines_.front().at <= now) {
    const Deadline due = deadlines_.front();
    std::pop_heap(deadlines_.begin(), deadlines_.end());
    deadlines_.pop_back();
    Client& owner = clients_[Index(due.client)];
    const auto found = owner.by_agent.find(due.agent);
    if (found == owner.by_agent.end()) continue;
    std::vector<Filter>& filters = found->second;
    const auto at = std::find_if(filters.begin(), filters.end(),
                                 [&](const Filter& filter) { return filter.serial == due.serial; });
    if (at == filters.end()) continue;
    filters.erase(at);
    if (filters.empty()) owner.by_agent.erase(found);
    --owner.count;
    --size_;
    removed(due.client, due.agent);
  }
}

absl::Time FilterTable::NextDeadline() {
  DropStaleDeadlines();
  return deadlines_.empty() ? absl::InfiniteFuture() : deadlines_.front().at;
}

bool FilterTable::ClearClient(ClientNum client) {
  history_.ForgetClient(client);
  if (!HasAny(client)) return false;
  Client& owner = clients_[Index(client)];
  size_ -= owner.count;
  owner = Client();
  CompactDeadlines();
  return true;
}

void FilterTable::ClearAgent(AgentNum agent) {
  history_.ForgetAgent(agent);
  for (Client& client : clients_) {
    const auto found = client.by_agent.find(agent);
    if (found == client.by_agent.end()) continue;
    size_ -= found->second.size();
    client.count -= found->second.size();
    client.by_agent.erase(found);
  }
  CompactDeadlines();
}

void FilterTable::DropStaleDeadlines() {
  while (!deadlines_.empty() && !IsLive(deadlines_.front())) {
    std::pop_heap(deadlines_.begin(), deadlines_.end());
    deadlines_.pop_back();
  }
}

void FilterTable::CompactDeadlines() {
  if (deadlines_.size() < 2 * size_ + 64) return;
  std::erase_if(deadlines_, [this](const Deadline& deadline) { return !IsLive(deadline); });
  std::make_heap(deadlines_.begin(), deadlines_.end());
}

}  // namespace tessera::allocator
