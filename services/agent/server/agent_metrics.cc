#include "services/agent/server/agent_metrics.h"

#include <prometheus/histogram.h>
#include <prometheus/metric_family.h>

#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "protos/tessera/model/v1/task.pb.h"

namespace tessera::agent {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<std::pair<std::string, std::string>>;

class Families {
 public:
  void Begin(const char* name, MetricType type, const char* help) {
    MetricFamily family;
    family.name = name;
    family.help = help;
    family.type = type;
    families_.push_back(std::move(family));
  }
  void Add(double value, const Labels& labels = {}) {
    ClientMetric metric;
    for (const auto& [name, text] : labels) metric.label.push_back({name, text});
    if (families_.back().type == MetricType::Counter) {
      metric.counter.value = value;
    } else {
      metric.gauge.value = value;
    }
    families_.back().metric.push_back(std::move(metric));
  }
  void One(const char* name, MetricType type, const char* help, double value) {
    Begin(name, type, help);
    Add(value);
  }
  void Kinds(const char* name, const char* help, const std::vector<rpc::KindCount>& kinds) {
    Begin(name, MetricType::Counter, help);
    for (const rpc::KindCount& one : kinds) {
      Add(static_cast<double>(one.count), {{"kind", std::string(one.kind)}});
    }
  }
  std::vector<MetricFamily> Take() { return std::move(families_); }

