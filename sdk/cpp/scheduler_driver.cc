#include "sdk/cpp/scheduler_driver.h"

#include <glog/logging.h>

#include <map>
#include <random>
#include <type_traits>
#include <utility>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "protos/tessera/scheduler/v1/scheduler_service.grpc.pb.h"
#include "services/rpc/channel.h"
#include "services/rpc/client_call.h"
#include "services/rpc/client_stream.h"
#include "services/rpc/clock.h"
#include "services/rpc/strand.h"

namespace tessera::sdk {

namespace {

using scheduler::v1::SchedulerService;
using scheduler::v1::SubscribeResponse;

template <typename T>
std::vector<T> ToVector(const google::protobuf::RepeatedPtrField<T>& field) {
  return {field.begin(), field.end()};
}

void SetDuration(absl::Duration value, google::protobuf::Duration* out) {
  absl::Duration rest;
  out->set_seconds(absl::IDivDuration(value, absl::Seconds(1), &rest));
  out->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(rest)));
}

// The response type and the stub's method of each call.
template <typename Request>
struct Rpc;

#define TESSERA_SCHEDULER_RPC(Name)                                                             \
  template <>                                                                                   \
  struct Rpc<scheduler::v1::Name##Request> {                                                    \
    using Response = scheduler::v1::Name##Response;                                             \
    static constexpr auto Start = [](auto* async, auto* context, auto* request, auto* response, \
                                     auto done) {                                               \
      async->Name(context, request, response, std::move(done));                                 \
    };                                                                                          \
  }

TESSERA_SCHEDULER_RPC(AcceptOffers);
TESSERA_SCHEDULER_RPC(DeclineOffers);
TESSERA_SCHEDULER_RPC(ReviveOffers);
TESSERA_SCHEDULER_RPC(SuppressOffers);
TESSERA_SCHEDULER_RPC(UnsuppressOffers);
TESSERA_SCHEDULER_RPC(ClearFilters);
TESSERA_SCHEDULER_RPC(SetDemand);
TESSERA_SCHEDULER_RPC(AnswerInverseOffers);
TESSERA_SCHEDULER_RPC(KillTask);
TESSERA_SCHEDULER_RPC(Acknowledge);
TESSERA_SCHEDULER_RPC(ReconcileTasks);
TESSERA_SCHEDULER_RPC(ReconcileOperations);
TESSERA_SCHEDULER_RPC(SendMessage);
TESSERA_SCHEDULER_RPC(ShutdownExecutor);
TESSERA_SCHEDULER_RPC(UpdateFramework);
TESSERA_SCHEDULER_RPC(Teardown);

#undef TESSERA_SCHEDULER_RPC

using SchedulerStrand = rpc::Strand<SchedulerCore, Event, Effect>;

}  // namespace

void Scheduler::Message(const scheduler::v1::Event::Message&) {}
void Scheduler::Failure(const scheduler::v1::Event::Failure&) {}
void Scheduler::InverseOffers(std::vector<model::v1::InverseOffer>) {}
void Scheduler::InverseOffersRescinded(const std::vector<std::string>&) {}
void Scheduler::OperationUpdate(const model::v1::OperationStatus&) {}

// Callbacks of gRPC may come after the driver is gone: they hold the Impl weakly by `alive_`, which
// is emptied before the strand goes.
class SchedulerDriver::Impl {
 public:
  Impl(DriverOptions options, Scheduler* scheduler)
      : options_(std::move(options)),
        scheduler_(scheduler),
        core_(options_.session, std::random_device{}()),
        strand_({.name = "scheduler"}, &core_, rpc::MonotonicClock(), Event(Wake{}),
                [this](absl::Time, std::vector<Effect> effects) { CarryOut(std::move(effects)); }) {
    gate_ = std::make_shared<Gate>();
    gate_->impl = this;
  }

  ~Impl() {
    {
      absl::MutexLock lock(&gate_->mu);
      gate_->impl = nullptr;
    }
    strand_.Stop();
    for (auto& [attempt, stream] : streams_) {
      stream->Cancel(absl::CancelledError("the driver is gone"));
    }
  }

  void Start() {
    strand_.Start();
    strand_.PushReserved(sdk::Start{});
  }

  void Push(Event event) { strand_.PushReserved(std::move(event)); }

  bool WaitForEnd(absl::Duration timeout) { return ended_.WaitForNotificationWithTimeout(timeout); }

