#include "services/state/server/state_metrics.h"

#include <prometheus/metric_family.h>

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "services/feed/core/snapshot.h"

namespace tessera::state {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

class Families {
 public:
  void Begin(const char* name, MetricType type, const char* help) {
    MetricFamily family;
    family.name = name;
    family.type = type;
    family.help = help;
    families_.push_back(std::move(family));
  }
  void Sample(Labels labels, double value) {
    ClientMetric metric;
    metric.label = std::move(labels);
    MetricFamily& family = families_.back();
    (family.type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
    family.metric.push_back(std::move(metric));
  }
  void Gauge(const char* name, const char* help, double value) {
    Begin(name, MetricType::Gauge, help);
    Sample({}, value);
  }
  void Counter(const char* name, const char* help, double value) {
    Begin(name, MetricType::Counter, help);
    Sample({}, value);
  }
  void Kinds(const char* name, const char* help, const std::vector<rpc::KindCount>& kinds) {
    Begin(name, MetricType::Counter, help);
    for (const rpc::KindCount& one : kinds) Sample({{"kind", std::string(one.kind)}}, one.count);
  }
  std::vector<MetricFamily> Take() && { return std::move(families_); }

 private:
  std::vector<MetricFamily> families_;
};

void AddFeed(const feed::FeedCounters& feed, Families* out) {
  out->Gauge("tessera_state_epoch", "Epoch of the master that the state comes from.", feed.epoch);
  out->Gauge("tessera_state_snapshot_version", "Version of the newest snapshot.", feed.version);
  out->Counter("tessera_state_feed_deltas_total", "Deltas applied.", feed.deltas);
  out->Counter("tessera_state_feed_changes_total", "Changes applied.", feed.changes);
  out->Counter("tessera_state_feed_changes_ignored_total", "Changes that named something unknown.",
               feed.changes_ignored);
  out->Counter("tessera_state_feed_updates_refused_total",
               "Updates of an epoch that is over, or that would have left a gap.",
               feed.updates_refused);
  out->Gauge("tessera_state_feed_queue_changes", "Changes that wait to be applied.",
             feed.queue_changes);
  out->Gauge("tessera_state_followers", "Open streams of followers and watchers.", feed.followers);
  out->Counter("tessera_state_followers_total", "Streams accepted.", feed.followers_total);
  out->Counter("tessera_state_followers_resumed_total",
               "Followers that went on from their version without a snapshot.",
               feed.followers_resumed);
  out->Counter("tessera_state_follower_snapshots_total", "Snapshots serialised for streams.",
               feed.snapshots_started);
  out->Counter("tessera_state_slow_followers_total", "Streams ended because they were too slow.",
               feed.slow_followers_ended);
  out->Gauge("tessera_state_stream_lag_events",
             "The longest lag of a follower behind the newest version, in versions.",
             feed.follower_lag_max);
  out->Gauge("tessera_state_history_bytes",
             "Bytes of deltas kept for followers that lag, with what is kept beside them.",
             feed.history_bytes);
  out->Gauge("tessera_state_history_deltas", "Deltas kept for followers that lag.",
             feed.history_deltas);
  out->Counter("tessera_state_messages_sent_total", "Messages sent to streams.",
               feed.messages_sent);
  out->Counter("tessera_state_sent_bytes_total", "Bytes sent to streams.", feed.bytes_sent);
  out->Counter("tessera_state_serialised_bytes_total",
               "Bytes of deltas serialised, each counted once however often it is sent.",
               feed.bytes_serialised);
}

void AddFollow(const Following& follow, double age, Families* out) {
  out->Gauge("tessera_state_following",
             "1 while the feed is connected, complete, and has a heartbeat of the leading master "
             "that is younger than --feed_timeout.",
             follow.core.whole && follow.fresh ? 1 : 0);
  out->Gauge("tessera_state_snapshot_age_seconds",
             "Time since the leading master made the newest heartbeat that has come, through "
             "however many state-svcs: how old answers may be. -1: none has come.",
             age);
  out->Gauge("tessera_state_feed_hops",
             "State-svcs between the master and this one, by the newest heartbeat.",
             follow.core.hops);
  out->Gauge("tessera_state_strand_queue_length", "Events that wait for the core.",
             follow.queue_length);
  out->Kinds("tessera_state_steps_total", "Steps of the core by kind of event.", follow.steps);
  out->Kinds("tessera_state_effects_total", "Effects carried out by kind.", follow.effects);
  out->Counter("tessera_state_feed_messages_total", "Messages of the feed.",
               follow.core.counters.messages);
  out->Counter("tessera_state_feed_dials_total", "Times that a feed was dialled.",
               follow.core.counters.dials);
  out->Counter("tessera_state_feed_streams_lost_total", "Streams that the other side ended.",
               follow.core.counters.streams_lost);
  out->Counter("tessera_state_feed_snapshots_total", "Whole snapshots taken from the feed.",
               follow.core.counters.snapshots);
  out->Counter("tessera_state_feed_changes_malformed_total",
               "Changes of the feed that were malformed, or of a kind that is not known.",
               follow.core.counters.malformed);
  out->Counter("tessera_state_feed_messages_refused_total",
               "Messages that left a gap or were of an epoch that is over.",
               follow.core.counters.refused);
}

void AddReads(const HttpReads& reads, Families* out) {
  out->Begin("tessera_state_http_requests_total", MetricType::Counter,
             "Requests by endpoint and result.");
  for (size_t i = 0; i < HttpReads::kEndpoints.size(); ++i) {
    const EndpointCounters& counters = reads.counters(i);
    const std::string handler = absl::StrCat("/", HttpReads::kEndpoints[i]);
    const uint64_t refused = counters.refused.load();
    const uint64_t unavailable = counters.unavailable.load();
    const uint64_t not_modified = counters.not_modified.load();
    const uint64_t failed = refused + unavailable + not_modified;
    const uint64_t all = std::max(failed, counters.requests.load());
    out->Sample({{"handler", handler}, {"code", "200"}}, all - failed);
    out->Sample({{"handler", handler}, {"code", "304"}}, not_modified);
    out->Sample({{"handler", handler}, {"code", "400"}}, refused);
    out->Sample({{"handler", handler}, {"code", "503"}}, unavailable);
  }
  out->Begin("tessera_state_http_request_seconds_total", MetricType::Counter,
             "Time spent on making answers, by endpoint.");
  for (size_t i = 0; i < HttpReads::kEndpoints.size(); ++i) {
    out->Sample({{"handler", absl::StrCat("/", HttpReads::kEndpoints[i])}},
                reads.counters(i).nanos.load() / 1e9);
  }
  out->Counter("tessera_state_builds_total", "Times that /state was put together.",
               reads.states_built());
  out->Counter("tessera_state_build_seconds_total", "Time spent on putting /state together.",
               reads.build_nanos() / 1e9);
  out->Begin("tessera_state_snapshot_size_bytes", MetricType::Gauge, "Size of the last /state.");
  out->Sample({{"format", "json"}}, reads.state_bytes());
  const RenderCounters& rendered = reads.rendered();
  out->Begin("tessera_state_fragments_total", MetricType::Counter,
             "Objects in answers, by whether their text had to be rendered.");
  out->Sample({{"result", "rendered"}}, rendered.objects_rendered.load());
  out->Sample({{"result", "reused"}}, rendered.objects_reused.load());
  out->Begin("tessera_state_leaves_total", MetricType::Counter,
             "Groups of objects in answers, by whether their text had to be joined.");
  out->Sample({{"result", "joined"}}, rendered.leaves_joined.load());
  out->Sample({{"result", "reused"}}, rendered.leaves_reused.load());
}

void AddCalls(const ReadCounters& calls, Families* out) {
  out->Begin("tessera_state_grpc_calls_total", MetricType::Counter,
             "Calls of StateService by method and result.");
  for (size_t i = 0; i < ReadCounters::kNames.size(); ++i) {
    out->Sample({{"method", ReadCounters::kNames[i]}, {"result", "ok"}}, calls.ok[i].load());
    out->Sample({{"method", ReadCounters::kNames[i]}, {"result", "error"}}, calls.failed[i].load());
  }
  out->Sample({{"method", "Watch"}, {"result", "ok"}}, calls.watches.load());
}

void AddCluster(const feed::Snapshot& snapshot, Families* out) {
  out->Begin("tessera_state_objects", MetricType::Gauge, "Objects in the newest snapshot.");
  out->Sample({{"kind", "agents"}}, snapshot.agents.size());
  out->Sample({{"kind", "frameworks"}}, snapshot.frameworks.size());
  out->Sample({{"kind", "roles"}}, snapshot.roles.size());
  out->Sample({{"kind", "offers"}}, snapshot.offers.size());
  out->Begin("tessera_state_tasks", MetricType::Gauge, "Tasks in the newest snapshot, by state.");
  for (int state = pb::TASK_STAGING; state <= pb::TASK_UNKNOWN; ++state) {
    const std::string name = pb::TaskState_Name(static_cast<pb::TaskState>(state));
    out->Sample({{"state", absl::AsciiStrToLower(name.substr(sizeof("TASK_") - 1))}},
                snapshot.task_counts[state]);
  }
}

class StateMetrics final : public prometheus::Collectable {
 public:
  explicit StateMetrics(MetricSources sources) : sources_(std::move(sources)) {}

