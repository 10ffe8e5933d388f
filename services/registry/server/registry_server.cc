#include "services/registry/server/registry_server.h"

#include <glog/logging.h>
#include <prometheus/registry.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "services/base/status_macros.h"
#include "services/http/http_server.h"
#include "services/http/metrics_route.h"
#include "services/registry/server/persister.h"
#include "services/registry/server/registry_metrics.h"
#include "services/registry/server/registry_service.h"
#include "services/rpc/server.h"
#include "services/rpc/strand.h"

namespace tessera::registry {
namespace {

using RegistryStrand = rpc::Strand<RegistryCore, Event, Effect>;

// How long a stop waits for calls that the disk has not answered yet.
constexpr absl::Duration kStopPatience = absl::Seconds(5);
// A commit of the largest size has to come through, so that its refusal says what is too large.
constexpr int kReceiveBytesMax = 16 << 20;
constexpr uint64_t kEpochAtLeastMax = 1'000'000'000'000'000;

// Durable before anybody can be granted a lease.
absl::Status RaiseEpoch(const RegistryServerOptions& options, Store* store,
                        StoreContents* contents) {
  if (contents->lease.leader.epoch >= options.epoch_at_least) return absl::OkStatus();
  LeaseRecord raised{.ttl = std::max(options.core.lease_ttl, contents->lease.ttl)};
  raised.leader.epoch = options.epoch_at_least;
  LOG(WARNING) << "the highest epoch is raised from " << contents->lease.leader.epoch << " to "
               << options.epoch_at_least
               << ", as --epoch_at_least says; the next leader's is above";
  contents->lease = raised;
  RETURN_IF_ERROR(
      store->Append({.commits = {}, .lease = std::make_shared<const LeaseRecord>(raised)}));
  return store->Sync();
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
  if (options.epoch_at_least > kEpochAtLeastMax) {
    return absl::InvalidArgumentError(absl::StrCat("--epoch_at_least is ", options.epoch_at_least,
                                                   "; give at most ", kEpochAtLeastMax,
                                                   ": an epoch can never be lowered again"));
  }
  return absl::OkStatus();
}

struct RegistryServer::Rep {
  std::unique_ptr<RegistryCore> core;
  RegistryMetrics metrics;
  std::unique_ptr<RegistryStrand> strand;
  std::unique_ptr<Persister> persister;
  std::unique_ptr<RegistryService> service;
  std::unique_ptr<rpc::Server> server;
  std::unique_ptr<http::HttpServer> http;
  std::function<void(const std::string&)> on_halt;

  // The strand's sink.
  void CarryOut(std::vector<Effect> effects) {
    for (Effect& effect : effects) {
      if (auto* persist = std::get_if<Persist>(&effect)) {
        persister->Submit(std::move(*persist));
      } else if (const auto* reopen = std::get_if<ReopenStore>(&effect)) {
        persister->Submit(*reopen);
      } else if (const auto* halt = std::get_if<Halt>(&effect)) {
        LOG(ERROR) << halt->reason << "; the registry ends so that it reads what is on disk";
        on_halt(halt->reason);
      } else {
        service->Deliver(effect);
      }
    }
  }
};

RegistryServer::RegistryServer(std::unique_ptr<Rep> rep) : rep_(std::move(rep)) {}

absl::StatusOr<std::unique_ptr<RegistryServer>> RegistryServer::Start(
    const RegistryServerOptions& options, std::unique_ptr<Store> store,
    std::function<void(const std::string& reason)> on_halt) {
  RETURN_IF_ERROR(Validate(options));
  ASSIGN_OR_RETURN(StoreContents contents, store->Recover());
  LOG(INFO) << "recovered " << contents.records.size() << " keys at version " << contents.version
            << ", highest epoch " << contents.lease.leader.epoch;
  RETURN_IF_ERROR(RaiseEpoch(options, store.get(), &contents));

  auto rep = std::make_unique<Rep>();
  Rep* raw = rep.get();
  rep->on_halt = std::move(on_halt);
  const rpc::Clock clock = rpc::MonotonicClock();
  rep->core = std::make_unique<RegistryCore>(options.core, contents, clock());
  rep->metrics.Publish(SnapshotOf(*rep->core));
  rep->strand = std::make_unique<RegistryStrand>(
      rpc::StrandOptions{.name = "registry"}, rep->core.get(), clock, Wake{},
      [raw](absl::Time, std::vector<Effect> effects) { raw->CarryOut(std::move(effects)); },
      [raw](absl::Time, const RegistryCore& core) { raw->metrics.Publish(SnapshotOf(core)); });
  rep->persister =
      std::make_unique<Persister>(std::move(store), options.reopen_store,
                                  [raw](Event event, std::optional<absl::Duration> took) {
                                    if (took.has_value()) raw->metrics.ObservePersist(*took);
                                    raw->strand->PushReserved(std::move(event));
                                  });
  rep->service = std::make_unique<RegistryService>([raw](Event event, bool reserved) {
    return reserved ? raw->strand->PushReserved(std::move(event))
                    : raw->strand->Push(std::move(event));
  });

  std::unique_ptr<RegistryServer> server(new RegistryServer(std::move(rep)));
  ASSIGN_OR_RETURN(raw->http,
                   http::HttpServer::Start({.listen = options.http_listen},
                                           {http::MetricsRoute(raw->metrics.registry(), [raw] {
                                             raw->metrics.Refresh(raw->strand->metrics(),
                                                                  raw->service->queued_messages());
                                           })}));
  ASSIGN_OR_RETURN(raw->server, rpc::Server::Start({.listen = options.listen,
                                                    .receive_bytes_max = kReceiveBytesMax},
                                                   {raw->service.get()}));
  raw->strand->Start();
  raw->server->SetServing(true);
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
  rep_->strand->Stop();
  rep_->persister.reset();
  rep_->service->FailWaiting();
  if (rep_->server != nullptr) rep_->server->Stop(absl::Seconds(1));
  if (rep_->http != nullptr) rep_->http->Stop();
}

const std::string& RegistryServer::address() const { return rep_->server->address(); }
const std::string& RegistryServer::http_address() const { return rep_->http->address(); }

}  // namespace tessera::registry
