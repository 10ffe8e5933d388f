// A master's core with everything around it played by the test: a registry that keeps what is
// committed and refuses what the real one refuses, an allocator that answers nothing but pings,
// streams and calls that are recorded.
//
// After each event the books' invariants are checked, and what the allocator was told is replayed
// against its own account: nothing may be given back that is not held.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "services/base/rng.h"
#include "services/master/core/master_core.h"
#include "services/model/parse.h"
#include "services/model/wire/description.h"
#include "services/model/wire/incarnation.h"
#include "services/model/wire/resources.h"
#include "services/registry/core/registry_core.h"
#include "services/rpc/error.h"

namespace tessera::master {

// The registry outlives masters.
struct TestRegistry {
  std::map<std::string, std::pair<std::string, uint64_t>> table;
  uint64_t version = 0;
  uint64_t epoch = 0;

  template <typename Record>
  std::optional<Record> Get(const std::string& key) const {
    auto found = table.find(key);
    if (found == table.end()) return std::nullopt;
    Record record;
    record.ParseFromString(found->second.first);
    return record;
  }
};

class TestMaster {
 public:
  explicit TestMaster(TestRegistry* registry, absl::Time start, MasterConfig config = Config(),
                      uint64_t seed = 1)
      : registry_(*registry), now_(start), core_(std::move(config), base::Rng(seed)) {}

  static MasterConfig Config() {
    MasterConfig config;
    config.candidate_id = "candidate-1";
    config.address = "master-1:5050";
    config.offer_timeout = absl::Minutes(2);
    return config;
  }

  // ---- driving

  void Step(const Event& event) {
    Effects effects;
    core_.Step(now_, event, &effects);
    const absl::Status invariants = core_.CheckInvariants();
    ASSERT_TRUE(invariants.ok()) << invariants;
    for (Effect& effect : effects) {
      if (watch) watch(effect);
      std::visit([this](auto& e) { Take(e); }, effect);
    }
    if (answering_) return;
    answering_ = true;
    while (!answers_.empty()) {
      const Event answer = std::move(answers_.front());
      answers_.pop_front();
      Step(answer);
    }
    answering_ = false;
  }

  // Lets time pass, waking the core whenever it asks for it.
  void Advance(absl::Duration duration) {
    const absl::Time until = now_ + duration;
    while (core_.NextDeadline() <= until) {
      now_ = std::max(now_, core_.NextDeadline());
      Step(Wake{});
    }
    now_ = until;
  }

  // Starts, and leads once the registry has answered.
  void Lead() {
    Step(Started{});
    ASSERT_TRUE(core_.leading());
  }

  // Sees each effect before it is taken.
  std::function<void(const Effect&)> watch;
  // Of the newest stream or call.
  uint64_t last_id() const { return last_id_; }

  MasterCore& core() { return core_; }
  absl::Time now() const { return now_; }

  // ---- what the registry does

  // Commits are kept waiting until Release().
  void HoldCommits() { hold_commits_ = true; }
  void ReleaseCommits() {
    hold_commits_ = false;
    std::deque<master::Commit> held = std::exchange(held_commits_, {});
    for (const master::Commit& commit : held) Step(Committed{commit.id, Apply(commit.request)});
  }
  size_t held_commits() const { return held_commits_.size(); }
  // The largest messages so far.
  size_t largest_commit_bytes() const { return largest_.commit; }
  size_t largest_agent_bytes() const { return largest_.agent; }
  size_t largest_allocator_bytes() const { return largest_.allocator; }
  // The next answers to commits and renewals, instead of success.
  void FailCommits(absl::Status status) { commit_failure_ = std::move(status); }
  void FailRenewals(absl::Status status) { renew_failure_ = std::move(status); }
  // Renewals are answered by ReleaseRenewals() only.
  void HoldRenewals() { hold_renewals_ = true; }
  void ReleaseRenewals() {
    hold_renewals_ = false;
    for (const Renewed& held : std::exchange(held_renewals_, {})) Step(held);
  }
  // What was asked of the registry about the lease, and "stopped", since the last time.
  std::vector<std::string> TakeLeaseOrder() { return std::exchange(order_, {}); }
  void FailReads(absl::Status status) { read_failure_ = std::move(status); }
  // The registry grants no lease.
  void LeadElsewhere(const std::string& address) { leader_elsewhere_ = address; }

