#include "services/master/server/master_shell.h"

#include <glog/logging.h>

#include <utility>
#include <variant>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "protos/tessera/allocator/v1/allocator_service.grpc.pb.h"
#include "services/registry/client/registry_client.h"
#include "services/rpc/channel.h"
#include "services/rpc/client_call.h"
#include "services/rpc/client_stream.h"
#include "services/rpc/clock.h"
#include "services/rpc/error.h"

namespace tessera::master {

// The calling side: one channel each, and the streams that are open over them. Answers may come
// after the shell has stopped; they find no strand then.
struct MasterShell::Clients {
  explicit Clients(const ShellOptions& options)
      : registry(options.registries),
        allocator(alloc::AllocatorService::NewStub(rpc::MakeChannel(options.allocator))) {}

  registry::RegistryClient registry;
  std::unique_ptr<alloc::AllocatorService::Stub> allocator;

  absl::Mutex mu;
  MasterShell* shell ABSL_GUARDED_BY(mu) = nullptr;
  LinkId link ABSL_GUARDED_BY(mu);
  rpc::StreamPtr<alloc::AllocateRequest> allocator_stream ABSL_GUARDED_BY(mu);
  std::shared_ptr<rpc::StreamControl> campaign ABSL_GUARDED_BY(mu);
  // Resignations that the registry has not answered yet.
  int resigning ABSL_GUARDED_BY(mu) = 0;

  bool Resigned() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) { return resigning == 0; }

  void Push(Event event) {
    absl::MutexLock lock(&mu);
    if (shell != nullptr) shell->PushReserved(std::move(event));
  }
  void PushUrgent(Event event) {
    absl::MutexLock lock(&mu);
    if (shell != nullptr) shell->PushUrgent(std::move(event));
  }
};

// Carries out the effects of one batch; messages to one stream go out together.
class MasterShell::Sink {
 public:
  explicit Sink(MasterShell* shell) : shell_(*shell), clients_(shell->clients_) {}

  void CarryOut(std::vector<Effect> effects) {
    for (Effect& effect : effects) {
      std::visit([this](auto& own) { Do(own); }, effect);
    }
    for (auto& [id, open] : to_framework_) SendNow(id, std::move(open.response));
    for (auto& [id, open] : to_agent_) SendNow(id, std::move(open.response));
  }

 private:
  // The messages of several steps to one stream become one, as long as it stays within these.
  static constexpr int kPartsMax = 2 * kBatchPartsMax;
  static constexpr size_t kBytesMax = 2 * kBatchBytesMax;

  void SendNow(StreamId id, sched::SubscribeResponse response) {
    if (auto stream = shell_.framework_streams_.Find(id)) stream->Send(std::move(response));
  }
  void SendNow(AgentStreamId id, link::ConnectResponse response) {
    if (auto stream = shell_.agent_streams_.Find(id)) stream->Send(std::move(response));
  }

  void Do(ToFramework& effect) {
    auto [open, fresh] = to_framework_.try_emplace(effect.stream);
    if (!fresh &&
        (open->second.response.events_size() + effect.response.events_size() > kPartsMax ||
         open->second.bytes + effect.bytes > kBytesMax)) {
      SendNow(effect.stream, std::move(open->second.response));
      fresh = true;
    }
    if (fresh) {
      open->second = std::move(effect);
      return;
    }
    open->second.bytes += effect.bytes;
    for (auto& event : *effect.response.mutable_events()) {
      *open->second.response.add_events() = std::move(event);
    }
  }
  void Do(CloseFramework& effect) {
    if (auto open = to_framework_.find(effect.stream); open != to_framework_.end()) {
      SendNow(effect.stream, std::move(open->second.response));
      to_framework_.erase(open);
    }
    if (auto stream = shell_.framework_streams_.Find(effect.stream)) stream->Close(effect.status);
  }
  void Do(ToAgent& effect) {
    auto [open, fresh] = to_agent_.try_emplace(effect.stream);
    if (!fresh &&
        (open->second.response.messages_size() + effect.response.messages_size() > kPartsMax ||
         open->second.bytes + effect.bytes > kBytesMax)) {
      SendNow(effect.stream, std::move(open->second.response));
      fresh = true;
    }
    if (fresh) {
      open->second = std::move(effect);
      return;
    }
    open->second.bytes += effect.bytes;
    for (auto& message : *effect.response.mutable_messages()) {
      *open->second.response.add_messages() = std::move(message);
    }
  }
  void Do(CloseAgent& effect) {
    if (auto open = to_agent_.find(effect.stream); open != to_agent_.end()) {
      SendNow(effect.stream, std::move(open->second.response));
      to_agent_.erase(open);
    }
    if (auto stream = shell_.agent_streams_.Find(effect.stream)) stream->Close(effect.status);
  }
  void Do(Reply& effect) { shell_.scheduler_calls_.Finish(effect.call, std::move(effect.answer)); }
  void Do(OperatorReply& effect) {
    shell_.operator_calls_.Finish(effect.call, std::move(effect.answer));
  }

