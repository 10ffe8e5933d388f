// What allocator-svc shows on /metrics: the only place where its names are spelt.
//
// The strand notes runs as plain integers and publishes an immutable view now and then; a scrape
// renders the newest view and never waits for the strand.
#pragma once

#include <prometheus/collectable.h>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "services/allocator/wire/stream_core.h"
#include "services/rpc/kind_counts.h"

namespace tessera::allocator {

// Counts of durations by upper bound.
class DurationHistogram {
 public:
  static constexpr std::array<double, 16> kBoundsSeconds = {
      0.000'01, 0.000'02, 0.000'05, 0.000'1, 0.000'2, 0.000'5, 0.001, 0.002,
      0.005,    0.01,     0.02,     0.05,    0.1,     0.25,    1,     5};
  void Observe(absl::Duration duration);
  uint64_t count() const { return count_; }
  double sum_seconds() const { return sum_seconds_; }
  // Observations up to and including each bound.
  std::array<uint64_t, kBoundsSeconds.size()> Cumulative() const;

 private:
  std::array<uint64_t, kBoundsSeconds.size() + 1> counts_{};
  uint64_t count_ = 0;
  double sum_seconds_ = 0;
};

class AllocatorMetrics final : public prometheus::Collectable {
 public:
  struct ShellState {
    uint64_t queue_length = 0;
    uint64_t refused = 0;
    std::vector<rpc::KindCount> steps;
    std::vector<rpc::KindCount> effects;
  };
  // At most `roles_max` roles have series of their own, and the `hoarders_max` frameworks with the
  // most outstanding offers.
  explicit AllocatorMetrics(size_t roles_max = 1000, size_t hoarders_max = 100)
      : roles_max_(roles_max), hoarders_max_(hoarders_max) {}

  // ---- On the strand.
  void NoteRun(const RunDone& run, absl::Duration took);
  // Publishes a view unless one is newer than a quarter of a second.
  void Publish(absl::Time now, const StreamCore& core);

  // ---- Before the first scrape.
  void WatchShell(std::function<ShellState()> shell) { shell_ = std::move(shell); }

  // ---- On any thread.
  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  struct RoleView {
    std::string path;
    Amounts held;
    double share = 0;
    uint64_t filters = 0;
  };
  // What tells who hoards.
  struct FrameworkView {
    std::string id;
    uint64_t outstanding_offers = 0;
    uint64_t filters = 0;
    uint64_t refusals_lengthened = 0;
    uint64_t silences = 0;
  };
  struct QuotaView {
    std::string path;
    Quota quota;
    Amounts consumed;
  };
  struct View {
    AllocatorCounters counters;
    DurationHistogram run_time;
    DurationHistogram latency;
    uint64_t epoch = 0;
    uint64_t streams_refused = 0;
    uint64_t resources_left_out = 0;
    uint64_t bad_expressions = 0;
    bool connected = false;
    bool paused = true;
    uint64_t agents = 0;
    uint64_t filters = 0;
    Amounts total;
    Amounts held;
    Amounts required_headroom;
    std::vector<std::string> scalar_names;
    std::vector<RoleView> roles;
    std::vector<QuotaView> quotas;
    std::vector<FrameworkView> frameworks;
    uint64_t frameworks_at_cap = 0;
    uint64_t uncounted_names = 0;
    uint64_t roles_left_out = 0;
  };

  static void AddFrameworks(const StreamCore& core, size_t hoarders_max, View* view);

  const size_t roles_max_;
  const size_t hoarders_max_;
  std::function<ShellState()> shell_;
  // The strand's.
  DurationHistogram run_time_;
  DurationHistogram latency_;
  absl::Time published_ = absl::InfinitePast();

  mutable absl::Mutex mu_;
  std::shared_ptr<const View> view_ ABSL_GUARDED_BY(mu_) = std::make_shared<View>();
};

}  // namespace tessera::allocator
