// A store in memory whose disk outlives it: for the simulator and for tests.
//
// The disk keeps a log of encoded batches. It behaves as a store of several machines does: who owns
// it can be turned out at any time, answers can get lost, and a batch may arrive after its writer
// has given it up. All of it is the caller's choice, so that a simulation stays a function of its
// seed.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "services/registry/store/store.h"

namespace tessera::registry {

class MemoryStore;

// What survives a MemoryStore. Any number of stores may stand before it.
//
// Threads: any.
class MemoryDisk {
 public:
  MemoryDisk() = default;
  MemoryDisk(const MemoryDisk&) = delete;
  MemoryDisk& operator=(const MemoryDisk&) = delete;

  // A crash of the owner, and of its machine: the batch that was begun is on disk or it never will
  // be. Nobody owns the disk afterwards.
  void Crash(bool begun_is_kept = false);

  // The owner's time is over, though it lives: somebody else may own the disk now. It is told, by a
  // call that must not touch the disk.
  void Evict();

  // What writing, settling and opening answer when it is not OK: plays a disk that is full.
  void Fail(absl::Status failure);

  // The next Commit is not answered. It is done, or it stays on its way.
  enum class Loss { kAnswer, kBatch };
  void LoseNext(Loss loss);
  // What stayed on its way arrives now. True when it still counts.
  bool DeliverLate();

  // Bounds and time of the ownerships that are won from now on.
  void set_limits(GroupLimits limits);
  void set_ownership_lasts(absl::Duration lasts);

  // The disk as whoever takes it over next would find it. DATA_LOSS when it is damaged.
  absl::StatusOr<StoreContents> Read() const;
  // Cuts the last byte off the log.
  void Damage();
  bool owned() const;

 private:
  friend class MemoryStore;

  // One batch, or the mark of a number that was spent without one.
  struct Entry {
    BatchNumber number = 0;
    std::string batch;
    bool spent = false;
  };
  struct Begun {
    Guard guard;
    std::string batch;
  };

  BatchNumber last() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return log_.empty() ? 0 : log_.back().number;
  }
  // Applies what is guarded so. False when the guard does not hold.
  bool Apply(const Begun& begun) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::StatusOr<StoreContents> ReadLocked() const ABSL_SHARED_LOCKS_REQUIRED(mu_);

  mutable absl::Mutex mu_;
  std::vector<Entry> log_ ABSL_GUARDED_BY(mu_);
  Term term_ ABSL_GUARDED_BY(mu_) = 0;
  // Null: nobody owns the disk.
  MemoryStore* owner_ ABSL_GUARDED_BY(mu_) = nullptr;
  std::string owner_address_ ABSL_GUARDED_BY(mu_);
  std::optional<Begun> begun_ ABSL_GUARDED_BY(mu_);
  std::optional<Begun> late_ ABSL_GUARDED_BY(mu_);
  std::optional<Loss> loss_ ABSL_GUARDED_BY(mu_);
  absl::Status failure_ ABSL_GUARDED_BY(mu_);
  GroupLimits limits_ ABSL_GUARDED_BY(mu_) = {.writes_max = 1 << 16, .bytes_max = 64 << 20};
  absl::Duration lasts_ ABSL_GUARDED_BY(mu_) = absl::InfiniteDuration();
};

class MemoryStore : public Store {
 public:
  explicit MemoryStore(std::shared_ptr<MemoryDisk> disk) : disk_(std::move(disk)) {}
  // Gives the disk up.
  ~MemoryStore() override;

  absl::StatusOr<CampaignResult> Campaign(const std::string& address,
                                          absl::Duration patience) override;
  CommitResult Commit(const StoreBatch& batch, const Guard& guard) override;
  absl::StatusOr<SettleOutcome> Settle(const Guard& guard) override;

  // Commit in two steps, between which the owner may crash (MemoryDisk::Crash).
  void Begin(const StoreBatch& batch, const Guard& guard);
  CommitResult Finish();

 private:
  friend class MemoryDisk;

  const std::shared_ptr<MemoryDisk> disk_;
};

}  // namespace tessera::registry
