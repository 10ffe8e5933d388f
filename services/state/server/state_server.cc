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
#include "services/rpc/strand.h"
#include "services/state/server/feed_client.h"
#include "services/state/server/read_pool.h"
#include "services/state/server/state_metrics.h"
#include "services/state/server/state_reads.h"
#include "services/state/server/state_service.h"

#include <grpcpp/impl/service_type.h>

namespace tessera::state {
namespace {

using StateStrand = rpc::Strand<StateCore, StateEvent, StateEffect>;

// Lists that may wait for a thread.
constexpr size_t kReadsMax = 1024;

// The strand as streams reach it, which may end after it.
struct StrandGate {
  absl::Mutex mu;
  StateStrand* strand ABSL_GUARDED_BY(mu) = nullptr;
};

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
        core_(options.core),
        publisher_(options.feed, clock_),
        state_reads_([this] { return publisher_.snapshot(); }),
        read_pool_(options.read_threads, kReadsMax),
        counters_(std::make_shared<ReadCounters>()),
        service_(MakeStateService(
            &publisher_, &state_reads_, &read_pool_, [this] { return FeedAge(); }, counters_)),
        gate_(std::make_shared<StrandGate>()),
        client_(
            &publisher_,
            [gate = gate_](StateEvent event, bool must_fit) {
              absl::MutexLock lock(&gate->mu);
              if (gate->strand == nullptr) return false;
              return must_fit ? gate->strand->PushReserved(std::move(event))
                              : gate->strand->Push(std::move(event));
            },
            rpc::ChannelOptions()),
        strand_(
            rpc::StrandOptions{.name = "state"}, &core_, clock_, Wake{},
            [this](absl::Time, std::vector<StateEffect> effects) {
              client_.Carry(std::move(effects));
            },
            [this](absl::Time, const StateCore& core) {
              absl::MutexLock lock(&view_mu_);
              view_.counters = core.counters();
              view_.whole = core.whole();
              view_.hops = core.heartbeat().hops;
            }) {}
  ~Rep() { Stop(); }

  absl::Status Start() {
    ASSIGN_OR_RETURN(server_, rpc::Server::Start(rpc::ServerOptions{.listen = options_.listen},
                                                 {publisher_.service(), service_.get()}));
    RETURN_IF_ERROR(StartHttp());
    {
      absl::MutexLock lock(&gate_->mu);
      gate_->strand = &strand_;
    }
    strand_.Start();
    strand_.PushReserved(Started{});
    server_->SetServing(true);
    return absl::OkStatus();
  }

  void Stop() {
    {
      absl::MutexLock lock(&gate_->mu);
      gate_->strand = nullptr;
    }
    strand_.Stop();
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
      absl::MutexLock lock(&view_mu_);
      FollowView view = view_;
      view.queue_length = strand_.metrics().queue_length.load();
      view.fresh = publisher_.Age() < options_.core.silence_timeout;
      return view;
    };
    sources.feed_age = [this] { return FeedAge(); };
    sources.http = [this] {
      absl::MutexLock lock(&view_mu_);
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
    absl::MutexLock lock(&view_mu_);
    http_ = std::move(server);
    return absl::OkStatus();
  }

  const StateServerOptions options_;
  // One for all, so that a time means the same in each of the parts.
  const rpc::Clock clock_;
  StateCore core_;
  feed::FeedPublisher publisher_;
  StateReads state_reads_;
  ReadPool read_pool_;
  std::shared_ptr<ReadCounters> counters_;
  std::unique_ptr<grpc::Service> service_;
  std::shared_ptr<StrandGate> gate_;
  FeedClient client_;
  mutable absl::Mutex view_mu_;
  FollowView view_ ABSL_GUARDED_BY(view_mu_);
  StateStrand strand_;
  std::unique_ptr<HttpReads> http_reads_;
  std::shared_ptr<prometheus::Collectable> metrics_;
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
