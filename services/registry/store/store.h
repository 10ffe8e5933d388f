// Where the registry's state is kept: the seam between the core's Persist and a disk.
//
// Two stores stand behind it: RocksDB (rocksdb_store.h) and memory from which a crash takes what
// was not synced (memory_store.h). store_conformance.h says in tests what both must do.
//
// Invariants: a batch is all or nothing; after a crash the contents are those of a prefix of the
// batches appended, which includes all that were appended before the last Sync that returned OK.
//
// Threads: one thread at a time.
#pragma once

#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/registry/core/registry_types.h"

namespace tessera::registry {

class Store {
 public:
  virtual ~Store() = default;

  // Reads everything. Once, before the first Append. DATA_LOSS: what is there is corrupt; the
  // message names the file when it is known, and what to do.
  virtual absl::StatusOr<StoreContents> Recover() = 0;

  // Hands a batch over. It may survive a crash before the next Sync, or not. After an error,
  // whether it survives is unknown, and so it is for Sync: read again with a new store before going
  // on.
  virtual absl::Status Append(const StoreBatch& batch) = 0;

  // Returns when all that was appended survives a crash of the process and of the machine.
  virtual absl::Status Sync() = 0;
};

// Opens a store on a disk that no other store has open. DATA_LOSS and FAILED_PRECONDITION: to try
// again is of no use.
using StoreOpener = std::function<absl::StatusOr<std::unique_ptr<Store>>()>;

}  // namespace tessera::registry