  std::vector<MetricFamily> Collect() const override {
    Families families;
    AddFollow(sources_.follow(), sources_.feed_age(), &families);
    AddFeed(sources_.publisher->counters(), &families);
    AddReads(*sources_.reads, &families);
    AddCalls(*sources_.calls, &families);
    const http::HttpCounters http = sources_.http();
    families.Gauge("tessera_state_http_connections", "Open HTTP connections.",
                   http.connections_open);
    families.Counter("tessera_state_http_connections_refused_total",
                     "HTTP connections refused because there were too many.",
                     http.connections_refused);
    families.Counter("tessera_state_http_connections_evicted_total",
                     "HTTP connections that waited and gave way to new ones.",
                     http.connections_evicted);
    families.Counter("tessera_state_http_readers_cut_total",
                     "HTTP connections closed because their clients did not take their answers.",
                     http.readers_cut);
    families.Counter("tessera_state_http_answers_refused_total",
                     "HTTP answers refused because too much waited to be read.",
                     http.answers_refused);
    families.Counter("tessera_state_http_sent_bytes_total", "Bytes of HTTP responses.",
                     http.bytes_sent);
    if (const auto snapshot = sources_.publisher->snapshot()) AddCluster(*snapshot, &families);
    return std::move(families).Take();
  }

 private:
  const MetricSources sources_;
};

}  // namespace

std::shared_ptr<prometheus::Collectable> MakeStateMetrics(MetricSources sources) {
  return std::make_shared<StateMetrics>(std::move(sources));
}

}  // namespace tessera::state
