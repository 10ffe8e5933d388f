// load_generator: simulated agents and frameworks against a real master, over real gRPC.
//
// It obeys commands, one a line on stdin, and answers each with one JSON object on stdout:
//   agents TIMEOUT_S            starts the agents, waits until all are admitted
//   frameworks                  starts the frameworks
//   running COUNT TIMEOUT_S     waits until so many tasks run, as the frameworks have heard
//   measure SECONDS             counts what happens in that time
//   returned TIMEOUT_S          waits until all agents were admitted anew since the last answer
//   reconcile COUNT TIMEOUT_S   forgets the tasks' states, asks the master, waits for so many
//   running truth PATH                  writes what was made, as JSON counts sums stop [teardown]
//   ends everything; so does the end of stdin, without teardown
// Times in answers are seconds since the epoch.

#include <glog/logging.h>

#include <algorithm>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "absl/flags/flag.h"
#include "absl/time/clock.h"
#include "bench/cluster/agent_fleet.h"
#include "bench/cluster/framework_fleet.h"
#include "services/base/flags.h"
#include "services/base/log_setup.h"

ABSL_FLAG(std::vector<std::string>, master, {}, "masters as host:port, separated by commas");
ABSL_FLAG(int, agents, 100, "simulated agents");
ABSL_FLAG(int, agent_connections, 8, "connections that the agents' streams share");
ABSL_FLAG(int, agent_start_rate, 0, "agents dialled in a second at the start; 0: all at once");
ABSL_FLAG(absl::Duration, agent_backoff_max, absl::Seconds(10),
          "longest wait of an agent between two tries to reach a master; agent-svc's default");
ABSL_FLAG(double, agent_cpus, 20, "cpus of each agent");
ABSL_FLAG(double, agent_mem, 10240, "memory of each agent, in MiB");
ABSL_FLAG(bool, reports_starting, false, "agents report STARTING before RUNNING");
ABSL_FLAG(absl::Duration, task_duration, absl::InfiniteDuration(),
          "how long a task runs; infinite: until it is killed");
ABSL_FLAG(int, frameworks, 1, "simulated frameworks");
ABSL_FLAG(bool, own_roles, false, "each framework in a role of its own instead of *");
ABSL_FLAG(double, task_cpus, 0.1, "cpus of each task");
ABSL_FLAG(double, task_mem, 5, "memory of each task, in MiB");
ABSL_FLAG(int, labels, 0, "labels of each task");
ABSL_FLAG(int, tasks_per_agent, 0,
          "live tasks that a framework wants on each agent; 0: as many as fit");
ABSL_FLAG(int, live_max, 0, "most live tasks of a framework; 0: no bound");
ABSL_FLAG(int, tasks_per_offer_max, 1000, "most tasks that are launched on one offer");

namespace tessera::bench {
namespace {

using Json = nlohmann::json;

double Seconds(absl::Time time) { return absl::ToDoubleSeconds(time - absl::UnixEpoch()); }

int64_t Milli(double value) { return static_cast<int64_t>(value * 1000 + 0.5); }

FleetOptions AgentOptions() {
  FleetOptions options;
  options.masters = absl::GetFlag(FLAGS_master);
  options.agents = absl::GetFlag(FLAGS_agents);
  options.connections = absl::GetFlag(FLAGS_agent_connections);
  options.start_rate = absl::GetFlag(FLAGS_agent_start_rate);
  options.backoff.max = absl::GetFlag(FLAGS_agent_backoff_max);
  options.cpus_milli = Milli(absl::GetFlag(FLAGS_agent_cpus));
  options.mem_milli = Milli(absl::GetFlag(FLAGS_agent_mem));
  options.behaviour.reports_starting = absl::GetFlag(FLAGS_reports_starting);
  const absl::Duration duration = absl::GetFlag(FLAGS_task_duration);
  if (duration != absl::InfiniteDuration()) options.behaviour.task_duration = duration;
  return options;
}

FrameworkFleetOptions FrameworkOptions() {
  FrameworkFleetOptions options;
  options.masters = absl::GetFlag(FLAGS_master);
  options.frameworks = absl::GetFlag(FLAGS_frameworks);
  options.own_roles = absl::GetFlag(FLAGS_own_roles);
  options.demand.cpus_milli = Milli(absl::GetFlag(FLAGS_task_cpus));
  options.demand.mem_milli = Milli(absl::GetFlag(FLAGS_task_mem));
  options.demand.tasks_per_agent = absl::GetFlag(FLAGS_tasks_per_agent);
  options.demand.tasks_per_offer_max = absl::GetFlag(FLAGS_tasks_per_offer_max);
  options.demand.live_max = absl::GetFlag(FLAGS_live_max);
  options.demand.labels = absl::GetFlag(FLAGS_labels);
  return options;
}

absl::Status ValidateFlags() {
  if (absl::GetFlag(FLAGS_master).empty()) {
    return absl::InvalidArgumentError("--master is missing: name the masters as host:port");
  }
  const int streams_max = absl::GetFlag(FLAGS_agent_connections) * 4000;
  if (absl::GetFlag(FLAGS_agents) < 0 || absl::GetFlag(FLAGS_agents) > streams_max) {
    return absl::InvalidArgumentError("--agents must be from 0 to 4,000 times --agent_connections");
  }
  if (absl::GetFlag(FLAGS_frameworks) < 0 || absl::GetFlag(FLAGS_frameworks) > 10'000) {
    return absl::InvalidArgumentError("--frameworks must be from 0 to 10,000");
  }
  return absl::OkStatus();
}

class Generator {
 public:
  Generator() : agents_(AgentOptions()), frameworks_(FrameworkOptions()) {}

