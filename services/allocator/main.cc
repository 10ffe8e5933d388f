// allocator-svc: flags, wiring, run, stop.
#include <glog/logging.h>

#include <cstdint>
#include <cstdio>
#include <random>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "services/allocator/server/allocator_options.h"
#include "services/allocator/server/allocator_server.h"
#include "services/base/flags.h"
#include "services/base/log_setup.h"
#include "services/base/shutdown_signal.h"
#include "services/base/systemd_notify.h"

ABSL_FLAG(std::string, listen, "127.0.0.1:5070",
          "host:port where masters reach the allocator by gRPC; port 0 takes a free one.");
ABSL_FLAG(std::string, http_listen, "127.0.0.1:5071",
          "host:port of /metrics and /healthz; port 0 takes a free one.");
ABSL_FLAG(std::string, role_sorter, "drf",
          "Order of roles: drf (smallest dominant share first) or random (by weight).");
ABSL_FLAG(std::string, framework_sorter, "drf",
          "Order of the frameworks of one role: drf or random.");
ABSL_FLAG(absl::Duration, allocation_interval, absl::Seconds(1),
          "Duration (e.g. 1s). A run over all agents comes at least this often; a refusal of an "
          "offer holds at least this long.");
ABSL_FLAG(absl::Duration, min_batch_interval, absl::Milliseconds(2),
          "Duration (e.g. 2ms). Runs that changes cause are at least this far apart: shorter "
          "means faster offers, longer means fewer runs.");
ABSL_FLAG(std::string, min_allocatable_resources, "cpus:0.01|mem:32",
          "Resources (cpus and gpus in devices, mem and disk in MiB). Less is not offered. '|' "
          "separates alternatives, ';' joins what must be there together. Empty: no minimum.");
ABSL_FLAG(std::vector<std::string>, fair_sharing_excluded_resource_names, {},
          "Names of resources, separated by commas, that do not count for shares, e.g. gpus.");
ABSL_FLAG(bool, filter_gpu_resources, true,
          "Offer agents with gpus only to frameworks with the GPU_RESOURCES capability.");
ABSL_FLAG(std::string, region, "",
          "The region of the masters. Agents of other regions are offered only to frameworks with "
          "the REGION_AWARE capability. Empty: no agent counts as remote.");
ABSL_FLAG(uint64_t, offer_filters_max, 4'000'000,
          "Number of refusals that are remembered at a time; about 250 bytes each.");
ABSL_FLAG(uint64_t, offer_filters_of_role_max, 500'000,
          "Number of refusals that are remembered of one framework in one role, of those above.");
ABSL_FLAG(uint64_t, run_effort_max, 10'000'000,
          "Number of glances at a framework and an agent that one run may cost; a closer look "
          "counts as 16. 10 million take some 30 ms. What is not reached is left to the next run.");
ABSL_FLAG(int, runs_on_demand_max, 10,
          "Number of runs over all agents that one framework may ask for in a row, by reviving, "
          "stating a demand and the like, and one more in each --allocation_interval. Beyond that "
          "its wish waits for the periodic run.");
ABSL_FLAG(absl::Duration, refuse_growth_max, absl::Minutes(1),
          "Duration (e.g. 1m). A framework that keeps refusing the same resources of an agent is "
          "asked after twice the time each time, up to this. 0: refusals are never lengthened.");
ABSL_FLAG(uint32_t, outstanding_offers_max, 1'000,
          "Number of offers that one framework may hold without an answer; with so many it is "
          "offered nothing more. 0: no cap.");
ABSL_FLAG(absl::Duration, silence_growth_max, absl::Minutes(5),
          "Duration (e.g. 5m). A framework that lets offers lie without an answer is not asked for "
          "as long as it let them lie, twice as long the next time, up to this; a revival or an "
          "accepted offer ends that. 0: silence has no such consequence.");
ABSL_FLAG(bool, share_ranges_and_sets, true,
          "Offer ports and other ranges and sets of an agent in proportion to its cpus and memory "
          "that the offer holds. False: the first offer takes them all.");
ABSL_FLAG(uint64_t, seed, 0,
          "Seed of the random choices. 0: taken from the operating system at each start.");

int main(int argc, char** argv) {
  using namespace tessera;
  const base::ProgramInfo info{
      .name = "allocator-svc",
      .purpose = "Decides which framework is offered which resources; serves one leading master."};
  const std::vector<std::string> rest = base::ParseCommandLineOrExit(argc, argv, info);
  if (!rest.empty()) {
    base::ExitWithUsageError(info, absl::InvalidArgumentError(absl::StrCat(
                                       "unexpected argument '", rest[0], "': see --help")));
  }
  allocator::AllocatorOptions options;
  options.role_sorter = absl::GetFlag(FLAGS_role_sorter);
  options.framework_sorter = absl::GetFlag(FLAGS_framework_sorter);
  options.allocation_interval = absl::GetFlag(FLAGS_allocation_interval);
  options.min_batch_interval = absl::GetFlag(FLAGS_min_batch_interval);
  options.min_allocatable_resources = absl::GetFlag(FLAGS_min_allocatable_resources);
  options.fair_sharing_excluded_resource_names =
      absl::GetFlag(FLAGS_fair_sharing_excluded_resource_names);
  options.filter_gpu_resources = absl::GetFlag(FLAGS_filter_gpu_resources);
  options.region = absl::GetFlag(FLAGS_region);
  options.offer_filters_max = absl::GetFlag(FLAGS_offer_filters_max);
  options.offer_filters_of_role_max = absl::GetFlag(FLAGS_offer_filters_of_role_max);
  options.run_effort_max = absl::GetFlag(FLAGS_run_effort_max);
  options.runs_on_demand_max = absl::GetFlag(FLAGS_runs_on_demand_max);
  options.refuse_growth_max = absl::GetFlag(FLAGS_refuse_growth_max);
  options.outstanding_offers_max = absl::GetFlag(FLAGS_outstanding_offers_max);
  options.silence_growth_max = absl::GetFlag(FLAGS_silence_growth_max);
  options.share_ranges_and_sets = absl::GetFlag(FLAGS_share_ranges_and_sets);
  const auto config = allocator::ConfigFromOptions(options);
  if (!config.ok()) base::ExitWithUsageError(info, config.status());

  base::StartLogging("allocator-svc");
  base::ShutdownSignal shutdown;
  allocator::AllocatorServerOptions server_options;
  server_options.listen = absl::GetFlag(FLAGS_listen);
  server_options.http_listen = absl::GetFlag(FLAGS_http_listen);
  server_options.core = *config;
  server_options.seed = absl::GetFlag(FLAGS_seed);
  if (server_options.seed == 0) {
    std::random_device device;
    server_options.seed = (uint64_t{device()} << 32) | device();
  }
  const auto server = allocator::AllocatorServer::Start(server_options);
  if (!server.ok()) {
    LOG(ERROR) << "cannot start: " << server.status().message();
    return 1;
  }
  LOG(INFO) << "gRPC at " << (*server)->address() << ", HTTP at " << (*server)->http_address();
  // Scripts and the local cluster wait for this line.
  std::printf("listening grpc=%s http=%s\n", (*server)->address().c_str(),
              (*server)->http_address().c_str());
  std::fflush(stdout);
  base::NotifyReady(absl::StrCat("serving masters at ", (*server)->address()));
  shutdown.Wait();
  base::NotifyStopping();
  LOG(INFO) << "stopping";
  return 0;
}
