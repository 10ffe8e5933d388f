// What the registry keeps and what it writes to its store. Plain values, shared by core and stores.
//
// Values are opaque bytes, immutable and shared: a record is copied by reference from the request
// that wrote it to the store, to readers and to watchers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"

namespace tessera::registry {

using Version = uint64_t;
using Epoch = uint64_t;

using Value = std::shared_ptr<const std::string>;

inline Value MakeValue(std::string bytes) {
  return std::make_shared<const std::string>(std::move(bytes));
}

// A key as it stands.
struct Record {
  std::string key;
  Value value;
  // The commit that wrote it last.
  Version version = 0;
};

// One change of a commit. No value: the key is deleted.
struct Write {
  std::string key;
  Value value;
};

// What a commit expects: the version of a key's last write; 0 when it must not exist.
struct Condition {
  std::string key;
  Version version = 0;
};

struct Commit {
  Version version = 0;
  std::vector<Write> writes;
};

// Who leads.
struct Leader {
  std::string candidate_id;
  std::string address;
  std::string http_address;
  Epoch epoch = 0;

  bool operator==(const Leader&) const = default;
};

// The last grant, as it must survive a crash. Epoch 0: there was none yet.
struct LeaseRecord {
  Leader leader;
  // How long the grant lasted without renewals.
  absl::Duration ttl;
  // The holder gave it up: nobody has to wait for its end.
  bool resigned = false;

  bool operator==(const LeaseRecord&) const = default;
};

// Numbers the ownerships of a store, one after the other: it grows with every taking over, and none
// is given twice. 0: none.
using Term = uint64_t;
// Numbers the batches of a store, whoever writes them: each is one above the batch before.
using BatchNumber = uint64_t;

// What a batch is written under. The store takes it only while `term` is the store's, and only as
// the successor of batch `number - 1`.
struct Guard {
  Term term = 0;
  BatchNumber number = 0;

  bool operator==(const Guard&) const = default;
};

// What one batch may hold. What the store adds of its own is not counted.
struct GroupLimits {
  size_t writes_max = 0;
  // Of keys and values.
  size_t bytes_max = 0;
};

// The right to write a store.
struct Ownership {
  Term term = 0;
  // The last batch on disk.
  BatchNumber last_batch = 0;
  GroupLimits limits;
  // How long after the beginning of a write that was done its owner may take the store for its own,
  // without asking: the store has taken off what clocks may differ. Infinite where ownership ends
  // only with the process.
  absl::Duration lasts = absl::InfiniteDuration();
};

// One group of changes that becomes durable together, all or nothing.
struct StoreBatch {
  std::vector<std::shared_ptr<const Commit>> commits;
  // The newest grant or resignation of the group, if there is one.
  std::shared_ptr<const LeaseRecord> lease;

  // An empty batch may be written, too: it proves that the store is still the writer's.
  bool empty() const { return commits.empty() && lease == nullptr; }
};

// What a store gives back when it is taken over.
struct StoreContents {
  // Ordered by key, each key once.
  std::vector<Record> records;
  // The last commit's.
  Version version = 0;
  LeaseRecord lease;
};

}  // namespace tessera::registry
