// The registry's brain: transactions, reads, watches and the lease, over a store that it strives to
// own and then commands.
//
// Phases:
//   standby      somebody else owns the store, or nobody yet; it strives, and refuses all calls
//   taking over  it owns the store and has read it; a first guarded write is on its way
//   acting       it serves
//   fenced       it owned the store and does no more; its last request to the store is unanswered
//   halted       the store cannot be used; the process is to end
//
// While it acts, a transaction is checked against everything accepted so far and joins the group
// that is written next; when the store says that the group is synced, it is applied to the table,
// answered and sent to watchers. Readers and watchers never see what is not synced. A write whose
// outcome is unknown is settled; callers wait for that, unless the store cannot tell for now.
//
// Invariants: see ../README.md.
//
// Threads: none. Step is called by one strand; it never blocks and never fails half-way.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "services/base/backoff.h"
#include "services/registry/core/commit_queue.h"
#include "services/registry/core/key_table.h"
#include "services/registry/core/lease_table.h"
#include "services/registry/core/registry_config.h"
#include "services/registry/core/registry_events.h"
#include "services/registry/core/watch_table.h"

namespace tessera::registry {

// Plain counters for the metrics.
struct RegistryCounters {
  uint64_t commits = 0;
  uint64_t commits_refused = 0;
  uint64_t writes = 0;
  uint64_t reads = 0;
  uint64_t records_read = 0;
  uint64_t persists = 0;
  uint64_t persisted_commits = 0;
  uint64_t watch_commits_sent = 0;
  uint64_t lease_grants = 0;
  uint64_t lease_renewals = 0;
  uint64_t lease_renewals_refused = 0;
  uint64_t lease_expirations = 0;
  uint64_t takeovers = 0;
  uint64_t fencings = 0;
  // Writes of unknown outcome, by what they turned out to be.
  uint64_t settled_done = 0;
  uint64_t settled_never = 0;
  uint64_t settle_failures = 0;
  // Calls and streams refused because this registry does not act.
  uint64_t refused_not_acting = 0;
};

enum class Phase { kStandby, kTakingOver, kActing, kFenced, kHalted };

class RegistryCore {
 public:
  // Nothing happens before Started.
  explicit RegistryCore(RegistryConfig config);

  void Step(absl::Time now, const Event& event, Effects* effects);
  absl::Time NextDeadline() const;

  Phase phase() const { return phase_; }
  // The store failed: commits are refused until it can be told what is on disk.
  bool suspended() const {
    return store_ == StoreState::kInDoubt || store_ == StoreState::kSettlingDoubt;
  }
  // What is synced; empty while it does not act.
  const KeyTable& table() const { return tables_->table; }
  const LeaseTable& lease() const { return tables_->lease; }
  const RegistryCounters& counters() const { return counters_; }
  size_t watchers() const { return tables_->watchers.size(); }
  size_t pending_commits() const { return tables_->queue.pending_commits(); }

 private:
  // What it knows while it acts.
  struct Tables {
    Tables(const RegistryConfig& config, const StoreContents& contents, const LeaseRecord& record,
           GroupLimits limits, absl::Time now);
    KeyTable table;
    LeaseTable lease;
    CommitQueue queue;
    WatchTable watchers;
  };

  // What the store is doing for this core.
  enum class StoreState {
    kIdle,
    kAcquiring,
    kWriting,
    kSettling,
    // A write is in doubt, and the store could not tell. Its callers have been answered.
    kInDoubt,
    kSettlingDoubt,
  };

  void On(absl::Time now, const CommitRequested& request, Effects* effects);
  void On(absl::Time now, const ReadRequested& request, Effects* effects);
  void On(absl::Time now, const WatchRequested& request, Effects* effects);
  void On(absl::Time now, const CampaignRequested& request, Effects* effects);
  void On(absl::Time now, const RenewRequested& request, Effects* effects);
  void On(absl::Time now, const ResignRequested& request, Effects* effects);
  void On(absl::Time now, const StreamEnded& ended, Effects* effects);
  void On(absl::Time now, const Started& started, Effects* effects);
  void On(absl::Time now, const StoreAcquired& acquired, Effects* effects);
  void On(absl::Time now, const StoreOwnedByOther& other, Effects* effects);
  void On(absl::Time now, const StoreUnavailable& unavailable, Effects* effects);
  void On(absl::Time now, const Persisted& persisted, Effects* effects);
  void On(absl::Time now, const PersistUnknown& unknown, Effects* effects);
  void On(absl::Time now, const Settled& settled, Effects* effects);
  void On(absl::Time now, const SettleFailed& failed, Effects* effects);
  void On(absl::Time now, const StoreFenced& fenced, Effects* effects);
  void On(absl::Time now, const StoreLost& lost, Effects* effects);
  void On(absl::Time now, const Wake& wake, Effects* effects);

  // Why calls are refused while it does not act.
  template <typename Answer>
  Answer NotActing(Answer answer);

  // Begins what is due: striving, a grant, a write, a look at what is in doubt.
  void Proceed(absl::Time now, Effects* effects);
  void Write(absl::Time now, Effects* effects);
  void AskToSettle(absl::Time now, StoreState state, Effects* effects);
  // Whether an answer of the store is awaited for this batch; reports a bug otherwise.
  bool Awaited(BatchNumber number, StoreState first, StoreState second);
  // The group in flight is on disk.
  void Finish(absl::Time now, Effects* effects);
  void Apply(const std::vector<std::shared_ptr<const Commit>>& commits, Effects* effects);
  // The write was asked for at `asked_at_`, and was done: the store is still this process's.
  void Prove();
  // Answers all that wait; what is in flight may be on disk.
  void RefuseWaiting(const std::string& why, Effects* effects);
  // Ends the acting phase; strives anew, `after` some time, once the store has answered.
  void StepDown(absl::Time now, const std::string& why, absl::Duration after, Effects* effects);
  void StandBy(absl::Time until);

  const RegistryConfig config_;
  RegistryCounters counters_;
  Phase phase_ = Phase::kStandby;
  Ownership ownership_;
  std::unique_ptr<Tables> tables_;

  StoreState store_ = StoreState::kIdle;
  // The batch that the store was asked about last, and when.
  BatchNumber batch_ = 0;
  absl::Time asked_at_ = absl::InfinitePast();
  // How often the group in flight was written.
  int attempts_ = 0;
  // Of a write whose callers have been answered.
  std::vector<std::shared_ptr<const Commit>> in_doubt_;
  base::Backoff store_backoff_;
  // When to strive for the store again, or to settle what is in doubt.
  absl::Time retry_at_ = absl::InfiniteFuture();
  // It stops acting then, unless a write proves before that the store is still its own.
  absl::Time acts_until_ = absl::InfiniteFuture();
  absl::Time prove_at_ = absl::InfiniteFuture();

  // Where the owner serves, and what was last said of the store: each is noted once.
  std::string owner_address_;
  std::string noted_;
  // What this process has seen: a store that is taken over must not lack it.
  Version acknowledged_ = 0;
  Epoch highest_epoch_ = 0;
};

// The word for a phase in metrics and messages: "standby", "taking over" …
const char* NameOf(Phase phase);

}  // namespace tessera::registry
