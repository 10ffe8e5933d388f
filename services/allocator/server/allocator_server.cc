#include "services/allocator/server/allocator_server.h"

#include <glog/logging.h>

#include <atomic>
#include <memory>
#include <utility>
#include <variant>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "protos/tessera/allocator/v1/allocator_service.grpc.pb.h"
#include "services/allocator/server/allocator_metrics.h"
#include "services/base/status_macros.h"
#include "services/http/http_server.h"
#include "services/http/metrics_route.h"
#include "services/rpc/caller.h"
#include "services/rpc/clock.h"
#include "services/rpc/error.h"
#include "services/rpc/server.h"
#include "services/rpc/server_stream.h"
#include "services/rpc/shell.h"

namespace tessera::allocator {
namespace {

using Request = v1::AllocateRequest;
using Response = v1::AllocateResponse;

// The stream core with a stop-watch around its runs. Lives on the strand.
class TimedCore {
 public:
  TimedCore(const StreamCoreConfig& config, uint64_t seed, AllocatorMetrics* metrics)
      : core_(config, seed), metrics_(*metrics) {}

  void Step(absl::Time now, const StreamEvent& event, std::vector<StreamEffect>* effects) {
    if (!std::holds_alternative<StreamWake>(event)) {
      core_.Step(now, event, effects);
      return;
    }
    const size_t before = effects->size();
    const uint64_t began = rpc::strand_internal::MonotonicNanos();
    core_.Step(now, event, effects);
    const absl::Duration took = absl::Nanoseconds(rpc::strand_internal::MonotonicNanos() - began);
    for (size_t i = before; i < effects->size(); ++i) {
      if (const auto* run = std::get_if<RunDone>(&(*effects)[i])) metrics_.NoteRun(*run, took);
    }
  }
  absl::Time NextDeadline() const { return core_.NextDeadline(); }
  const StreamCore& core() const { return core_; }

 private:
  StreamCore core_;
  AllocatorMetrics& metrics_;
};

class Service final : public v1::AllocatorService::CallbackService {
  using CoreShell = rpc::Shell<TimedCore, StreamEvent, StreamEffect, Service>;
  friend CoreShell;

 public:
  explicit Service(const AllocatorServerOptions& options)
      : metrics_(std::make_shared<AllocatorMetrics>()),
        core_({.name = "allocator", .lanes = {{.events_max = options.queue_max}}},
              rpc::MonotonicClock(), StreamWake{}, this) {
    metrics_->WatchShell([this] {
      return AllocatorMetrics::ShellState{.queue_length = core_.metrics().queue_length.load(),
                                          .refused = core_.metrics().refused_total.load(),
                                          .steps = core_.StepCounts(),
                                          .effects = core_.EffectCounts()};
    });
    core_.Start(std::make_unique<TimedCore>(options.core, options.seed, metrics_.get()));
  }

  std::shared_ptr<AllocatorMetrics> metrics() const { return metrics_; }
  void Stop() { core_.Stop(); }

  grpc::ServerBidiReactor<Request, Response>* Allocate(
      grpc::CallbackServerContext* context) override {
    return rpc::AcceptBidi<Request, Response>(context, {}, [&](rpc::StreamPtr<Response> stream) {
      // The first request gives the stream its number, so that numbers grow as the core hears
      // of streams.
      auto number = std::make_shared<uint64_t>(0);
      const auth::Caller caller = rpc::CallerOf(*context);
      return rpc::StreamHandlers<Request>{
          .on_message =
              [this, stream, number, caller](Request request) {
                return TakeIn(stream, caller, std::move(request), number.get());
              },
          .on_done =
              [this, number, caller](const absl::Status& status) {
                LOG(INFO) << "stream " << *number << " of " << caller.address()
                          << " is over: " << status;
                if (*number != 0) Forget(*number);
              }};
    });
  }

  grpc::ServerUnaryReactor* ExplainAllocation(grpc::CallbackServerContext* context,
                                              const v1::ExplainAllocationRequest* request,
                                              v1::ExplainAllocationResponse* response) override {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(rpc::ToGrpc(Explain(*request, response)));
    return reactor;
  }

