// master-svc: flags, wiring, run, stop.
#include <glog/logging.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <random>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "services/base/flags.h"
#include "services/base/log_setup.h"
#include "services/base/shutdown_signal.h"
#include "services/base/systemd_notify.h"
#include "services/base/version.h"
#include "services/master/server/master_server.h"

ABSL_FLAG(std::string, listen, "127.0.0.1:5050",
          "host:port where frameworks, agents, operators and state-svc reach the master by gRPC; "
          "port 0 takes a free one.");
ABSL_FLAG(std::string, http_listen, "127.0.0.1:5051",
          "host:port of /metrics and /healthz; port 0 takes a free one.");
ABSL_FLAG(std::string, advertise, "",
          "host:port under which others reach --listen. Empty: the address bound, or --hostname "
          "and its port where that is a wildcard (0.0.0.0, [::]).");
ABSL_FLAG(std::string, http_advertise, "",
          "host:port under which others reach --http_listen. Empty: as with --advertise.");
ABSL_FLAG(std::vector<std::string>, registry, {},
          "Registries that may act, host:port separated by commas; the master follows the one that "
          "acts, which says who leads and keeps what must not be lost.");
ABSL_FLAG(std::string, allocator, "",
          "host:port of allocator-svc, which decides who is offered what.");
ABSL_FLAG(std::string, cluster_name, "", "Name of the cluster, shown to people.");
ABSL_FLAG(std::string, hostname, "", "Name of this machine, shown to people. Empty: the system's.");
ABSL_FLAG(std::vector<std::string>, roles, {},
          "Roles that frameworks may subscribe to besides '*', separated by commas. Empty: any.");
ABSL_FLAG(bool, root_submissions, true, "Accept frameworks whose tasks run as root.");
ABSL_FLAG(absl::Duration, heartbeat_interval, absl::Seconds(15),
          "Duration (e.g. 15s) between two heart-beats to a framework.");
ABSL_FLAG(absl::Duration, framework_recovery_grace, absl::Minutes(2),
          "Duration (e.g. 2m) that frameworks have to come back to a new leader when their own "
          "fail-over time-out is shorter.");
ABSL_FLAG(std::string, whitelist, "",
          "File of the hostnames whose agents may be offered, one a line; read again every 5 s. A "
          "file without hostnames means none. Empty: all agents.");
ABSL_FLAG(absl::Duration, offer_timeout, absl::Minutes(2),
          "Duration (e.g. 2m) after which an offer without an answer is taken back; inf: never.");
ABSL_FLAG(absl::Duration, agent_ping_interval, absl::Seconds(15),
          "Duration (e.g. 15s) between two pings to an agent.");
ABSL_FLAG(int, agent_ping_misses, 5,
          "Number of pings in a row without an answer after which an agent is unreachable.");
ABSL_FLAG(
    absl::Duration, agent_reregister_timeout, absl::Minutes(10),
    "Duration (e.g. 10m) that agents have to come back to a new leader before they are marked "
    "unreachable.");
ABSL_FLAG(int, recovery_agent_removal_limit, 100,
          "Percent. When more agents than this do not come back to a new leader, none is marked "
          "unreachable, because the fault is more likely on this side.");
ABSL_FLAG(absl::Duration, agent_removal_interval, absl::ZeroDuration(),
          "Duration. At most one agent is marked unreachable in this time; 0: no limit.");
ABSL_FLAG(int, allocator_agent_recovery, 80,
          "Percent of the agents that the allocator waits for after a fail-over.");
ABSL_FLAG(absl::Duration, allocator_recovery_timeout, absl::Minutes(1),
          "Duration (e.g. 1m) that the allocator waits for them at most.");
ABSL_FLAG(absl::Duration, allocator_timeout, absl::Minutes(1),
          "Duration (e.g. 1m). An allocator that answers no ping for so long gets a new stream; "
          "give a large cell's allocator the time of its longest run.");
ABSL_FLAG(int, agents_returning_max, 1000,
          "Number of agents that may come back at the same time; the others try again shortly.");
