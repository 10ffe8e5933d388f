#include "services/master/server/master_metrics.h"

#include <prometheus/metric_family.h>

#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/ascii.h"
#include "services/model/task_state.h"

namespace tessera::master {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<std::pair<std::string, std::string>>;

class Families {
 public:
  // The family stays valid until the next one is added.
  MetricFamily& Add(const char* name, MetricType type, const char* help) {
    MetricFamily& family = families_.emplace_back();
    family.name = name;
    family.type = type;
    family.help = help;
    return family;
  }
  void Gauge(const char* name, const char* help, double value) {
    Sample(Add(name, MetricType::Gauge, help), {}, value);
  }
  void Counter(const char* name, const char* help, double value) {
    Sample(Add(name, MetricType::Counter, help), {}, value);
  }
  void Kinds(const char* name, const char* help, const std::vector<rpc::KindCount>& kinds) {
    MetricFamily& family = Add(name, MetricType::Counter, help);
    for (const rpc::KindCount& one : kinds) {
      Sample(family, {{"kind", std::string(one.kind)}}, one.count);
    }
  }
  static void Sample(MetricFamily& family, const Labels& labels, double value) {
    // The text format has no bound of its own.
    constexpr size_t kLabelBytesMax = 128;
    ClientMetric metric;
    for (const auto& [name, text] : labels) {
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

// Numbers of task states that are not terminal, and that are.
constexpr std::array<int, 5> kLiveStates = {1, 2, 3, 4, 11};
constexpr std::array<int, 8> kEndStates = {5, 6, 7, 8, 9, 10, 12, 13};

std::string StateLabel(int state) {
  return std::string(model::TaskStateLabel(static_cast<model::TaskState>(state)));
}

std::string SourceLabel(int source) {
  if (source < 1 || source > model::kStatusSourceCount) return "none";
  return std::string(model::StatusSourceLabel(static_cast<model::StatusSource>(source)));
}

std::string ReasonLabel(int reason) {
  if (reason < 1 || reason > model::kStatusReasonCount) return "none";
  return std::string(model::StatusReasonLabel(static_cast<model::StatusReason>(reason)));
}

void AddProcess(const MetricsSnapshot& snapshot, Families& families) {
  const MasterMetrics& master = *snapshot.master;
  families.Gauge("tessera_master_leader", "1 while this master leads and takes calls.",
                 master.leads && !master.recovering);
  families.Gauge("tessera_master_recovering", "1 while the new leader reads the registry.",
                 master.recovering);
  families.Gauge("tessera_master_epoch", "The epoch led with; 0 on a standby.",
                 static_cast<double>(master.epoch));
  families.Counter("tessera_master_leaderships_total", "Times that this process began to lead.",
                   master.counters.leaderships);
  const ShellMetrics& shell = snapshot.shell;
  families.Gauge("tessera_master_event_queue_length", "Events that wait for the core.",
                 shell.queue_length);
  families.Counter("tessera_master_events_total", "Events that the core took.", shell.events_total);
  families.Counter("tessera_master_events_refused_total",
                   "Events that were refused because the queue was full.",
                   shell.events_refused_total);
  families.Counter("tessera_master_batches_total", "Batches of events.", shell.batches_total);
  families.Counter("tessera_master_step_seconds_total", "Time spent in the core.",
                   shell.step_seconds_total);
  families.Counter("tessera_master_sink_seconds_total", "Time spent to carry out effects.",
                   shell.sink_seconds_total);
  families.Gauge("tessera_master_longest_batch_seconds", "The longest batch so far.",
                 shell.longest_batch_seconds);
  families.Kinds("tessera_master_steps_total", "Steps of the core by kind of event.", shell.steps);
  families.Kinds("tessera_master_effects_total", "Effects carried out by kind.", shell.effects);
  families.Gauge("tessera_master_feed_version", "Version of the state that was published last.",
                 shell.feed_version);
  families.Gauge("tessera_master_feed_followers", "Followers of the state feed.",
                 shell.feed_followers);
  families.Gauge("tessera_master_feed_queue_changes", "Changes that wait to be published.",
                 shell.feed_queue_changes);
  families.Counter("tessera_master_feed_messages_total", "Messages sent to followers.",
                   shell.feed_messages_total);
  families.Counter("tessera_master_feed_bytes_total", "Bytes sent to followers.",
                   shell.feed_bytes_total);
  families.Counter("tessera_master_registry_commits_total", "Transactions sent to the registry.",
                   master.counters.registry_commits);
  families.Counter("tessera_master_registry_failures_total",
                   "Transactions that failed; each is sent again or ends the leadership.",
                   master.counters.registry_failures);
  families.Gauge("tessera_master_registry_queue_length", "Writes that wait for the registry.",
                 master.registry_queue);
  families.Gauge("tessera_master_allocator_connected",
                 "1 while the stream to the allocator is open.", master.allocator_connected);
  families.Counter("tessera_master_allocator_links_total", "Streams opened to the allocator.",
                   master.counters.allocator_links);
  families.Counter("tessera_master_allocator_timeouts_total",
                   "Streams given up because the allocator answered nothing for too long.",
                   master.counters.allocator_timeouts);
  families.Counter("tessera_master_allocations_given_back_total",
                   "Allocations that could not be offered any more.",
                   master.counters.allocations_given_back);
}

void AddAgents(const MasterMetrics& master, Families& families) {
  {
    MetricFamily& agents = families.Add("tessera_agents", MetricType::Gauge, "Registered agents.");
    Families::Sample(agents, {{"connection", "connected"}, {"scheduling", "active"}},
                     master.agents_connected_active);
    Families::Sample(agents, {{"connection", "connected"}, {"scheduling", "inactive"}},
                     master.agents_connected_inactive);
    Families::Sample(agents, {{"connection", "disconnected"}, {"scheduling", "inactive"}},
                     master.agents_disconnected);
  }
  families.Gauge("tessera_agents_recovering", "Agents that are not back since the fail-over.",
                 master.agents_recovered);
  families.Gauge("tessera_agents_unreachable", "Agents that did not answer for too long.",
                 master.agents_unreachable);
  families.Gauge("tessera_agents_gone", "Agents that were declared dead.", master.agents_gone);
  {
    MetricFamily& registrations =
        families.Add("tessera_agent_registrations_total", MetricType::Counter, "Agents admitted.");
    Families::Sample(registrations, {{"kind", "new"}}, master.counters.agents_registered);
    Families::Sample(registrations, {{"kind", "reregister"}}, master.counters.agents_reregistered);
  }
  families.Counter("tessera_agent_registrations_refused_total",
                   "Streams of agents that were refused.", master.counters.agents_refused);
  {
    MetricFamily& removals =
        families.Add("tessera_agent_removals_total", MetricType::Counter, "Agents that left.");
    for (int i = 0; i < kAgentRemovals; ++i) {
      Families::Sample(removals, {{"reason", std::string(kAgentRemovalLabels[i])}},
                       master.counters.agent_removals[i]);
    }
  }
  MetricFamily& marking = families.Add("tessera_agent_unreachable_transitions_total",
                                       MetricType::Counter, "Markings of agents as unreachable.");
  Families::Sample(marking, {{"phase", "scheduled"}}, master.counters.unreachable_scheduled);
  Families::Sample(marking, {{"phase", "completed"}}, master.counters.unreachable_completed);
  Families::Sample(marking, {{"phase", "canceled"}}, master.counters.unreachable_cancelled);
}

void AddCluster(const MasterMetrics& master, Families& families) {
  {
    MetricFamily& frameworks =
        families.Add("tessera_frameworks", MetricType::Gauge, "Frameworks that live.");
    Families::Sample(frameworks, {{"connection", "connected"}}, master.frameworks_connected);
    Families::Sample(frameworks, {{"connection", "disconnected"}}, master.frameworks_disconnected);
  }
  families.Counter("tessera_frameworks_registered_total", "Frameworks that subscribed first.",
                   master.counters.frameworks_registered);
  families.Counter("tessera_frameworks_removed_total", "Frameworks that ended.",
                   master.counters.frameworks_removed);
  families.Counter("tessera_subscriptions_refused_total", "Subscriptions that were refused.",
                   master.counters.subscriptions_refused);
  families.Counter("tessera_calls_refused_total", "Calls of frameworks that were refused.",
                   master.counters.calls_refused);
  families.Gauge("tessera_offers_outstanding", "Offers that are not answered yet.",
                 master.offers_outstanding);
  {
    MetricFamily& offers =
        families.Add("tessera_offers_total", MetricType::Counter, "Offers by what became of them.");
    Families::Sample(offers, {{"outcome", "sent"}}, master.counters.offers_sent);
    Families::Sample(offers, {{"outcome", "accepted"}}, master.counters.offers_accepted);
    Families::Sample(offers, {{"outcome", "declined"}}, master.counters.offers_declined);
    Families::Sample(offers, {{"outcome", "rescinded"}}, master.counters.offers_rescinded);
  }
  families.Gauge("tessera_inverse_offers_outstanding", "Inverse offers that are not answered yet.",
                 master.inverse_offers_outstanding);
  {
    MetricFamily& offers = families.Add("tessera_inverse_offers_total", MetricType::Counter,
                                        "Inverse offers by what became of them.");
    Families::Sample(offers, {{"outcome", "sent"}}, master.counters.inverse_offers_sent);
    Families::Sample(offers, {{"outcome", "accepted"}}, master.counters.inverse_offers_accepted);
    Families::Sample(offers, {{"outcome", "declined"}}, master.counters.inverse_offers_declined);
    Families::Sample(offers, {{"outcome", "rescinded"}}, master.counters.inverse_offers_rescinded);
  }
  {
    MetricFamily& machines = families.Add("tessera_maintenance_machines", MetricType::Gauge,
                                          "Machines of the maintenance schedule.");
    Families::Sample(machines, {{"mode", "draining"}}, master.machines_draining);
    Families::Sample(machines, {{"mode", "down"}}, master.machines_down);
  }
  families.Counter("tessera_tasks_launched_total", "Tasks sent to agents.",
                   master.counters.tasks_launched);
  {
    MetricFamily& tasks =
        families.Add("tessera_tasks", MetricType::Gauge, "Tasks that have not ended, by state.");
    for (int state : kLiveStates) {
      Families::Sample(tasks, {{"state", StateLabel(state)}}, master.counters.tasks[state]);
    }
  }
  {
    MetricFamily& ended = families.Add("tessera_tasks_terminated_total", MetricType::Counter,
                                       "Tasks that ended, by state, who said so, and why.");
    for (const auto& [key, count] : master.counters.tasks_terminated) {
      const auto& [state, source, reason] = key;
      Families::Sample(ended,
                       {{"state", StateLabel(state)},
                        {"source", SourceLabel(source)},
                        {"reason", ReasonLabel(reason)}},
                       count);
    }
  }
  families.Counter("tessera_status_updates_total", "Statuses that agents sent.",
                   master.counters.status_updates);
  {
    MetricFamily& acknowledgements = families.Add(
        "tessera_acknowledgements_total", MetricType::Counter, "Acknowledgements of statuses.");
    Families::Sample(acknowledgements, {{"result", "relayed"}},
                     master.counters.acknowledgements - master.counters.acknowledgements_dropped);
    Families::Sample(acknowledgements, {{"result", "dropped"}},
                     master.counters.acknowledgements_dropped);
  }
  families.Counter("tessera_inventories_asked_total",
                   "Agents that ran what was not booked and were told to bring their inventory.",
                   master.counters.inventories_asked);
  families.Counter("tessera_inventory_operations_total",
                   "Operations in inventories that this version cannot follow.",
                   master.counters.inventory_operations);
  MetricFamily& messages = families.Add("tessera_executor_messages_total", MetricType::Counter,
                                        "Messages between frameworks and executors.");
  Families::Sample(messages, {{"to", "executor"}}, master.counters.messages_to_executors);
  Families::Sample(messages, {{"to", "framework"}}, master.counters.messages_from_executors);
}

void AddTo(FrameworkCounters& sum, const FrameworkCounters& counters) {
  for (int i = 0; i < kCallTypes; ++i) sum.calls[i] += counters.calls[i];
  for (int i = 0; i < kEventTypes; ++i) sum.events[i] += counters.events[i];
  for (int i = 0; i < kOperationTypes; ++i) sum.operations[i] += counters.operations[i];
  sum.offers_sent += counters.offers_sent;
  sum.offers_accepted += counters.offers_accepted;
  sum.offers_declined += counters.offers_declined;
  sum.offers_rescinded += counters.offers_rescinded;
  for (int i = 0; i < kTaskStates; ++i) {
    sum.tasks[i] += counters.tasks[i];
    sum.tasks_terminated[i] += counters.tasks_terminated[i];
  }
}

void AddFrameworks(const std::vector<FrameworkMetrics>& rows, Families& families) {
  auto each = [&](const char* name, MetricType type, const char* help, auto add) {
    MetricFamily& family = families.Add(name, type, help);
    for (const FrameworkMetrics& row : rows) add(family, row);
  };
  each("tessera_framework_info", MetricType::Gauge,
       "1; joins names to the other families by framework_id.",
       [](MetricFamily& family, const FrameworkMetrics& row) {
         Families::Sample(family,
                          {{"framework_id", row.id},
                           {"framework_name", row.name},
                           {"principal", row.principal},
                           {"user", row.user}},
                          1);
       });
  each("tessera_framework_subscribed", MetricType::Gauge, "1 while the framework is subscribed.",
       [](MetricFamily& family, const FrameworkMetrics& row) {
         Families::Sample(family, {{"framework_id", row.id}}, row.subscribed);
       });
  each("tessera_framework_calls_total", MetricType::Counter,
       "Calls of the framework, refused ones too.",
       [](MetricFamily& family, const FrameworkMetrics& row) {
         for (int i = 0; i < kCallTypes; ++i) {
           Families::Sample(family,
                            {{"framework_id", row.id}, {"type", std::string(kCallTypeLabels[i])}},
                            row.counters.calls[i]);
         }
       });
  each("tessera_framework_events_total", MetricType::Counter, "Events sent to the framework.",
       [](MetricFamily& family, const FrameworkMetrics& row) {
         for (int i = 0; i < kEventTypes; ++i) {
           Families::Sample(family,
                            {{"framework_id", row.id}, {"type", std::string(kEventTypeLabels[i])}},
                            row.counters.events[i]);
         }
       });
  each("tessera_framework_offers_total", MetricType::Counter,
       "Offers of the framework by what became of them.",
       [](MetricFamily& family, const FrameworkMetrics& row) {
         const std::array<std::pair<const char*, uint64_t>, 4> outcomes = {
             {{"sent", row.counters.offers_sent},
              {"accepted", row.counters.offers_accepted},
              {"declined", row.counters.offers_declined},
              {"rescinded", row.counters.offers_rescinded}}};
         for (const auto& [outcome, count] : outcomes) {
           Families::Sample(family, {{"framework_id", row.id}, {"outcome", outcome}}, count);
         }
       });
  each("tessera_framework_operations_total", MetricType::Counter,
       "Operations of the framework that were carried out.",
       [](MetricFamily& family, const FrameworkMetrics& row) {
         for (int i = 0; i < kOperationTypes; ++i) {
           Families::Sample(
               family, {{"framework_id", row.id}, {"type", std::string(kOperationTypeLabels[i])}},
               row.counters.operations[i]);
         }
       });
  each("tessera_framework_tasks", MetricType::Gauge, "Tasks of the framework that have not ended.",
       [](MetricFamily& family, const FrameworkMetrics& row) {
         for (int state : kLiveStates) {
           Families::Sample(family, {{"framework_id", row.id}, {"state", StateLabel(state)}},
                            row.counters.tasks[state]);
         }
       });
  each("tessera_framework_tasks_terminated_total", MetricType::Counter,
       "Tasks of the framework that ended, by state.",
       [](MetricFamily& family, const FrameworkMetrics& row) {
         for (int state : kEndStates) {
           Families::Sample(family, {{"framework_id", row.id}, {"state", StateLabel(state)}},
                            row.counters.tasks_terminated[state]);
         }
       });
  each("tessera_framework_role_suppressed", MetricType::Gauge,
       "1 while the framework wants no offers for the role.",
       [](MetricFamily& family, const FrameworkMetrics& row) {
         for (const auto& [role, suppressed] : row.roles_suppressed) {
           Families::Sample(family, {{"framework_id", row.id}, {"role", role}}, suppressed);
         }
       });
}

}  // namespace

std::vector<MetricFamily> MetricsPage::Collect() const {
  const MetricsSnapshot snapshot = look_();
  Families families;
  AddProcess(snapshot, families);
  AddAgents(*snapshot.master, families);
  AddCluster(*snapshot.master, families);
  const auto& all = snapshot.master->frameworks;
  families.Gauge("tessera_metrics_overflow_frameworks",
                 "Frameworks that are added up in framework_id=\"_overflow\".",
                 all.size() > frameworks_max_ ? all.size() - frameworks_max_ : 0);
  if (all.size() <= frameworks_max_) {
    AddFrameworks(all, families);
  } else {
    std::vector<FrameworkMetrics> rows(all.begin(), all.begin() + frameworks_max_);
    FrameworkMetrics& overflow = rows.emplace_back();
    overflow.id = "_overflow";
    for (size_t i = frameworks_max_; i < all.size(); ++i) AddTo(overflow.counters, all[i].counters);
    AddFrameworks(rows, families);
  }
  return std::move(families).Take();
}

}  // namespace tessera::master
