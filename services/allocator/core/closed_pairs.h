// What a run need not look at: pairs of a client and an agent where the client cannot take what is
// free, and agents on which nobody could take anything.
//
// The marks themselves are in the agents' rows, where a run has them at hand: Agent::closed and
// Agent::settled_at. A client that is to be asked again everywhere is noted here, and each agent
// hears of it when its turn comes, so that a revival costs one bit and no look at all agents.
//
// Invariant: a pair is closed, or an agent settled, only if a look at it would change nothing;
// after Reopen that holds once OpenReopened was called for the agent.
// Not thread safe.
#pragma once

#include <cstdint>
#include <vector>

#include "services/allocator/core/agent_table.h"
#include "services/allocator/core/framework_table.h"
#include "services/allocator/core/ids.h"

namespace tessera::allocator {

class ClosedPairs {
 public:
  // `frameworks` must outlive it.
  explicit ClosedPairs(FrameworkTable* frameworks) : frameworks_(*frameworks) {}

  // Grows with every change that may let a client take what it could not take before. An agent
  // that was settled before is looked at again.
  uint64_t news() const { return news_; }
  void Announce() { ++news_; }

  // The client cannot take what is free on the agent now, whatever else changes.
  void Close(ClientNum client, Agent* agent);
  // Lets a client be asked again, everywhere or on one agent: something about it has changed. On
  // each agent that takes effect with OpenReopened.
  void Reopen(ClientNum client);
  void ReopenOn(ClientNum client, Agent* agent) {
    agent->Open(client);
    agent->settled_at = 0;
  }
  // Who may take something on the agent has changed.
  void ReopenAgent(Agent* agent);

  bool any_reopened() const { return any_reopened_; }
  void OpenReopened(Agent* agent) const;
  // OpenReopened was called for all agents.
  void ForgetReopened();

 private:
  FrameworkTable& frameworks_;
  // Bit per client: may still be closed on some agent where it should be open.
  std::vector<uint64_t> reopened_;
  bool any_reopened_ = false;
  uint64_t news_ = 1;
};

}  // namespace tessera::allocator
