// The registry's state in an embedded RocksDB: `k/<key>` to a record, `m/...` to version and lease.
//
// One batch is one RocksDB write; Sync is one sync of the write-ahead log. Recovery accepts a torn
// tail of the log (never acknowledged) and refuses everything else that is damaged: a registry that
// silently forgets is worse than one that does not start.
//
// Threads: one at a time; RocksDB's own threads compact behind it.
#pragma once

#include <memory>
#include <string>

#include "services/registry/store/store.h"

namespace rocksdb {
class DB;
class Env;
}  // namespace rocksdb

namespace tessera::registry {

class RocksDbStore : public Store {
 public:
  // Opens the store in `directory`, which is made when it is not there. PERMISSION_DENIED: not
  // writable. FAILED_PRECONDITION: another process has it open. DATA_LOSS: damaged. Each message
  // names the directory or file and says what to do.
  // RESOURCE_EXHAUSTED: no space. `env`: the file system for tests; null: the machine's.
  static absl::StatusOr<std::unique_ptr<RocksDbStore>> Open(const std::string& directory,
                                                            rocksdb::Env* env = nullptr);
  ~RocksDbStore() override;

  absl::StatusOr<StoreContents> Recover() override;
  absl::Status Append(const StoreBatch& batch) override;
  absl::Status Sync() override;

 private:
  RocksDbStore(std::string directory, std::unique_ptr<rocksdb::DB> db);

  const std::string directory_;
  const std::unique_ptr<rocksdb::DB> db_;
};

}  // namespace tessera::registry