  // ---- the allocator
  void Do(ConnectAllocator& effect) {
    rpc::StreamOptions options;
    // A snapshot of a large cell waits here while the connection is made.
    options.outgoing_max = 1 << 20;
    options.outgoing_bytes_max = size_t{1} << 30;
    const LinkId id = effect.link;
    rpc::StreamHandlers<alloc::AllocateResponse> handlers;
    // Not refused however much waits: the allocator allocates what is free, and nothing is free
    // again before the master has told it so.
    handlers.on_message = [clients = clients_, id](alloc::AllocateResponse response) {
      clients->Push(AllocatorMessage{id, std::move(response)});
      return absl::OkStatus();
    };
    handlers.on_done = [clients = clients_, id](const absl::Status& status) {
      clients->Push(AllocatorDisconnected{id, status});
    };
    auto stream = rpc::OpenBidi<alloc::AllocateRequest, alloc::AllocateResponse>(
        options, std::move(handlers), [this](auto* context, auto* reactor) {
          clients_->allocator->async()->Allocate(context, reactor);
        });
    rpc::StreamPtr<alloc::AllocateRequest> older;
    {
      absl::MutexLock lock(&clients_->mu);
      clients_->link = id;
      older = std::exchange(clients_->allocator_stream, std::move(stream));
    }
    if (older != nullptr) older->Cancel(absl::CancelledError("a newer stream is opened"));
    // What is sent before the connection is up waits in the stream's queue.
    clients_->Push(AllocatorConnected{id});
  }
  void Do(ToAllocator& effect) {
    if (auto stream = AllocatorStream(effect.link)) stream->Send(std::move(effect.request));
  }
  void Do(CloseAllocator& effect) {
    if (auto stream = AllocatorStream(effect.link)) {
      stream->Cancel(absl::CancelledError("the master closed the stream"));
    }
  }
  rpc::StreamPtr<alloc::AllocateRequest> AllocatorStream(LinkId link) {
    absl::MutexLock lock(&clients_->mu);
    return clients_->link == link ? clients_->allocator_stream : nullptr;
  }

