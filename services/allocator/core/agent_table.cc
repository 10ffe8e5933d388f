#include "services/allocator/core/agent_table.h"

#include <algorithm>

namespace tessera::allocator {

Agent& AgentTable::Add(AgentNum number, const AgentSpec& spec, bool active) {
  if (Index(number) >= agents_.size()) agents_.resize(Index(number) + 1);
  Agent& agent = agents_[Index(number)];
  const bool queued = agent.queued;
  agent = Agent();
  agent.queued = queued;
  agent.known = true;
  agent.active = active;
  agent.spec = spec;
  UpdateWhitelisted(&agent);
  ++known_;
  return agent;
}

void AgentTable::Remove(AgentNum number) {
  Agent& agent = agents_[Index(number)];
  const bool queued = agent.queued;
  agent = Agent();
  agent.queued = queued;
  --known_;
}

void AgentTable::SetWhitelist(const std::optional<std::vector<std::string>>& hostnames) {
  whitelist_ = hostnames;
  if (whitelist_) std::sort(whitelist_->begin(), whitelist_->end());
}

void AgentTable::UpdateWhitelisted(Agent* agent) const {
  agent->whitelisted = !whitelist_ || std::binary_search(whitelist_->begin(), whitelist_->end(),
                                                         agent->spec.hostname);
}

}  // namespace tessera::allocator
