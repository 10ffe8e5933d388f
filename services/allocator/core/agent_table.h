// Agents: what each of them is and has, and what is held on it by whom.
//
// A row is where everything that a run asks of an agent lies together. The table looks after which
// rows stand for an agent and which agents are whitelisted; what a row says of resources is kept in
// step by Capacity and Holdings, and what it says of looks by ClosedPairs.
//
// Invariants: known() counts the rows that are known; a row that is not says nothing but whether it
// is queued; after SetWhitelist each row is to hear of it by UpdateWhitelisted.
// Not thread safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "services/allocator/core/allocator_events.h"
#include "services/allocator/core/bag.h"
#include "services/allocator/core/ids.h"

namespace tessera::allocator {

struct Holding {
  ClientNum client;
  Bag bag;
};

struct Agent {
  bool known = false;
  bool active = false;
  bool whitelisted = true;
  bool queued = false;         // in the list of agents with news
  bool overcommitted = false;  // more is held than there is
  AgentSpec spec;
  Bag total;
  Bag free;          // without shared volumes
  ExtrasPtr shared;  // shared volumes, a copy of each; null: none
  // What is left of `shared` in the run of that number: each goes to one client in a run.
  ExtrasPtr shared_left;
  uint64_t shared_run = 0;
  // The last run in which somebody took something, and the last one in which somebody was refused
  // what may look different after that.
  uint64_t taken_run = 0;
  uint64_t differed_run = 0;
  std::vector<Holding> holdings;  // at most one for each client
  // Equal to ClosedPairs::news() when nobody could take anything at the last look and nothing
  // has changed since.
  uint64_t settled_at = 0;
  // Bit per client: known to refuse, or not to be allowed, `closed_for` and so every part of it.
  // While a bit is set, what is free is such a part.
  std::vector<uint64_t> closed;
  Bag closed_for;

  // It takes part in offers at all.
  bool IsOffered() const { return known && active && whitelisted; }
  bool IsClosed(ClientNum client) const {
    const size_t word = Index(client) / 64;
    return word < closed.size() && (closed[word] >> (Index(client) % 64) & 1) != 0;
  }
  void Open(ClientNum client) {
    const size_t word = Index(client) / 64;
    if (word < closed.size()) closed[word] &= ~(uint64_t{1} << (Index(client) % 64));
  }
};

class AgentTable {
 public:
  // Null unless the agent is known.
  const Agent* Find(AgentNum number) const {
    if (Index(number) >= agents_.size() || !agents_[Index(number)].known) return nullptr;
    return &agents_[Index(number)];
  }
  // Of a number that was known at some time.
  Agent& at(AgentNum number) { return agents_[Index(number)]; }
  const Agent& at(AgentNum number) const { return agents_[Index(number)]; }
  // All numbers so far are below this.
  size_t slots() const { return agents_.size(); }
  size_t known() const { return known_; }

  // A known agent that has nothing yet.
  Agent& Add(AgentNum number, const AgentSpec& spec, bool active);
  // Nothing may be held on it any longer.
  void Remove(AgentNum number);

  // No list: all agents.
  void SetWhitelist(const std::optional<std::vector<std::string>>& hostnames);
  void UpdateWhitelisted(Agent* agent) const;

 private:
  std::vector<Agent> agents_;
  size_t known_ = 0;
  std::optional<std::vector<std::string>> whitelist_;  // sorted
};

}  // namespace tessera::allocator