  // ---- frameworks

  StreamId Subscribe(const pb::FrameworkInfo& info,
                     const std::vector<std::string>& suppressed = {}) {
    SubscribeOpened event{StreamId(++last_id_), {}};
    *event.request.mutable_info() = info;
    for (const std::string& role : suppressed) event.request.add_suppressed_roles(role);
    Step(event);
    return event.stream;
  }
  void CloseFrameworkStream(StreamId stream) { Step(StreamClosed{stream}); }

  static pb::FrameworkInfo Info(const std::string& name, bool partition_aware = true) {
    pb::FrameworkInfo info;
    info.set_name(name);
    info.set_user("nobody");
    info.add_roles("work");
    info.set_checkpoint(true);
    info.mutable_failover_timeout()->set_seconds(3600);
    if (partition_aware) info.add_capabilities(pb::FrameworkInfo::PARTITION_AWARE);
    return info;
  }

  // Events of one kind that a stream got, oldest first.
  std::vector<sched::Event> Events(StreamId stream, sched::Event::KindCase kind) const {
    std::vector<sched::Event> events;
    auto found = framework_events_.find(stream);
    if (found == framework_events_.end()) return events;
    for (const sched::Event& event : found->second) {
      if (event.kind_case() == kind) events.push_back(event);
    }
    return events;
  }
  // Statuses that a stream got since the last time.
  std::vector<pb::TaskStatus> TakeStatuses(StreamId stream) {
    std::vector<pb::TaskStatus> statuses;
    std::vector<sched::Event> rest;
    for (sched::Event& event : framework_events_[stream]) {
      if (event.has_update()) {
        statuses.push_back(event.update().status());
      } else {
        rest.push_back(event);
      }
    }
    framework_events_[stream] = rest;
    return statuses;
  }
  // The offers that a stream was sent and that were not taken back, since the last time.
  std::vector<pb::Offer> TakeOffers(StreamId stream) {
    std::vector<pb::Offer> offers;
    std::vector<sched::Event> rest;
    for (sched::Event& event : framework_events_[stream]) {
      if (event.has_offers()) {
        offers.insert(offers.end(), event.offers().offers().begin(), event.offers().offers().end());
      } else {
        rest.push_back(event);
      }
    }
    framework_events_[stream] = rest;
    return offers;
  }
  sched::Session SessionOf(StreamId stream) const {
    sched::Session session;
    const auto subscribed = Events(stream, sched::Event::kSubscribed);
    if (!subscribed.empty()) {
      session.set_framework_id(subscribed.back().subscribed().framework_id());
      session.set_subscription_id(subscribed.back().subscribed().subscription_id());
    }
    return session;
  }
  const absl::Status* FrameworkClosed(StreamId stream) const {
    auto found = closed_frameworks_.find(stream);
    return found == closed_frameworks_.end() ? nullptr : &found->second;
  }

  template <typename Response, typename Request>
  absl::StatusOr<Response> Call(StreamId stream, Request request) {
    if (!request.has_session()) *request.mutable_session() = SessionOf(stream);
    const CallId call(++last_id_);
    if constexpr (std::is_same_v<Request, sched::AcceptOffersRequest>) {
      Step(SchedulerCall{call, ReadAcceptOffers(request)});
    } else {
      Step(SchedulerCall{call, std::move(request)});
    }
    auto found = replies_.find(call);
    if (found == replies_.end()) return absl::UnknownError("no answer yet");
    if (!found->second.ok()) return found->second.status();
    return std::get<Response>(*found->second);
  }
  template <typename Response, typename Request>
  absl::StatusOr<Response> Operate(Request request) {
    const CallId call(++last_id_);
    Step(OperatorCall{call, std::move(request)});
    auto found = operator_replies_.find(call);
    if (found == operator_replies_.end()) return absl::UnknownError("no answer yet");
    if (!found->second.ok()) return found->second.status();
    return std::get<Response>(*found->second);
  }