 private:
  // Each question holds allocation up for a look at each agent, and a thread of gRPC meanwhile.
  static constexpr int kExplainingMax = 4;

  absl::Status Explain(const v1::ExplainAllocationRequest& request,
                       v1::ExplainAllocationResponse* response) {
    absl::Status status = rpc::Overloaded("questions why nothing is offered");
    if (++explaining_ <= kExplainingMax) {
      const bool looked = core_.Inspect([&](const TimedCore& core) {
        auto answer = core.core().Explain(request);
        status = answer.status();
        if (answer.ok()) *response = *std::move(answer);
      });
      if (!looked) status = absl::UnavailableError("the allocator stops");
    }
    --explaining_;
    return status;
  }

  absl::Status TakeIn(const rpc::StreamPtr<Response>& stream, const auth::Caller& caller,
                      Request request, uint64_t* number) {
    absl::MutexLock lock(&mu_);
    if (*number == 0) {
      *number = ++newest_stream_;
      streams_[*number] = stream;
      LOG(INFO) << "stream " << *number << " of " << caller.address() << " begins with epoch "
                << request.epoch();
    }
    return core_.Push(
        RequestArrived{*number, std::make_shared<const Request>(std::move(request)), caller});
  }

  void Forget(uint64_t number) {
    absl::MutexLock lock(&mu_);
    streams_.erase(number);
    core_.PushReserved(StreamEnded{number});
  }

  rpc::StreamPtr<Response> Find(uint64_t number) {
    absl::MutexLock lock(&mu_);
    const auto found = streams_.find(number);
    return found == streams_.end() ? nullptr : found->second;
  }

  void Do(SendResponse& send) {
    if (auto stream = Find(send.stream)) stream->Send(std::move(send.response));
  }
  void Do(const RunDone&) {}  // measured where the core is stepped
  void Do(const EndStream& end) {
    LOG(WARNING) << "stream " << end.stream << " is refused: " << end.status;
    if (auto stream = Find(end.stream)) stream->Close(end.status);
  }
  // Streams write what they are given at once.
  void Flush() {}
  void AfterBatch(absl::Time now, const TimedCore& core) { metrics_->Publish(now, core.core()); }

  std::shared_ptr<AllocatorMetrics> metrics_;
  absl::Mutex mu_;
  uint64_t newest_stream_ ABSL_GUARDED_BY(mu_) = 0;
  absl::flat_hash_map<uint64_t, rpc::StreamPtr<Response>> streams_ ABSL_GUARDED_BY(mu_);
  std::atomic<int> explaining_ = 0;
  CoreShell core_;
};

}  // namespace

struct AllocatorServer::Rep {
  explicit Rep(const AllocatorServerOptions& options) : service(options) {}
  ~Rep() {
    if (http) http->Stop();
    if (server) {
      server->SetServing(false);
      server->Stop(absl::Seconds(1));
    }
    service.Stop();
  }
  Service service;
  std::unique_ptr<rpc::Server> server;
  std::unique_ptr<http::HttpServer> http;
};

AllocatorServer::AllocatorServer(std::unique_ptr<Rep> rep) : rep_(std::move(rep)) {}
AllocatorServer::~AllocatorServer() = default;

absl::StatusOr<std::unique_ptr<AllocatorServer>> AllocatorServer::Start(
    const AllocatorServerOptions& options) {
  auto rep = std::make_unique<Rep>(options);
  http::HttpOptions http_options;
  http_options.listen = options.http_listen;
  ASSIGN_OR_RETURN(rep->http, http::HttpServer::Start(
                                  http_options, {http::MetricsRoute(rep->service.metrics())}));
  rpc::ServerOptions server_options;
  server_options.listen = options.listen;
  // Snapshots come in large messages.
  server_options.receive_bytes_max = 64 << 20;
  ASSIGN_OR_RETURN(rep->server, rpc::Server::Start(server_options, {&rep->service}));
  rep->server->SetServing(true);
  return std::unique_ptr<AllocatorServer>(new AllocatorServer(std::move(rep)));
}

const std::string& AllocatorServer::address() const { return rep_->server->address(); }
const std::string& AllocatorServer::http_address() const { return rep_->http->address(); }

}  // namespace tessera::allocator
