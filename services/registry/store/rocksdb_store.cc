#include "services/registry/store/rocksdb_store.h"

#include <fcntl.h>
#include <glog/logging.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/options.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>
#include <unistd.h>

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
#include "services/registry/store/store_format.h"

namespace tessera::registry {
namespace {

constexpr char kKeyPrefix[] = "k/";
constexpr char kFormatKey[] = "m/format";
constexpr char kFormat[] = "tessera-registry-1";
constexpr char kVersionKey[] = "m/version";
constexpr char kLeaseKey[] = "m/lease";
// What opening the database needs, about.
constexpr size_t kSpaceToOpen = 1 << 20;

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
  table.no_block_cache = true;  // all is read once at start, and kept by the core
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
    return absl::FailedPreconditionError(
        absl::StrCat("another registry-svc has ", directory,
                     " open; stop it or give each its own --data_dir (", text, ")"));
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

absl::Status MakeWritable(const std::string& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) {
    return absl::PermissionDeniedError(absl::StrCat(
        "cannot make the data directory ", directory, ": ", error.message(),
        "; choose another --data_dir, or make it and give it to the user that runs registry-svc"));
  }
  // Trying is surer than looking at permissions: read-only mounts and root are seen right. So are
  // full disks, on which RocksDB would leave a log and other files at each try.
  const std::string probe = directory + "/.writable";
  const int file = open(probe.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) {
    const int error_number = errno;
    if (error_number == ENOSPC) return NoSpace(directory, std::strerror(error_number));
    return absl::PermissionDeniedError(absl::StrCat(
        "the data directory ", directory, " is not writable: ", std::strerror(error_number),
        "; give it to the user that runs registry-svc or choose another --data_dir"));
  }
  const std::string bytes(kSpaceToOpen, '\0');
  size_t written = 0;
  ssize_t put = 0;
  while (written < bytes.size() &&
         (put = write(file, &bytes[written], bytes.size() - written)) > 0) {
    written += static_cast<size_t>(put);
  }
  const int error_number = errno;
  close(file);
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

}  // namespace

RocksDbStore::RocksDbStore(std::string directory, std::unique_ptr<rocksdb::DB> db)
    : directory_(std::move(directory)), db_(std::move(db)) {}
RocksDbStore::~RocksDbStore() = default;

absl::StatusOr<std::unique_ptr<RocksDbStore>> RocksDbStore::Open(const std::string& directory,
                                                                 rocksdb::Env* env) {
  if (absl::Status writable = MakeWritable(directory); !writable.ok()) return writable;
  if (absl::Status log = CheckLogIsThere(directory); !log.ok()) return log;
  rocksdb::Options options = DbOptions();
  if (env != nullptr) options.env = env;
  rocksdb::DB* opened = nullptr;
  const rocksdb::Status status = rocksdb::DB::Open(options, directory, &opened);
  if (!status.ok()) return ToStatus(directory, status);
  std::unique_ptr<rocksdb::DB> db(opened);

  std::string format;
  const rocksdb::Status got = db->Get(rocksdb::ReadOptions(), kFormatKey, &format);
  if (got.IsNotFound()) {
    std::unique_ptr<rocksdb::Iterator> any(db->NewIterator(rocksdb::ReadOptions()));
    any->SeekToFirst();
    if (!any->status().ok()) return ToStatus(directory, any->status());
    if (any->Valid()) return Damaged(directory, "it is a database of something else");
    rocksdb::WriteOptions synced;
    synced.sync = true;
    const rocksdb::Status put = db->Put(synced, kFormatKey, kFormat);
    if (!put.ok()) return ToStatus(directory, put);
  } else if (!got.ok()) {
    return ToStatus(directory, got);
  } else if (format != kFormat) {
    return absl::FailedPreconditionError(absl::StrCat(directory, " holds format \"", format,
                                                      "\", this registry-svc reads \"", kFormat,
                                                      "\"; run the version that wrote it"));
  }
  return std::unique_ptr<RocksDbStore>(new RocksDbStore(directory, std::move(db)));
}

absl::StatusOr<StoreContents> RocksDbStore::Recover() {
  StoreContents contents;
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
      contents.records.push_back(*std::move(record));
    } else if (key == kVersionKey) {
      const std::optional<Version> version = DecodeVersion(bytes);
      if (!version.has_value()) return Damaged(directory_, "the version");
      contents.version = *version;
    } else if (key == kLeaseKey) {
      std::optional<LeaseRecord> lease = DecodeLease(bytes);
      if (!lease.has_value()) return Damaged(directory_, "the lease");
      contents.lease = *std::move(lease);
    }
  }
  if (!it->status().ok()) return ToStatus(directory_, it->status());
  for (const Record& record : contents.records) {
    if (record.version > contents.version) {
      return Damaged(directory_, absl::StrCat(record.key, " is newer than the last commit"));
    }
  }
  return contents;
}

absl::Status RocksDbStore::Append(const StoreBatch& batch) {
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
  return ToStatus(directory_, db_->Write(rocksdb::WriteOptions(), &write));
}

absl::Status RocksDbStore::Sync() { return ToStatus(directory_, db_->SyncWAL()); }

}  // namespace tessera::registry
