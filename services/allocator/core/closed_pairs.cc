#include "services/allocator/core/closed_pairs.h"

#include <algorithm>

namespace tessera::allocator {

void ClosedPairs::Close(ClientNum number, Agent* agent) {
  const size_t word = Index(number) / 64;
  if (word >= agent->closed.size()) agent->closed.resize(word + 1);
  agent->closed[word] |= uint64_t{1} << (Index(number) % 64);
  frameworks_.client(number).maybe_closed = true;
  if (agent->closed_for.plain == agent->free.plain &&
      agent->closed_for.extras == agent->free.extras) {
    return;
  }
  agent->closed_for = agent->free;
}

void ClosedPairs::Reopen(ClientNum number) {
  Announce();
  Client& client = frameworks_.client(number);
  if (!client.maybe_closed) return;
  client.maybe_closed = false;
  const size_t word = Index(number) / 64;
  if (word >= reopened_.size()) reopened_.resize(word + 1);
  reopened_[word] |= uint64_t{1} << (Index(number) % 64);
  any_reopened_ = true;
}

void ClosedPairs::ReopenAgent(Agent* agent) {
  std::fill(agent->closed.begin(), agent->closed.end(), 0);
  agent->closed_for = Bag();
  agent->settled_at = 0;
}

void ClosedPairs::OpenReopened(Agent* agent) const {
  const size_t words = std::min(agent->closed.size(), reopened_.size());
  for (size_t word = 0; word < words; ++word) agent->closed[word] &= ~reopened_[word];
}

void ClosedPairs::ForgetReopened() {
  std::fill(reopened_.begin(), reopened_.end(), 0);
  any_reopened_ = false;
}

}  // namespace tessera::allocator
