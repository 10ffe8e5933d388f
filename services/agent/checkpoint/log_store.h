// Where the bytes of the agent's log live.
//
// A store keeps space ahead: after the bytes that count come zeros, as many as it could get. What
// is written there needs nothing more of the disk, so that ends and epochs can be written when
// others have filled it. Who uses the store knows where the bytes that count end.
//
// Two of them: FileLogStore on a disk, MemoryLogStore for tests and the simulator, where exactly
// what was synced survives. One conformance suite (testing/log_store_conformance.h) holds both to
// this.
//
// Threads: one caller at a time.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace tessera::agent {

class LogStore {
 public:
  virtual ~LogStore() = default;

  // For messages: the path of the log.
  virtual std::string name() const = 0;

  // All bytes that are there, then any number of zeros. Empty when there is no log yet.
  virtual absl::StatusOr<std::string> Read() = 0;

  // Writes bytes at `offset`, the end of those that count. Before Sync a crash may keep all, some
  // or none of them. After a failure some may be there, too: Truncate takes them away.
  virtual absl::Status Write(uint64_t offset, std::string_view bytes) = 0;

  // What was written survives a crash of the machine when this is OK.
  virtual absl::Status Sync() = 0;

  // Leaves the first `size` bytes and only zeros behind them, durably. Gives no space back.
  virtual absl::Status Truncate(uint64_t size) = 0;

  // Puts `bytes` in the place of everything: after a crash all of the old or all of the new are
  // there. Durable when this is OK; nothing has changed when it is not.
  virtual absl::Status Replace(std::string_view bytes) = 0;

  // Gets space for what comes after byte `end`, and for a Replace by as much as the log holds. When
  // the disk has none, the status says so, and what was got before is still there.
  virtual absl::Status KeepSpace(uint64_t end) = 0;
};

}  // namespace tessera::agent
