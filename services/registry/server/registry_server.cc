#include "services/registry/server/registry_server.h"

#include <glog/logging.h>
#include <prometheus/registry.h>
#include <unistd.h>

#include <atomic>
#include <optional>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "services/base/status_macros.h"
#include "services/http/http_server.h"
#include "services/http/metrics_route.h"
#include "services/registry/server/persister.h"
#include "services/registry/server/registry_metrics.h"
#include "services/registry/server/registry_service.h"
#include "services/rpc/advertised_address.h"
#include "services/rpc/clock.h"
#include "services/rpc/server.h"
#include "services/rpc/shell.h"

namespace tessera::registry {
namespace {

// How long a stop waits for calls that the disk has not answered yet.
constexpr absl::Duration kStopPatience = absl::Seconds(5);
// A commit of the largest size has to come through, so that its refusal says what is too large.
constexpr int kReceiveBytesMax = 16 << 20;
constexpr uint64_t kEpochAtLeastMax = 1'000'000'000'000'000;

std::string NameOfThisMachine() {
  char name[256] = {};
  return ::gethostname(name, sizeof(name) - 1) == 0 ? name : "";
}

}  // namespace

absl::Status Validate(const RegistryServerOptions& options) {
  if (options.core.lease_ttl < absl::Milliseconds(100) ||
      options.core.lease_ttl > absl::Minutes(10)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--lease_ttl is ", absl::FormatDuration(options.core.lease_ttl),
                     "; give 100ms to 10m. Short: a dead leader is replaced soon; long: a slow "
                     "one keeps its place"));
  }
  if (options.core.history.commits_max < 1) {
    return absl::InvalidArgumentError("--history_commits must be at least 1");
  }
  if (options.core.epoch_at_least > kEpochAtLeastMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("--epoch_at_least is ", options.core.epoch_at_least, "; give at most ",
                     kEpochAtLeastMax, ": an epoch can never be lowered again"));
  }
  return absl::OkStatus();
}

// What the core's shell calls is called on its strand.
struct RegistryServer::Rep {
  rpc::Shell<RegistryCore, Event, Effect, Rep> shell{
      {.name = "registry"}, rpc::BootTimeClock(), Wake{}, this};
  RegistryMetrics metrics;
  std::unique_ptr<Persister> persister;
  std::unique_ptr<RegistryService> service;
  std::unique_ptr<rpc::Server> server;
  std::unique_ptr<http::HttpServer> http;
  std::function<void(const std::string&)> on_halt;
  std::atomic<Phase> phase{Phase::kStandby};

  absl::Mutex mu;
  // How the start went; absent before that is known.
  std::optional<absl::Status> started ABSL_GUARDED_BY(mu);

  // False: how it went is known already.
  bool StartEnds(absl::Status how) {
    absl::MutexLock lock(&mu);
    if (started.has_value()) return false;
    started = std::move(how);
    return true;
  }
  absl::Status AwaitStart() {
    absl::MutexLock lock(&mu);
    mu.Await(absl::Condition(
        +[](std::optional<absl::Status>* how) { return how->has_value(); }, &started));
    return *started;
  }

  void Do(AcquireStore& effect) { persister->Submit(effect); }
  void Do(Persist& effect) { persister->Submit(std::move(effect)); }
  void Do(Settle& effect) { persister->Submit(effect); }
  void Do(const Halt& halt) {
    if (StartEnds(absl::FailedPreconditionError(halt.reason))) return;
    LOG(ERROR) << halt.reason << "; the registry ends so that it reads what is on disk";
    on_halt(halt.reason);
  }
  void Do(const CommitAnswer& effect) { service->Deliver(effect); }
  void Do(const ReadAnswer& effect) { service->Deliver(effect); }
  void Do(const RenewAnswer& effect) { service->Deliver(effect); }
  void Do(const ResignAnswer& effect) { service->Deliver(effect); }
  void Do(const WatchSend& effect) { service->Deliver(effect); }
  void Do(const CampaignSend& effect) { service->Deliver(effect); }
  void Do(const EndStream& effect) { service->Deliver(effect); }
  // Streams write what they are given at once.
  void Flush() {}
  void AfterBatch(absl::Time, const RegistryCore& core) {
    metrics.Publish(SnapshotOf(core));
    const Phase before = phase.exchange(core.phase());
    if (before == core.phase()) return;
    // Balancers and probes that ask for health find the one that acts.
    server->SetServing(core.phase() == Phase::kActing);
    if (core.phase() == Phase::kActing) StartEnds(absl::OkStatus());
  }

