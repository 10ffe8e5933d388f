#include "tests/sim/master_process.h"

#include <utility>

#include "services/feed/wire/codec.h"
#include "services/master/core/launch_request.h"
#include "services/rpc/error.h"
#include "tests/sim/allocator_process.h"
#include "tests/sim/books_view.h"
#include "tests/sim/fold.h"
#include "tests/sim/registry_process.h"

namespace tessera::sim {

namespace {

constexpr uint64_t kCheckEvery = 64;
constexpr absl::Duration kRegistryTimeout = absl::Seconds(5);
constexpr absl::Duration kResignTimeout = absl::Seconds(1);
constexpr absl::Duration kStopPatience = absl::Seconds(5);

int64_t SumOf(const google::protobuf::RepeatedPtrField<model::v1::Resource>& resources,
              const std::string& name) {
  int64_t sum = 0;
  for (const auto& resource : resources) {
    if (resource.name() == name) sum += resource.scalar().milli();
  }
  return sum;
}

}  // namespace

// ---- What is folded, and when strikes hit

void MasterProcess::Tap::Fold(Digest* digest, const master::ToFramework& effect) {
  FoldAll(digest, effect.stream, effect.response, effect.bytes);
}
void MasterProcess::Tap::Fold(Digest* digest, const master::CloseFramework& effect) {
  FoldAll(digest, effect.stream, effect.status);
}
void MasterProcess::Tap::Fold(Digest* digest, const master::ToAgent& effect) {
  FoldAll(digest, effect.stream, effect.response, effect.bytes);
}
void MasterProcess::Tap::Fold(Digest* digest, const master::CloseAgent& effect) {
  FoldAll(digest, effect.stream, effect.status);
}
void MasterProcess::Tap::Fold(Digest* digest, const master::Reply& effect) {
  FoldAll(digest, effect.call, effect.answer);
}
void MasterProcess::Tap::Fold(Digest* digest, const master::OperatorReply& effect) {
  FoldAll(digest, effect.call, effect.answer);
}
void MasterProcess::Tap::Fold(Digest* digest, const master::ConnectAllocator& effect) {
  FoldAll(digest, effect.link);
}
void MasterProcess::Tap::Fold(Digest* digest, const master::ToAllocator& effect) {
  FoldAll(digest, effect.link, effect.request);
}
void MasterProcess::Tap::Fold(Digest* digest, const master::CloseAllocator& effect) {
  FoldAll(digest, effect.link);
}
void MasterProcess::Tap::Fold(Digest* digest, const master::Campaign& effect) {
  FoldAll(digest, effect.id, effect.request);
}
void MasterProcess::Tap::Fold(Digest* digest, const master::Renew& effect) {
  FoldAll(digest, effect.id, effect.request);
}
void MasterProcess::Tap::Fold(Digest* digest, const master::Read& effect) {
  FoldAll(digest, effect.id, effect.request);
}
void MasterProcess::Tap::Fold(Digest* digest, const master::Commit& effect) {
  FoldAll(digest, effect.id, effect.request);
}
void MasterProcess::Tap::Fold(Digest* digest, const master::EndCampaign& effect) {
  FoldAll(digest, effect.id);
}
void MasterProcess::Tap::Fold(Digest* digest, const master::Resign& effect) {
  FoldAll(digest, effect.id, effect.request);
}
void MasterProcess::Tap::Fold(Digest*, const master::Stopped&) {}
void MasterProcess::Tap::Fold(Digest* digest, const master::Note& effect) {
  FoldAll(digest, effect.severity, effect.text);
}
// Its contents are folded as the facts of what followers are told.
void MasterProcess::Tap::Fold(Digest* digest, const master::PublishFeed& effect) {
  FoldAll(digest, effect.epoch, effect.reset, effect.delta.version, effect.delta.changes.size());
}
void MasterProcess::Tap::Fold(Digest* digest, const master::FeedHeartbeat& effect) {
  FoldAll(digest, effect.epoch);
}
void MasterProcess::Tap::Fold(Digest* digest, const master::LeadershipBegan& effect) {
  FoldAll(digest, effect.epoch);
}
void MasterProcess::Tap::Fold(Digest* digest, const master::LeadershipEnded& effect) {
  FoldAll(digest, effect.reason);
}

Bite MasterProcess::Tap::MomentOf(const master::ToAgent& send) {
  for (const auto& message : send.response.messages()) {
    if (message.has_run_task() || message.has_run_task_group()) return Bite::kMasterLaunches;
    if (message.has_acknowledge_update()) return Bite::kMasterAcknowledges;
  }
  return Bite::kCount;
}

Bite MasterProcess::Tap::MomentOf(const master::Reply& reply) {
  const bool accept = reply.answer.ok() &&
                      std::holds_alternative<scheduler::v1::AcceptOffersResponse>(*reply.answer);
  return accept ? Bite::kMasterAnswersAccept : Bite::kCount;
}

// ---- The process

MasterProcess::MasterProcess(World* world, std::string address, master::MasterConfig config,
                             FeedOutletOptions feed_options)
    : Process(&world->loop, address),
      world_(world),
      config_(std::move(config)),
      feed_(world, this, feed_options),
      told_(&world->verdict, &world->feed_truth, address, ReaderChecker::Role::kMaster) {
  world->masters[address] = this;
}

void MasterProcess::OnStart() {
  master::MasterConfig config = config_;
  // As a real process does, each life strives for itself.
  config.candidate_id = name() + "#" + std::to_string(life());
  config.start_time = now();
  core_ = std::make_unique<master::MasterCore>(config, world_->rng.Fork());
  runner_ = std::make_unique<CoreRunner<master::MasterCore, master::Event, master::Effect, Tap>>(
      world_, this, core_.get(), master::Event(master::Wake{}),
      [this](std::vector<master::Effect> effects) { CarryOut(std::move(effects)); });
  feed_.Retire(rpc::NotLeader(""));
  runner_->Step(master::Started{});
}

void MasterProcess::OnStop() {
  Later(kStopPatience, [this] { Finish(); });
  runner_->Step(master::StopRequested{});
}

void MasterProcess::OnEnd() {
  if (leads_) world_->leaders.Ended(name());
  leads_ = false;
  runner_.reset();
  core_.reset();
  frameworks_.clear();
  agents_.clear();
  calls_.clear();
  operator_calls_.clear();
  allocator_links_.clear();
  campaigns_.clear();
  feed_.Clear();
  told_.Restarted();
  world_->network.Drop(this);
}

void MasterProcess::CarryOut(std::vector<master::Effect> effects) {
  for (master::Effect& effect : effects) std::visit([this](auto& e) { Do(e); }, effect);
  if (++steps_ % kCheckEvery == 0 && !runner_->muted()) Check();
}

void MasterProcess::Check() {
  const absl::Status status = core_->CheckInvariants();
  if (!status.ok()) {
    world_->verdict.Fail("the master's books add up", std::string(status.message()));
  }
  const master::Books* books = core_->books();
  if (books == nullptr) return;
  const std::string wrong = DifferenceFromBooks(*books, told_.rows());
  if (!wrong.empty()) world_->verdict.Fail("the feed tells what is in the books", wrong);
}

// ---- Frameworks

uint64_t MasterProcess::OpenFramework(const scheduler::v1::SubscribeRequest& request,
                                      std::function<void(scheduler::v1::SubscribeResponse)> send,
                                      std::function<void(absl::Status)> end) {
  const uint64_t id = next_id_++;
  frameworks_[id] = {std::move(send), std::move(end)};
  runner_->Step(master::SubscribeOpened{master::StreamId(id), request});
  return id;
}

void MasterProcess::FrameworkClosed(uint64_t stream) {
  frameworks_.erase(stream);
  world_->offers.SessionEnded(SessionOf(stream));
  runner_->Step(master::StreamClosed{master::StreamId(stream)});
}

void MasterProcess::Call(master::SchedulerRequest request,
                         std::function<void(absl::StatusOr<master::SchedulerAnswer>)> answer) {
  const uint64_t id = next_id_++;
  calls_[id] = std::move(answer);
  // Offers that are named are used up or given back, whatever the answer says of them.
  const auto used = [this](const auto& ids) {
    for (const std::string& offer : ids) world_->offers.Gone(offer);
  };
  if (leads_) {
    if (const auto* accept = std::get_if<master::AcceptOffers>(&request)) {
      used(accept->offer_ids);
    }
    if (const auto* decline = std::get_if<scheduler::v1::DeclineOffersRequest>(&request)) {
      used(decline->offer_ids());
    }
  }
  runner_->Step(master::SchedulerCall{master::CallId(id), std::move(request)});
}

uint64_t MasterProcess::SessionOf(uint64_t stream) const {
  // Unique over lives and masters: masters are few, and streams of a life are far below 2^40.
  uint64_t master = 0;
  for (const auto& [address, process] : world_->masters) {
    if (process == this) break;
    ++master;
  }
  return (life() * 16 + master) << 40 | stream;
}

void MasterProcess::WatchOffers(uint64_t stream, const scheduler::v1::SubscribeResponse& response) {
  for (const auto& event : response.events()) {
    for (const auto& offer : event.offers().offers()) {
      world_->offers.Offered(epoch_, SessionOf(stream), offer.id(), offer.hostname(), offer.role(),
                             SumOf(offer.resources(), "cpus"), SumOf(offer.resources(), "mem"));
    }
    for (const std::string& id : event.rescind().offer_ids()) world_->offers.Gone(id);
  }
}

void MasterProcess::Do(master::ToFramework& effect) {
  const auto it = frameworks_.find(effect.stream.value());
  if (it == frameworks_.end()) return;
  WatchOffers(effect.stream.value(), effect.response);
  it->second.send(std::move(effect.response));
}

void MasterProcess::Do(master::CloseFramework& effect) {
  world_->offers.SessionEnded(SessionOf(effect.stream.value()));
  const auto it = frameworks_.find(effect.stream.value());
  if (it != frameworks_.end()) it->second.end(effect.status);
}

void MasterProcess::Do(master::Reply& effect) {
  auto node = calls_.extract(effect.call.value());
  if (node.empty()) {
    world_->verdict.Fail("each call is answered once", name() + " answers a call twice");
    return;
  }
  node.mapped()(std::move(effect.answer));
}

// ---- Operators

void MasterProcess::OperatorCall(
    master::OperatorRequest request,
    std::function<void(absl::StatusOr<master::OperatorAnswer>)> answer) {
  const uint64_t id = next_id_++;
  operator_calls_[id] = {request, std::move(answer)};
  runner_->Step(master::OperatorCall{master::CallId(id), std::move(request)});
}

void MasterProcess::Do(master::OperatorReply& effect) {
  auto node = operator_calls_.extract(effect.call.value());
  if (node.empty()) {
    world_->verdict.Fail("each call is answered once", name() + " answers an operator twice");
    return;
  }
  const auto* quotas = std::get_if<operators::v1::UpdateQuotaRequest>(&node.mapped().request);
  if (quotas != nullptr && effect.answer.ok() && leads_) {
    for (const auto& config : quotas->configs()) {
      world_->limits.Promised(config.role(), RoleQuota::From(config.guarantees(), config.limits()));
    }
  }
  node.mapped().answer(std::move(effect.answer));
}

// ---- Agents

uint64_t MasterProcess::OpenAgent(std::function<void(agentlink::v1::ConnectResponse)> send,
                                  std::function<void(absl::Status)> end) {
  const uint64_t id = next_id_++;
  agents_[id] = {std::move(send), std::move(end)};
  runner_->Step(master::AgentStreamOpened{master::AgentStreamId(id)});
  return id;
}

void MasterProcess::AgentSent(uint64_t stream, agentlink::v1::ConnectRequest batch) {
  if (!agents_.contains(stream)) return;
  if (const absl::Status read = master::CheckDescriptions(batch); !read.ok()) {
    world_->verdict.Fail("descriptions travel as they came", std::string(read.message()));
  }
  runner_->Step(master::AgentMessages{master::AgentStreamId(stream), std::move(batch)});
}

void MasterProcess::AgentClosed(uint64_t stream, const absl::Status& status) {
  if (agents_.erase(stream) == 0) return;
  runner_->Step(master::AgentStreamClosed{master::AgentStreamId(stream), status});
}

void MasterProcess::Do(master::ToAgent& effect) {
  const auto it = agents_.find(effect.stream.value());
  if (it != agents_.end()) it->second.send(std::move(effect.response));
}

void MasterProcess::Do(master::CloseAgent& effect) {
  const auto it = agents_.find(effect.stream.value());
  if (it != agents_.end()) it->second.end(effect.status);
}

// ---- Allocator

void MasterProcess::Do(master::ConnectAllocator& effect) {
  const uint64_t number = effect.link.value();
  AllocatorProcess* allocator = world_->allocator;
  auto stream = std::make_shared<uint64_t>(0);
  auto wire = world_->network.Connect(
      {this,
       [this, number](const absl::Status& status) {
         allocator_links_.erase(number);
         runner_->Step(master::AllocatorDisconnected{master::LinkId(number), status});
       }},
      {allocator, [allocator, stream](const absl::Status&) {
         if (*stream != 0) allocator->Ended(*stream);
       }});
  if (wire == nullptr) return;
  allocator_links_[number] = {wire, stream, 0};
  std::weak_ptr<Wire> weak = wire;
  wire->Send(this, [this, number, allocator, stream, weak] {
    *stream = allocator->Open(
        [this, number, allocator, weak](allocator::v1::AllocateResponse response) {
          const auto live = weak.lock();
          if (live == nullptr) return;
          live->Send(allocator, [this, number, response = std::move(response)] {
            OnAllocations(number, response);
          });
        },
        [allocator, weak](const absl::Status& status) {
          if (const auto live = weak.lock()) live->Close(allocator, status);
        });
    if (const auto live = weak.lock()) {
      live->Send(allocator, [this, number] {
        runner_->Step(master::AllocatorConnected{master::LinkId(number)});
      });
    }
  });
}

void MasterProcess::Do(master::ToAllocator& effect) {
  const auto it = allocator_links_.find(effect.link.value());
  if (it == allocator_links_.end()) return;
  it->second.sent = effect.request.sequence();
  AllocatorProcess* allocator = world_->allocator;
  auto request = std::make_shared<const allocator::v1::AllocateRequest>(std::move(effect.request));
  it->second.wire->Send(this, [allocator, stream = it->second.stream, request] {
    allocator->Receive(*stream, request);
  });
}

void MasterProcess::OnAllocations(uint64_t link, const allocator::v1::AllocateResponse& response) {
  // Nothing was on its way when this was decided: what the allocator knew is what is known here.
  const auto it = allocator_links_.find(link);
  const bool knew_all = leads_ && response.epoch() == epoch_ && it != allocator_links_.end() &&
                        it->second.sent == response.through_sequence();
  runner_->Step(master::AllocatorMessage{master::LinkId(link), response});
  if (!knew_all || response.allocations().empty()) return;
  std::map<std::string, NamedAmounts> roles;
  for (const auto& allocation : response.allocations()) {
    for (const auto& [name, amount] : CountedAmounts(allocation.resources())) {
      roles[allocation.role()][name] += amount;
    }
  }
  JudgeLimits(roles);
}

void MasterProcess::JudgeLimits(const std::map<std::string, NamedAmounts>& roles) {
  std::map<std::string, NamedAmounts> consumed;
  for (const auto& [role, amounts] : world_->offers.OfferedByRole()) {
    consumed[role] = {{"cpus", amounts.cpus}, {"mem", amounts.mem}};
  }
  for (const auto& [key, task] : told_.rows().tasks()) {
    if (!task.holds()) continue;
    // Tasks here are of one role each.
    consumed[task.role]["cpus"] += task.resources.cpus;
    consumed[task.role]["mem"] += task.resources.mem;
  }
  world_->limits.Judge(roles, consumed, world_->quotas.KnownTo(epoch_));
}

void MasterProcess::Do(master::CloseAllocator& effect) {
  const auto it = allocator_links_.find(effect.link.value());
  if (it != allocator_links_.end()) {
    it->second.wire->Close(this, absl::CancelledError("the master closed the stream"));
  }
}

// ---- Registry

void MasterProcess::Do(master::Campaign& effect) {
  const master::RequestId id = effect.id;
  RegistryProcess* registry = world_->registry;
  auto stream = std::make_shared<uint64_t>(0);
  auto wire = world_->network.Connect({this,
                                       [this, id](const absl::Status& status) {
                                         campaigns_.erase(id.value());
                                         runner_->Step(master::CampaignEnded{id, status});
                                       }},
                                      {registry, [registry, stream](const absl::Status&) {
                                         if (*stream != 0) registry->EndCampaign(*stream);
                                       }});
  if (wire == nullptr) return;
  // A newer campaign replaces an older one.
  for (auto& [other, older] : campaigns_) {
    older->Close(this, absl::CancelledError("a newer campaign began"));
  }
  campaigns_[id.value()] = wire;
  std::weak_ptr<Wire> weak = wire;
  wire->Send(this, [this, id, registry, stream, weak, request = effect.request] {
    *stream = registry->Campaign(
        request,
        [this, id, registry, weak](registry::v1::CampaignResponse response) {
          const auto live = weak.lock();
          if (live == nullptr) return;
          live->Send(registry, [this, id, response = std::move(response)] {
            runner_->Step(master::CampaignUpdate{id, response});
          });
        },
        [registry, weak](const absl::Status& status) {
          if (const auto live = weak.lock()) live->Close(registry, status);
        });
  });
}

template <typename Response>
void MasterProcess::AskRegistry(
    absl::Duration timeout, std::function<void(std::function<void(absl::StatusOr<Response>)>)> make,
    std::function<void(absl::StatusOr<Response>)> take) {
  RegistryProcess* registry = world_->registry;
  auto answered = std::make_shared<bool>(false);
  const auto answer = [answered, take = std::move(take)](absl::StatusOr<Response> response) {
    if (!std::exchange(*answered, true)) take(std::move(response));
  };
  auto wire = world_->network.Connect(
      {this, [answer](const absl::Status& status) { answer(status); }}, {registry, nullptr});
  Later(timeout, [answer] { answer(absl::DeadlineExceededError("no answer in time")); });
  if (wire == nullptr) return;
  wire->Send(this, [registry, wire, make = std::move(make), answer] {
    make([registry, wire, answer](absl::StatusOr<Response> response) {
      wire->Send(registry, [answer, response = std::move(response)] { answer(response); });
    });
  });
}

template <typename AnswerEvent, typename Response>
void MasterProcess::CallRegistry(
    master::RequestId id, std::function<void(std::function<void(absl::StatusOr<Response>)>)> make) {
  AskRegistry<Response>(kRegistryTimeout, std::move(make),
                        [this, id](absl::StatusOr<Response> response) {
                          runner_->Step(AnswerEvent{id, std::move(response)});
                        });
}

void MasterProcess::Do(master::Renew& effect) {
  CallRegistry<master::Renewed, registry::v1::RenewResponse>(
      effect.id, [registry = world_->registry, request = effect.request](auto answer) {
        registry->Renew(request, std::move(answer));
      });
}

void MasterProcess::Do(master::Read& effect) {
  CallRegistry<master::ReadDone, registry::v1::ReadResponse>(
      effect.id, [registry = world_->registry, request = effect.request](auto answer) {
        registry->Read(request, std::move(answer));
      });
}

void MasterProcess::Do(master::Commit& effect) {
  CallRegistry<master::Committed, registry::v1::CommitResponse>(
      effect.id, [registry = world_->registry, request = effect.request](auto answer) {
        registry->Commit(request, std::move(answer));
      });
}

void MasterProcess::Do(master::EndCampaign& effect) {
  const auto it = campaigns_.find(effect.id.value());
  if (it == campaigns_.end()) return;
  it->second->Close(this, absl::CancelledError("the campaign is over"));
}

void MasterProcess::Do(master::Resign& effect) {
  AskRegistry<registry::v1::ResignResponse>(
      kResignTimeout,
      [registry = world_->registry, request = effect.request](auto answer) {
        registry->Resign(request, std::move(answer));
      },
      [this, id = effect.id](const absl::StatusOr<registry::v1::ResignResponse>& answer) {
        runner_->Step(master::Resigned{id, answer.status()});
      });
}

// Never within a step of the core.
void MasterProcess::Do(master::Stopped&) {
  Later(absl::ZeroDuration(), [this] { Finish(); });
}

// ---- The rest

void MasterProcess::Do(master::PublishFeed& effect) {
  // As it travels: what the bytes do not say, no follower knows.
  state::v1::FollowResponse message;
  if (!message.ParseFromString(feed::Encode(effect.epoch, effect.delta))) {
    world_->verdict.Fail("feeds are well formed", name() + " publishes what is no message");
    return;
  }
  if (effect.reset) told_.Begin(effect.epoch);
  told_.Delta(effect.epoch, message.delta());
  loop().notes()->Add(told_.rows().facts());
  feed_.Publish(effect.epoch, effect.reset, std::move(effect.delta));
}

void MasterProcess::Do(master::FeedHeartbeat& effect) {
  world_->feed_truth.HeartbeatMade(loop().now());
  feed_.Heartbeat({.epoch = effect.epoch, .sequence = 0, .made = now(), .hops = 0});
}

void MasterProcess::Do(master::LeadershipBegan& effect) {
  leads_ = true;
  epoch_ = effect.epoch;
  world_->leaders.Began(name(), effect.epoch);
  world_->offers.NewEpoch(effect.epoch);
  world_->limits.NewEpoch();
}

void MasterProcess::Do(master::LeadershipEnded&) {
  if (leads_) world_->leaders.Ended(name());
  leads_ = false;
  feed_.Retire(rpc::NotLeader(""));
}

}  // namespace tessera::sim
