#include "services/allocator/core/inverse_offers.h"

namespace tessera::allocator {

void InverseOffers::Set(AgentNum agent, bool unavailable) {
  agents_.erase(agent);
  if (unavailable) agents_.try_emplace(agent);
}

bool InverseOffers::Ask(AgentNum agent, FrameworkNum framework, absl::Time now) {
  const auto rows = agents_.find(agent);
  if (rows == agents_.end()) return false;
  Row& row = rows->second[framework];
  if (row.outstanding || now < row.quiet_until) return false;
  row.outstanding = true;
  return true;
}

void InverseOffers::Answer(AgentNum agent, FrameworkNum framework, absl::Time quiet_until) {
  const auto rows = agents_.find(agent);
  if (rows == agents_.end()) return;
  rows->second[framework] = {.outstanding = false, .quiet_until = quiet_until};
}

void InverseOffers::End(AgentNum agent, FrameworkNum framework) {
  const auto rows = agents_.find(agent);
  if (rows == agents_.end()) return;
  const auto row = rows->second.find(framework);
  if (row != rows->second.end()) row->second.outstanding = false;
}

void InverseOffers::ForgetFramework(FrameworkNum framework) {
  for (auto& [agent, rows] : agents_) rows.erase(framework);
}

void InverseOffers::ForgetFilters(AgentNum agent) {
  const auto rows = agents_.find(agent);
  if (rows == agents_.end()) return;
  for (auto& [framework, row] : rows->second) row.quiet_until = absl::InfinitePast();
}

}  // namespace tessera::allocator
