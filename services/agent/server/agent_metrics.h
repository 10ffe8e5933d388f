// What the agent measures: one table of names, kinds and units; the values come from the published
// view at each scrape.
//
// Threads: any.
#pragma once

#include <prometheus/collectable.h>
#include <prometheus/registry.h>

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "services/agent/checkpoint/log_writer.h"
#include "services/agent/container/container_runtime.h"
#include "services/agent/core/agent_view.h"
#include "services/rpc/kind_counts.h"
#include "services/rpc/strand.h"

namespace prometheus {
class Histogram;
}

namespace tessera::agent {

class AgentMetrics final : public prometheus::Collectable {
 public:
  // Where the values of a scrape come from. Null pointers: not yet.
  struct Sources {
    std::shared_ptr<const AgentView> view;
    RuntimeCounters runtime;
    const rpc::StrandMetrics* strand = nullptr;
    std::vector<rpc::KindCount> steps;
    std::vector<rpc::KindCount> effects;
    const LogWriterCounters* log = nullptr;
  };

  AgentMetrics();
  // Null: none (any more). Returns when no scrape uses the ones before.
  void SetSources(std::function<Sources()> sources) {
    absl::MutexLock lock(&mu_);
    sources_ = std::move(sources);
  }

  void ObserveLaunch(absl::Duration duration);

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  mutable absl::Mutex mu_;
  std::function<Sources()> sources_ ABSL_GUARDED_BY(mu_);
  prometheus::Registry histograms_;
  prometheus::Histogram* launch_seconds_ = nullptr;
};

}  // namespace tessera::agent
