#include "services/master/server/master_shell.h"

#include <glog/logging.h>

#include <utility>
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
// after the shell has stopped; the door is locked then.
struct MasterShell::Clients {
  Clients(const ShellOptions& options, std::shared_ptr<CoreShell::Door> to_core)
      : door(std::move(to_core)),
        registry(options.registries),
        allocator(alloc::AllocatorService::NewStub(rpc::MakeChannel(options.allocator))) {}

  const std::shared_ptr<CoreShell::Door> door;
  registry::RegistryClient registry;
  std::unique_ptr<alloc::AllocatorService::Stub> allocator;

  absl::Mutex mu;
  LinkId link ABSL_GUARDED_BY(mu);
  rpc::StreamPtr<alloc::AllocateRequest> allocator_stream ABSL_GUARDED_BY(mu);
  std::shared_ptr<rpc::StreamControl> campaign ABSL_GUARDED_BY(mu);
  // The core has said so.
  bool stopped ABSL_GUARDED_BY(mu) = false;

  bool Stopped() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) { return stopped; }
};

// Carries out effects; the messages of one batch to one stream go out together.
class MasterShell::Carrier {
 public:
  explicit Carrier(MasterShell* shell) : shell_(*shell) {}

 private:
  friend CoreShell;

  void Flush() {
    for (auto& [id, open] : to_framework_) SendNow(id, std::move(open.response));
    for (auto& [id, open] : to_agent_) SendNow(id, std::move(open.response));
    to_framework_.clear();
    to_agent_.clear();
  }
  // Readers ask for the core's numbers.
  void AfterBatch(absl::Time, const MasterCore&) {}

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
    handlers.on_message = [clients = shell_.clients_, id](alloc::AllocateResponse response) {
      clients->door->PushReserved(AllocatorMessage{id, std::move(response)});
      return absl::OkStatus();
    };
    handlers.on_done = [clients = shell_.clients_, id](const absl::Status& status) {
      clients->door->PushReserved(AllocatorDisconnected{id, status});
    };
    auto stream = rpc::OpenBidi<alloc::AllocateRequest, alloc::AllocateResponse>(
        options, std::move(handlers), [this](auto* context, auto* reactor) {
          shell_.clients_->allocator->async()->Allocate(context, reactor);
        });
    rpc::StreamPtr<alloc::AllocateRequest> older;
    {
      absl::MutexLock lock(&shell_.clients_->mu);
      shell_.clients_->link = id;
      older = std::exchange(shell_.clients_->allocator_stream, std::move(stream));
    }
    if (older != nullptr) older->Cancel(absl::CancelledError("a newer stream is opened"));
    // What is sent before the connection is up waits in the stream's queue.
    shell_.clients_->door->PushReserved(AllocatorConnected{id});
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
    absl::MutexLock lock(&shell_.clients_->mu);
    return shell_.clients_->link == link ? shell_.clients_->allocator_stream : nullptr;
  }

  // ---- the registry
  void Do(Campaign& effect) {
    const RequestId id = effect.id;
    rpc::StreamHandlers<reg::CampaignResponse> handlers;
    handlers.on_message = [clients = shell_.clients_, id](reg::CampaignResponse response) {
      clients->door->PushUrgent(CampaignUpdate{id, std::move(response)});
      return absl::OkStatus();
    };
    handlers.on_done = [clients = shell_.clients_, id](const absl::Status& status) {
      clients->door->PushUrgent(CampaignEnded{id, status});
    };
    auto stream =
        shell_.clients_->registry.Campaign(std::move(effect.request), std::move(handlers));
    std::shared_ptr<rpc::StreamControl> older;
    {
      absl::MutexLock lock(&shell_.clients_->mu);
      older = std::exchange(shell_.clients_->campaign, std::move(stream));
    }
    if (older != nullptr) older->Cancel(absl::CancelledError("a newer campaign is opened"));
  }
  void Do(Renew& effect) {
    shell_.clients_->registry.Renew(
        std::move(effect.request), shell_.options_.registry_timeout,
        [clients = shell_.clients_, id = effect.id](absl::StatusOr<reg::RenewResponse> answer) {
          clients->door->PushUrgent(Renewed{id, std::move(answer)});
        });
  }
  void Do(Read& effect) {
    shell_.clients_->registry.Read(
        std::move(effect.request), shell_.options_.registry_timeout * 6,
        [clients = shell_.clients_, id = effect.id](absl::StatusOr<reg::ReadResponse> answer) {
          clients->door->PushReserved(ReadDone{id, std::move(answer)});
        });
  }
  void Do(Commit& effect) {
    shell_.clients_->registry.Commit(
        std::move(effect.request), shell_.options_.registry_timeout * 6,
        [clients = shell_.clients_, id = effect.id](absl::StatusOr<reg::CommitResponse> answer) {
          clients->door->PushReserved(Committed{id, std::move(answer)});
        });
  }
  void Do(EndCampaign&) {
    std::shared_ptr<rpc::StreamControl> campaign;
    {
      absl::MutexLock lock(&shell_.clients_->mu);
      campaign = std::exchange(shell_.clients_->campaign, nullptr);
    }
    if (campaign != nullptr) campaign->Cancel(absl::CancelledError("the campaign is over"));
  }
  void Do(Resign& effect) {
    shell_.clients_->registry.Resign(
        std::move(effect.request), absl::Seconds(1),
        [clients = shell_.clients_, id = effect.id](absl::StatusOr<reg::ResignResponse> answer) {
          clients->door->PushUrgent(Resigned{id, answer.status()});
        });
  }
  void Do(Stopped&) {
    absl::MutexLock lock(&shell_.clients_->mu);
    shell_.clients_->stopped = true;
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
  // What this batch has gathered for a stream.
  absl::flat_hash_map<StreamId, ToFramework> to_framework_;
  absl::flat_hash_map<AgentStreamId, ToAgent> to_agent_;
};