  // ---- agents

  static google::protobuf::RepeatedPtrField<pb::Resource> Resources(const std::string& text) {
    google::protobuf::RepeatedPtrField<pb::Resource> messages;
    model::wire::ToProto(*model::ParseResources(text), &messages);
    return messages;
  }
  static pb::AgentInfo AgentInfo(const std::string& hostname) {
    pb::AgentInfo info;
    info.set_hostname(hostname);
    info.set_address(hostname + ":5051");
    *info.mutable_resources() = Resources("cpus:4;mem:4096;disk:10000;ports:[31000-32000]");
    return info;
  }
  AgentStreamId OpenAgent() {
    const AgentStreamId stream(++last_id_);
    Step(AgentStreamOpened{stream});
    return stream;
  }
  void Send(AgentStreamId stream, const link::AgentMessage& message) {
    AgentMessages event{stream, {}};
    *event.batch.add_messages() = message;
    Step(event);
  }
  AgentStreamId Register(const pb::AgentInfo& info, uint64_t highest_epoch = 0) {
    const AgentStreamId stream = OpenAgent();
    link::AgentMessage message;
    *message.mutable_register_()->mutable_info() = info;
    message.mutable_register_()->set_highest_epoch(highest_epoch);
    Send(stream, message);
    return stream;
  }
  AgentStreamId Reregister(pb::AgentInfo info, const std::string& id,
                           const std::vector<pb::FrameworkInfo>& frameworks,
                           const std::vector<link::TaskEntry>& tasks) {
    info.set_id(id);
    const AgentStreamId stream = Register(info);
    link::AgentMessage message;
    auto* inventory = message.mutable_inventory();
    for (const auto& framework : frameworks) {
      inventory->add_frameworks(model::wire::Describe(framework).bytes());
    }
    for (const auto& task : tasks) {
      *inventory->add_tasks() = task;
      incarnations_[{task.framework_id(), task.task_id()}] = task.incarnation();
    }
    inventory->set_last(true);
    Send(stream, message);
    return stream;
  }
  // A task that runs, as its agent would report it.
  static link::TaskEntry EntryOf(const link::MasterMessage::RunTask& run) {
    link::TaskEntry entry;
    entry.set_framework_id(run.framework_id());
    entry.set_task_id(run.task().task_id());
    *entry.mutable_incarnation() = run.task().incarnation();
    entry.set_info(run.task().info());
    *entry.mutable_resources() = run.task().resources();
    entry.set_executor_id(run.executor().executor_id());
    if (run.has_executor()) *entry.mutable_executor() = run.executor().incarnation();
    entry.set_state(pb::TASK_RUNNING);
    entry.set_durable(true);
    return entry;
  }
  // An incarnation that no master of these tests gives.
  static pb::Incarnation MadeUp(uint64_t number = 1) {
    return model::wire::ToProto(model::Incarnation{1, 1'000'000 + number});
  }
  void CloseAgentStream(AgentStreamId stream) {
    Step(AgentStreamClosed{stream, absl::UnavailableError("gone")});
  }
  std::string AgentId(AgentStreamId stream) const {
    for (const auto& message : AgentMessagesOf(stream)) {
      if (message.has_registered()) return message.registered().agent_id();
    }
    return "";
  }
  std::vector<link::MasterMessage> AgentMessagesOf(AgentStreamId stream) const {
    auto found = agent_messages_.find(stream);
    return found == agent_messages_.end() ? std::vector<link::MasterMessage>() : found->second;
  }
  std::vector<link::MasterMessage> TakeAgentMessages(AgentStreamId stream,
                                                     link::MasterMessage::KindCase kind) {
    std::vector<link::MasterMessage> taken;
    std::vector<link::MasterMessage> rest;
    for (auto& message : agent_messages_[stream]) {
      (message.kind_case() == kind ? taken : rest).push_back(message);
    }
    agent_messages_[stream] = rest;
    return taken;
  }
  const absl::Status* AgentClosed(AgentStreamId stream) const {
    auto found = closed_agents_.find(stream);
    return found == closed_agents_.end() ? nullptr : &found->second;
  }
  // Answers the newest ping.
  void Pong(AgentStreamId stream) {
    const auto pings = TakeAgentMessages(stream, link::MasterMessage::kPing);
    if (pings.empty()) return;
    link::AgentMessage message;
    message.mutable_pong()->set_sequence(pings.back().ping().sequence());
    Send(stream, message);
  }
  // Of the newest task of this id that an agent was sent or brought, unless `incarnation` says
  // otherwise.
  void Update(AgentStreamId stream, const std::string& framework, const std::string& task,
              pb::TaskState state, const std::string& uuid,
              std::optional<pb::TaskState> latest = std::nullopt,
              std::optional<pb::Incarnation> incarnation = std::nullopt) {
    link::AgentMessage message;
    auto* update = message.mutable_status_update();
    update->set_framework_id(framework);
    update->mutable_status()->set_task_id(task);
    update->mutable_status()->set_state(state);
    update->mutable_status()->set_source(pb::SOURCE_EXECUTOR);
    update->mutable_status()->set_uuid(uuid);
    update->set_latest_state(latest.value_or(state));
    *update->mutable_incarnation() = incarnation.value_or(incarnations_[{framework, task}]);
    Send(stream, message);
  }