  // False ends the program.
  bool Obey(const std::string& line) {
    std::istringstream words(line);
    std::string command;
    words >> command;
    if (command == "stop") {
      std::string how;
      words >> how;
      frameworks_.Stop(/*teardown=*/how == "teardown");
      agents_.Stop();
      Answer({{"ok", true}});
      return false;
    }
    if (command == "agents") {
      Agents(Number(words));
    } else if (command == "frameworks") {
      frameworks_.Start();
      Answer({{"ok", true}});
    } else if (command == "running") {
      const auto count = static_cast<uint64_t>(Number(words));
      AwaitRunning(count, Number(words));
    } else if (command == "measure") {
      Measure(Number(words));
    } else if (command == "returned") {
      Returned(Number(words));
    } else if (command == "reconcile") {
      const auto count = static_cast<uint64_t>(Number(words));
      const absl::Time began = absl::Now();
      frameworks_.Reconcile();
      AwaitRunning(count, Number(words), began);
    } else if (command == "truth") {
      std::string path;
      words >> path;
      WriteTruth(path);
    } else if (command == "counts") {
      Answer(Counts());
    } else {
      Answer({{"ok", false}, {"error", "unknown command \"" + command + "\""}});
    }
    return true;
  }

 private:
  static double Number(std::istringstream& words) {
    double number = 0;
    words >> number;
    return number;
  }

  static void Answer(Json answer) { std::cout << answer.dump() << std::endl; }

  void Agents(double timeout_s) {
    const absl::Time began = absl::Now();
    agents_.Start();
    const bool ok = agents_.AwaitRegistered(absl::Seconds(timeout_s));
    const AgentFleet::Wave wave = agents_.TakeWave();
    Answer({{"ok", ok},
            {"registered", agents_.registered()},
            {"seconds", absl::ToDoubleSeconds(wave.last - began)},
            {"refused", wave.refused}});
  }

  void AwaitRunning(uint64_t count, double timeout_s, absl::Time began = absl::Now()) {
    const absl::Time deadline = began + absl::Seconds(timeout_s);
    FrameworkFleetCounts counts = frameworks_.Count();
    while (counts.tasks.running_now < count && absl::Now() < deadline) {
      absl::SleepFor(absl::Milliseconds(20));
      counts = frameworks_.Count();
    }
    Json answer = Counts();
    answer["ok"] = counts.tasks.running_now >= count;
    answer["seconds"] = absl::ToDoubleSeconds(absl::Now() - began);
    Answer(std::move(answer));
  }

  void Measure(double seconds) {
    frameworks_.TakeLatencies();
    const FrameworkFleetCounts before = frameworks_.Count();
    const absl::Time began = absl::Now();
    absl::SleepFor(absl::Seconds(seconds));
    const FrameworkFleetCounts after = frameworks_.Count();
    const double took = absl::ToDoubleSeconds(absl::Now() - began);
    std::vector<float> latencies = frameworks_.TakeLatencies();
    std::sort(latencies.begin(), latencies.end());
    const auto at = [&](double quantile) {
      if (latencies.empty()) return 0.0;
      const auto index = static_cast<size_t>(quantile * static_cast<double>(latencies.size()));
      return static_cast<double>(latencies[std::min(index, latencies.size() - 1)]);
    };
    Json answer = Counts();
    answer["ok"] = true;
    answer["seconds"] = took;
    answer["launched"] = after.tasks.launched - before.tasks.launched;
    answer["running_heard"] = after.tasks.running_heard - before.tasks.running_heard;
    answer["ended"] = after.tasks.ended - before.tasks.ended;
    answer["lost"] = after.tasks.lost - before.tasks.lost;
    answer["offers"] = after.offers - before.offers;
    answer["calls"] = after.calls - before.calls;
    answer["latency_p50_s"] = at(0.5);
    answer["latency_p99_s"] = at(0.99);
    Answer(std::move(answer));
  }