 private:
  std::vector<MetricFamily> families_;
};

constexpr MetricType kGauge = MetricType::Gauge;
constexpr MetricType kCounter = MetricType::Counter;

// TASK_RUNNING -> running
std::string StateLabel(size_t state) {
  const std::string name = model::v1::TaskState_Name(static_cast<model::v1::TaskState>(state));
  return absl::AsciiStrToLower(name.rfind("TASK_", 0) == 0 ? name.substr(5) : name);
}

std::string ReasonLabel(size_t reason) {
  if (reason == 0) return "none";
  const std::string name =
      model::v1::TaskStatusReason_Name(static_cast<model::v1::TaskStatusReason>(reason));
  return absl::AsciiStrToLower(name.rfind("REASON_", 0) == 0 ? name.substr(7) : name);
}

void AddResources(Families* out, const AgentView& view, const char* metric, const char* help,
                  const std::string& resource, double unit) {
  out->Begin(metric, kGauge, help);
  const auto sum = [&](const std::vector<model::v1::Resource>& resources, bool revocable) {
    double total = 0;
    for (const model::v1::Resource& r : resources) {
      if (r.name() == resource && r.revocable() == revocable) {
        total += static_cast<double>(r.scalar().milli()) / 1000.0 * unit;
      }
    }
    return total;
  };
  for (const bool revocable : {false, true}) {
    const std::string label = revocable ? "true" : "false";
    out->Add(sum(view.total, revocable), {{"kind", "total"}, {"revocable", label}});
    out->Add(sum(view.used, revocable), {{"kind", "used"}, {"revocable", label}});
  }
}

void AddTasks(Families* out, const AgentView& view) {
  out->Begin("tessera_agent_tasks", kGauge, "Tasks that have not ended, by state.");
  for (const auto state : {model::v1::TASK_STAGING, model::v1::TASK_STARTING,
                           model::v1::TASK_RUNNING, model::v1::TASK_KILLING}) {
    out->Add(static_cast<double>(view.tasks[state]), {{"state", StateLabel(state)}});
  }
  out->Begin("tessera_agent_tasks_terminated_total", kCounter,
             "Tasks that ended, by terminal state and reason.");
  for (size_t state = 0; state < kTaskStates; ++state) {
    for (size_t reason = 0; reason < kTaskReasons; ++reason) {
      const uint64_t count = view.counters.terminal_tasks[state][reason];
      if (count == 0) continue;
      out->Add(static_cast<double>(count),
               {{"state", StateLabel(state)}, {"reason", ReasonLabel(reason)}});
    }
  }
  out->Begin("tessera_agent_containers", kGauge, "Containers that have not ended, by state.");
  size_t starting = 0, running = 0, ending = 0;
  view.containers.ForEachLive([&](const auto& container) {
    starting += container->state == ContainerView::State::kStarting;
    running += container->state == ContainerView::State::kRunning;
    ending += container->state == ContainerView::State::kEnding;
  });
  out->Add(static_cast<double>(starting), {{"state", "starting"}});
  out->Add(static_cast<double>(running), {{"state", "running"}});
  out->Add(static_cast<double>(ending), {{"state", "ending"}});
}

void AddCounters(Families* out, const AgentView& view) {
  const AgentCounters& c = view.counters;
  out->One("tessera_agent_tasks_accepted_total", kCounter, "Tasks accepted to be run.",
           static_cast<double>(c.tasks_accepted));
  out->One("tessera_agent_tasks_refused_total", kCounter,
           "Tasks that were refused, or that nobody knew.", static_cast<double>(c.tasks_refused));
  out->One("tessera_agent_container_launches_total", kCounter, "Container launches begun.",
           static_cast<double>(c.launches));
  out->One("tessera_agent_container_launch_errors_total", kCounter, "Container launches failed.",
           static_cast<double>(c.launch_errors));
  out->One("tessera_agent_container_launch_timeouts_total", kCounter,
           "Container launches given up because a stage of theirs took too long.",
           static_cast<double>(c.launch_timeouts));
  out->One("tessera_agent_container_destroy_retries_total", kCounter,
           "Times that a container which should have ended was destroyed once more.",
           static_cast<double>(c.destroy_retries));
  out->One("tessera_agent_status_updates_total", kCounter, "Statuses of tasks made.",
           static_cast<double>(c.status_updates));
  out->One("tessera_agent_status_update_retries_total", kCounter,
           "Statuses sent again because no acknowledgement came.",
           static_cast<double>(c.status_update_retries));
  out->One("tessera_agent_acknowledgements_total", kCounter, "Statuses acknowledged.",
           static_cast<double>(c.acknowledgements));
  out->One("tessera_agent_ignored_messages_total", kCounter,
           "Messages of the master that fit nothing, such as repeated acknowledgements.",
           static_cast<double>(c.ignored_messages));
  out->One("tessera_agent_stale_batches_total", kCounter,
           "Batches refused because their epoch was lower than one obeyed before.",
           static_cast<double>(c.stale_batches));
  out->One("tessera_agent_dials_total", kCounter, "Links opened to masters.",
           static_cast<double>(c.dials));
  out->One("tessera_agent_registrations_total", kCounter, "Registrations that succeeded.",
           static_cast<double>(c.registrations));
  out->One("tessera_agent_ping_timeouts_total", kCounter, "Links given up for want of pings.",
           static_cast<double>(c.ping_timeouts));
  out->One("tessera_agent_recovery_errors_total", kCounter,
           "Records of the log or containers that made no sense after a restart.",
           static_cast<double>(c.recovery_errors));
  out->Begin("tessera_agent_sandbox_gc_removals_total", kCounter,
             "Old sandboxes deleted, by result.");
  out->Add(static_cast<double>(c.sandboxes_deleted), {{"result", "succeeded"}});
  out->Add(static_cast<double>(c.sandbox_delete_errors), {{"result", "failed"}});
  out->One("tessera_agent_sandbox_gc_pending", kGauge, "Sandboxes of ended containers still kept.",
           static_cast<double>(view.sandboxes_kept));
  out->One("tessera_agent_log_compactions_total", kCounter, "Times the log was rewritten.",
           static_cast<double>(c.log_compactions));
}

void AddState(Families* out, const AgentView& view) {
  out->One("tessera_agent_registered", kGauge, "1 while registered with a master.",
           view.registered ? 1 : 0);
  out->One("tessera_agent_draining", kGauge, "1 while being drained.", view.draining ? 1 : 0);
  out->One("tessera_agent_epoch", kGauge, "Highest epoch of a master seen.",
           static_cast<double>(view.highest_epoch));
  out->One("tessera_agent_recovery_duration_seconds", kGauge,
           "Time that finding the containers took at start.",
           absl::ToDoubleSeconds(view.recovery_time));
  out->One("tessera_agent_frameworks", kGauge, "Frameworks with tasks here.",
           static_cast<double>(view.frameworks));
  out->One("tessera_agent_status_updates_pending", kGauge, "Statuses not acknowledged yet.",
           static_cast<double>(view.unacknowledged_statuses));
  AddResources(out, view, "tessera_agent_cpus", "Cpus, by kind (total, used).", "cpus", 1);
  AddResources(out, view, "tessera_agent_memory_bytes", "Memory, by kind (total, used).", "mem",
               1 << 20);
  AddResources(out, view, "tessera_agent_disk_bytes", "Disk, by kind (total, used).", "disk",
               1 << 20);
  AddResources(out, view, "tessera_agent_gpus", "Gpus, by kind (total, used).", "gpus", 1);
}

void AddRuntime(Families* out, const RuntimeCounters& runtime) {
  out->One("tessera_agent_runtime_terminations_total", kCounter, "Containers that ended.",
           static_cast<double>(runtime.terminations));
  out->One("tessera_agent_memory_limitations_total", kCounter,
           "Containers ended because their memory ran out.",
           static_cast<double>(runtime.memory_limitations));
  out->One("tessera_agent_launcher_restarts_total", kCounter, "Times the launcher was replaced.",
           static_cast<double>(runtime.launcher_restarts));
  out->One("tessera_agent_prepared_containers", kGauge, "Inits made ahead of their launch.",
           static_cast<double>(runtime.prepared_containers));
  out->One("tessera_agent_cgroups_to_remove", kGauge, "Cgroups of ended containers still there.",
           static_cast<double>(runtime.cgroups_to_remove));
  out->One("tessera_agent_cgroup_removal_retries_total", kCounter,
           "Removals of cgroups that had to be tried again.",
           static_cast<double>(runtime.cgroup_removal_retries));
}

}  // namespace

