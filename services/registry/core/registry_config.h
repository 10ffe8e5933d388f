// What an operator, or a test, may set of the registry's core.
//
// Threads: a plain value.
#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/time/time.h"
#include "services/registry/core/key_table.h"
#include "services/registry/core/registry_types.h"

namespace tessera::registry {

struct RegistryConfig {
  // How long a lease lasts without renewal.
  absl::Duration lease_ttl = absl::Seconds(10);
  // The next leader's epoch is above this, durably, before this registry acts. Below what is on
  // disk it changes nothing.
  Epoch epoch_at_least = 0;
  HistoryBounds history;
  size_t key_bytes_max = 1024;
  size_t value_bytes_max = 1 << 20;
  // Of one commit; the store may take less.
  size_t writes_per_commit_max = 4096;
  size_t commit_bytes_max = 4 << 20;
  // Commits that wait for their group or for the disk.
  size_t pending_commits_max = 16384;
  size_t pending_bytes_max = 64 << 20;
  // Keys and bytes of the whole table.
  size_t keys_max = 2'000'000;
  size_t table_bytes_max = size_t{2} << 30;
  size_t watchers_max = 1024;
  size_t candidates_max = 64;
  uint32_t page_size_default = 1000;
  uint32_t page_size_max = 10000;
  // Of values in one page, and in one message to a watcher.
  size_t page_bytes_max = 2 << 20;
  // The wait between two looks at a store that somebody else owns.
  absl::Duration standby_interval = absl::Milliseconds(50);
  // The waits after errors of the store: the first, doubled up to the last.
  absl::Duration store_retry_initial = absl::Milliseconds(100);
  absl::Duration store_retry_max = absl::Seconds(2);
  // How often a group is written that turned out not to have been.
  int persist_attempts_max = 2;
};

}  // namespace tessera::registry