  // ---- the allocator

  // Offers resources of an agent to a framework, as decided after everything sent so far unless
  // `through` says otherwise.
  void Allocate(const std::string& framework, const std::string& agent, const std::string& text,
                const std::string& role = "work", std::optional<uint64_t> through = std::nullopt) {
    AllocatorMessage message{link_, {}};
    message.response.set_epoch(core_.epoch());
    message.response.set_through_sequence(through.value_or(sequence_));
    auto* allocation = message.response.add_allocations();
    allocation->set_framework_id(framework);
    allocation->set_role(role);
    allocation->set_agent_id(agent);
    const model::Resources resources = model::ParseResources(text)->AllocatedCopy(role);
    model::wire::ToProto(resources, allocation->mutable_resources());
    if (held_.contains(agent)) held_[agent][framework] += resources;
    Step(message);
  }
  // Asks a framework to leave an agent.
  void AllocateInverse(const std::string& framework, const std::string& agent) {
    AllocatorMessage message{link_, {}};
    message.response.set_epoch(core_.epoch());
    message.response.set_through_sequence(sequence_);
    auto* inverse = message.response.add_inverse_allocations();
    inverse->set_framework_id(framework);
    inverse->set_agent_id(agent);
    Step(message);
  }
  uint64_t sequence() const { return sequence_; }
  LinkId link() const { return link_; }
  // The allocator crashes: its stream breaks and is opened anew after a wait.
  void BreakAllocator() {
    Step(AllocatorDisconnected{link_, absl::UnavailableError("gone")});
    Advance(absl::Seconds(1));
  }
  // What the allocator believes a framework to hold on an agent.
  model::Resources Held(const std::string& agent, const std::string& framework) {
    return held_[agent][framework];
  }
  bool AllocatorKnows(const std::string& agent) const { return held_.contains(agent); }
  std::vector<alloc::ClusterEvent> TakeAllocatorEvents() {
    return std::exchange(allocator_events_, {});
  }
  // From now on it takes nothing in, and its connection stays.
  void StickAllocator(bool stuck = true) { allocator_stuck_ = stuck; }
  int pings() const { return pings_; }
  bool snapshot_complete() const { return snapshot_complete_; }
  int feed_resets() const { return feed_resets_; }
  int feed_heartbeats() const { return feed_heartbeats_; }
  const std::vector<feed::Change>& feed_changes() const { return feed_changes_; }
  const std::vector<std::string>& ended() const { return ended_; }
  int resignations() const { return resignations_; }
  int renewals() const { return renewals_; }

