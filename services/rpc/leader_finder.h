// Which server to dial of several of which one leads (masters, registries): follows the leader's
// address in refusals, and goes round the seeds otherwise.
//
// Pure, no I/O: the owner dials address(), and reports how it went. One instance per client.
//
// Threads: none of its own; the owner's strand.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"

namespace tessera::rpc {

class LeaderFinder {
 public:
  // `seeds`: `host:port` of each server that may lead, in the order to try. Must not be empty.
  explicit LeaderFinder(std::vector<std::string> seeds);

  // The address to dial now.
  const std::string& address() const { return address_; }

  // A call or a stream on address() failed. A NOT_LEADER with an address is followed, unless hints
  // have led in a circle for as many times as there are seeds (two servers may each believe in the
  // other); anything else goes to the next seed. Returns true when the new address comes from a
  // hint: the caller may dial at once, otherwise it backs off.
  bool Failed(const absl::Status& status);

  // A call or a stream on address() works.
  void Succeeded() { hints_followed_ = 0; }

 private:
  std::vector<std::string> seeds_;
  size_t next_seed_ = 0;
  size_t hints_followed_ = 0;
  std::string address_;
};

}  // namespace tessera::rpc
