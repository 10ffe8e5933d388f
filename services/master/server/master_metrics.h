// What master-svc shows on /metrics: the only place where its names are spelt.
//
// A scrape asks the strand for a copy of the core's numbers, at most once a second, and renders it.
#pragma once

#include <prometheus/collectable.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "services/master/core/counters.h"
#include "services/rpc/kind_counts.h"

namespace tessera::master {

// What the shell counts.
struct ShellMetrics {
  uint64_t queue_length = 0;
  uint64_t events_total = 0;
  uint64_t events_refused_total = 0;
  uint64_t batches_total = 0;
  double step_seconds_total = 0;
  double sink_seconds_total = 0;
  double longest_batch_seconds = 0;
  std::vector<rpc::KindCount> steps;
  std::vector<rpc::KindCount> effects;
  uint64_t feed_version = 0;
  uint64_t feed_followers = 0;
  uint64_t feed_queue_changes = 0;
  uint64_t feed_messages_total = 0;
  uint64_t feed_bytes_total = 0;
};

struct MetricsSnapshot {
  std::shared_ptr<const MasterMetrics> master;
  ShellMetrics shell;
};

class MetricsPage final : public prometheus::Collectable {
 public:
  // At most `frameworks_max` frameworks have series of their own; the rest are added up in one
  // called `_overflow`.
  MetricsPage(std::function<MetricsSnapshot()> look, size_t frameworks_max)
      : look_(std::move(look)), frameworks_max_(frameworks_max) {}

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  const std::function<MetricsSnapshot()> look_;
  const size_t frameworks_max_;
};

}  // namespace tessera::master