  void Returned(double timeout_s) {
    const absl::Time deadline = absl::Now() + absl::Seconds(timeout_s);
    AgentFleet::Wave wave;
    const auto all = static_cast<uint64_t>(agents_.options().agents);
    while (absl::Now() < deadline) {
      const AgentFleet::Wave more = agents_.TakeWave();
      wave.registrations += more.registrations;
      wave.refused += more.refused;
      wave.first = std::min(wave.first, more.first);
      wave.last = std::max(wave.last, more.last);
      if (wave.registrations >= all && agents_.registered() == agents_.options().agents) break;
      absl::SleepFor(absl::Milliseconds(10));
    }
    Json answer = Counts();
    answer["ok"] = wave.registrations >= all;
    answer["came_back"] = wave.registrations;
    answer["refused"] = wave.refused;
    if (wave.registrations > 0) {
      answer["first"] = Seconds(wave.first);
      answer["last"] = Seconds(wave.last);
    }
    Answer(std::move(answer));
  }

  Json Counts() const {
    const FleetCounters agents = agents_.Count();
    const FrameworkFleetCounts frameworks = frameworks_.Count();
    return {{"ok", true},
            {"agents",
             {{"registered", agents.registered},
              {"registrations", agents.registrations},
              {"streams_lost", agents.streams_lost},
              {"live_tasks", agents.live_tasks},
              {"tasks_started", agents.tasks.tasks_started},
              {"tasks_ended", agents.tasks.tasks_ended},
              {"unacknowledged", agents.unacknowledged},
              {"statuses_sent", agents.tasks.statuses_sent},
              {"statuses_repeated", agents.tasks.statuses_repeated},
              {"stale_epochs", agents.tasks.stale_epochs}}},
            {"frameworks",
             {{"subscribed", frameworks.subscribed},
              {"subscriptions", frameworks.subscriptions},
              {"launched", frameworks.tasks.launched},
              {"running_heard", frameworks.tasks.running_heard},
              {"running_now", frameworks.tasks.running_now},
              {"ended", frameworks.tasks.ended},
              {"lost", frameworks.tasks.lost},
              {"refusals", frameworks.refusals}}}};
  }

  // What a reader of the cluster's state must find.
  void WriteTruth(const std::string& path) {
    const FleetOptions& options = agents_.options();
    Json truth = {
        {"agents", Json::array()},
        {"frameworks", Json::array()},
        {"agent_resources",
         {{"cpus", options.cpus_milli / 1000.0},
          {"mem", options.mem_milli / 1000.0},
          {"disk", options.disk_milli / 1000.0}}},
        {"task_resources",
         {{"cpus", absl::GetFlag(FLAGS_task_cpus)}, {"mem", absl::GetFlag(FLAGS_task_mem)}}},
        {"labels", absl::GetFlag(FLAGS_labels)}};
    for (const auto& [hostname, id] : agents_.Ids()) {
      truth["agents"].push_back({{"hostname", hostname}, {"id", id}});
    }
    for (const FrameworkTruth& framework : frameworks_.Truth()) {
      truth["frameworks"].push_back({{"id", framework.info.id()},
                                     {"name", framework.info.name()},
                                     {"user", framework.info.user()},
                                     {"role", framework.info.roles(0)},
                                     {"hostname", framework.info.hostname()},
                                     {"webui_url", framework.info.webui_url()},
                                     {"tasks_by_agent", framework.tasks_by_agent}});
    }
    std::ofstream file(path);
    file << truth.dump();
    file.close();
    Answer({{"ok", file.good()}});
  }

  AgentFleet agents_;
  FrameworkFleet frameworks_;
};

}  // namespace
}  // namespace tessera::bench

int main(int argc, char** argv) {
  const tessera::base::ProgramInfo info = {
      "load_generator",
      "Simulates agents and frameworks against a real master; obeys commands on stdin.", "", false};
  tessera::base::ParseCommandLineOrExit(argc, argv, info);
  if (const absl::Status valid = tessera::bench::ValidateFlags(); !valid.ok()) {
    tessera::base::ExitWithUsageError(info, valid);
  }
  tessera::base::StartLogging("load_generator");
  tessera::bench::Generator generator;
  std::string line;
  while (std::getline(std::cin, line)) {
    if (!generator.Obey(line)) break;
  }
  return 0;
}