MasterShell::MasterShell(const ShellOptions& options, feed::FeedPublisher* feed)
    : options_(options),
      feed_(feed),
      scheduler_calls_(options.calls_max),
      operator_calls_(options.calls_max),
      carrier_(std::make_unique<Carrier>(this)),
      core_(std::make_unique<CoreShell>(
          rpc::StrandOptions{.name = "master",
                             .lanes = {{options.agent_events_max, options.agent_events_bytes_max},
                                       {options.calls_max * 2, options.calls_bytes_max}}},
          rpc::MonotonicClock(), Wake{}, carrier_.get())),
      clients_(std::make_shared<Clients>(options, core_->door())) {}

MasterShell::~MasterShell() { Stop(); }

void MasterShell::Start(MasterConfig config, base::Rng rng) {
  core_->Start(std::make_unique<MasterCore>(std::move(config), rng), Started{});
}

void MasterShell::Stop() {
  if (core_->Close()) {
    core_->PushReserved(StopRequested{});
    // Otherwise nobody leads until the lease has run out. The core does not wait for ever.
    absl::MutexLock lock(&clients_->mu);
    clients_->mu.AwaitWithTimeout(absl::Condition(clients_.get(), &Clients::Stopped),
                                  absl::Seconds(5));
  }
  core_->Stop();
  rpc::StreamPtr<alloc::AllocateRequest> allocator;
  std::shared_ptr<rpc::StreamControl> campaign;
  {
    absl::MutexLock lock(&clients_->mu);
    allocator = std::exchange(clients_->allocator_stream, nullptr);
    campaign = std::exchange(clients_->campaign, nullptr);
  }
  if (allocator != nullptr) allocator->Cancel(absl::CancelledError("the master stops"));
  if (campaign != nullptr) campaign->Cancel(absl::CancelledError("the master stops"));
  scheduler_calls_.FailAll(absl::UnavailableError("the master stops"));
  operator_calls_.FailAll(absl::UnavailableError("the master stops"));
}

absl::Status MasterShell::PushOfAgent(Event event, size_t bytes) {
  return core_->Push(std::move(event), kAgentLane, bytes);
}

absl::Status MasterShell::PushCall(Event event, size_t bytes) {
  if (bytes > options_.call_bytes_max) {
    return rpc::Error(
        absl::StatusCode::kResourceExhausted, pb::ErrorDetail::MESSAGE_TOO_LARGE,
        absl::StrCat("a call has at most ", options_.call_bytes_max, " bytes; split it"));
  }
  return core_->Push(std::move(event), kCallLane, bytes);
}

void MasterShell::PushReserved(Event event) { core_->PushReserved(std::move(event)); }

void MasterShell::Inspect(absl::FunctionRef<void(const MasterCore&)> look) { core_->Inspect(look); }

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
  if (metrics_ == nullptr || now >= metrics_time_ + absl::Seconds(1)) {
    auto metrics = std::make_shared<MasterMetrics>();
    if (core_->Inspect([&](const MasterCore& core) { *metrics = core.Metrics(); })) {
      metrics_ = std::move(metrics);
      metrics_time_ = now;
    }
  }
  if (metrics_ == nullptr) return std::make_shared<MasterMetrics>();
  return metrics_;
}

const rpc::StrandMetrics& MasterShell::strand_metrics() const { return core_->metrics(); }

std::vector<rpc::KindCount> MasterShell::StepCounts() const { return core_->StepCounts(); }

std::vector<rpc::KindCount> MasterShell::EffectCounts() const { return core_->EffectCounts(); }

}  // namespace tessera::master