  // What the store answers.
  void Hear(Event event, std::optional<absl::Duration> took) {
    if (took.has_value()) metrics.ObservePersist(*took);
    const bool owned = std::holds_alternative<StoreOwnedByOther>(event);
    const auto* unavailable = std::get_if<StoreUnavailable>(&event);
    // A store that cannot be had at the start is told at once; later it is waited for.
    if (unavailable != nullptr) StartEnds(absl::UnavailableError(unavailable->reason));
    shell.PushReserved(std::move(event));
    if (owned) StartEnds(absl::OkStatus());
  }
};

RegistryServer::RegistryServer(std::unique_ptr<Rep> rep) : rep_(std::move(rep)) {}

absl::StatusOr<std::unique_ptr<RegistryServer>> RegistryServer::Start(
    const RegistryServerOptions& options, std::unique_ptr<Store> store,
    std::function<void(const std::string& reason)> on_halt) {
  RETURN_IF_ERROR(Validate(options));
  auto rep = std::make_unique<Rep>();
  Rep* raw = rep.get();
  rep->on_halt = std::move(on_halt);
  auto core = std::make_unique<RegistryCore>(options.core);
  rep->metrics.Publish(SnapshotOf(*core));
  rep->service = std::make_unique<RegistryService>(
      [raw](Event event) { return raw->shell.Push(std::move(event)); },
      [raw](Event event) { raw->shell.PushReserved(std::move(event)); });

  std::unique_ptr<RegistryServer> server(new RegistryServer(std::move(rep)));
  ASSIGN_OR_RETURN(
      raw->http,
      http::HttpServer::Start(
          {.listen = options.http_listen}, {http::MetricsRoute(raw->metrics.registry(), [raw] {
            raw->metrics.Refresh(raw->shell.metrics(), raw->shell.StepCounts(),
                                 raw->shell.EffectCounts(), raw->service->queued_messages());
          })}));
  ASSIGN_OR_RETURN(raw->server, rpc::Server::Start({.listen = options.listen,
                                                    .receive_bytes_max = kReceiveBytesMax},
                                                   {raw->service.get()}));
  raw->persister = std::make_unique<Persister>(
      std::move(store),
      rpc::AdvertisedAddress(options.advertise, raw->server->address(), NameOfThisMachine()),
      [raw](Event event, std::optional<absl::Duration> took) {
        raw->Hear(std::move(event), took);
      });
  raw->shell.Start(std::move(core), Started{});
  RETURN_IF_ERROR(raw->AwaitStart());
  return server;
}

RegistryServer::~RegistryServer() {
  rep_->service->Close();
  if (rep_->server != nullptr) {
    rep_->server->SetServing(false);
    const absl::Time deadline = absl::Now() + kStopPatience;
    while (rep_->service->waiting() > 0 && absl::Now() < deadline) {
      absl::SleepFor(absl::Milliseconds(1));
    }
  }
  rep_->shell.Stop();
  rep_->persister.reset();
  rep_->service->FailWaiting();
  if (rep_->server != nullptr) rep_->server->Stop(absl::Seconds(1));
  if (rep_->http != nullptr) rep_->http->Stop();
}

const std::string& RegistryServer::address() const { return rep_->server->address(); }
const std::string& RegistryServer::http_address() const { return rep_->http->address(); }
Phase RegistryServer::phase() const { return rep_->phase.load(); }

}  // namespace tessera::registry
