// What the registry's core hears and says.
//
// A call is named by the id that its adapter gave it and gets exactly one answer with that id. A
// stream (watch or campaign) is named the same way, ends by EndStream or StreamEnded, and ids of
// calls and streams are never reused.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "services/auth/caller.h"
#include "services/registry/core/registry_types.h"

namespace tessera::registry {

using CallId = uint64_t;
using StreamId = uint64_t;

// Why something was refused. The adapter makes a status of it.
enum class Refusal {
  kNone,
  // A condition does not hold.
  kVersionConflict,
  // The epoch's lease is not held (any more).
  kStaleEpoch,
  // The store failed and is not yet read again.
  kStorageFailed,
  // A key, a value, a page token or a candidate is malformed.
  kMalformed,
  // Too many calls or streams, or the table is full.
  kOverloaded,
  // The version is no longer (or not yet) known: read again.
  kSnapshotRequired,
  // A newer campaign of the same candidate took over.
  kReplaced,
};

// ---- events ----

struct CommitRequested {
  CallId call = 0;
  // 0: not fenced.
  Epoch epoch = 0;
  std::vector<Condition> conditions;
  std::vector<Write> writes;
  auth::Caller caller;
};

struct ReadRequested {
  CallId call = 0;
  // Keys that start with one of these; empty: all.
  std::vector<std::string> prefixes;
  // 0: the default.
  uint32_t page_size = 0;
  // From the answer before; empty: the first page.
  std::string page_token;
  auth::Caller caller;
};

struct WatchRequested {
  StreamId stream = 0;
  std::vector<std::string> prefixes;
  Version after_version = 0;
  auth::Caller caller;
};

struct CampaignRequested {
  StreamId stream = 0;
  std::string candidate_id;
  std::string address;
  std::string http_address;
  auth::Caller caller;
};

struct RenewRequested {
  CallId call = 0;
  std::string candidate_id;
  Epoch epoch = 0;
  auth::Caller caller;
};

struct ResignRequested {
  CallId call = 0;
  std::string candidate_id;
  Epoch epoch = 0;
  auth::Caller caller;
};

// The peer of a watch or campaign is gone, or did not keep up.
struct StreamEnded {
  StreamId stream = 0;
};

// The batch of Persist{id} is on disk.
struct Persisted {
  uint64_t id = 0;
};

// It is not known what of the batch is on disk.
struct PersistFailed {
  uint64_t id = 0;
  std::string reason;
};

// Answers ReopenStore: the store can be written again, and this is its last commit.
struct StoreReopened {
  Version version = 0;
};

// Answers ReopenStore: what is on disk cannot be read again.
struct StoreLost {
  std::string reason;
};

// The core's deadline has passed.
struct Wake {};

using Event = std::variant<CommitRequested, ReadRequested, WatchRequested, CampaignRequested,
                           RenewRequested, ResignRequested, StreamEnded, Persisted, PersistFailed,
                           StoreReopened, StoreLost, Wake>;
static_assert(auth::kCarriesCallers<Event, StreamEnded, Persisted, PersistFailed, StoreReopened,
                                    StoreLost, Wake>);

// ---- effects ----

// Write the batch, sync it, and answer Persisted or PersistFailed. The next Persist comes after
// that.
struct Persist {
  uint64_t id = 0;
  StoreBatch batch;
};

struct CommitAnswer {
  CallId call = 0;
  Refusal refusal = Refusal::kNone;
  // Explains a refusal to people.
  std::string message;
  Version version = 0;
};

struct ReadAnswer {
  CallId call = 0;
  Refusal refusal = Refusal::kNone;
  std::string message;
  std::vector<Record> records;
  Version version = 0;
  std::string next_page_token;
};

struct RenewAnswer {
  CallId call = 0;
  Refusal refusal = Refusal::kNone;
  std::string message;
  absl::Duration expires_in;
};

struct ResignAnswer {
  CallId call = 0;
  Refusal refusal = Refusal::kNone;
  std::string message;
};

// Commits in order; the writes that the watcher asked for.
struct WatchSend {
  StreamId stream = 0;
  std::vector<std::shared_ptr<const Commit>> commits;
};

struct CampaignSend {
  StreamId stream = 0;
  // Nobody leads when absent.
  std::optional<Leader> leader;
  // The receiver has won the lease of leader->epoch for this long.
  std::optional<absl::Duration> won_for;
};

struct EndStream {
  StreamId stream = 0;
  Refusal refusal = Refusal::kNone;
  std::string message;
};

// The store failed: open it anew, as often as it takes (the disk may be full for a while), and read
// it. Answered by StoreReopened or StoreLost; no Persist comes before.
struct ReopenStore {};

// Nothing can be promised any more: end the process once the other effects are carried out.
struct Halt {
  std::string reason;
};

using Effect = std::variant<Persist, CommitAnswer, ReadAnswer, RenewAnswer, ResignAnswer, WatchSend,
                            CampaignSend, EndStream, ReopenStore, Halt>;
using Effects = std::vector<Effect>;

}  // namespace tessera::registry
