#include "services/registry/server/registry_metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace tessera::registry {
namespace {

// All that a scrape shows, read at one moment.
struct Reading {
  RegistrySnapshot core;
  uint64_t queue_length = 0;
  uint64_t events = 0;
  uint64_t events_refused = 0;
  uint64_t batches = 0;
  double step_seconds = 0;
  double sink_seconds = 0;
  uint64_t streams_queued = 0;
};

struct Row {
  const char* name;
  const char* help;
  double (*read)(const Reading&);
};

constexpr Row kCounters[] = {
    {"tessera_registry_commits_total", "Commits accepted.",
     [](const Reading& r) -> double { return r.core.counters.commits; }},
    {"tessera_registry_commits_refused_total", "Commits refused, for whatever reason.",
     [](const Reading& r) -> double { return r.core.counters.commits_refused; }},
    {"tessera_registry_commits_persisted_total", "Commits synced to disk.",
     [](const Reading& r) -> double { return r.core.counters.persisted_commits; }},
    {"tessera_registry_writes_total", "Keys written or deleted by accepted commits.",
     [](const Reading& r) -> double { return r.core.counters.writes; }},
    {"tessera_registry_reads_total", "Pages read.",
     [](const Reading& r) -> double { return r.core.counters.reads; }},
    {"tessera_registry_records_read_total", "Records in pages read.",
     [](const Reading& r) -> double { return r.core.counters.records_read; }},
    {"tessera_registry_persists_total", "Groups of commits handed to the disk.",
     [](const Reading& r) -> double { return r.core.counters.persists; }},
    {"tessera_registry_watch_commits_sent_total", "Commits sent to watchers.",
     [](const Reading& r) -> double { return r.core.counters.watch_commits_sent; }},
    {"tessera_registry_lease_grants_total", "Leadership leases granted.",
     [](const Reading& r) -> double { return r.core.counters.lease_grants; }},
    {"tessera_registry_lease_renewals_total", "Lease renewals accepted.",
     [](const Reading& r) -> double { return r.core.counters.lease_renewals; }},
    {"tessera_registry_lease_renewals_refused_total", "Lease renewals that came too late.",
     [](const Reading& r) -> double { return r.core.counters.lease_renewals_refused; }},
    {"tessera_registry_lease_expirations_total", "Leases that ran out.",
     [](const Reading& r) -> double { return r.core.counters.lease_expirations; }},
    {"tessera_registry_takeovers_total", "How often this registry began to act.",
     [](const Reading& r) -> double { return r.core.counters.takeovers; }},
    {"tessera_registry_fencings_total", "How often it lost the store while it acted.",
     [](const Reading& r) -> double { return r.core.counters.fencings; }},
    {"tessera_registry_refused_not_acting_total",
     "Calls and streams refused because this registry does not act.",
     [](const Reading& r) -> double { return r.core.counters.refused_not_acting; }},
    {"tessera_registry_unknown_writes_done_total",
     "Writes of unknown outcome that turned out to be on disk.",
     [](const Reading& r) -> double { return r.core.counters.settled_done; }},
    {"tessera_registry_unknown_writes_never_total",
     "Writes of unknown outcome that turned out not to be on disk, and never will be.",
     [](const Reading& r) -> double { return r.core.counters.settled_never; }},
    {"tessera_registry_settle_failures_total",
     "Times that the store could not tell the outcome of a write.",
     [](const Reading& r) -> double { return r.core.counters.settle_failures; }},
    {"tessera_registry_events_total", "Events that the core was stepped through.",
     [](const Reading& r) -> double { return r.events; }},
    {"tessera_registry_events_refused_total", "Events refused because the queue was full.",
     [](const Reading& r) -> double { return r.events_refused; }},
    {"tessera_registry_batches_total", "Batches of events.",
     [](const Reading& r) -> double { return r.batches; }},
    {"tessera_registry_step_seconds_total", "Time spent in the core.",
     [](const Reading& r) { return r.step_seconds; }},
    {"tessera_registry_sink_seconds_total", "Time spent carrying out effects.",
     [](const Reading& r) { return r.sink_seconds; }},
};

constexpr Row kGauges[] = {
    {"tessera_registry_keys", "Keys in the table.",
     [](const Reading& r) -> double { return r.core.keys; }},
    {"tessera_registry_size_bytes", "Bytes of keys and values in the table.",
     [](const Reading& r) -> double { return r.core.key_bytes; }},
    {"tessera_registry_version", "Version of the last synced commit.",
     [](const Reading& r) -> double { return r.core.version; }},
    {"tessera_registry_history_commits", "Commits that a new watch can start behind.",
     [](const Reading& r) -> double { return r.core.history_commits; }},
    {"tessera_registry_watchers", "Open watches.",
     [](const Reading& r) -> double { return r.core.watchers; }},
    {"tessera_registry_candidates", "Open campaigns for leadership, the leader's included.",
     [](const Reading& r) -> double { return r.core.candidates; }},
    {"tessera_registry_pending_commits", "Commits that wait for the disk.",
     [](const Reading& r) -> double { return r.core.pending_commits; }},
    {"tessera_registry_epoch", "The highest epoch granted.",
     [](const Reading& r) -> double { return r.core.epoch; }},
    {"tessera_registry_has_leader", "1 while the lease is held.",
     [](const Reading& r) -> double { return r.core.has_leader ? 1 : 0; }},
    {"tessera_registry_acting", "1 while this registry acts, 0 while it stands by.",
     [](const Reading& r) -> double { return r.core.acting ? 1 : 0; }},
    {"tessera_registry_store_failed", "1 while the store has failed and commits are refused.",
     [](const Reading& r) -> double { return r.core.suspended ? 1 : 0; }},
    {"tessera_registry_queued_events", "Events that wait for the core.",
     [](const Reading& r) -> double { return r.queue_length; }},
    {"tessera_registry_queued_messages", "Messages that wait for watchers and candidates.",
     [](const Reading& r) -> double { return r.streams_queued; }},
};

constexpr char kPersistSeconds[] = "tessera_registry_persist_seconds";
constexpr char kSteps[] = "tessera_registry_steps_total";
constexpr char kEffects[] = "tessera_registry_effects_total";

// A series that does not exist yet begins.
void Raise(const std::vector<rpc::KindCount>& counts,
           prometheus::Family<prometheus::Counter>* family) {
  for (const rpc::KindCount& one : counts) {
    prometheus::Counter& counter = family->Add({{"kind", std::string(one.kind)}});
    counter.Increment(static_cast<double>(one.count) - counter.Value());
  }
}

}  // namespace