 private:
  // What callbacks of gRPC hold instead of the driver itself.
  struct Gate {
    absl::Mutex mu;
    Impl* impl ABSL_GUARDED_BY(mu) = nullptr;

    void Push(Event event) {
      absl::MutexLock lock(&mu);
      if (impl != nullptr) impl->strand_.PushReserved(std::move(event));
    }
  };

  void CarryOut(std::vector<Effect> effects) {
    for (Effect& effect : effects) {
      std::visit([this](auto& e) { Do(e); }, effect);
    }
  }

  SchedulerService::Stub& StubAt(const std::string& address) {
    if (address != channel_address_ || stub_ == nullptr) {
      channel_ = rpc::MakeChannel(address);
      channel_address_ = address;
      stub_ = SchedulerService::NewStub(channel_);
    }
    return *stub_;
  }

  void Do(OpenStream& open) {
    auto gate = gate_;
    const uint64_t attempt = open.attempt;
    rpc::StreamHandlers<SubscribeResponse> handlers;
    handlers.on_message = [gate, attempt](SubscribeResponse response) {
      StreamEvents events{attempt, {}};
      events.events.reserve(response.events_size());
      for (auto& event : *response.mutable_events()) events.events.push_back(std::move(event));
      gate->Push(std::move(events));
      return absl::OkStatus();
    };
    handlers.on_done = [gate, attempt](const absl::Status& status) {
      gate->Push(StreamEnded{attempt, status.ok() ? absl::UnavailableError("the master ended the "
                                                                           "stream")
                                                  : status});
    };
    SchedulerService::Stub& stub = StubAt(open.address);
    streams_.clear();  // older ones have ended, or were cancelled
    streams_[attempt] = rpc::OpenServerStream<SubscribeResponse>(
        std::move(handlers), [&](grpc::ClientContext* context, auto* reactor) {
          stub.async()->Subscribe(context, &open.request, reactor);
        });
  }

  void Do(CancelStream& cancel) {
    const auto it = streams_.find(cancel.attempt);
    if (it == streams_.end()) return;
    it->second->Cancel(absl::CancelledError("the session is opened anew"));
    streams_.erase(it);
  }

  void Do(SendCall& call) {
    auto gate = gate_;
    const uint64_t id = call.id;
    SchedulerService::Stub& stub = StubAt(call.address);
    std::visit(
        [&](auto& request) {
          using RequestType = std::remove_reference_t<decltype(request)>;
          using Response = typename Rpc<RequestType>::Response;
          rpc::CallAsync<Response, RequestType>(
              std::move(request), options_.call_timeout,
              [&stub](auto* context, auto* req, auto* response, auto done) {
                Rpc<RequestType>::Start(stub.async(), context, req, response, std::move(done));
              },
              [gate, id](absl::StatusOr<Response> answer) {
                CallAnswered answered{id, answer.status(), {}};
                if constexpr (std::is_same_v<Response, scheduler::v1::AcceptOffersResponse>) {
                  if (answer.ok()) {
                    answered.ids_in_use = {answer->ids_in_use().begin(),
                                           answer->ids_in_use().end()};
                  }
                }
                gate->Push(std::move(answered));
              });
        },
        call.request);
  }

  void Do(Deliver& deliver) {
    scheduler::v1::Event& event = deliver.event;
    switch (event.kind_case()) {
      case scheduler::v1::Event::kSubscribed:
        scheduler_->Subscribed(event.subscribed());
        break;
      case scheduler::v1::Event::kOffers:
        scheduler_->Offers(ToVector(event.offers().offers()));
        break;
      case scheduler::v1::Event::kInverseOffers:
        scheduler_->InverseOffers(ToVector(event.inverse_offers().inverse_offers()));
        break;
      case scheduler::v1::Event::kRescind:
        if (!event.rescind().offer_ids().empty()) {
          scheduler_->Rescinded(ToVector(event.rescind().offer_ids()));
        }
        if (!event.rescind().inverse_offer_ids().empty()) {
          scheduler_->InverseOffersRescinded(ToVector(event.rescind().inverse_offer_ids()));
        }
        break;
      case scheduler::v1::Event::kUpdate:
        scheduler_->Update(event.update().status());
        Push(UpdateHandled{std::move(*event.mutable_update()->mutable_status())});
        break;
      case scheduler::v1::Event::kOperationUpdate:
        scheduler_->OperationUpdate(event.operation_update().status());
        break;
      case scheduler::v1::Event::kMessage:
        scheduler_->Message(event.message());
        break;
      case scheduler::v1::Event::kFailure:
        scheduler_->Failure(event.failure());
        break;
      case scheduler::v1::Event::kError:
        LOG(WARNING) << "the master ends the session: " << event.error().message();
        break;
      case scheduler::v1::Event::kHeartbeat:
      case scheduler::v1::Event::KIND_NOT_SET:
        break;
    }
  }

