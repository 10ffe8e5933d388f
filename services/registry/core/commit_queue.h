// What is accepted and not on disk yet, in groups that the store can take.
//
// A commit is checked against everything accepted before it, so its conditions see this queue as
// well as the table. One group is in flight; what comes meanwhile gathers behind it.
//
// Invariants: groups leave in the order in which they were filled, and a change of the lease is in
// no group before one that holds an older commit: what an epoch has written is on disk before the
// next one is told. No group exceeds the limits. Versions grow by one.
//
// Threads: none; belongs to the core.
#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "services/registry/core/key_table.h"
#include "services/registry/core/registry_events.h"

namespace tessera::registry {

class CommitQueue {
 public:
  struct Caller {
    CallId call = 0;
    Version version = 0;
  };
  struct Group {
    StoreBatch batch;
    // Who waits, in order.
    std::vector<Caller> callers;
    std::vector<CallId> resignations;
    // Its lease is a grant.
    bool grants = false;
    size_t writes = 0;
    size_t bytes = 0;
  };

  // `table` is what is on disk; it must outlive the queue.
  CommitQueue(const KeyTable* table, GroupLimits limits);

  // What a key's version will be; 0 when it will not exist.
  Version VersionOf(const std::string& key) const;
  // What the table will hold.
  size_t keys() const { return keys_; }
  size_t bytes() const { return bytes_; }
  // What waits or is in flight.
  size_t pending_commits() const { return pending_commits_; }
  size_t pending_bytes() const { return pending_bytes_; }

  // A commit that fits into one group and was checked.
  void Accept(const CommitRequested& request);
  // The lease's newest record, behind all commits so far.
  void AddLease(std::shared_ptr<const LeaseRecord> record, bool grants);
  void AddResignation(CallId call, std::shared_ptr<const LeaseRecord> record);
  // False when no resignation is on its way whose answer could be this call's, too.
  bool JoinResignation(CallId call);

  bool HasNext() const { return !waiting_.empty(); }
  bool InFlight() const { return in_flight_.has_value(); }
  // Sends the next group off; an empty one when nothing waits.
  const Group& Begin();
  // The group in flight is on disk: the caller applies it to the table next.
  Group Finish();
  // Forgets all of it: the group in flight, then those that wait. What is accepted is again what is
  // in the table.
  std::vector<Group> Abandon();
  // The table has changed behind the queue, while nothing was accepted.
  void Resync();

  // The group in flight; only while InFlight().
  const Group& in_flight() const { return *in_flight_; }

 private:
  // The last accepted write of a key whose commit is not on disk yet.
  struct Accepted {
    Version version = 0;
    bool exists = false;
    size_t bytes = 0;
  };

  Group& Last();

  const KeyTable& table_;
  const GroupLimits limits_;
  std::optional<Group> in_flight_;
  std::deque<Group> waiting_;
  Version version_ = 0;
  std::map<std::string, Accepted> accepted_;
  size_t keys_ = 0;
  size_t bytes_ = 0;
  size_t pending_commits_ = 0;
  size_t pending_bytes_ = 0;
};

// Bytes of a key and its value.
inline size_t SizeOf(const Write& write) {
  return write.key.size() + (write.value == nullptr ? 0 : write.value->size());
}

}  // namespace tessera::registry
