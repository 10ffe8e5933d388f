#include "services/master/core/agent_streams.h"

#include <algorithm>
#include <utility>

namespace tessera::master {

absl::Time AgentSession::InventoryDue(const MasterConfig& config) const {
  // However small the parts are that it comes in, an inventory has an end.
  constexpr int kTimeoutsMax = 10;
  const absl::Duration timeout = config.inventory_timeout;
  return std::min(heard + timeout, opened + timeout * kTimeoutsMax);
}

AgentSession& AgentStreams::Open(AgentStreamId stream, absl::Time now) {
  AgentSession& session = sessions_[stream];
  session.opened = session.heard = now;
  return session;
}

AgentSession* AgentStreams::Find(AgentStreamId stream) {
  auto found = sessions_.find(stream);
  return found == sessions_.end() ? nullptr : &found->second;
}

void AgentStreams::Forget(AgentStreamId stream) {
  auto found = sessions_.find(stream);
  if (found == sessions_.end()) return;
  EndReturn(found->second);
  sessions_.erase(found);
}

void AgentStreams::Close(AgentStreamId stream, const absl::Status& status) {
  out_.CloseAgent(stream, status);
  Forget(stream);
}

void AgentStreams::CloseAll(const absl::Status& status) {
  for (const auto& [stream, session] : sessions_) {
    if (!session.closed) out_.CloseAgent(stream, status);
  }
}

bool AgentStreams::BeginReturn(AgentSession& session, bool known) {
  size_t& returning = known ? returning_ : returning_unknown_;
  if (returning >= (known ? config_.reregistrations_max : config_.unknown_reregistrations_max)) {
    return false;
  }
  session.returning = &returning;
  ++returning;
  return true;
}

bool AgentStreams::AddInventory(AgentSession& session, size_t bytes) {
  const size_t max = config_.inventories_bytes_max;
  if (inventories_bytes_ + bytes > (session.returning == &returning_unknown_ ? max / 2 : max)) {
    return false;
  }
  session.inventory_bytes += bytes;
  inventories_bytes_ += bytes;
  return true;
}

void AgentStreams::EndReturn(AgentSession& session) {
  if (size_t* returning = std::exchange(session.returning, nullptr)) --*returning;
  inventories_bytes_ -= std::exchange(session.inventory_bytes, 0);
}

void AgentStreams::SetWaiting(const std::string& agent_id, AgentStreamId stream) {
  waiting_[agent_id] = stream;
}

std::optional<AgentStreamId> AgentStreams::Waiting(const std::string& agent_id) const {
  auto found = waiting_.find(agent_id);
  return found == waiting_.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace tessera::master
