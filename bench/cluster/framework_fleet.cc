#include "bench/cluster/framework_fleet.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "protos/tessera/scheduler/v1/scheduler_service.grpc.pb.h"
#include "services/base/backoff.h"
#include "services/rpc/client_call.h"
#include "services/rpc/client_stream.h"
#include "services/rpc/error.h"
#include "services/rpc/leader_finder.h"

namespace tessera::bench {

namespace api = scheduler::v1;

namespace {

constexpr absl::Duration kCallTimeout = absl::Seconds(30);

}  // namespace

struct FrameworkFleet::Seat {
  Seat(SimulatedFramework framework, const FrameworkFleetOptions& options, uint32_t seed)
      : framework(std::move(framework)), leader(options.masters), random(seed) {}

  mutable absl::Mutex mu;
  SimulatedFramework framework ABSL_GUARDED_BY(mu);
  rpc::LeaderFinder leader ABSL_GUARDED_BY(mu);
  base::Backoff backoff ABSL_GUARDED_BY(mu){{absl::Milliseconds(50), absl::Seconds(2), 2.0}};
  base::Rng random ABSL_GUARDED_BY(mu);
  uint64_t stream_number ABSL_GUARDED_BY(mu) = 0;
  std::shared_ptr<rpc::StreamControl> stream ABSL_GUARDED_BY(mu);
  std::shared_ptr<api::SchedulerService::Stub> stub ABSL_GUARDED_BY(mu);
  absl::Time subscribe_at ABSL_GUARDED_BY(mu) = absl::InfinitePast();
};

struct FrameworkFleet::Calls {
  std::shared_ptr<api::SchedulerService::Stub> stub;
  std::vector<api::AcceptOffersRequest> accepts;
  std::vector<api::DeclineOffersRequest> declines;
  api::AcknowledgeRequest acknowledge;
  bool revive = false;
  api::Session session;
};

FrameworkFleet::FrameworkFleet(FrameworkFleetOptions options)
    : options_(std::move(options)), channels_(options_.connections) {
  for (int i = 0; i < options_.frameworks; ++i) {
    model::v1::FrameworkInfo info;
    info.set_name(absl::StrFormat("sim-framework-%03d", i));
    info.set_user("nobody");
    info.add_roles(options_.own_roles ? absl::StrCat("role-", i) : "*");
    info.mutable_failover_timeout()->set_seconds(3600);
    info.set_checkpoint(true);
    info.set_hostname("simulated.example");
    info.set_webui_url(absl::StrCat("http://simulated.example/", i));
    info.add_capabilities(model::v1::FrameworkInfo::PARTITION_AWARE);
    seats_.push_back(std::make_unique<Seat>(SimulatedFramework(std::move(info), &options_.demand),
                                            options_, static_cast<uint32_t>(i + 1)));
  }
}

FrameworkFleet::~FrameworkFleet() { Stop(/*teardown=*/false); }

void FrameworkFleet::Start() {
  thread_ = std::thread([this] { RunSubscriptions(); });
}

void FrameworkFleet::Stop(bool teardown) {
  if (stopping_.exchange(true)) return;
  if (thread_.joinable()) thread_.join();
  for (auto& seat : seats_) {
    absl::MutexLock lock(&seat->mu);
    if (teardown && seat->framework.subscribed()) {
      api::TeardownRequest request;
      *request.mutable_session() = seat->framework.session();
      const auto answer = rpc::Call<api::TeardownResponse>(
          request, kCallTimeout, [&](auto* context, auto& sent, auto* response) {
            return seat->stub->Teardown(context, sent, response);
          });
      if (!answer.ok()) NoteRefusal("Teardown", answer.status());
    }
    if (seat->stream != nullptr) seat->stream->Cancel(absl::CancelledError("the fleet stops"));
  }
  while (open_.load() > 0) absl::SleepFor(absl::Milliseconds(5));
}

void FrameworkFleet::RunSubscriptions() {
  while (!stopping_) {
    for (size_t i = 0; i < seats_.size(); ++i) {
      bool due = false;
      {
        absl::MutexLock lock(&seats_[i]->mu);
        due = seats_[i]->stream == nullptr && seats_[i]->subscribe_at <= absl::Now();
      }
      if (due) Subscribe(static_cast<int>(i));
    }
    absl::SleepFor(absl::Milliseconds(20));
  }
}

void FrameworkFleet::Subscribe(int framework) {
  Seat& seat = *seats_[framework];
  absl::MutexLock lock(&seat.mu);
  const uint64_t number = ++seat.stream_number;
  seat.stub = std::make_shared<api::SchedulerService::Stub>(
      channels_.Get(seat.leader.address(), static_cast<size_t>(framework)));
  rpc::StreamHandlers<api::SubscribeResponse> handlers;
  handlers.on_message = [this, framework, number](api::SubscribeResponse response) {
    OnEvents(framework, number, response);
    return absl::OkStatus();
  };
  handlers.on_done = [this, framework, number, stub = seat.stub](const absl::Status& status) {
    OnDone(framework, number, status);
  };
  api::SubscribeRequest request;
  *request.mutable_info() = seat.framework.info();
  open_.fetch_add(1);
  seat.stream = rpc::OpenServerStream<api::SubscribeResponse>(
      std::move(handlers),
      [&](grpc::ClientContext* context, grpc::ClientReadReactor<api::SubscribeResponse>* reactor) {
        seat.stub->async()->Subscribe(context, &request, reactor);
      });
}

void FrameworkFleet::Use(Seat& seat, absl::Time now, const model::v1::Offer& offer, Calls& calls) {
  api::AcceptOffersRequest accept;
  api::DeclineOffersRequest decline;
  switch (seat.framework.Use(now, offer, &accept, &decline)) {
    case SimulatedFramework::Answer::kAccept:
      calls.accepts.push_back(std::move(accept));
      break;
    case SimulatedFramework::Answer::kDecline:
      calls.declines.push_back(std::move(decline));
      break;
    case SimulatedFramework::Answer::kKeep:
      break;
  }
}

void FrameworkFleet::OnEvents(int framework, uint64_t stream,
                              const api::SubscribeResponse& response) {
  Seat& seat = *seats_[framework];
  Calls calls;
  {
    absl::MutexLock lock(&seat.mu);
    if (stream != seat.stream_number || stopping_) return;
    const absl::Time now = absl::Now();
    for (const api::Event& event : response.events()) {
      switch (event.kind_case()) {
        case api::Event::kSubscribed:
          seat.framework.Subscribed(event.subscribed());
          seat.leader.Succeeded();
          seat.backoff.Reset();
          subscriptions_.fetch_add(1);
          break;
        case api::Event::kOffers:
          for (const model::v1::Offer& offer : event.offers().offers()) {
            offers_.fetch_add(1);
            Use(seat, now, offer, calls);
          }
          break;
        case api::Event::kRescind:
          seat.framework.Rescind(event.rescind());
          break;
        case api::Event::kUpdate:
          calls.revive |= seat.framework.Note(now, event.update().status(), &calls.acknowledge);
          break;
        case api::Event::kError:
          NoteRefusal("Subscribe", absl::InternalError(event.error().message()));
          break;
        case api::Event::kInverseOffers:
        case api::Event::kOperationUpdate:
        case api::Event::kMessage:
        case api::Event::kFailure:
        case api::Event::kHeartbeat:
        case api::Event::KIND_NOT_SET:
          break;
      }
    }
    while (const auto kept = seat.framework.TakeKept()) Use(seat, now, *kept, calls);
    calls.stub = seat.stub;
    calls.session = seat.framework.session();
  }
  Send(std::move(calls));
}

void FrameworkFleet::Send(Calls calls) {
  const auto stub = calls.stub;
  // Keeps the stub until the answer has come.
  const auto answered = [this, stub](const char* call) {
    return [this, stub, call](const auto& answer) {
      if (!answer.ok()) NoteRefusal(call, answer.status());
      open_.fetch_sub(1);
    };
  };
  const auto begin = [this] {
    calls_.fetch_add(1);
    open_.fetch_add(1);
  };
  for (auto& request : calls.accepts) {
    begin();
    rpc::CallAsync<api::AcceptOffersResponse>(
        std::move(request), kCallTimeout,
        [&](auto* context, auto* sent, auto* response, auto done) {
          stub->async()->AcceptOffers(context, sent, response, std::move(done));
        },
        answered("AcceptOffers"));
  }
  // Those with the same filter go together.
  std::map<int64_t, api::DeclineOffersRequest> declines;
  for (auto& request : calls.declines) {
    auto& joined = declines[request.filters().refuse_duration().seconds()];
    if (joined.offer_ids().empty()) {
      joined = std::move(request);
    } else {
      joined.mutable_offer_ids()->MergeFrom(request.offer_ids());
    }
  }
  for (auto& [seconds, request] : declines) {
    begin();
    rpc::CallAsync<api::DeclineOffersResponse>(
        std::move(request), kCallTimeout,
        [&](auto* context, auto* sent, auto* response, auto done) {
          stub->async()->DeclineOffers(context, sent, response, std::move(done));
        },
        answered("DeclineOffers"));
  }
  if (!calls.acknowledge.updates().empty()) {
    begin();
    *calls.acknowledge.mutable_session() = calls.session;
    rpc::CallAsync<api::AcknowledgeResponse>(
        std::move(calls.acknowledge), kCallTimeout,
        [&](auto* context, auto* sent, auto* response, auto done) {
          stub->async()->Acknowledge(context, sent, response, std::move(done));
        },
        answered("Acknowledge"));
  }
  if (calls.revive) {
    begin();
    api::ReviveOffersRequest request;
    *request.mutable_session() = calls.session;
    rpc::CallAsync<api::ReviveOffersResponse>(
        std::move(request), kCallTimeout,
        [&](auto* context, auto* sent, auto* response, auto done) {
          stub->async()->ReviveOffers(context, sent, response, std::move(done));
        },
        answered("ReviveOffers"));
  }
}

void FrameworkFleet::OnDone(int framework, uint64_t stream, const absl::Status& status) {
  Seat& seat = *seats_[framework];
  {
    absl::MutexLock lock(&seat.mu);
    if (stream == seat.stream_number) {
      seat.framework.Closed();
      seat.stream = nullptr;
      absl::Duration wait = seat.backoff.Next(seat.random);
      if (seat.leader.Failed(status)) wait = absl::ZeroDuration();
      seat.subscribe_at = absl::Now() + wait;
      if (!stopping_) LOG(INFO) << seat.framework.info().name() << ": " << status.ToString();
    }
  }
  open_.fetch_sub(1);
}

void FrameworkFleet::NoteRefusal(const std::string& call, const absl::Status& status) {
  absl::MutexLock lock(&refusals_mu_);
  const std::string kind = absl::StrCat(call, ": ", absl::StatusCodeToString(status.code()), " ",
                                        model::v1::ErrorDetail::Reason_Name(rpc::ReasonOf(status)));
  if (refusals_.size() < 100 || refusals_.contains(kind)) {
    if (++refusals_[kind] == 1) LOG(INFO) << kind << ": " << status.message();
  }
}

FrameworkFleetCounts FrameworkFleet::Count() const {
  FrameworkFleetCounts sum;
  for (const auto& seat : seats_) {
    absl::MutexLock lock(&seat->mu);
    sum.subscribed += seat->framework.subscribed();
    const TaskCounts& counts = seat->framework.counts();
    sum.tasks.launched += counts.launched;
    sum.tasks.running_heard += counts.running_heard;
    sum.tasks.ended += counts.ended;
    sum.tasks.lost += counts.lost;
    sum.tasks.running_now += counts.running_now;
  }
  sum.calls = calls_;
  sum.offers = offers_;
  sum.subscriptions = subscriptions_;
  absl::MutexLock lock(&refusals_mu_);
  sum.refusals = refusals_;
  return sum;
}

std::vector<float> FrameworkFleet::TakeLatencies() {
  std::vector<float> all;
  for (auto& seat : seats_) {
    absl::MutexLock lock(&seat->mu);
    const std::vector<float> latencies = seat->framework.TakeLatencies();
    all.insert(all.end(), latencies.begin(), latencies.end());
  }
  return all;
}

std::vector<FrameworkTruth> FrameworkFleet::Truth() const {
  std::vector<FrameworkTruth> truth;
  for (const auto& seat : seats_) {
    absl::MutexLock lock(&seat->mu);
    truth.push_back({seat->framework.info(), seat->framework.TasksByAgent()});
  }
  return truth;
}

void FrameworkFleet::Reconcile() {
  for (auto& seat : seats_) {
    std::shared_ptr<api::SchedulerService::Stub> stub;
    api::ReconcileTasksRequest request;
    {
      absl::MutexLock lock(&seat->mu);
      seat->framework.ForgetStates();
      // After a fail-over agents may be back before frameworks are.
      const auto subscribed = [&] { return seat->framework.subscribed(); };
      if (!seat->mu.AwaitWithTimeout(absl::Condition(&subscribed), kCallTimeout)) continue;
      *request.mutable_session() = seat->framework.session();
      stub = seat->stub;
    }
    const auto answer = rpc::Call<api::ReconcileTasksResponse>(
        request, kCallTimeout, [&](auto* context, auto& sent, auto* response) {
          return stub->ReconcileTasks(context, sent, response);
        });
    if (!answer.ok()) NoteRefusal("ReconcileTasks", answer.status());
  }
}

}  // namespace tessera::bench
