// The disk of an agent's log, which takes its time: what was written counts when Settle() says so,
// and a crash before that keeps some of it.
//
// It is a LogStore in memory (MemoryLogStore) whose Sync and Replace answer at once and are not
// true yet. It passes the conformance suite of log stores (log_disk_test.cc).
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "services/agent/checkpoint/memory_log_store.h"
#include "services/base/rng.h"

namespace tessera::sim {

class LogDisk final : public agent::MemoryLogStore {
 public:
  absl::Status Sync() override { return absl::OkStatus(); }

  absl::Status Replace(std::string_view content) override {
    // Whether the old or the new content is there after a crash is open until Settle.
    replaced_ = bytes();
    return MemoryLogStore::Replace(content);
  }

  // The disk has done what it was told.
  void Settle() {
    replaced_.reset();
    MemoryLogStore::Sync().IgnoreError();
  }

  // The process ends, or the machine stops. Of what was not settled, any prefix is there; of a
  // replacement, all or nothing.
  void Crash(base::Rng* rng) {
    if (replaced_.has_value() && rng->Chance(0.5)) {
      bytes() = *std::exchange(replaced_, std::nullopt);
    } else {
      // Often nothing or all of it.
      const uint64_t kind = rng->Below(4);
      MemoryLogStore::Crash(kind == 0   ? 0
                            : kind == 1 ? bytes().size()
                                        : rng->Below(bytes().size() + 1));
    }
    Settle();
  }

  // Another disk: nothing is there.
  void Format() {
    bytes().clear();
    Settle();
  }

 private:
  std::optional<std::string> replaced_;
};

}  // namespace tessera::sim