ABSL_FLAG(uint64_t, max_frameworks, 10'000, "Number of frameworks that may be subscribed.");
ABSL_FLAG(uint64_t, max_agents, 100'000, "Number of agents that may be admitted.");
ABSL_FLAG(uint64_t, max_completed_frameworks, 50,
          "Number of ended frameworks that readers still see.");
ABSL_FLAG(uint64_t, max_completed_tasks_per_framework, 1000,
          "Number of ended tasks of a framework that readers still see.");
ABSL_FLAG(uint64_t, max_unreachable_tasks_per_framework, 1000,
          "Number of tasks of a framework on unreachable agents that are kept in mind.");
ABSL_FLAG(uint64_t, metrics_max_frameworks, 1000,
          "Number of frameworks with series of their own on /metrics; the rest are added up.");
ABSL_FLAG(uint64_t, seed, 0,
          "Seed of the random choices. 0: taken from the operating system at each start.");

namespace tessera::master {
namespace {

absl::Status CheckAddress(const char* flag, const std::string& address) {
  if (address.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--", flag, " is missing: write host:port, e.g. --", flag, "=127.0.0.1:5060"));
  }
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos || colon + 1 == address.size()) {
    return absl::InvalidArgumentError(absl::StrCat("--", flag, "=", address, ": write host:port"));
  }
  return absl::OkStatus();
}

absl::StatusOr<MasterServerOptions> OptionsFromFlags() {
  std::vector<std::string> registries = absl::GetFlag(FLAGS_registry);
  if (registries.empty()) registries.emplace_back();
  for (const std::string& registry : registries) {
    if (absl::Status status = CheckAddress("registry", registry); !status.ok()) return status;
  }
  for (const auto& [flag, address] : {std::pair("allocator", absl::GetFlag(FLAGS_allocator)),
                                      std::pair("listen", absl::GetFlag(FLAGS_listen)),
                                      std::pair("http_listen", absl::GetFlag(FLAGS_http_listen))}) {
    if (absl::Status status = CheckAddress(flag, address); !status.ok()) return status;
  }
  if (absl::GetFlag(FLAGS_agents_returning_max) < 1) {
    return absl::InvalidArgumentError("--agents_returning_max must be at least 1");
  }
  MasterServerOptions options;
  options.listen = absl::GetFlag(FLAGS_listen);
  options.http_listen = absl::GetFlag(FLAGS_http_listen);
  options.registries = std::move(registries);
  options.allocator = absl::GetFlag(FLAGS_allocator);
  options.whitelist = absl::GetFlag(FLAGS_whitelist);
  options.metrics_frameworks_max = absl::GetFlag(FLAGS_metrics_max_frameworks);
  options.seed = absl::GetFlag(FLAGS_seed);
  if (options.seed == 0) {
    std::random_device device;
    options.seed = (uint64_t{device()} << 32) | device();
  }
  MasterConfig& core = options.core;
  core.hostname = absl::GetFlag(FLAGS_hostname);
  if (core.hostname.empty()) {
    char name[256] = {};
    if (::gethostname(name, sizeof(name) - 1) == 0) core.hostname = name;
  }
  core.address = absl::GetFlag(FLAGS_advertise);
  core.http_address = absl::GetFlag(FLAGS_http_advertise);
  core.cluster_name = absl::GetFlag(FLAGS_cluster_name);
  core.version = base::kVersion;
  core.heartbeat_interval = absl::GetFlag(FLAGS_heartbeat_interval);
  core.framework_recovery_grace = absl::GetFlag(FLAGS_framework_recovery_grace);
  core.allowed_roles = absl::GetFlag(FLAGS_roles);
  core.root_submissions = absl::GetFlag(FLAGS_root_submissions);
  core.offer_timeout = absl::GetFlag(FLAGS_offer_timeout);
  core.ping_interval = absl::GetFlag(FLAGS_agent_ping_interval);
  core.ping_misses_max = absl::GetFlag(FLAGS_agent_ping_misses);
  core.agent_reregister_timeout = absl::GetFlag(FLAGS_agent_reregister_timeout);
  core.recovery_removal_limit_percent = absl::GetFlag(FLAGS_recovery_agent_removal_limit);
  core.unreachable_marking_interval = absl::GetFlag(FLAGS_agent_removal_interval);
  core.allocator_recovery_percent = absl::GetFlag(FLAGS_allocator_agent_recovery);
  core.allocator_recovery_timeout = absl::GetFlag(FLAGS_allocator_recovery_timeout);
  core.allocator_timeout = absl::GetFlag(FLAGS_allocator_timeout);
  core.reregistrations_max = absl::GetFlag(FLAGS_agents_returning_max);
  core.frameworks_max = absl::GetFlag(FLAGS_max_frameworks);
  core.agents_max = absl::GetFlag(FLAGS_max_agents);
  core.agent_streams_max = core.agents_max + core.agents_max / 2;
  core.completed_frameworks_max = absl::GetFlag(FLAGS_max_completed_frameworks);
  core.completed_tasks_per_framework_max = absl::GetFlag(FLAGS_max_completed_tasks_per_framework);
  core.unreachable_tasks_per_framework_max =
      absl::GetFlag(FLAGS_max_unreachable_tasks_per_framework);
  core.flags = {{"listen", options.listen},
                {"http_listen", options.http_listen},
                {"registry", absl::StrJoin(options.registries, ",")},
                {"allocator", options.allocator},
                {"offer_timeout", absl::FormatDuration(core.offer_timeout)},
                {"agent_ping_timeout", absl::FormatDuration(core.ping_interval)},
                {"max_agent_ping_timeouts", absl::StrCat(core.ping_misses_max)},
                {"agent_reregister_timeout", absl::FormatDuration(core.agent_reregister_timeout)},
                {"root_submissions", core.root_submissions ? "true" : "false"}};
  // What is made at start is filled in for the check only.
  MasterConfig check = core;
  if (check.candidate_id.empty()) check.candidate_id = "candidate";
  if (check.address.empty()) check.address = options.listen;
  if (absl::Status status = Validate(check); !status.ok()) return status;
  return options;
}

}  // namespace
}  // namespace tessera::master

int main(int argc, char** argv) {
  using namespace tessera;
  const base::ProgramInfo info{
      .name = "master-svc",
      .purpose = "Leads a Tessera cluster: sessions of frameworks and agents, offers, tasks."};
  const std::vector<std::string> rest = base::ParseCommandLineOrExit(argc, argv, info);
  if (!rest.empty()) {
    base::ExitWithUsageError(info, absl::InvalidArgumentError(absl::StrCat(
                                       "unexpected argument '", rest[0], "': see --help")));
  }
  const auto options = master::OptionsFromFlags();
  if (!options.ok()) base::ExitWithUsageError(info, options.status());

  base::StartLogging("master-svc");
  base::ShutdownSignal shutdown;
  const auto server = master::MasterServer::Start(*options);
  if (!server.ok()) {
    LOG(ERROR) << "cannot start: " << server.status().message();
    return 1;
  }
  std::printf("listening grpc=%s http=%s\n", (*server)->address().c_str(),
              (*server)->http_address().c_str());
  std::fflush(stdout);
  base::NotifyReady(absl::StrCat("serving at ", (*server)->address()));
  shutdown.Wait();
  base::NotifyStopping();
  LOG(INFO) << "stopping";
  return 0;
}