 private:
  absl::StatusOr<reg::CommitResponse> Apply(const reg::CommitRequest& request) {
    if (request.epoch() != registry_.epoch) {
      return rpc::Error(absl::StatusCode::kFailedPrecondition, pb::ErrorDetail::STALE_EPOCH,
                        "stale");
    }
    for (const reg::Condition& condition : request.conditions()) {
      auto found = registry_.table.find(condition.key());
      const uint64_t version = found == registry_.table.end() ? 0 : found->second.second;
      if (version != condition.version()) {
        return rpc::Error(absl::StatusCode::kAborted, pb::ErrorDetail::VERSION_CONFLICT,
                          "conflict");
      }
    }
    if (!FitsRegistry(request)) {
      return rpc::InvalidField("writes", "more than the registry takes");
    }
    ++registry_.version;
    for (const reg::Write& write : request.writes()) {
      if (write.has_value()) {
        registry_.table[write.key()] = {write.value(), registry_.version};
      } else {
        registry_.table.erase(write.key());
      }
    }
    reg::CommitResponse response;
    response.set_version(registry_.version);
    return response;
  }

  // As registry::RegistryCore checks the shape of a commit.
  static bool FitsRegistry(const reg::CommitRequest& request) {
    const registry::RegistryConfig bounds;
    size_t bytes = 0;
    for (const reg::Write& write : request.writes()) {
      for (const char c : write.key()) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return false;
      }
      if (write.key().size() > bounds.key_bytes_max) return false;
      if (write.value().size() > bounds.value_bytes_max) return false;
      bytes += write.key().size() + write.value().size();
    }
    return bytes <= bounds.commit_bytes_max &&
           static_cast<size_t>(request.writes_size()) <= bounds.writes_per_commit_max;
  }

