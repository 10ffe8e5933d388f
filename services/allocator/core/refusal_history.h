// How often in a row a client has refused the same resources of an agent, to ask it less and less
// often: each further refusal of the same holds twice as long as the one before.
//
// A row is forgotten when the refusal has been over for as long as it lasted, and with the client's
// or the agent's filters. Bounded; beyond the bound refusals are not lengthened. Not thread safe.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "services/allocator/core/ids.h"

namespace tessera::allocator {

class RefusalHistory {
 public:
  explicit RefusalHistory(size_t bound) : bound_(bound) {}

  // Notes a refusal of what `fingerprint` stands for. Returns how long it shall hold: `asked` the
  // first time, then twice as long each time, but never longer than `most` or `asked`, whichever is
  // more.
  absl::Duration Note(ClientNum client, AgentNum agent, uint64_t fingerprint, absl::Time now,
                      absl::Duration asked, absl::Duration most);
  void ForgetClient(ClientNum client);
  void ForgetAgent(AgentNum agent);

  size_t size() const { return size_; }

 private:
  struct Row {
    uint64_t fingerprint = 0;
    int in_a_row = 0;  // refusals after the first
    absl::Time remembered_until;
  };

  void DropForgotten(absl::Time now);

  const size_t bound_;
  std::vector<absl::flat_hash_map<AgentNum, Row>> clients_;
  size_t size_ = 0;
  absl::Time next_drop_ = absl::InfinitePast();
};

}  // namespace tessera::allocator