  void Do(Disconnected& disconnected) { scheduler_->Disconnected(disconnected.status); }
  void Do(CallFailed& failed) { scheduler_->CallFailed(failed.request, failed.status); }
  void Do(Ended& ended) {
    scheduler_->Ended(ended.status);
    if (!ended_.HasBeenNotified()) ended_.Notify();
  }

  const DriverOptions options_;
  Scheduler* const scheduler_;
  SchedulerCore core_;
  absl::Notification ended_;
  std::shared_ptr<Gate> gate_;
  // Used on the strand only.
  std::string channel_address_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<SchedulerService::Stub> stub_;
  std::map<uint64_t, std::shared_ptr<rpc::StreamControl>> streams_;
  SchedulerStrand strand_;
};

SchedulerDriver::SchedulerDriver(DriverOptions options, Scheduler* scheduler) {
  const absl::Status valid = ValidateConfig(options.session);
  CHECK(valid.ok()) << valid;
  impl_ = std::make_unique<Impl>(std::move(options), scheduler);
}

SchedulerDriver::~SchedulerDriver() = default;

void SchedulerDriver::Start() { impl_->Start(); }

void SchedulerDriver::RequestStop(bool teardown) { impl_->Push(sdk::Stop{teardown}); }

void SchedulerDriver::Stop(bool teardown) {
  RequestStop(teardown);
  impl_->WaitForEnd(absl::InfiniteDuration());
}

bool SchedulerDriver::WaitForEnd(absl::Duration timeout) { return impl_->WaitForEnd(timeout); }

void SchedulerDriver::Accept(const std::vector<std::string>& offer_ids,
                             std::vector<model::v1::Operation> operations,
                             std::optional<absl::Duration> refuse) {
  scheduler::v1::AcceptOffersRequest request;
  for (const std::string& id : offer_ids) request.add_offer_ids(id);
  for (model::v1::Operation& operation : operations) {
    *request.add_operations() = std::move(operation);
  }
  if (refuse) SetDuration(*refuse, request.mutable_filters()->mutable_refuse_duration());
  Call(std::move(request));
}

void SchedulerDriver::Decline(const std::vector<std::string>& offer_ids,
                              std::optional<absl::Duration> refuse) {
  scheduler::v1::DeclineOffersRequest request;
  for (const std::string& id : offer_ids) request.add_offer_ids(id);
  if (refuse) SetDuration(*refuse, request.mutable_filters()->mutable_refuse_duration());
  Call(std::move(request));
}

void SchedulerDriver::Revive(const std::vector<std::string>& roles) {
  scheduler::v1::ReviveOffersRequest request;
  for (const std::string& role : roles) request.add_roles(role);
  Call(std::move(request));
}

void SchedulerDriver::Suppress(const std::vector<std::string>& roles) {
  scheduler::v1::SuppressOffersRequest request;
  for (const std::string& role : roles) request.add_roles(role);
  Call(std::move(request));
}

void SchedulerDriver::AnswerInverseOffers(const std::vector<std::string>& inverse_offer_ids,
                                          bool accept, std::optional<absl::Duration> refuse) {
  scheduler::v1::AnswerInverseOffersRequest request;
  for (const std::string& id : inverse_offer_ids) request.add_inverse_offer_ids(id);
  request.set_accept(accept);
  if (refuse) SetDuration(*refuse, request.mutable_filters()->mutable_refuse_duration());
  Call(std::move(request));
}

void SchedulerDriver::Kill(const std::string& task_id, std::optional<absl::Duration> grace) {
  scheduler::v1::KillTaskRequest request;
  request.set_task_id(task_id);
  if (grace) SetDuration(*grace, request.mutable_kill_policy()->mutable_grace_period());
  Call(std::move(request));
}

void SchedulerDriver::Call(Request request) { impl_->Push(MakeCall{std::move(request)}); }

void SchedulerDriver::Adopt(std::vector<AdoptTasks::Task> tasks) {
  impl_->Push(AdoptTasks{std::move(tasks)});
}

}  // namespace tessera::sdk