  // ---- the registry
  void Do(Campaign& effect) {
    const RequestId id = effect.id;
    rpc::StreamHandlers<reg::CampaignResponse> handlers;
    handlers.on_message = [clients = clients_, id](reg::CampaignResponse response) {
      clients->PushUrgent(CampaignUpdate{id, std::move(response)});
      return absl::OkStatus();
    };
    handlers.on_done = [clients = clients_, id](const absl::Status& status) {
      clients->PushUrgent(CampaignEnded{id, status});
    };
    auto stream = clients_->registry.Campaign(std::move(effect.request), std::move(handlers));
    std::shared_ptr<rpc::StreamControl> older;
    {
      absl::MutexLock lock(&clients_->mu);
      older = std::exchange(clients_->campaign, std::move(stream));
    }
    if (older != nullptr) older->Cancel(absl::CancelledError("a newer campaign is opened"));
  }
  void Do(Renew& effect) {
    clients_->registry.Renew(
        std::move(effect.request), shell_.options_.registry_timeout,
        [clients = clients_, id = effect.id](absl::StatusOr<reg::RenewResponse> answer) {
          clients->PushUrgent(Renewed{id, std::move(answer)});
        });
  }
  void Do(Read& effect) {
    clients_->registry.Read(
        std::move(effect.request), shell_.options_.registry_timeout * 6,
        [clients = clients_, id = effect.id](absl::StatusOr<reg::ReadResponse> answer) {
          clients->Push(ReadDone{id, std::move(answer)});
        });
  }
  void Do(Commit& effect) {
    clients_->registry.Commit(
        std::move(effect.request), shell_.options_.registry_timeout * 6,
        [clients = clients_, id = effect.id](absl::StatusOr<reg::CommitResponse> answer) {
          clients->Push(Committed{id, std::move(answer)});
        });
  }
  void Do(Resign& effect) {
    std::shared_ptr<rpc::StreamControl> campaign;
    {
      absl::MutexLock lock(&clients_->mu);
      ++clients_->resigning;
      campaign = std::exchange(clients_->campaign, nullptr);
    }
    if (campaign != nullptr) campaign->Cancel(absl::CancelledError("the master resigns"));
    // A renewal goes ahead on the same connection: when it is answered, the registry has heard that
    // the campaign is over and does not grant the lease to this process again.
    reg::RenewRequest renewal;
    renewal.set_candidate_id(effect.request.candidate_id());
    renewal.set_epoch(effect.request.epoch());
    clients_->registry.Renew(
        std::move(renewal), absl::Seconds(1),
        [clients = clients_, request = effect.request](absl::StatusOr<reg::RenewResponse>) {
          GiveLeaseUp(clients, request);
        });
  }
  static void GiveLeaseUp(std::shared_ptr<Clients> clients, reg::ResignRequest resignation) {
    clients->registry.Resign(std::move(resignation), absl::Seconds(1),
                             [clients](absl::StatusOr<reg::ResignResponse> answer) {
                               if (!answer.ok())
                                 LOG(WARNING) << "could not resign: " << answer.status();
                               absl::MutexLock lock(&clients->mu);
                               --clients->resigning;
                             });
  }

  // ---- the feed
  void Do(PublishFeed& effect) {
    shell_.feed_->Publish(effect.epoch, effect.reset, std::move(effect.delta));
  }
  void Do(FeedHeartbeat& effect) { shell_.feed_->MakeHeartbeat(effect.epoch); }
  void Do(LeadershipBegan& effect) { LOG(INFO) << "takes calls with epoch " << effect.epoch; }
  void Do(LeadershipEnded& effect) {
    LOG(WARNING) << "leads no more: " << effect.reason;
    shell_.feed_->Retire(rpc::NotLeader(""));
  }

  MasterShell& shell_;
  std::shared_ptr<Clients> clients_;
  // What is gathered for a stream.
  absl::flat_hash_map<StreamId, ToFramework> to_framework_;
  absl::flat_hash_map<AgentStreamId, ToAgent> to_agent_;
};

MasterShell::MasterShell(const ShellOptions& options, state::FeedPublisher* feed)
    : options_(options),
      feed_(feed),
      scheduler_calls_(options.calls_max),
      operator_calls_(options.calls_max),
      clients_(std::make_shared<Clients>(options)) {
  absl::MutexLock lock(&clients_->mu);
  clients_->shell = this;
}

MasterShell::~MasterShell() { Stop(); }

void MasterShell::Start(MasterConfig config, base::Rng rng) {
  core_ = std::make_unique<MasterCore>(std::move(config), rng);
  strand_ = std::make_unique<MasterStrand>(
      rpc::StrandOptions{.name = "master",
                         .lanes = {{options_.agent_events_max, options_.agent_events_bytes_max},
                                   {options_.calls_max * 2, options_.calls_bytes_max}}},
      core_.get(), rpc::MonotonicClock(), Wake{},
      [this](absl::Time, std::vector<Effect> effects) { CarryOut(std::move(effects)); });
  strand_->Start();
  running_.store(strand_.get());
  PushReserved(Started{});
}

