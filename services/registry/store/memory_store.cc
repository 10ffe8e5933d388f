#include "services/registry/store/memory_store.h"

#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/registry/store/store_format.h"

namespace tessera::registry {
namespace {

constexpr char kOver[] = "its term is over: another registry owns the store";

}  // namespace

// ---- the disk

void MemoryDisk::Crash(bool begun_is_kept) {
  absl::MutexLock lock(&mu_);
  if (begun_is_kept && begun_.has_value()) Apply(*begun_);
  begun_.reset();
  late_.reset();
  owner_ = nullptr;
}

void MemoryDisk::Evict() {
  absl::MutexLock lock(&mu_);
  if (owner_ == nullptr) return;
  MemoryStore* const store = std::exchange(owner_, nullptr);
  // From here on nothing of the old term counts, also while nobody has taken the disk over.
  const Term term = term_++;
  // Within the lock: a store that is destroyed hears nothing afterwards.
  if (store->on_fenced() != nullptr) store->on_fenced()(term, kOver);
}

void MemoryDisk::Fail(absl::Status failure) {
  absl::MutexLock lock(&mu_);
  failure_ = std::move(failure);
}

void MemoryDisk::LoseNext(Loss loss) {
  absl::MutexLock lock(&mu_);
  loss_ = loss;
}

bool MemoryDisk::DeliverLate() {
  absl::MutexLock lock(&mu_);
  if (!late_.has_value()) return false;
  return Apply(*std::exchange(late_, std::nullopt));
}

void MemoryDisk::set_limits(GroupLimits limits) {
  absl::MutexLock lock(&mu_);
  limits_ = limits;
}

void MemoryDisk::set_ownership_lasts(absl::Duration lasts) {
  absl::MutexLock lock(&mu_);
  lasts_ = lasts;
}

bool MemoryDisk::Apply(const Begun& begun) {
  if (begun.guard.term != term_ || begun.guard.number != last() + 1) return false;
  log_.push_back({.number = begun.guard.number, .batch = begun.batch});
  return true;
}

absl::StatusOr<StoreContents> MemoryDisk::Read() const {
  absl::MutexLock lock(&mu_);
  return ReadLocked();
}

absl::StatusOr<StoreContents> MemoryDisk::ReadLocked() const {
  std::map<std::string, Record> records;
  StoreContents contents;
  for (const Entry& entry : log_) {
    if (entry.spent) continue;
    const std::optional<StoreBatch> batch = DecodeBatch(entry.batch);
    if (!batch.has_value()) {
      return absl::DataLossError(
          absl::StrCat("batch ", entry.number, " of the log in memory is damaged"));
    }
    for (const auto& commit : batch->commits) {
      contents.version = commit->version;
      for (const Write& write : commit->writes) {
        if (write.value == nullptr) {
          records.erase(write.key);
        } else {
          records[write.key] = {write.key, write.value, commit->version};
        }
      }
    }
    if (batch->lease != nullptr) contents.lease = *batch->lease;
  }
  for (auto& [key, record] : records) contents.records.push_back(std::move(record));
  return contents;
}

void MemoryDisk::Damage() {
  absl::MutexLock lock(&mu_);
  if (!log_.empty() && !log_.back().batch.empty()) log_.back().batch.pop_back();
}

bool MemoryDisk::owned() const {
  absl::MutexLock lock(&mu_);
  return owner_ != nullptr;
}

// ---- one store before it

MemoryStore::~MemoryStore() {
  absl::MutexLock lock(&disk_->mu_);
  if (disk_->owner_ == this) disk_->owner_ = nullptr;
}

absl::StatusOr<CampaignResult> MemoryStore::Campaign(const std::string& address,
                                                     absl::Duration patience) {
  absl::MutexLock lock(&disk_->mu_);
  if (disk_->owner_ == this) disk_->owner_ = nullptr;
  const auto free = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(disk_->mu_) {
    return disk_->owner_ == nullptr;
  };
  if (!free() && (patience <= absl::ZeroDuration() ||
                  !disk_->mu_.AwaitWithTimeout(absl::Condition(&free), patience))) {
    return OwnedByOther{disk_->owner_address_};
  }
  if (!disk_->failure_.ok()) return disk_->failure_;
  absl::StatusOr<StoreContents> contents = disk_->ReadLocked();
  if (!contents.ok()) return contents.status();
  disk_->owner_ = this;
  disk_->owner_address_ = address;
  ++disk_->term_;
  return Won{.ownership = {.term = disk_->term_,
                           .last_batch = disk_->last(),
                           .limits = disk_->limits_,
                           .lasts = disk_->lasts_},
             .contents = *std::move(contents)};
}

CommitResult MemoryStore::Commit(const StoreBatch& batch, const Guard& guard) {
  Begin(batch, guard);
  return Finish();
}

void MemoryStore::Begin(const StoreBatch& batch, const Guard& guard) {
  absl::MutexLock lock(&disk_->mu_);
  disk_->begun_ = MemoryDisk::Begun{guard, EncodeBatch(batch)};
}

CommitResult MemoryStore::Finish() {
  absl::MutexLock lock(&disk_->mu_);
  if (!disk_->begun_.has_value()) return {CommitOutcome::kUnknown, "the store has crashed"};
  MemoryDisk::Begun begun = *std::exchange(disk_->begun_, std::nullopt);
  if (!disk_->failure_.ok()) {
    return {CommitOutcome::kUnknown, std::string(disk_->failure_.message())};
  }
  const auto loss = std::exchange(disk_->loss_, std::nullopt);
  if (loss == MemoryDisk::Loss::kBatch) {
    disk_->late_ = std::move(begun);
    return {CommitOutcome::kUnknown, "no answer"};
  }
  const BatchNumber last = disk_->last();
  CommitResult result{CommitOutcome::kDone, ""};
  if (begun.guard.term != disk_->term_) {
    result = {CommitOutcome::kFenced, kOver};
  } else if (begun.guard.number == last && last > 0 && !disk_->log_.back().spent) {
    // A repeat.
  } else if (!disk_->Apply(begun)) {
    result = {CommitOutcome::kFenced,
              absl::StrCat("batch ", begun.guard.number, " does not follow batch ", last)};
  }
  if (loss == MemoryDisk::Loss::kAnswer) return {CommitOutcome::kUnknown, "no answer"};
  return result;
}

absl::StatusOr<SettleOutcome> MemoryStore::Settle(const Guard& guard) {
  absl::MutexLock lock(&disk_->mu_);
  if (!disk_->failure_.ok()) return disk_->failure_;
  if (disk_->term_ != guard.term) return SettleOutcome::kFenced;
  if (disk_->last() + 1 == guard.number) {
    disk_->log_.push_back({.number = guard.number, .batch = "", .spent = true});
  }
  if (disk_->last() != guard.number) {
    return absl::DataLossError(absl::StrCat("the disk holds batch ", disk_->last(), ", and batch ",
                                            guard.number, " is in doubt"));
  }
  return disk_->log_.back().spent ? SettleOutcome::kNever : SettleOutcome::kDone;
}

}  // namespace tessera::registry
