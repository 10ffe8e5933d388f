// Refusals: what a client (a framework in a role) does not want to be offered again for a while.
//
// A candidate is filtered when one filter of its client and agent contains it; two that cover it
// only together do not count. A client without filters costs one comparison. A filter lives until
// its deadline is taken in by Expire, not until the clock has passed it, so a run that is due at
// the same moment still sees it.
//
// Invariants: CountOf and size count exactly the filters in the table; the queue of deadlines
// holds at most about twice as many entries as there are filters, however often they are cleared.
// Not thread safe.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/time/time.h"
#include "services/allocator/core/bag.h"
#include "services/allocator/core/ids.h"
#include "services/allocator/core/refusal_history.h"

namespace tessera::allocator {

class FilterTable {
 public:
  // Of one client on one agent: each is looked at when the agent is to be offered.
  static constexpr size_t kFiltersOnAgentMax = 32;

  // At most `bound` filters are kept, and `client_bound` of one client.
  FilterTable(size_t bound, size_t client_bound)
      : bound_(bound), client_bound_(client_bound), history_(bound) {}

  // Takes the place of the client's filters on the agent that it covers and outlives. False when
  // the table is full, or the client has its part of it or kFiltersOnAgentMax on this agent.
  bool Add(ClientNum client, AgentNum agent, Bag refused, absl::Time deadline,
           const Vocabulary& words);
  bool IsFiltered(ClientNum client, AgentNum agent, const Bag& candidate,
                  const Vocabulary& words) const;
  bool HasAny(ClientNum client) const {
    return Index(client) < clients_.size() && !clients_[Index(client)].by_agent.empty();
  }

  // Removes filters whose deadline is not after `now`, and tells whose they were.
  void Expire(absl::Time now, absl::FunctionRef<void(ClientNum, AgentNum)> removed);
  // Infinite when there is no filter.
  absl::Time NextDeadline();

  // Returns whether there were any.
  bool ClearClient(ClientNum client);
  void ClearAgent(AgentNum agent);

  // How long a refusal shall hold, see RefusalHistory.
  absl::Duration LifeOf(ClientNum client, AgentNum agent, const Bag& refused, absl::Time now,
                        absl::Duration asked, absl::Duration most) {
    if (asked >= most) return asked;
    return history_.Note(client, agent, Fingerprint(refused), now, asked, most);
  }
  // The client wants something else now: its next refusals are first ones.
  void ForgetHistory(ClientNum client) { history_.ForgetClient(client); }

  size_t size() const { return size_; }
  size_t CountOf(ClientNum client) const {
    return Index(client) < clients_.size() ? clients_[Index(client)].count : 0;
  }
  // Entries in the queue of deadlines, those of cleared filters included.
  size_t queued_deadlines() const { return deadlines_.size(); }

 private:
  struct Filter {
    uint64_t serial;
    absl::Time deadline;
    Bag refused;
  };
  struct Client {
    absl::flat_hash_map<AgentNum, std::vector<Filter>> by_agent;
    size_t count = 0;
  };
  struct Deadline {
    absl::Time at;
    uint64_t serial;
    ClientNum client;
    AgentNum agent;
    // For a heap with the earliest on top.
    friend bool operator<(const Deadline& left, const Deadline& right) {
      return left.at != right.at ? left.at > right.at : left.serial > right.serial;
    }
  };

  bool IsLive(const Deadline& deadline) const;
  void DropStaleDeadlines();
  // Rebuilds the queue when most of it is stale.
  void CompactDeadlines();

  const size_t bound_;
  const size_t client_bound_;
  RefusalHistory history_;
  std::vector<Client> clients_;
  std::vector<Deadline> deadlines_;  // a heap
  size_t size_ = 0;
  uint64_t next_serial_ = 1;
};

}  // namespace tessera::allocator