void MasterShell::CarryOut(std::vector<Effect> effects) { Sink(this).CarryOut(std::move(effects)); }

void MasterShell::Stop() {
  if (MasterStrand* strand = running_.exchange(nullptr)) {
    strand->PushReserved(StopRequested{});
    strand->Stop();
  }
  rpc::StreamPtr<alloc::AllocateRequest> allocator;
  std::shared_ptr<rpc::StreamControl> campaign;
  {
    absl::MutexLock lock(&clients_->mu);
    clients_->shell = nullptr;
    // Otherwise nobody leads until the lease has run out.
    clients_->mu.AwaitWithTimeout(absl::Condition(clients_.get(), &Clients::Resigned),
                                  absl::Seconds(1));
    allocator = std::exchange(clients_->allocator_stream, nullptr);
    campaign = std::exchange(clients_->campaign, nullptr);
  }
  if (allocator != nullptr) allocator->Cancel(absl::CancelledError("the master stops"));
  if (campaign != nullptr) campaign->Cancel(absl::CancelledError("the master stops"));
  scheduler_calls_.FailAll(absl::UnavailableError("the master stops"));
  operator_calls_.FailAll(absl::UnavailableError("the master stops"));
}

absl::Status MasterShell::PushOfAgent(Event event, size_t bytes) {
  return PushTo(kAgentLane, std::move(event), bytes);
}

absl::Status MasterShell::PushCall(Event event, size_t bytes) {
  if (bytes > options_.call_bytes_max) {
    return rpc::Error(
        absl::StatusCode::kResourceExhausted, pb::ErrorDetail::MESSAGE_TOO_LARGE,
        absl::StrCat("a call has at most ", options_.call_bytes_max, " bytes; split it"));
  }
  return PushTo(kCallLane, std::move(event), bytes);
}

absl::Status MasterShell::PushTo(size_t lane, Event event, size_t bytes) {
  MasterStrand* strand = running_.load();
  if (strand == nullptr) return absl::UnavailableError("the master starts or stops");
  if (strand->Push(std::move(event), lane, bytes)) return absl::OkStatus();
  return rpc::Overloaded("the master's queue of events");
}

void MasterShell::PushReserved(Event event) {
  if (MasterStrand* strand = running_.load()) strand->PushReserved(std::move(event));
}

void MasterShell::PushUrgent(Event event) {
  if (MasterStrand* strand = running_.load()) strand->PushUrgent(std::move(event));
}

void MasterShell::Inspect(absl::FunctionRef<void(const MasterCore&)> look) {
  if (MasterStrand* strand = running_.load()) strand->Inspect(look);
}

AskAllocator MasterShell::allocator_questions() const {
  return [clients = clients_, timeout = options_.explain_timeout](
             alloc::ExplainAllocationRequest question, auto take) {
    rpc::CallAsync<alloc::ExplainAllocationResponse>(
        std::move(question), timeout,
        [clients](auto* context, auto* request, auto* response, auto done) {
          clients->allocator->async()->ExplainAllocation(context, request, response,
                                                         std::move(done));
        },
        std::move(take));
  };
}

std::shared_ptr<const MasterMetrics> MasterShell::Metrics() {
  absl::MutexLock lock(&metrics_mu_);
  const absl::Time now = absl::Now();
  MasterStrand* strand = running_.load();
  if (strand != nullptr && (metrics_ == nullptr || now >= metrics_time_ + absl::Seconds(1))) {
    auto metrics = std::make_shared<MasterMetrics>();
    strand->Inspect([&](const MasterCore& core) { *metrics = core.Metrics(); });
    metrics_ = std::move(metrics);
    metrics_time_ = now;
  }
  if (metrics_ == nullptr) return std::make_shared<MasterMetrics>();
  return metrics_;
}

const rpc::StrandMetrics* MasterShell::strand_metrics() const {
  MasterStrand* strand = running_.load();
  return strand == nullptr ? nullptr : &strand->metrics();
}

}  // namespace tessera::master
