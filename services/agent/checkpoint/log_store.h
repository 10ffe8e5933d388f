// Where the bytes of the agent's log live.
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

  // All bytes that are there. Empty when there is no log yet.
  virtual absl::StatusOr<std::string> Read() = 0;

  // Adds bytes at the end. Before Sync a crash may keep all, some or none of them. After a failure
  // some may be there, too: Truncate cuts them off.
  virtual absl::Status Append(std::string_view bytes) = 0;

  // What was appended survives a crash of the machine when this is OK.
  virtual absl::Status Sync() = 0;

  // Cuts the log to its first `size` bytes, durably.
  virtual absl::Status Truncate(uint64_t size) = 0;

  // Puts `bytes` in the place of everything: after a crash all of the old or all of the new are
  // there. Durable when this is OK; nothing has changed when it is not.
  virtual absl::Status Replace(std::string_view bytes) = 0;
};

}  // namespace tessera::agent