  void Take(ToFramework& effect) {
    EXPECT_FALSE(closed_frameworks_.contains(effect.stream)) << "said to a closed stream";
    auto& events = framework_events_[effect.stream];
    events.insert(events.end(), effect.response.events().begin(), effect.response.events().end());
  }
  void Take(CloseFramework& effect) { closed_frameworks_[effect.stream] = effect.status; }
  void Take(ToAgent& effect) {
    EXPECT_EQ(effect.response.epoch(), core_.epoch());
    largest_.agent = std::max(largest_.agent, effect.response.ByteSizeLong());
    const auto note = [this](const std::string& framework, const link::TaskLaunch& task) {
      incarnations_[{framework, task.task_id()}] = task.incarnation();
    };
    auto& messages = agent_messages_[effect.stream];
    for (const link::MasterMessage& message : effect.response.messages()) {
      const auto& run = message.run_task();
      if (message.has_run_task()) note(run.framework_id(), run.task());
      const auto& group = message.run_task_group();
      for (const link::TaskLaunch& task : group.tasks()) note(group.framework_id(), task);
      messages.push_back(message);
    }
  }
  void Take(CloseAgent& effect) { closed_agents_[effect.stream] = effect.status; }
  void Take(Reply& effect) {
    EXPECT_TRUE(replies_.emplace(effect.call, effect.answer).second) << "answered twice";
  }
  void Take(OperatorReply& effect) {
    EXPECT_TRUE(operator_replies_.emplace(effect.call, effect.answer).second) << "answered twice";
  }
  void Take(ConnectAllocator& effect) {
    link_ = effect.link;
    sequence_ = 0;
    held_.clear();
    snapshot_complete_ = false;
    answers_.push_back(AllocatorConnected{effect.link});
  }
  void Take(CloseAllocator& effect) {
    answers_.push_back(AllocatorDisconnected{effect.link, absl::CancelledError("closed")});
  }
  void Take(ToAllocator& effect) {
    EXPECT_EQ(effect.link, link_);
    EXPECT_EQ(effect.request.sequence(), ++sequence_);
    EXPECT_EQ(effect.request.epoch(), core_.epoch());
    largest_.allocator = std::max(largest_.allocator, effect.request.ByteSizeLong());
    for (const alloc::ClusterEvent& event : effect.request.events()) {
      Account(event);
      allocator_events_.push_back(event);
    }
    snapshot_complete_ = snapshot_complete_ || effect.request.snapshot_complete();
    if (!effect.request.ping()) return;
    ++pings_;
    if (!allocator_stuck_) {
      AllocatorMessage pong{link_, {}};
      pong.response.set_epoch(effect.request.epoch());
      pong.response.set_through_sequence(sequence_);
      answers_.push_back(std::move(pong));
    }
  }
  void Account(const alloc::ClusterEvent& event) {
    if (event.has_agent_added()) {
      const auto& added = event.agent_added();
      EXPECT_EQ(held_.contains(added.info().id()), added.replaces())
          << "added twice, or not at all";
      auto& held = held_[added.info().id()];
      held.clear();
      for (const auto& holding : added.holdings()) {
        held[holding.framework_id()] = *model::wire::FromProto(holding.resources());
      }
    } else if (event.has_agent_removed()) {
      EXPECT_EQ(held_.erase(event.agent_removed().agent_id()), 1u) << "removed an unknown agent";
    } else if (event.has_unavailability_updated()) {
      EXPECT_TRUE(held_.contains(event.unavailability_updated().agent_id()))
          << "the unavailability of an unknown agent";
    } else if (event.has_recovered()) {
      const auto& recovered = event.recovered();
      ASSERT_TRUE(held_.contains(recovered.agent_id())) << "recovered on an unknown agent";
      auto& held = held_[recovered.agent_id()][recovered.framework_id()];
      const model::Resources resources = *model::wire::FromProto(recovered.resources());
      EXPECT_TRUE(held.Contains(resources)) << "gave back what it did not hold: " << resources;
      held -= resources;
    }
  }
  void Take(master::Campaign& effect) {
    CampaignUpdate update{effect.id, {}};
    if (!leader_elsewhere_.empty()) {
      update.response.mutable_leader()->set_address(leader_elsewhere_);
      update.response.mutable_leader()->set_epoch(registry_.epoch);
    } else {
      update.response.mutable_lease()->set_epoch(++registry_.epoch);
      update.response.mutable_lease()->mutable_expires_in()->set_seconds(10);
    }
    answers_.push_back(update);
  }
  void Take(master::Renew& effect) {
    ++renewals_;
    absl::StatusOr<reg::RenewResponse> answer = reg::RenewResponse();
    answer->mutable_expires_in()->set_seconds(10);
    if (!renew_failure_.ok()) answer = renew_failure_;
    order_.push_back("renew");
    if (hold_renewals_) {
      held_renewals_.push_back({effect.id, answer});
    } else {
      answers_.push_back(Renewed{effect.id, answer});
    }
  }
  void Take(master::Read& effect) {
    if (!read_failure_.ok()) {
      answers_.push_back(ReadDone{effect.id, read_failure_});
      return;
    }
    // Two records a page, so that paging is always tested.
    reg::ReadResponse response;
    size_t skip = effect.request.page_token().empty() ? 0 : std::stoul(effect.request.page_token());
    size_t seen = 0;
    const auto& prefixes = effect.request.prefixes();
    for (const auto& [key, value] : registry_.table) {
      if (std::none_of(prefixes.begin(), prefixes.end(),
                       [&key](const std::string& prefix) { return key.starts_with(prefix); })) {
        continue;
      }
      if (seen++ < skip) continue;
      if (response.records_size() == 2) {
        response.set_next_page_token(std::to_string(seen - 1));
        break;
      }
      auto* record = response.add_records();
      record->set_key(key);
      record->set_value(value.first);
      record->set_version(value.second);
    }
    response.set_version(registry_.version);
    answers_.push_back(ReadDone{effect.id, response});
  }
  void Take(master::Commit& effect) {
    largest_.commit = std::max(largest_.commit, effect.request.ByteSizeLong());
    if (hold_commits_) {
      held_commits_.push_back(effect);
    } else if (!commit_failure_.ok()) {
      answers_.push_back(Committed{effect.id, commit_failure_});
    } else {
      answers_.push_back(Committed{effect.id, Apply(effect.request)});
    }
  }
  void Take(EndCampaign&) { order_.push_back("end campaign"); }
  void Take(Resign& effect) {
    ++resignations_;
    order_.push_back("resign");
    answers_.push_back(Resigned{effect.id, absl::OkStatus()});
  }
  void Take(Stopped&) { order_.push_back("stopped"); }
  void Take(Note&) {}
  void Take(PublishFeed& effect) {
    EXPECT_EQ(effect.delta.version, effect.reset ? 1 : feed_version_ + 1);
    feed_version_ = effect.delta.version;
    if (effect.reset) {
      ++feed_resets_;
      feed_changes_.clear();
    }
    feed_changes_.insert(feed_changes_.end(), effect.delta.changes.begin(),
                         effect.delta.changes.end());
  }
  void Take(FeedHeartbeat& effect) {
    EXPECT_EQ(effect.epoch, core_.epoch());
    EXPECT_GT(feed_resets_, 0) << "a heartbeat before the state";
    ++feed_heartbeats_;
  }
  void Take(LeadershipBegan&) {}
  void Take(LeadershipEnded& effect) { ended_.push_back(effect.reason); }

