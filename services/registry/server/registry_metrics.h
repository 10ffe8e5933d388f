// The metrics of registry-svc: the one place where their names are spelt.
//
// The strand publishes a snapshot of plain counters after each batch; a scrape moves the last one
// into the prometheus registry.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "services/registry/core/registry_core.h"
#include "services/rpc/kind_counts.h"
#include "services/rpc/strand.h"

namespace prometheus {
class Registry;
}

namespace tessera::registry {

// What the core and its shell count, at one moment.
struct RegistrySnapshot {
  RegistryCounters counters;
  uint64_t keys = 0;
  uint64_t key_bytes = 0;
  uint64_t version = 0;
  uint64_t watchers = 0;
  uint64_t candidates = 0;
  uint64_t pending_commits = 0;
  uint64_t epoch = 0;
  uint64_t history_commits = 0;
  bool has_leader = false;
  bool acting = false;
  bool suspended = false;
};

RegistrySnapshot SnapshotOf(const RegistryCore& core);

class RegistryMetrics {
 public:
  RegistryMetrics();
  ~RegistryMetrics();

  std::shared_ptr<prometheus::Registry> registry() const;

  // Any thread.
  void Publish(const RegistrySnapshot& snapshot);
  void ObservePersist(absl::Duration took);

  // Before each scrape. `strand`, `steps` and `effects`: what the shell counts; `streams_queued`:
  // see RegistryService.
  void Refresh(const rpc::StrandMetrics& strand, const std::vector<rpc::KindCount>& steps,
               const std::vector<rpc::KindCount>& effects, uint64_t streams_queued);

 private:
  struct Rep;
  std::unique_ptr<Rep> rep_;
};

}  // namespace tessera::registry
