#include "services/http/connection_table.h"

#include "services/base/bug.h"

namespace tessera::http {

ConnectionTable::Order& ConnectionTable::Queues::of(State state) {
  switch (state) {
    case State::kWaiting:
      return waiting;
    case State::kWorking:
      return working;
    case State::kWriting:
      return writing;
  }
  TESSERA_BUG("a connection in no state");
  return working;
}

std::optional<ConnectionTable::Id> ConnectionTable::Victim(const Queues& queues,
                                                           absl::Time now) const {
  if (!queues.waiting.empty()) return queues.waiting.front();
  if (queues.writing.empty()) return std::nullopt;
  const Id id = queues.writing.front();
  if (now - connections_.at(id).since < bounds_.stalled_after) return std::nullopt;
  return id;
}

ConnectionTable::Admission ConnectionTable::Admit(Id id, const std::string& peer, absl::Time now) {
  Admission admission;
  const auto known = peers_.find(peer);
  const bool peer_full = known != peers_.end() && known->second.connections >= bounds_.per_peer_max;
  if (peer_full || connections_.size() >= bounds_.connections_max) {
    admission.evicted = Victim(peer_full ? known->second.queues : all_, now);
    if (!admission.evicted.has_value()) return admission;
    Remove(*admission.evicted);
  }
  admission.admitted = true;
  const auto owner = peers_.try_emplace(peer).first;
  ++owner->second.connections;
  Connection& made = connections_[id];
  made.since = now;
  made.peer = owner;
  made.in_all = all_.waiting.insert(all_.waiting.end(), id);
  Order& own = owner->second.queues.waiting;
  made.in_peer = own.insert(own.end(), id);
  return admission;
}

void ConnectionTable::Enter(Id id, State state, absl::Time now) {
  const auto found = connections_.find(id);
  if (found == connections_.end()) return;
  Connection& connection = found->second;
  Queues& own = connection.peer->second.queues;
  Order& to_all = all_.of(state);
  to_all.splice(to_all.end(), all_.of(connection.state), connection.in_all);
  Order& to_own = own.of(state);
  to_own.splice(to_own.end(), own.of(connection.state), connection.in_peer);
  connection.state = state;
  connection.since = now;
}

void ConnectionTable::Waits(Id id, absl::Time now) { Enter(id, State::kWaiting, now); }
void ConnectionTable::Works(Id id) { Enter(id, State::kWorking, absl::InfiniteFuture()); }
void ConnectionTable::Writes(Id id, absl::Time now) { Enter(id, State::kWriting, now); }

void ConnectionTable::Remove(Id id) {
  const auto found = connections_.find(id);
  if (found == connections_.end()) return;
  const Connection& connection = found->second;
  const auto owner = connection.peer;
  all_.of(connection.state).erase(connection.in_all);
  owner->second.queues.of(connection.state).erase(connection.in_peer);
  connections_.erase(found);
  if (--owner->second.connections == 0) peers_.erase(owner);
}

std::optional<ConnectionTable::Id> ConnectionTable::Stalled(absl::Time now) const {
  if (all_.writing.empty()) return std::nullopt;
  const Id id = all_.writing.front();
  if (now - connections_.at(id).since < bounds_.stalled_after) return std::nullopt;
  return id;
}

}  // namespace tessera::http
