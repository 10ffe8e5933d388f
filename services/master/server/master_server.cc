#include "services/master/server/master_server.h"

#include <grpcpp/impl/codegen/service_type.h>

#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "services/base/status_macros.h"
#include "services/http/http_server.h"
#include "services/http/metrics_route.h"
#include "services/master/server/agent_link_server.h"
#include "services/master/server/master_metrics.h"
#include "services/master/server/master_shell.h"
#include "services/master/server/operator_server.h"
#include "services/master/server/scheduler_server.h"
#include "services/master/server/whitelist_file.h"
#include "services/rpc/advertised_address.h"
#include "services/rpc/error.h"
#include "services/rpc/server.h"

namespace tessera::master {

struct MasterServer::Rep {
  explicit Rep(const MasterServerOptions& options)
      : feed(feed::FeedOptions()),
        shell({.registries = options.registries, .allocator = options.allocator}, &feed),
        scheduler(MakeSchedulerServer(&shell)),
        agent_link(MakeAgentLinkServer(&shell)),
        operators(MakeOperatorServer(&shell)),
        metrics(std::make_shared<MetricsPage>([this] { return Look(); },
                                              options.metrics_frameworks_max)) {
    feed.Retire(rpc::NotLeader(""));
  }

  ~Rep() {
    whitelist.reset();
    if (http != nullptr) http->Stop();
    if (server != nullptr) server->SetServing(false);
    shell.Stop();
    feed.Stop();
    if (server != nullptr) server->Stop(absl::Seconds(1));
  }

  MetricsSnapshot Look() {
    MetricsSnapshot snapshot{shell.Metrics(), {}};
    const rpc::StrandMetrics& strand = shell.strand_metrics();
    snapshot.shell.queue_length = strand.queue_length.load();
    snapshot.shell.events_total = strand.events_total.load();
    snapshot.shell.events_refused_total = strand.refused_total.load();
    snapshot.shell.batches_total = strand.batches_total.load();
    snapshot.shell.step_seconds_total = strand.step_ns_total.load() / 1e9;
    snapshot.shell.sink_seconds_total = strand.sink_ns_total.load() / 1e9;
    snapshot.shell.longest_batch_seconds = strand.longest_batch_ns.load() / 1e9;
    snapshot.shell.steps = shell.StepCounts();
    snapshot.shell.effects = shell.EffectCounts();
    const feed::FeedCounters counters = feed.counters();
    snapshot.shell.feed_version = counters.version;
    snapshot.shell.feed_followers = counters.followers;
    snapshot.shell.feed_queue_changes = counters.queue_changes;
    snapshot.shell.feed_messages_total = counters.messages_sent;
    snapshot.shell.feed_bytes_total = counters.bytes_sent;
    return snapshot;
  }

  feed::FeedPublisher feed;
  MasterShell shell;
  std::unique_ptr<WhitelistFile> whitelist;
  std::unique_ptr<grpc::Service> scheduler;
  std::unique_ptr<grpc::Service> agent_link;
  std::unique_ptr<grpc::Service> operators;
  std::shared_ptr<MetricsPage> metrics;
  std::unique_ptr<rpc::Server> server;
  std::unique_ptr<http::HttpServer> http;
};

MasterServer::MasterServer(std::unique_ptr<Rep> rep) : rep_(std::move(rep)) {}
MasterServer::~MasterServer() = default;

absl::StatusOr<std::unique_ptr<MasterServer>> MasterServer::Start(
    const MasterServerOptions& options) {
  auto rep = std::make_unique<Rep>(options);
  http::HttpOptions http_options;
  http_options.listen = options.http_listen;
  ASSIGN_OR_RETURN(rep->http,
                   http::HttpServer::Start(http_options, {http::MetricsRoute(rep->metrics)}));
  rpc::ServerOptions server_options;
  server_options.listen = options.listen;
  // The inventory of an agent comes in chunks of some thousand tasks.
  server_options.receive_bytes_max = 32 << 20;
  ASSIGN_OR_RETURN(rep->server,
                   rpc::Server::Start(server_options, {rep->scheduler.get(), rep->agent_link.get(),
                                                       rep->operators.get(), rep->feed.service()}));
  MasterConfig config = options.core;
  config.address = rpc::AdvertisedAddress(config.address, rep->server->address(), config.hostname);
  config.http_address =
      rpc::AdvertisedAddress(config.http_address, rep->http->address(), config.hostname);
  base::Rng rng(options.seed);
  if (config.candidate_id.empty()) {
    config.candidate_id = absl::StrFormat("%s-%016x", config.address, rng.Next());
  }
  config.start_time = absl::Now();
  RETURN_IF_ERROR(Validate(config));
  rep->shell.Start(std::move(config), rng);
  if (!options.whitelist.empty()) {
    ASSIGN_OR_RETURN(rep->whitelist, WhitelistFile::Watch(
                                         options.whitelist, options.whitelist_interval,
                                         [shell = &rep->shell](auto hostnames) {
                                           shell->PushReserved(WhitelistRead{std::move(hostnames)});
                                         }));
  }
  rep->server->SetServing(true);
  return std::unique_ptr<MasterServer>(new MasterServer(std::move(rep)));
}

const std::string& MasterServer::address() const { return rep_->server->address(); }
const std::string& MasterServer::http_address() const { return rep_->http->address(); }

}  // namespace tessera::master
