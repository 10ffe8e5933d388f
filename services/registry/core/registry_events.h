// What the registry's core hears and says.
//
// A call is named by the id that its adapter gave it and gets exactly one answer with that id. A
// stream (watch or campaign) is named the same way, ends by EndStream or StreamEnded, and ids of
// calls and streams are never reused.
//
// The store is asked one thing at a time: after AcquireStore, Persist or Settle the next of them
// comes when this one was answered.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "services/auth/caller.h"
#include "services/base/note.h"
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
  // The store failed: it is not known what was written, or nothing can be written now.
  kStorageFailed,
  // Another registry acts, or none does yet. Nothing was done.
  kNotActing,
  // This registry is about to act. Nothing was done.
  kTakingOver,
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

// The process has begun. The first event.
struct Started {};

// Answers AcquireStore: the store is this process's.
struct StoreAcquired {
  Ownership ownership;
  std::shared_ptr<const StoreContents> contents;
};

// Answers AcquireStore: another process owns the store.
struct StoreOwnedByOther {
  // Where it serves; empty when that is not known.
  std::string address;
};

// Answers AcquireStore: it cannot be had now, nobody knows for how long.
struct StoreUnavailable {
  std::string reason;
};

// Answers Persist: the batch of this number is on disk.
struct Persisted {
  BatchNumber number = 0;
};

// Answers Persist: it is not known whether the batch is on disk, or will be.
struct PersistUnknown {
  BatchNumber number = 0;
  std::string reason;
};

// Answers Settle.
struct Settled {
  BatchNumber number = 0;
  // The batch is on disk; otherwise it never will be, and its number is spent.
  bool done = false;
};

// Answers Settle: the doubt stays for now.
struct SettleFailed {
  BatchNumber number = 0;
  std::string reason;
};

// Another process may own the store now. Answers Persist or Settle of the batch `answers`; 0: the
// store noticed by itself, and an answer that is due still comes.
struct StoreFenced {
  Term term = 0;
  BatchNumber answers = 0;
  std::string reason;
};

// Answers AcquireStore or Settle: the store can never be used as it is.
struct StoreLost {
  std::string reason;
};

// The core's deadline has passed.
struct Wake {};

using Event = std::variant<CommitRequested, ReadRequested, WatchRequested, CampaignRequested,
                           RenewRequested, ResignRequested, StreamEnded, Started, StoreAcquired,
                           StoreOwnedByOther, StoreUnavailable, Persisted, PersistUnknown, Settled,
                           SettleFailed, StoreFenced, StoreLost, Wake>;
static_assert(auth::kCarriesCallers<Event, StreamEnded, Started, StoreAcquired, StoreOwnedByOther,
                                    StoreUnavailable, Persisted, PersistUnknown, Settled,
                                    SettleFailed, StoreFenced, StoreLost, Wake>);

// ---- effects ----

// Strive to own the store, giving up what was owned before. Answered by StoreAcquired,
// StoreOwnedByOther, StoreUnavailable or StoreLost.
struct AcquireStore {};

// Write the batch and sync it. Answered by Persisted, PersistUnknown or StoreFenced.
struct Persist {
  Guard guard;
  StoreBatch batch;
};

// Find out whether the batch is on disk, and make that final. Answered by Settled, SettleFailed,
// StoreFenced or StoreLost.
struct Settle {
  Guard guard;
};

struct CommitAnswer {
  CallId call = 0;
  Refusal refusal = Refusal::kNone;
  // Explains a refusal to people.
  std::string message;
  // With kNotActing: where the one that acts serves, when that is known.
  std::string acting;
  Version version = 0;
};

struct ReadAnswer {
  CallId call = 0;
  Refusal refusal = Refusal::kNone;
  std::string message;
  std::string acting;
  std::vector<Record> records;
  Version version = 0;
  std::string next_page_token;
};

struct RenewAnswer {
  CallId call = 0;
  Refusal refusal = Refusal::kNone;
  std::string message;
  std::string acting;
  absl::Duration expires_in;
};

struct ResignAnswer {
  CallId call = 0;
  Refusal refusal = Refusal::kNone;
  std::string message;
  std::string acting;
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
  std::string acting;
};

// Nothing can be promised any more: end the process once the other effects are carried out.
struct Halt {
  std::string reason;
};

// Something that people who look after the registry should read.
using base::Note;

using Effect = std::variant<AcquireStore, Persist, Settle, CommitAnswer, ReadAnswer, RenewAnswer,
                            ResignAnswer, WatchSend, CampaignSend, EndStream, Note, Halt>;
using Effects = std::vector<Effect>;

}  // namespace tessera::registry
