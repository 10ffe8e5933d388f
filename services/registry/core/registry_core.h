// The registry's brain: transactions, reads, watches and the lease, over a store that it commands.
//
// A transaction is checked against everything accepted so far and joins the group that is written
// next; when the store says that the group is synced, it is applied to the table, answered and sent
// to watchers. Readers and watchers never see what is not synced.
//
// Invariants: see ../README.md.
//
// Threads: none. Step is called by one strand; it never blocks and never fails half-way.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "services/registry/core/key_table.h"
#include "services/registry/core/lease_table.h"
#include "services/registry/core/registry_events.h"

namespace tessera::registry {

struct RegistryConfig {
  // How long a lease lasts without renewal.
  absl::Duration lease_ttl = absl::Seconds(10);
  HistoryBounds history;
  size_t key_bytes_max = 1024;
  size_t value_bytes_max = 1 << 20;
  size_t writes_per_commit_max = 4096;
  size_t commit_bytes_max = 4 << 20;
  // Commits that wait for their group or for the disk.
  size_t pending_commits_max = 16384;
  size_t pending_bytes_max = 64 << 20;
  // Keys and bytes of the whole table.
  size_t keys_max = 2'000'000;
  size_t table_bytes_max = size_t{2} << 30;
  size_t watchers_max = 1024;
  size_t candidates_max = 64;
  uint32_t page_size_default = 1000;
  uint32_t page_size_max = 10000;
  // Of values in one page, and in one message to a watcher.
  size_t page_bytes_max = 2 << 20;
};

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
};

class RegistryCore {
 public:
  // `contents` is what the store recovered.
  RegistryCore(RegistryConfig config, const StoreContents& contents, absl::Time now);

  void Step(absl::Time now, const Event& event, Effects* effects);
  absl::Time NextDeadline() const;

  // What is synced.
  const KeyTable& table() const { return table_; }
  const LeaseTable& lease() const { return lease_; }
  const RegistryCounters& counters() const { return counters_; }
  size_t watchers() const { return watchers_.size(); }
  size_t pending_commits() const { return in_flight_.calls.size() + next_.calls.size(); }
  // The store failed: commits are refused until it is read again.
  bool suspended() const { return state_ != State::kServing; }

 private:
  // Commits and resignations whose callers wait for one batch.
  struct Group {
    StoreBatch batch;
    // Who waits, in order, each with the version that it is answered.
    std::vector<CommitAnswer> calls;
    std::vector<CallId> resignations;
    bool grants = false;
    size_t bytes = 0;

    bool empty() const { return batch.empty(); }
  };
  // The last accepted write of a key whose commit is not synced yet.
  struct Accepted {
    Version version = 0;
    bool exists = false;
    size_t bytes = 0;
  };
  struct Watcher {
    std::vector<std::string> prefixes;
  };

  void On(absl::Time now, const CommitRequested& request, Effects* effects);
  void On(absl::Time now, const ReadRequested& request, Effects* effects);
  void On(absl::Time now, const WatchRequested& request, Effects* effects);
  void On(absl::Time now, const CampaignRequested& request, Effects* effects);
  void On(absl::Time now, const RenewRequested& request, Effects* effects);
  void On(absl::Time now, const ResignRequested& request, Effects* effects);
  void On(absl::Time now, const StreamEnded& ended, Effects* effects);
  void On(absl::Time now, const Persisted& persisted, Effects* effects);
  void On(absl::Time now, const PersistFailed& failed, Effects* effects);
  void On(absl::Time now, const StoreReopened& reopened, Effects* effects);
  void On(absl::Time now, const StoreLost& lost, Effects* effects);
  void On(absl::Time now, const Wake& wake, Effects* effects);

  // kNone when the request may be accepted.
  Refusal Check(const CommitRequested& request, std::string* message) const;
  Refusal CheckShape(const CommitRequested& request, std::string* message) const;
  void Accept(const CommitRequested& request);
  // They are synced: readers and watchers see them.
  void Apply(const std::vector<std::shared_ptr<const Commit>>& commits, Effects* effects);
  Version AcceptedVersionOf(const std::string& key) const;
  void Send(StreamId stream, const Watcher& watcher,
            const std::vector<std::shared_ptr<const Commit>>& commits, Effects* effects);
  void RefuseAllWaiting(Group* group, Effects* effects);
  // Begins a grant when one is due, and the next write when none is in flight.
  void Proceed(Effects* effects);

  const RegistryConfig config_;
  KeyTable table_;
  LeaseTable lease_;
  RegistryCounters counters_;
  std::map<StreamId, Watcher> watchers_;

  // The last accepted version, synced or not.
  Version accepted_version_;
  std::map<std::string, Accepted> accepted_;
  // Size of the table once all that is accepted is applied.
  size_t accepted_keys_;
  size_t accepted_bytes_;
  Group in_flight_;
  Group next_;
  // The batch in flight, 0 when there is none.
  uint64_t persist_id_ = 0;
  uint64_t last_persist_id_ = 0;
  enum class State { kServing, kReopening, kHalted };
  State state_ = State::kServing;
  // What was on its way to the disk when the store failed.
  std::vector<std::shared_ptr<const Commit>> in_doubt_;
};

}  // namespace tessera::registry
