#include "services/allocator/server/allocator_metrics.h"

#include <prometheus/metric_family.h>

#include <algorithm>
#include <limits>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"

namespace tessera::allocator {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<std::pair<std::string, std::string>>;

// Gathers families; each name is given once with its kind and help.
class Families {
 public:
  MetricFamily& Add(const char* name, MetricType type, const char* help) {
    MetricFamily family;
    family.name = name;
    family.type = type;
    family.help = help;
    families_.push_back(std::move(family));
    return families_.back();
  }
  void Gauge(const char* name, const char* help, double value) {
    Sample(Add(name, MetricType::Gauge, help), {}, value);
  }
  void Counter(const char* name, const char* help, uint64_t value) {
    Sample(Add(name, MetricType::Counter, help), {}, static_cast<double>(value));
  }
  void Histogram(const char* name, const char* help, const DurationHistogram& histogram) {
    ClientMetric metric;
    const auto cumulative = histogram.Cumulative();
    for (size_t i = 0; i < cumulative.size(); ++i) {
      metric.histogram.bucket.push_back({cumulative[i], DurationHistogram::kBoundsSeconds[i]});
    }
    metric.histogram.bucket.push_back({histogram.count(), std::numeric_limits<double>::infinity()});
    metric.histogram.sample_count = histogram.count();
    metric.histogram.sample_sum = histogram.sum_seconds();
    Add(name, MetricType::Histogram, help).metric.push_back(std::move(metric));
  }
  void Kinds(const char* name, const char* help, const std::vector<rpc::KindCount>& kinds) {
    MetricFamily& family = Add(name, MetricType::Counter, help);
    for (const rpc::KindCount& one : kinds) {
      Sample(family, {{"kind", std::string(one.kind)}}, static_cast<double>(one.count));
    }
  }
  static void Sample(MetricFamily& family, const Labels& labels, double value) {
    ClientMetric metric;
    for (const auto& [name, text] : labels) {
      // The text format has no bound of its own.
      constexpr size_t kLabelBytesMax = 128;
      metric.label.push_back({name, text.substr(0, kLabelBytesMax)});
    }
    (family.type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
    family.metric.push_back(std::move(metric));
  }
  std::vector<MetricFamily> Take() && {
    std::erase_if(families_, [](const MetricFamily& family) { return family.metric.empty(); });
    return std::move(families_);
  }

 private:
  std::vector<MetricFamily> families_;
};

// The unit that people read: cpus and gpus as they are, MiB as bytes.
double InUnit(size_t name, int64_t milli) {
  constexpr double kMiB = 1024.0 * 1024.0;
  const double value = static_cast<double>(milli) / 1000.0;
  return name == kMem || name == kDisk ? value * kMiB : value;
}

// One family for each of the four names that every cluster has.
struct PerResource {
  const char* cpus;
  const char* mem;
  const char* disk;
  const char* gpus;
  const char* help;
};
constexpr PerResource kClusterResources = {
    "tessera_allocator_cpus", "tessera_allocator_memory_bytes", "tessera_allocator_disk_bytes",
    "tessera_allocator_gpus", "Resources known to the allocator, by kind."};
constexpr PerResource kRoleResources = {
    "tessera_role_allocated_cpus", "tessera_role_allocated_memory_bytes",
    "tessera_role_allocated_disk_bytes", "tessera_role_allocated_gpus",
    "Offered to or used by frameworks in the role, those beneath it not counted."};
constexpr PerResource kQuotaResources = {
    "tessera_role_quota_cpus", "tessera_role_quota_memory_bytes", "tessera_role_quota_disk_bytes",
    "tessera_role_quota_gpus",
    "Guarantee and limit of the role, and what its subtree consumes of them."};

template <typename AddSamples>
void ForEachResource(const PerResource& names, Families* families, AddSamples add_samples) {
  const std::array<const char*, 4> all = {names.cpus, names.mem, names.disk, names.gpus};
  for (size_t name = 0; name < all.size(); ++name) {
    add_samples(name, families->Add(all[name], MetricType::Gauge, names.help));
  }
}

}  // namespace

void DurationHistogram::Observe(absl::Duration duration) {
  const double seconds = absl::ToDoubleSeconds(duration);
  const auto bound = std::lower_bound(kBoundsSeconds.begin(), kBoundsSeconds.end(), seconds);
  ++counts_[bound - kBoundsSeconds.begin()];
  ++count_;
  sum_seconds_ += seconds;
}

std::array<uint64_t, DurationHistogram::kBoundsSeconds.size()> DurationHistogram::Cumulative()
    const {
  std::array<uint64_t, kBoundsSeconds.size()> cumulative{};
  uint64_t sum = 0;
  for (size_t i = 0; i < cumulative.size(); ++i) cumulative[i] = sum += counts_[i];
  return cumulative;
}

void AllocatorMetrics::NoteRun(const RunDone& run, absl::Duration took) {
  run_time_.Observe(took);
  latency_.Observe(run.waited);
}

void AllocatorMetrics::Publish(absl::Time now, const StreamCore& core) {
  const bool connected = core.allocator() != nullptr;
  constexpr absl::Duration kBetween = absl::Milliseconds(250);
  {
    absl::MutexLock lock(&mu_);
    if (view_->connected == connected && now < published_ + kBetween) return;
  }
  published_ = now;
  auto view = std::make_shared<View>();
  view->counters = core.counters();
  view->run_time = run_time_;
  view->latency = latency_;
  view->epoch = core.highest_epoch();
  view->streams_refused = core.streams_refused();
  view->resources_left_out = core.resources_left_out();
  view->bad_expressions = core.bad_expressions();
  view->connected = connected;
  if (connected) {
    const AllocatorCore& allocator = *core.allocator();
    const ClusterTables& tables = allocator.tables();
    const Vocabulary& words = *core.words();
    view->paused = allocator.paused();
    view->agents = tables.agents.known();
    view->filters = tables.filters.size();
    view->total = tables.totals.total;
    view->held = tables.held;
    view->required_headroom = tables.quotas.required_headroom();
    view->uncounted_names = words.uncounted_names().size();
    AddFrameworks(core, hoarders_max_, view.get());
    const std::vector<size_t> filters = tables.FiltersByRole();
    for (uint32_t index = 1; index < words.roles(); ++index) {
      const RoleNum role{index};
      if (tables.quotas.AnyQuota() && !tables.quotas.Get(role).IsDefault()) {
        view->quotas.push_back(
            {words.role(role).path, tables.quotas.Get(role), tables.quotas.Consumed(role)});
      }
      if (index >= tables.roles.slots() || tables.roles.at(role).client_count == 0) continue;
      if (view->roles.size() >= roles_max_) {
        ++view->roles_left_out;
        continue;
      }
      view->roles.push_back({words.role(role).path, tables.roles.sorter().AllocationOf(index),
                             static_cast<double>(tables.roles.sorter().DominantShare(index)) / 1e9,
                             filters[index]});
    }
  }
  absl::MutexLock lock(&mu_);
  view_ = std::move(view);
}

void AllocatorMetrics::AddFrameworks(const StreamCore& core, size_t hoarders_max, View* view) {
  const ClusterTables& tables = core.allocator()->tables();
  for (uint32_t index = 0; index < tables.frameworks.slots(); ++index) {
    const Framework* framework = tables.frameworks.Find(FrameworkNum{index});
    if (framework == nullptr) continue;
    FrameworkView one;
    one.outstanding_offers = framework->outstanding_offers;
    one.refusals_lengthened = framework->refusals_lengthened;
    one.silences = framework->silences_total;
    for (ClientNum client : framework->clients) one.filters += tables.filters.CountOf(client);
    view->frameworks_at_cap += framework->IsAtOfferCap(tables.config);
    if (one.outstanding_offers + one.filters + one.refusals_lengthened + one.silences == 0)
      continue;
    one.id = core.words()->FrameworkId(FrameworkNum{index});
    view->frameworks.push_back(std::move(one));
  }
  const size_t shown = std::min(hoarders_max, view->frameworks.size());
  std::partial_sort(view->frameworks.begin(), view->frameworks.begin() + static_cast<long>(shown),
                    view->frameworks.end(), [](const auto& left, const auto& right) {
                      return std::tie(right.outstanding_offers, right.silences,
                                      right.refusals_lengthened, right.filters, left.id) <
                             std::tie(left.outstanding_offers, left.silences,
                                      left.refusals_lengthened, left.filters, right.id);
                    });
  view->frameworks.resize(shown);
}

std::vector<MetricFamily> AllocatorMetrics::Collect() const {
  std::shared_ptr<const View> view;
  {
    absl::MutexLock lock(&mu_);
    view = view_;
  }
  Families families;
  {
    MetricFamily& runs = families.Add("tessera_allocation_runs_total", MetricType::Counter,
                                      "Allocation runs, over all agents or those with news.");
    Families::Sample(runs, {{"kind", "full"}}, view->counters.full_runs);
    Families::Sample(runs, {{"kind", "event"}}, view->counters.event_runs);
  }
  families.Histogram("tessera_allocation_run_duration_seconds", "Time inside one run.",
                     view->run_time);
  families.Histogram("tessera_allocation_run_latency_seconds",
                     "From the first cause of a run to its start.", view->latency);
  families.Counter("tessera_allocations_total", "Allocations made, each of them an offer.",
                   view->counters.allocations);
  families.Counter("tessera_allocation_agents_considered_total", "Agents looked at, over all runs.",
                   view->counters.agents_considered);
  families.Counter("tessera_allocation_pairs_considered_total",
                   "Frameworks looked at for some agent and role, over all runs.",
                   view->counters.pairs_considered);
  families.Counter("tessera_allocator_events_total", "Events taken in from masters.",
                   view->counters.events);
  families.Counter("tessera_allocator_refused_events_total",
                   "Events that contradicted what is known; each ended its stream.",
                   view->counters.refused_events);
  families.Counter("tessera_allocator_stale_recoveries_total",
                   "Resources given back of an agent or framework that is gone.",
                   view->counters.stale_recoveries);
  families.Counter("tessera_allocator_filters_not_kept_total",
                   "Refusals that found the table of filters full.",
                   view->counters.filters_not_kept);
  families.Counter("tessera_allocator_refusals_lengthened_total",
                   "Refusals that hold longer than was asked, because the same was refused before.",
                   view->counters.refusals_lengthened);
  families.Counter("tessera_allocator_silences_total",
                   "Times that a framework was not asked for a while, because it had let offers "
                   "lie without an answer.",
                   view->counters.silences);
  families.Counter("tessera_allocator_runs_not_made_on_demand_total",
                   "Runs over all agents that frameworks asked for too often; the periodic run "
                   "stood for them.",
                   view->counters.runs_not_made_on_demand);
  families.Counter("tessera_allocation_runs_cut_short_total",
                   "Runs that left agents to the next one, because they cost as much as one may.",
                   view->counters.runs_cut_short);
  families.Counter("tessera_allocator_inverse_offers_total",
                   "Frameworks asked to leave agents that are to be unavailable.",
                   view->counters.inverse_allocations);
  families.Gauge("tessera_allocator_uncounted_names",
                 "Names of scalar resources beyond the bound on names: they are offered, but count "
                 "neither for shares nor for quota.",
                 static_cast<double>(view->uncounted_names));
  families.Gauge("tessera_allocator_frameworks_at_offer_cap",
                 "Frameworks that hold as many offers without an answer as they may.",
                 static_cast<double>(view->frameworks_at_cap));
  families.Counter("tessera_allocator_ended_streams_total",
                   "Streams of masters that this side ended.", view->streams_refused);
  families.Counter("tessera_allocator_resources_left_out_total",
                   "Guarantees and limits of resources beyond the bound on names, which are not "
                   "enforced.",
                   view->resources_left_out);
  families.Counter("tessera_allocator_bad_expressions_total",
                   "Expressions of offer constraints that are not accepted; they never hold.",
                   view->bad_expressions);
  families.Gauge("tessera_allocator_connected", "1 while a master's stream is served.",
                 view->connected ? 1 : 0);
  families.Gauge("tessera_allocator_paused",
                 "1 while nothing is allocated: no snapshot yet, or agents are awaited.",
                 view->paused ? 1 : 0);
  families.Gauge("tessera_allocator_epoch", "The highest epoch seen.",
                 static_cast<double>(view->epoch));
  families.Gauge("tessera_allocator_agents", "Agents known.", static_cast<double>(view->agents));
  if (shell_) {
    const ShellState shell = shell_();
    families.Gauge("tessera_allocator_event_queue_length", "Requests that wait for the strand.",
                   static_cast<double>(shell.queue_length));
    families.Counter("tessera_allocator_event_queue_refused_total",
                     "Requests that found the queue full; each ended its stream.", shell.refused);
    families.Kinds("tessera_allocator_steps_total", "Steps of the core by kind of event.",
                   shell.steps);
    families.Kinds("tessera_allocator_effects_total", "Effects carried out by kind.",
                   shell.effects);
  }
  ForEachResource(kClusterResources, &families, [&](size_t name, MetricFamily& family) {
    Families::Sample(family, {{"kind", "total"}}, InUnit(name, view->total[name]));
    Families::Sample(family, {{"kind", "offered_or_allocated"}}, InUnit(name, view->held[name]));
    Families::Sample(family, {{"kind", "held_for_guarantees"}},
                     InUnit(name, view->required_headroom[name]));
  });
  ForEachResource(kRoleResources, &families, [&](size_t name, MetricFamily& family) {
    for (const RoleView& role : view->roles) {
      Families::Sample(family, {{"role", role.path}}, InUnit(name, role.held[name]));
    }
  });
  MetricFamily& shares =
      families.Add("tessera_role_dominant_share_ratio", MetricType::Gauge,
                   "Largest part of any resource that the role's subtree holds, before weights.");
  for (const RoleView& role : view->roles) {
    Families::Sample(shares, {{"role", role.path}}, role.share);
  }
  MetricFamily& filters = families.Add("tessera_role_offer_filters", MetricType::Gauge,
                                       "Refusals of frameworks in the role that are in force.");
  for (const RoleView& role : view->roles) {
    Families::Sample(filters, {{"role", role.path}}, static_cast<double>(role.filters));
  }
  MetricFamily& outstanding = families.Add(
      "tessera_allocator_framework_outstanding_offers", MetricType::Gauge,
      "Offers that the framework has not answered yet; the frameworks with the most of them.");
  for (const FrameworkView& one : view->frameworks) {
    Families::Sample(outstanding, {{"framework_id", one.id}},
                     static_cast<double>(one.outstanding_offers));
  }
  MetricFamily& refused = families.Add("tessera_allocator_framework_offer_filters",
                                       MetricType::Gauge, "Refusals of the framework in force.");
  for (const FrameworkView& one : view->frameworks) {
    Families::Sample(refused, {{"framework_id", one.id}}, static_cast<double>(one.filters));
  }
  MetricFamily& lengthened = families.Add(
      "tessera_allocator_framework_refusals_lengthened_total", MetricType::Counter,
      "Refusals of the framework that came again and again, and so hold longer than it asked.");
  for (const FrameworkView& one : view->frameworks) {
    Families::Sample(lengthened, {{"framework_id", one.id}},
                     static_cast<double>(one.refusals_lengthened));
  }
  MetricFamily& silences = families.Add(
      "tessera_allocator_framework_silences_total", MetricType::Counter,
      "Times that the framework was not asked for a while, because it had let offers lie.");
  for (const FrameworkView& one : view->frameworks) {
    Families::Sample(silences, {{"framework_id", one.id}}, static_cast<double>(one.silences));
  }
  ForEachResource(kQuotaResources, &families, [&](size_t name, MetricFamily& family) {
    for (const QuotaView& one : view->quotas) {
      const bool limited = one.quota.limit[name] != kUnlimited;
      if (one.quota.guarantee[name] == 0 && !limited) continue;
      Families::Sample(family, {{"role", one.path}, {"kind", "guarantee"}},
                       InUnit(name, one.quota.guarantee[name]));
      if (limited) {
        Families::Sample(family, {{"role", one.path}, {"kind", "limit"}},
                         InUnit(name, one.quota.limit[name]));
      }
      Families::Sample(family, {{"role", one.path}, {"kind", "consumed"}},
                       InUnit(name, one.consumed[name]));
    }
  });
  families.Gauge("tessera_allocator_metrics_roles_left_out",
                 "Roles beyond the bound on series, which have none.",
                 static_cast<double>(view->roles_left_out));
  return std::move(families).Take();
}

}  // namespace tessera::allocator