RegistrySnapshot SnapshotOf(const RegistryCore& core) {
  return {.counters = core.counters(),
          .keys = core.table().size(),
          .key_bytes = core.table().bytes(),
          .version = core.table().version(),
          .watchers = core.watchers(),
          .candidates = core.lease().candidates(),
          .pending_commits = core.pending_commits(),
          .epoch = core.lease().highest_epoch(),
          .history_commits = core.table().history_commits(),
          .has_leader = core.lease().leader().has_value(),
          .acting = core.phase() == Phase::kActing,
          .suspended = core.suspended()};
}

struct RegistryMetrics::Rep {
  std::shared_ptr<prometheus::Registry> registry = std::make_shared<prometheus::Registry>();
  std::vector<prometheus::Counter*> counters;
  std::vector<prometheus::Gauge*> gauges;
  prometheus::Histogram* persist_seconds = nullptr;
  prometheus::Family<prometheus::Counter>* steps = nullptr;
  prometheus::Family<prometheus::Counter>* effects = nullptr;
  absl::Mutex mu;
  RegistrySnapshot last ABSL_GUARDED_BY(mu);
};

RegistryMetrics::RegistryMetrics() : rep_(std::make_unique<Rep>()) {
  for (const Row& row : kCounters) {
    rep_->counters.push_back(&prometheus::BuildCounter()
                                  .Name(row.name)
                                  .Help(row.help)
                                  .Register(*rep_->registry)
                                  .Add({}));
  }
  for (const Row& row : kGauges) {
    rep_->gauges.push_back(
        &prometheus::BuildGauge().Name(row.name).Help(row.help).Register(*rep_->registry).Add({}));
  }
  rep_->persist_seconds =
      &prometheus::BuildHistogram()
           .Name(kPersistSeconds)
           .Help("Time to write and sync one group of commits.")
           .Register(*rep_->registry)
           .Add({}, prometheus::Histogram::BucketBoundaries{0.0005, 0.001, 0.002, 0.005, 0.01, 0.02,
                                                            0.05, 0.1, 0.2, 0.5, 1, 2, 5});
  rep_->steps = &prometheus::BuildCounter()
                     .Name(kSteps)
                     .Help("Steps of the core by kind of event.")
                     .Register(*rep_->registry);
  rep_->effects = &prometheus::BuildCounter()
                       .Name(kEffects)
                       .Help("Effects carried out by kind.")
                       .Register(*rep_->registry);
}

RegistryMetrics::~RegistryMetrics() = default;

std::shared_ptr<prometheus::Registry> RegistryMetrics::registry() const { return rep_->registry; }

void RegistryMetrics::Publish(const RegistrySnapshot& snapshot) {
  absl::MutexLock lock(&rep_->mu);
  rep_->last = snapshot;
}

void RegistryMetrics::ObservePersist(absl::Duration took) {
  rep_->persist_seconds->Observe(absl::ToDoubleSeconds(took));
}

void RegistryMetrics::Refresh(const rpc::StrandMetrics& strand,
                              const std::vector<rpc::KindCount>& steps,
                              const std::vector<rpc::KindCount>& effects, uint64_t streams_queued) {
  absl::MutexLock lock(&rep_->mu);
  Raise(steps, rep_->steps);
  Raise(effects, rep_->effects);
  const Reading reading{.core = rep_->last,
                        .queue_length = strand.queue_length.load(),
                        .events = strand.events_total.load(),
                        .events_refused = strand.refused_total.load(),
                        .batches = strand.batches_total.load(),
                        .step_seconds = strand.step_ns_total.load() / 1e9,
                        .sink_seconds = strand.sink_ns_total.load() / 1e9,
                        .streams_queued = streams_queued};
  for (size_t i = 0; i < rep_->counters.size(); ++i) {
    rep_->counters[i]->Increment(kCounters[i].read(reading) - rep_->counters[i]->Value());
  }
  for (size_t i = 0; i < rep_->gauges.size(); ++i) {
    rep_->gauges[i]->Set(kGauges[i].read(reading));
  }
}

}  // namespace tessera::registry
