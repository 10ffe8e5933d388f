// The registry's state in an embedded RocksDB: `k/<key>` to a record, `m/...` to what the store
// knows of itself (docs/formats.md).
//
// The owner is the process that holds a lock on the file OWNER in the directory. The kernel takes
// it back when the process ends, however it ends: then, and only then, is a standby's campaign won.
// So ownership lasts as long as the process, also while the database is closed and opened anew
// after an error. Standbys read the owner's address from the file.
//
// One batch is one RocksDB write and one sync of the write-ahead log. After an error the database
// is opened anew, which alone shows what is on disk, and one key is read. Recovery accepts a torn
// tail of the log (never acknowledged) and refuses everything else that is damaged: a registry that
// silently forgets is worse than one that does not start.
//
// The directory must be on a disk of this machine: locks of network file systems outlive machines,
// or do not hold.
//
// Threads: one at a time; RocksDB's own threads compact behind it.
#pragma once

#include <memory>
#include <string>

#include "services/base/unique_fd.h"
#include "services/registry/store/store.h"
#include "services/registry/store/store_format.h"

namespace rocksdb {
class DB;
class Env;
}  // namespace rocksdb

namespace tessera::registry {

class RocksDbStore : public Store {
 public:
  // `directory` is made when it is not there. `env`: the file system for tests; null: the
  // machine's.
  explicit RocksDbStore(std::string directory, rocksdb::Env* env = nullptr);
  ~RocksDbStore() override;

  // Each message of an error names the directory or file and says what to do.
  absl::StatusOr<CampaignResult> Campaign(const std::string& address,
                                          absl::Duration patience) override;
  CommitResult Commit(const StoreBatch& batch, const Guard& guard) override;
  absl::StatusOr<SettleOutcome> Settle(const Guard& guard) override;

 private:
  // Waits for the lock; false: somebody else has it.
  absl::StatusOr<bool> Lock(absl::Duration patience);
  // Whether the lock that is held is still the one that others would have to wait for.
  bool Owns() const;
  void Release();
  absl::Status Open();
  // Of an open database: one key, and all of it.
  absl::StatusOr<BatchMark> ReadMark() const;
  absl::Status ReadAll(StoreContents* contents) const;
  absl::Status TakeOver(const std::string& address);

  const std::string directory_;
  rocksdb::Env* const env_;
  base::UniqueFd lock_;
  std::unique_ptr<rocksdb::DB> db_;
  // What is on disk, as far as nothing is in doubt. Term 0: not the owner.
  Term term_ = 0;
  BatchMark mark_;
  bool in_doubt_ = false;
};

}  // namespace tessera::registry
