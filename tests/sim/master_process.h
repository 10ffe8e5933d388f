// master-svc: keeps nothing over a crash but what the registry and the agents give back.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "services/master/core/master_core.h"
#include "tests/sim/feed_outlet.h"
#include "tests/sim/reader_checker.h"
#include "tests/sim/world.h"

namespace tessera::sim {

class MasterProcess : public Process {
 public:
  MasterProcess(World* world, std::string address, master::MasterConfig config,
                FeedOutletOptions feed_options);

  // ---- Ends of wires at this process.

  // A framework's subscription.
  uint64_t OpenFramework(const scheduler::v1::SubscribeRequest& request,
                         std::function<void(scheduler::v1::SubscribeResponse)> send,
                         std::function<void(absl::Status)> end);
  void FrameworkClosed(uint64_t stream);
  void Call(master::SchedulerRequest request,
            std::function<void(absl::StatusOr<master::SchedulerAnswer>)> answer);
  void OperatorCall(master::OperatorRequest request,
                    std::function<void(absl::StatusOr<master::OperatorAnswer>)> answer);
  // An agent's link.
  uint64_t OpenAgent(std::function<void(agentlink::v1::ConnectResponse)> send,
                     std::function<void(absl::Status)> end);
  void AgentSent(uint64_t stream, agentlink::v1::ConnectRequest batch);
  void AgentClosed(uint64_t stream, const absl::Status& status);

  bool leads() const { return leads_; }
  const master::MasterCore* core() const { return core_.get(); }
  // What it has told followers, as they may keep it.
  const Rows& published() const { return told_.rows(); }

 private:
  template <typename Message>
  struct Peer {
    std::function<void(Message)> send;
    std::function<void(absl::Status)> end;
  };
  struct AllocatorLink {
    std::shared_ptr<Wire> wire;
    std::shared_ptr<uint64_t> stream;
    uint64_t sent = 0;  // the sequence number of the newest message
  };
  struct PendingOperatorCall {
    master::OperatorRequest request;
    std::function<void(absl::StatusOr<master::OperatorAnswer>)> answer;
  };

  void OnStart() override;
  // Ends when its core has given up what it held, or after some seconds.
  void OnStop() override;
  void OnEnd() override;
  void CarryOut(std::vector<master::Effect> effects);
  void Do(master::ToFramework& effect);
  void Do(master::CloseFramework& effect);
  void Do(master::ToAgent& effect);
  void Do(master::CloseAgent& effect);
  void Do(master::Reply& effect);
  void Do(master::OperatorReply& effect);
  void Do(master::ConnectAllocator& effect);
  void Do(master::ToAllocator& effect);
  void Do(master::CloseAllocator& effect);
  void Do(master::Campaign& effect);
  void Do(master::Renew& effect);
  void Do(master::Read& effect);
  void Do(master::Commit& effect);
  void Do(master::EndCampaign& effect);
  void Do(master::Resign& effect);
  void Do(master::Stopped& effect);
  void Do(master::PublishFeed& effect);
  void Do(master::FeedHeartbeat& effect);
  void Do(master::Note&) {}
  void Do(master::LeadershipBegan& effect);
  void Do(master::LeadershipEnded& effect);

  // A unary call of the registry with a time-out; `make` runs at the registry, `answer` here, once.
  template <typename Response>
  void AskRegistry(absl::Duration timeout,
                   std::function<void(std::function<void(absl::StatusOr<Response>)>)> make,
                   std::function<void(absl::StatusOr<Response>)> answer);
  // The same; the answer becomes an event.
  template <typename AnswerEvent, typename Response>
  void CallRegistry(master::RequestId id,
                    std::function<void(std::function<void(absl::StatusOr<Response>)>)> make);
  // A number for a subscription that no other one of the run has.
  uint64_t SessionOf(uint64_t stream) const;
  void WatchOffers(uint64_t stream, const scheduler::v1::SubscribeResponse& response);
  void OnAllocations(uint64_t link, const allocator::v1::AllocateResponse& response);
  // Holds offers and tasks against the limits in force; `roles`: what was allocated just now.
  void JudgeLimits(const std::map<std::string, NamedAmounts>& roles);
  void Check();

  struct Tap {
    static void Fold(Digest* digest, const master::ToFramework& effect);
    static void Fold(Digest* digest, const master::CloseFramework& effect);
    static void Fold(Digest* digest, const master::ToAgent& effect);
    static void Fold(Digest* digest, const master::CloseAgent& effect);
    static void Fold(Digest* digest, const master::Reply& effect);
    static void Fold(Digest* digest, const master::OperatorReply& effect);
    static void Fold(Digest* digest, const master::ConnectAllocator& effect);
    static void Fold(Digest* digest, const master::ToAllocator& effect);
    static void Fold(Digest* digest, const master::CloseAllocator& effect);
    static void Fold(Digest* digest, const master::Campaign& effect);
    static void Fold(Digest* digest, const master::Renew& effect);
    static void Fold(Digest* digest, const master::Read& effect);
    static void Fold(Digest* digest, const master::Commit& effect);
    static void Fold(Digest* digest, const master::EndCampaign& effect);
    static void Fold(Digest* digest, const master::Resign& effect);
    static void Fold(Digest* digest, const master::Stopped& effect);
    static void Fold(Digest* digest, const master::PublishFeed& effect);
    static void Fold(Digest* digest, const master::FeedHeartbeat& effect);
    static void Fold(Digest* digest, const master::Note& effect);
    static void Fold(Digest* digest, const master::LeadershipBegan& effect);
    static void Fold(Digest* digest, const master::LeadershipEnded& effect);
    template <typename Effect>
    static Bite MomentOf(const Effect&) {
      return Bite::kCount;
    }
    static Bite MomentOf(const master::ToAgent& send);
    static Bite MomentOf(const master::Reply& reply);
    static Bite MomentOf(const master::Commit&) { return Bite::kMasterCommits; }
  };

  World* world_;
  const master::MasterConfig config_;
  FeedOutlet feed_;
  // What its followers are told, before the feed has taken it.
  ReaderChecker told_;
  bool leads_ = false;
  uint64_t epoch_ = 0;
  uint64_t steps_ = 0;
  std::unique_ptr<master::MasterCore> core_;
  std::unique_ptr<CoreRunner<master::MasterCore, master::Event, master::Effect, Tap>> runner_;
  uint64_t next_id_ = 1;
  std::map<uint64_t, Peer<scheduler::v1::SubscribeResponse>> frameworks_;
  std::map<uint64_t, Peer<agentlink::v1::ConnectResponse>> agents_;
  std::map<uint64_t, std::function<void(absl::StatusOr<master::SchedulerAnswer>)>> calls_;
  std::map<uint64_t, PendingOperatorCall> operator_calls_;
  std::map<uint64_t, AllocatorLink> allocator_links_;
  std::map<uint64_t, std::shared_ptr<Wire>> campaigns_;
};

}  // namespace tessera::sim
