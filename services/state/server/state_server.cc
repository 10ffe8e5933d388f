#include "services/state/server/state_server.h"

#include <unistd.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "services/base/status_macros.h"
#include "services/http/metrics_route.h"
#include "services/rpc/advertised_address.h"
#include "services/rpc/clock.h"
#include "services/rpc/server.h"
#include "services/state/server/feed_client.h"
#include "services/state/server/read_pool.h"
#include "services/state/server/state_metrics.h"
#include "services/state/server/state_reads.h"
#include "services/state/server/state_service.h"

#include <grpcpp/impl/service_type.h>

namespace tessera::state {
namespace {

// Lists that may wait for a thread.
constexpr size_t kReadsMax = 1024;

PublicAddress ParseAddress(const std::string& address) {
  const size_t colon = address.rfind(':');
  PublicAddress parsed;
  parsed.hostname = address.substr(0, colon);
  if (colon != std::string::npos && !absl::SimpleAtoi(address.substr(colon + 1), &parsed.port)) {
    parsed.port = 0;
  }
  return parsed;
}

std::string HostName() {
  char name[256] = {};
  return gethostname(name, sizeof(name) - 1) == 0 ? name : "";
}

}  // namespace

class StateServer::Rep {
 public:
  explicit Rep(const StateServerOptions& options)
      : options_(options),
        clock_(rpc::MonotonicClock()),
        publisher_(options.feed, clock_),
        state_reads_([this] { return publisher_.snapshot(); }),
        read_pool_(options.read_threads, kReadsMax),
        counters_(std::make_shared<ReadCounters>()),
        service_(MakeStateService(
            &publisher_, &state_reads_, &read_pool_, [this] { return FeedAge(); }, counters_)),
        client_(&publisher_, clock_, rpc::ChannelOptions()) {}
  ~Rep() { Stop(); }

  absl::Status Start() {
    ASSIGN_OR_RETURN(server_, rpc::Server::Start(rpc::ServerOptions{.listen = options_.listen},
                                                 {publisher_.service(), service_.get()}));
    RETURN_IF_ERROR(StartHttp());
    client_.Start(options_.core);
    server_->SetServing(true);
    return absl::OkStatus();
  }

  void Stop() {
    client_.Stop();
    publisher_.Stop();
    if (http_ != nullptr) http_->Stop();
    if (server_ != nullptr) server_->Stop(absl::Seconds(1));
  }

  const std::string& address() const { return server_->address(); }
  const std::string& http_address() const { return http_->address(); }
  feed::FeedPublisher& publisher() { return publisher_; }
  const HttpReads& reads() const { return *http_reads_; }

 private:
  // -1: no heartbeat has come.
  double FeedAge() const {
    const absl::Duration age = publisher_.Age();
    if (age == absl::InfiniteDuration()) return -1;
    return std::max(0.0, absl::ToDoubleSeconds(age));
  }

  absl::Status StartHttp() {
    http::HttpOptions http_options;
    http_options.listen = options_.http_listen;
    http_options.threads = options_.http_threads;
    http_reads_ = std::make_unique<HttpReads>(
        options_.reads, PublicAddress(), [this] { return publisher_.snapshot(); },
        [this] { return FeedAge(); });
    MetricSources sources;
    sources.follow = [this] {
      return Following{.core = client_.view(),
                       .fresh = publisher_.Age() < options_.core.silence_timeout,
                       .queue_length = client_.queue_length(),
                       .steps = client_.StepCounts(),
                       .effects = client_.EffectCounts()};
    };
    sources.feed_age = [this] { return FeedAge(); };
    sources.http = [this] {
      absl::MutexLock lock(&http_mu_);
      return http_ == nullptr ? http::HttpCounters() : http_->counters();
    };
    sources.publisher = &publisher_;
    sources.reads = http_reads_.get();
    sources.calls = counters_;
    metrics_ = MakeStateMetrics(std::move(sources));
    std::vector<http::Route> all = http_reads_->Routes();
    all.push_back(http::MetricsRoute(metrics_));
    ASSIGN_OR_RETURN(auto server, http::HttpServer::Start(http_options, std::move(all)));
    http_reads_->SetAddress(ParseAddress(
        rpc::AdvertisedAddress(options_.http_advertise, server->address(), HostName())));
    absl::MutexLock lock(&http_mu_);
    http_ = std::move(server);
    return absl::OkStatus();
  }

  const StateServerOptions options_;
  // One for all, so that a time means the same in each of the parts.
  const rpc::Clock clock_;
  feed::FeedPublisher publisher_;
  StateReads state_reads_;
  ReadPool read_pool_;
  std::shared_ptr<ReadCounters> counters_;
  std::unique_ptr<grpc::Service> service_;
  FeedClient client_;
  std::unique_ptr<HttpReads> http_reads_;
  std::shared_ptr<prometheus::Collectable> metrics_;
  // Set under the mutex, for scrapes that come while it is; read without it by its owner.
  absl::Mutex http_mu_;
  std::unique_ptr<http::HttpServer> http_;
  std::unique_ptr<rpc::Server> server_;
};

StateServer::StateServer(std::unique_ptr<Rep> rep) : rep_(std::move(rep)) {}
StateServer::~StateServer() = default;

absl::StatusOr<std::unique_ptr<StateServer>> StateServer::Start(const StateServerOptions& options) {
  auto rep = std::make_unique<Rep>(options);
  RETURN_IF_ERROR(rep->Start());
  return std::unique_ptr<StateServer>(new StateServer(std::move(rep)));
}

const std::string& StateServer::address() const { return rep_->address(); }
const std::string& StateServer::http_address() const { return rep_->http_address(); }
feed::FeedPublisher& StateServer::publisher() { return rep_->publisher(); }
const HttpReads& StateServer::reads() const { return rep_->reads(); }
void StateServer::Stop() { rep_->Stop(); }

}  // namespace tessera::state
