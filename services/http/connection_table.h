// Which connections are open, and which give way when there are too many.
//
// A connection that waits (for a request, or for the rest of its head) has no claim to its place:
// when the server, or one peer's share of it, is full, the one that has waited longest gives way to
// a new one. Then those whose client has taken nothing of its answer for a while. A connection
// whose request is being answered never does.
//
// Pure: time comes from the caller. Threads: none; the server's lock guards it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>

#include "absl/time/time.h"

namespace tessera::http {

class ConnectionTable {
 public:
  using Id = uint64_t;

  struct Bounds {
    size_t connections_max = 1024;
    // From one address.
    size_t per_peer_max = 512;
    // A client that has taken nothing for so long may have to go.
    absl::Duration stalled_after = absl::Seconds(1);
  };

  explicit ConnectionTable(const Bounds& bounds) : bounds_(bounds) {}

  struct Admission {
    // False: all places belong to connections that are being answered.
    bool admitted = false;
    // Whose place the new one takes; it is out of the table and has to be closed.
    std::optional<Id> evicted;
  };
  // A new connection of `peer` (an address without a port), waiting from now on. Ids are never used
  // twice.
  Admission Admit(Id id, const std::string& peer, absl::Time now);

  // The connection waits for a request from now on.
  void Waits(Id id, absl::Time now);
  // Its request is being answered; nothing has to be written to it now.
  void Works(Id id);
  // It has bytes to take, and has taken some just now.
  void Writes(Id id, absl::Time now);
  // It is gone. Unknown ids, those of the evicted too, are let pass.
  void Remove(Id id);

  // The one that would give way to a new connection now. Stays in the table until Remove.
  std::optional<Id> Yielding(absl::Time now) const { return Victim(all_, now); }
  // The connection that has taken nothing for the longest time, if that is stalled_after at least.
  // Stays in the table until Remove.
  std::optional<Id> Stalled(absl::Time now) const;

  size_t size() const { return connections_.size(); }

 private:
  enum class State { kWaiting, kWorking, kWriting };
  using Order = std::list<Id>;

  struct Peer;
  struct Connection {
    State state = State::kWaiting;
    absl::Time since;
    std::map<std::string, Peer>::iterator peer;
    // Where it stands among those of its state: of all, and of its peer.
    Order::iterator in_all, in_peer;
  };
  // The oldest first, by since.
  struct Queues {
    Order waiting, working, writing;
    Order& of(State state);
  };
  struct Peer {
    size_t connections = 0;
    Queues queues;
  };

  void Enter(Id id, State state, absl::Time now);
  std::optional<Id> Victim(const Queues& queues, absl::Time now) const;

  const Bounds bounds_;
  std::unordered_map<Id, Connection> connections_;
  std::map<std::string, Peer> peers_;
  Queues all_;
};

}  // namespace tessera::http
