// Where the registry's state is kept: the seam between the core's effects and what makes it
// durable.
//
// Several registries may stand before one store; one at a time owns it, and only the owner writes.
// Opening a store is a campaign for it, which may take for ever; ownership may be lost later, to
// somebody who then writes. Three things make that safe:
//
// - Every batch is written under a Guard: the owner's term and the batch's number. A writer who
//   owns no more changes nothing, whatever it believes, and however late its batch arrives.
// - A batch has one number, and a number one batch: to write the same again is harmless.
// - A write that was not answered is settled: it is found to be on disk, or it is kept from ever
//   getting there and its number is spent. Reading alone would not do: a batch that is still on its
//   way could arrive afterwards.
//
// Two stores stand behind this: RocksDB (rocksdb_store.h) and memory (memory_store.h).
// store_conformance.h says in tests what each must do.
//
// Invariants: a batch is all or nothing; what was answered kDone survives a crash of the process
// and of the machine; terms and numbers only grow.
//
// Threads: one thread at a time, but for OnFenced, which comes on any.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/registry/core/registry_types.h"

namespace tessera::registry {

// The store is the caller's, with all that is in it.
struct Won {
  Ownership ownership;
  StoreContents contents;
};
// Somebody else owns the store.
struct OwnedByOther {
  // Where it serves, as it told the store; empty when that is not known.
  std::string address;
};
using CampaignResult = std::variant<Won, OwnedByOther>;

enum class CommitOutcome {
  // The batch is durable.
  kDone,
  // The term is over: nothing was written, and nothing ever will be under it.
  kFenced,
  // No answer, or an error on the way: it may be durable, now or later. Settle says.
  kUnknown,
};
struct CommitResult {
  CommitOutcome outcome = CommitOutcome::kUnknown;
  // Explains all but kDone to people.
  std::string reason;
};

enum class SettleOutcome {
  kDone,
  // The batch is not on disk and never will be. Its number is spent: the next batch has the next.
  kNever,
  kFenced,
};

class Store {
 public:
  // Ownership of `term` was lost, and nobody asked. At most once for a term; a store that cannot
  // notice by itself never calls it.
  using OnFenced = std::function<void(Term term, const std::string& reason)>;

  virtual ~Store() = default;

  // To be set before the first Campaign.
  void set_on_fenced(OnFenced on_fenced) { on_fenced_ = std::move(on_fenced); }

  // Gives up what this store owned, and strives to own it anew, for at most `patience`. `address`
  // is told to those who find it owned.
  //   DATA_LOSS            what is there is damaged; the message names it and says what to do
  //   FAILED_PRECONDITION, PERMISSION_DENIED   it cannot be used by this program as it is
  // To try again is of no use after these. After others (RESOURCE_EXHAUSTED: no space) it is.
  virtual absl::StatusOr<CampaignResult> Campaign(const std::string& address,
                                                  absl::Duration patience) = 0;

  // Writes a batch within the ownership's limits. To repeat it with the same guard is harmless.
  virtual CommitResult Commit(const StoreBatch& batch, const Guard& guard) = 0;

  // Ends the doubt about the batch that was last written, under `guard`. May be repeated. Errors as
  // Campaign's; the doubt stays.
  virtual absl::StatusOr<SettleOutcome> Settle(const Guard& guard) = 0;

 protected:
  const OnFenced& on_fenced() const { return on_fenced_; }

 private:
  OnFenced on_fenced_;
};

// Whether it is of no use to ask the store again after this error.
inline bool IsFinal(const absl::Status& status) {
  return absl::IsDataLoss(status) || absl::IsFailedPrecondition(status) ||
         absl::IsPermissionDenied(status) || absl::IsInvalidArgument(status);
}

}  // namespace tessera::registry
