// A store in memory whose disk outlives it: for the simulator and for tests.
//
// The disk keeps a log of encoded batches. A crash takes all that was not synced, or a part of it:
// a real disk may have written some of it. The part is the caller's choice, so that a simulation
// stays a function of its seed.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "services/registry/store/store.h"

namespace tessera::registry {

// What survives a MemoryStore. One store at a time is open on it.
struct MemoryDisk {
  // Encoded batches, synced or not.
  std::vector<std::string> log;
  // How many of them are synced.
  size_t synced = 0;
  // What Append and Sync answer when it is not OK; plays a disk that is full or broken.
  absl::Status failure;

  // Loses what was not synced but for the first `kept` batches of it.
  void Crash(size_t kept = 0);
};

class MemoryStore : public Store {
 public:
  explicit MemoryStore(std::shared_ptr<MemoryDisk> disk) : disk_(std::move(disk)) {}

  absl::StatusOr<StoreContents> Recover() override;
  absl::Status Append(const StoreBatch& batch) override;
  absl::Status Sync() override;

 private:
  const std::shared_ptr<MemoryDisk> disk_;
};

}  // namespace tessera::registry