  TestRegistry& registry_;
  absl::Time now_;
  MasterCore core_;
  uint64_t last_id_ = 0;
  bool answering_ = false;
  std::deque<Event> answers_;
  struct Largest {
    size_t commit = 0;
    size_t agent = 0;
    size_t allocator = 0;
  } largest_;
  bool hold_commits_ = false;
  bool hold_renewals_ = false;
  std::vector<Renewed> held_renewals_;
  std::vector<std::string> order_;
  std::deque<master::Commit> held_commits_;
  absl::Status commit_failure_;
  absl::Status renew_failure_;
  absl::Status read_failure_;
  std::string leader_elsewhere_;
  std::map<StreamId, std::vector<sched::Event>> framework_events_;
  std::map<StreamId, absl::Status> closed_frameworks_;
  std::map<AgentStreamId, std::vector<link::MasterMessage>> agent_messages_;
  std::map<AgentStreamId, absl::Status> closed_agents_;
  // By framework and task id.
  std::map<std::pair<std::string, std::string>, pb::Incarnation> incarnations_;
  std::map<CallId, absl::StatusOr<SchedulerAnswer>> replies_;
  std::map<CallId, absl::StatusOr<OperatorAnswer>> operator_replies_;
  LinkId link_;
  uint64_t sequence_ = 0;
  bool snapshot_complete_ = false;
  bool allocator_stuck_ = false;
  int pings_ = 0;
  std::map<std::string, std::map<std::string, model::Resources>> held_;
  std::vector<alloc::ClusterEvent> allocator_events_;
  uint64_t feed_version_ = 0;
  int feed_resets_ = 0;
  int feed_heartbeats_ = 0;
  std::vector<feed::Change> feed_changes_;
  std::vector<std::string> ended_;
  int resignations_ = 0;
  int renewals_ = 0;
};

}  // namespace tessera::master
