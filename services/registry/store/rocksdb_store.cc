#include "services/registry/store/rocksdb_store.h"

#include <fcntl.h>
#include <glog/logging.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/options.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "services/base/status_macros.h"

namespace tessera::registry {
namespace {

constexpr char kKeyPrefix[] = "k/";
constexpr char kFormatKey[] = "m/format";
constexpr char kVersionKey[] = "m/version";
constexpr char kLeaseKey[] = "m/lease";
constexpr char kMarkKey[] = "m/batch";
constexpr char kOwnerKey[] = "m/owner";
constexpr char kLockFile[] = "/OWNER";
// What opening the database needs, about.
constexpr size_t kSpaceToOpen = 1 << 20;
// An address in the lock's file is at most so long.
constexpr size_t kAddressBytesMax = 512;
constexpr absl::Duration kLockPoll = absl::Milliseconds(10);
// RocksDB itself takes more; a group of this size is a megabyte or so in memory and on the disk.
constexpr GroupLimits kLimits{.writes_max = 1 << 16, .bytes_max = 64 << 20};

// RocksDB's own log, of which only warnings are of interest. By default it is a file beside the
// data: on a full disk the write that says so fails, too, and the next one is an assertion that
// ends the process.
class Complaints final : public rocksdb::Logger {
 public:
  Complaints() : Logger(rocksdb::InfoLogLevel::WARN_LEVEL) {}
  using rocksdb::Logger::Logv;
  void Logv(const char* format, va_list arguments) override {
    char line[1024];
    std::vsnprintf(line, sizeof(line), format, arguments);
    LOG(WARNING) << "RocksDB: " << line;
  }
};

rocksdb::Options DbOptions() {
  rocksdb::Options options;
  options.create_if_missing = true;
  options.paranoid_checks = true;
  // Accepts a last record that was never written to its end, nothing else. The looser modes drop
  // acknowledged writes after a damaged one; the stricter one refuses an ordinary crash.
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  options.track_and_verify_wals_in_manifest = true;
  options.max_open_files = 256;
  options.info_log = std::make_shared<Complaints>();
  options.write_buffer_size = 16 << 20;
  options.max_background_jobs = 2;
  rocksdb::BlockBasedTableOptions table;
  table.no_block_cache = true;  // all is read once when it is taken over, and kept by the core
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return options;
}

absl::Status Damaged(const std::string& directory, const std::string& what) {
  return absl::DataLossError(absl::StrCat(
      "the registry's data in ", directory, " is damaged: ", what,
      ". Nothing was changed. Restore the directory from a backup; or, to give up what it holds, "
      "move it away and start with an empty one: agents come back with their tasks and frameworks, "
      "but what operators have set (quotas, weights, maintenance, agents declared gone) has to be "
      "set again. Either way start once with --epoch_at_least=N, N being the highest "
      "tessera_agent_epoch in the /metrics of the agents: agents stay away from masters whose "
      "epoch is below what they have obeyed"));
}

absl::Status NoSpace(const std::string& directory, const std::string& words) {
  return absl::ResourceExhaustedError(
      absl::StrCat("no space left for ", directory, "; free some (", words, ")"));
}

absl::Status ToStatus(const std::string& directory, const rocksdb::Status& status) {
  if (status.ok()) return absl::OkStatus();
  const std::string text = status.ToString();
  if (status.IsIOError() && absl::StrContains(text, "lock ")) {
    return absl::UnavailableError(
        absl::StrCat("another program has the database in ", directory, " open (", text, ")"));
  }
  if (status.IsCorruption() || status.IsInvalidArgument() || status.IsNotFound() ||
      absl::StrContains(text, "No such file")) {
    return Damaged(directory, text);
  }
  if (status.IsNoSpace() || absl::StrContains(text, "No space left")) {
    return NoSpace(directory, text);
  }
  return absl::UnavailableError(absl::StrCat("the disk below ", directory, " fails: ", text));
}

absl::Status MakeDirectory(const std::string& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (!error) return absl::OkStatus();
  return absl::PermissionDeniedError(absl::StrCat(
      "cannot make the data directory ", directory, ": ", error.message(),
      "; choose another --data_dir, or make it and give it to the user that runs registry-svc"));
}

absl::Status NotWritable(const std::string& directory, int error_number) {
  if (error_number == ENOSPC) return NoSpace(directory, std::strerror(error_number));
  return absl::PermissionDeniedError(absl::StrCat(
      "the data directory ", directory, " is not writable: ", std::strerror(error_number),
      "; give it to the user that runs registry-svc or choose another --data_dir"));
}

// Trying is surer than looking at permissions: read-only mounts and root are seen right. So are
// full disks, on which RocksDB would leave a log and other files at each try.
absl::Status CheckSpace(const std::string& directory) {
  const std::string probe = directory + "/.writable";
  const base::UniqueFd file(open(probe.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  if (!file.valid()) return NotWritable(directory, errno);
  const std::string bytes(kSpaceToOpen, '\0');
  size_t written = 0;
  ssize_t put = 0;
  while (written < bytes.size() &&
         (put = write(file.get(), &bytes[written], bytes.size() - written)) > 0) {
    written += static_cast<size_t>(put);
  }
  const int error_number = errno;
  unlink(probe.c_str());
  if (written == bytes.size()) return absl::OkStatus();
  return NoSpace(directory, std::strerror(error_number));
}

// RocksDB does not miss a log that was removed whole. But from the end of its first start on there
// is always one, and the database is past its first manifest: then no log means that it is lost.
absl::Status CheckLogIsThere(const std::string& directory) {
  std::ifstream current(directory + "/CURRENT");
  std::string manifest;
  if (!std::getline(current, manifest) || manifest == "MANIFEST-000001") return absl::OkStatus();
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    if (entry.path().extension() == ".log") return absl::OkStatus();
  }
  return Damaged(directory, "its write-ahead log (a file NNNNNN.log) is missing");
}

rocksdb::WriteOptions Synced() {
  rocksdb::WriteOptions options;
  options.sync = true;
  return options;
}

// What the owner wrote into the lock's file; a hint, read without the lock.
std::string AddressIn(int lock) {
  char bytes[kAddressBytesMax];
  const ssize_t size = pread(lock, bytes, sizeof(bytes), 0);
  const std::string text(bytes, size > 0 ? static_cast<size_t>(size) : 0);
  const size_t end = text.find('\n');
  return end == std::string::npos ? "" : text.substr(0, end);
}

}  // namespace

RocksDbStore::RocksDbStore(std::string directory, rocksdb::Env* env)
    : directory_(std::move(directory)), env_(env) {}
RocksDbStore::~RocksDbStore() = default;

void RocksDbStore::Release() {
  db_.reset();
  lock_.reset();
  term_ = 0;
  mark_ = {};
  in_doubt_ = false;
}

bool RocksDbStore::Owns() const {
  struct stat held {};
  struct stat named {};
  return lock_.valid() && fstat(lock_.get(), &held) == 0 &&
         stat((directory_ + kLockFile).c_str(), &named) == 0 && held.st_dev == named.st_dev &&
         held.st_ino == named.st_ino;
}

absl::StatusOr<bool> RocksDbStore::Lock(absl::Duration patience) {
  const absl::Time deadline = absl::Now() + patience;
  while (true) {
    lock_.reset(open((directory_ + kLockFile).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!lock_.valid()) return NotWritable(directory_, errno);
    if (flock(lock_.get(), LOCK_EX | LOCK_NB) == 0) {
      // Somebody may have removed the file between the two calls.
      if (Owns()) return true;
      continue;
    }
    if (errno != EWOULDBLOCK && errno != EINTR) {
      return absl::FailedPreconditionError(
          absl::StrCat("the file system of ", directory_, " has no locks: ", std::strerror(errno),
                       "; choose a --data_dir on a disk of this machine"));
    }
    if (absl::Now() >= deadline) return false;
    absl::SleepFor(std::min(kLockPoll, deadline - absl::Now()));
  }
}

absl::StatusOr<CampaignResult> RocksDbStore::Campaign(const std::string& address,
                                                      absl::Duration patience) {
  Release();
  RETURN_IF_ERROR(MakeDirectory(directory_));
  ASSIGN_OR_RETURN(const bool locked, Lock(patience));
  if (!locked) {
    OwnedByOther other{AddressIn(lock_.get())};
    lock_.reset();
    return other;
  }
  absl::Status taken = Open();
  StoreContents contents;
  // Nothing is written to what cannot all be read.
  if (taken.ok()) taken = ReadAll(&contents);
  if (taken.ok()) taken = TakeOver(address);
  if (!taken.ok()) {
    Release();
    return taken;
  }
  return Won{.ownership = {.term = term_, .last_batch = mark_.number, .limits = kLimits},
             .contents = std::move(contents)};
}

absl::Status RocksDbStore::Open() {
  db_.reset();
  RETURN_IF_ERROR(CheckSpace(directory_));
  RETURN_IF_ERROR(CheckLogIsThere(directory_));
  rocksdb::Options options = DbOptions();
  if (env_ != nullptr) options.env = env_;
  rocksdb::DB* opened = nullptr;
  const rocksdb::Status status = rocksdb::DB::Open(options, directory_, &opened);
  if (!status.ok()) return ToStatus(directory_, status);
  db_.reset(opened);

  std::string format;
  const rocksdb::Status got = db_->Get(rocksdb::ReadOptions(), kFormatKey, &format);
  if (got.IsNotFound()) {
    std::unique_ptr<rocksdb::Iterator> any(db_->NewIterator(rocksdb::ReadOptions()));
    any->SeekToFirst();
    if (!any->status().ok()) return ToStatus(directory_, any->status());
    if (any->Valid()) return Damaged(directory_, "it is a database of something else");
    return ToStatus(directory_, db_->Put(Synced(), kFormatKey, EncodeFormat()));
  }
  if (!got.ok()) return ToStatus(directory_, got);
  if (absl::Status readable = CheckFormat(format); !readable.ok()) {
    return absl::Status(readable.code(), absl::StrCat("cannot use the store in ", directory_, ": ",
                                                      readable.message()));
  }
  return absl::OkStatus();
}

absl::Status RocksDbStore::TakeOver(const std::string& address) {
  std::string bytes;
  const rocksdb::Status got = db_->Get(rocksdb::ReadOptions(), kOwnerKey, &bytes);
  OwnerRecord owner{.term = 0, .address = address};
  if (got.ok()) {
    const std::optional<OwnerRecord> last = DecodeOwner(bytes);
    if (!last.has_value()) return Damaged(directory_, "the owner");
    owner.term = last->term;
  } else if (!got.IsNotFound()) {
    return ToStatus(directory_, got);
  }
  ++owner.term;
  RETURN_IF_ERROR(ToStatus(directory_, db_->Put(Synced(), kOwnerKey, EncodeOwner(owner))));
  ASSIGN_OR_RETURN(mark_, ReadMark());
  term_ = owner.term;
  // Only a hint for standbys: what fails here shows when something that counts is written.
  const std::string line = absl::StrCat(address.substr(0, kAddressBytesMax - 1), "\n");
  if (ftruncate(lock_.get(), 0) != 0 ||
      pwrite(lock_.get(), line.data(), line.size(), 0) != static_cast<ssize_t>(line.size())) {
    LOG(WARNING) << "standbys do not learn the address of this registry: " << directory_
                 << kLockFile << ": " << std::strerror(errno);
  }
  return absl::OkStatus();
}

absl::StatusOr<BatchMark> RocksDbStore::ReadMark() const {
  rocksdb::ReadOptions read;
  read.verify_checksums = true;
  std::string bytes;
  const rocksdb::Status got = db_->Get(read, kMarkKey, &bytes);
  if (got.IsNotFound()) return BatchMark{};
  if (!got.ok()) return ToStatus(directory_, got);
  const std::optional<BatchMark> mark = DecodeMark(bytes);
  if (!mark.has_value()) return Damaged(directory_, "the number of the last batch");
  return *mark;
}

absl::Status RocksDbStore::ReadAll(StoreContents* contents) const {
  rocksdb::ReadOptions read;
  read.verify_checksums = true;
  std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(read));
  const std::string prefix = kKeyPrefix;
  for (it->SeekToFirst(); it->Valid(); it->Next()) {
    const std::string_view key(it->key().data(), it->key().size());
    const std::string_view bytes(it->value().data(), it->value().size());
    if (key.starts_with(prefix)) {
      std::optional<Record> record = DecodeRecord(key.substr(prefix.size()), bytes);
      if (!record.has_value()) {
        return Damaged(directory_, absl::StrCat("the record of ", std::string(key)));
      }
      contents->records.push_back(*std::move(record));
    } else if (key == kVersionKey) {
      const std::optional<Version> version = DecodeVersion(bytes);
      if (!version.has_value()) return Damaged(directory_, "the version");
      contents->version = *version;
    } else if (key == kLeaseKey) {
      std::optional<LeaseRecord> lease = DecodeLease(bytes);
      if (!lease.has_value()) return Damaged(directory_, "the lease");
      contents->lease = *std::move(lease);
    } else if (key != kFormatKey && key != kMarkKey && key != kOwnerKey) {
      return Damaged(directory_, absl::StrCat("a strange key: ", std::string(key)));
    }
  }
  if (!it->status().ok()) return ToStatus(directory_, it->status());
  for (const Record& record : contents->records) {
    if (record.version > contents->version) {
      return Damaged(directory_, absl::StrCat(record.key, " is newer than the last commit"));
    }
  }
  return absl::OkStatus();
}

CommitResult RocksDbStore::Commit(const StoreBatch& batch, const Guard& guard) {
  if (term_ == 0 || guard.term != term_) {
    return {CommitOutcome::kFenced, absl::StrCat("term ", guard.term, " is over")};
  }
  if (!Owns()) {
    // Whoever removed the file has let somebody else in: nothing may be written any more.
    Release();
    return {CommitOutcome::kFenced,
            absl::StrCat(directory_, kLockFile, " was removed or replaced")};
  }
  if (in_doubt_ || db_ == nullptr) {
    return {CommitOutcome::kUnknown, "the write before is in doubt"};
  }
  // A repeat.
  if (guard.number == mark_.number && !mark_.spent && mark_.number > 0) {
    return {CommitOutcome::kDone, ""};
  }
  if (guard.number != mark_.number + 1) {
    return {CommitOutcome::kFenced,
            absl::StrCat("batch ", guard.number, " does not follow batch ", mark_.number)};
  }
  rocksdb::WriteBatch write;
  for (const auto& commit : batch.commits) {
    for (const Write& change : commit->writes) {
      const std::string key = absl::StrCat(kKeyPrefix, change.key);
      if (change.value == nullptr) {
        write.Delete(key);
      } else {
        write.Put(key, EncodeRecord(commit->version, *change.value));
      }
    }
  }
  if (!batch.commits.empty()) {
    write.Put(kVersionKey, EncodeVersion(batch.commits.back()->version));
  }
  if (batch.lease != nullptr) write.Put(kLeaseKey, EncodeLease(*batch.lease));
  const BatchMark mark{.number = guard.number};
  write.Put(kMarkKey, EncodeMark(mark));
  const rocksdb::Status written = db_->Write(Synced(), &write);
  if (!written.ok()) {
    in_doubt_ = true;
    return {CommitOutcome::kUnknown, std::string(ToStatus(directory_, written).message())};
  }
  mark_ = mark;
  return {CommitOutcome::kDone, ""};
}

absl::StatusOr<SettleOutcome> RocksDbStore::Settle(const Guard& guard) {
  if (term_ == 0 || guard.term != term_) return SettleOutcome::kFenced;
  if (!Owns()) {
    Release();
    return SettleOutcome::kFenced;
  }
  if (in_doubt_ || db_ == nullptr) {
    // What the open database shows may never have reached the disk.
    in_doubt_ = true;
    RETURN_IF_ERROR(Open());
    ASSIGN_OR_RETURN(mark_, ReadMark());
  }
  if (mark_.number + 1 == guard.number) {
    const BatchMark spent{.number = guard.number, .spent = true};
    in_doubt_ = true;
    RETURN_IF_ERROR(ToStatus(directory_, db_->Put(Synced(), kMarkKey, EncodeMark(spent))));
    mark_ = spent;
  }
  if (mark_.number != guard.number) {
    return Damaged(directory_, absl::StrCat("it holds batch ", mark_.number, ", and batch ",
                                            guard.number, " was to be the next"));
  }
  in_doubt_ = false;
  return mark_.spent ? SettleOutcome::kNever : SettleOutcome::kDone;
}

}  // namespace tessera::registry