AgentMetrics::AgentMetrics() {
  // 0.5 ms doubling to 2 s and beyond: a launch takes some milliseconds.
  const prometheus::Histogram::BucketBoundaries bounds = {
      0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.5, 1, 2, 5, 10, 60};
  launch_seconds_ = &prometheus::BuildHistogram()
                         .Name("tessera_agent_container_launch_duration_seconds")
                         .Help("From the decision to launch to the exec of the command.")
                         .Register(histograms_)
                         .Add({}, bounds);
}

void AgentMetrics::ObserveLaunch(absl::Duration duration) {
  launch_seconds_->Observe(absl::ToDoubleSeconds(duration));
}

std::vector<MetricFamily> AgentMetrics::Collect() const {
  Families out;
  absl::MutexLock lock(&mu_);
  const Sources sources = sources_ ? sources_() : Sources();
  if (sources.view != nullptr) {
    AddState(&out, *sources.view);
    AddTasks(&out, *sources.view);
    AddCounters(&out, *sources.view);
  }
  AddRuntime(&out, sources.runtime);
  if (sources.log != nullptr) {
    out.One("tessera_agent_log_records_total", kCounter, "Records written to the log.",
            static_cast<double>(sources.log->records));
    out.One("tessera_agent_log_syncs_total", kCounter, "Groups of records synced to the log.",
            static_cast<double>(sources.log->syncs));
    out.One("tessera_agent_log_write_failures_total", kCounter, "Writes that the disk refused.",
            static_cast<double>(sources.log->failures));
    out.One("tessera_agent_log_write_seconds_total", kCounter, "Time spent writing and syncing.",
            static_cast<double>(sources.log->write_ns) / 1e9);
    out.One("tessera_agent_log_bytes", kGauge, "Size of the log.",
            static_cast<double>(sources.log->bytes));
    out.One("tessera_agent_log_out_of_space", kGauge,
            "1 while the disk gives the log no more space: new tasks are refused.",
            static_cast<double>(sources.log->out_of_space));
  }
  if (sources.strand != nullptr) {
    out.One("tessera_agent_strand_events_total", kCounter, "Events stepped through the core.",
            static_cast<double>(sources.strand->events_total));
    out.One("tessera_agent_strand_refused_total", kCounter, "Events refused: the queue was full.",
            static_cast<double>(sources.strand->refused_total));
    out.One("tessera_agent_strand_queue_length", kGauge, "Events that wait for the core.",
            static_cast<double>(sources.strand->queue_length));
    out.One("tessera_agent_strand_step_seconds_total", kCounter, "Time spent in the core.",
            static_cast<double>(sources.strand->step_ns_total) / 1e9);
    out.Kinds("tessera_agent_steps_total", "Steps of the core by kind of event.", sources.steps);
    out.Kinds("tessera_agent_effects_total", "Effects carried out by kind.", sources.effects);
  }
  std::vector<MetricFamily> families = out.Take();
  for (MetricFamily& family : histograms_.Collect()) families.push_back(std::move(family));
  return families;
}

}  // namespace tessera::agent
