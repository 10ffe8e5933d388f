// Sessions of frameworks: subscription, take-over, disconnection, the end.
#include <gtest/gtest.h>

#include "services/master/core/test_master.h"

namespace tessera::master {
namespace {

const absl::Time kStart = absl::FromUnixSeconds(1'700'000'000);

class SessionsTest : public ::testing::Test {
 protected:
  SessionsTest() : master_(&registry_, kStart) { master_.Lead(); }

  pb::FrameworkInfo Known(const std::string& id) {
    pb::FrameworkInfo info = TestMaster::Info("batch");
    info.set_id(id);
    return info;
  }
  pb::ErrorDetail::Reason ClosedWith(StreamId stream) {
    const absl::Status* status = master_.FrameworkClosed(stream);
    return status == nullptr ? pb::ErrorDetail::REASON_UNSPECIFIED : rpc::ReasonOf(*status);
  }

  TestRegistry registry_;
  TestMaster master_;
};

TEST_F(SessionsTest, AnIdIsToldWhenItIsDurable) {
  master_.HoldCommits();
  const StreamId stream = master_.Subscribe(TestMaster::Info("batch"));
  EXPECT_TRUE(master_.Events(stream, sched::Event::kSubscribed).empty());
  master_.ReleaseCommits();
  const auto subscribed = master_.Events(stream, sched::Event::kSubscribed);
  ASSERT_EQ(subscribed.size(), 1u);
  const std::string id = subscribed[0].subscribed().framework_id();
  EXPECT_TRUE(id.ends_with("-0000")) << id;
  EXPECT_EQ(subscribed[0].subscribed().epoch(), 1u);
  EXPECT_TRUE(registry_.Get<reg::FrameworkEntry>("frameworks/" + id).has_value());
  // A heart-beat comes at once and then at its interval.
  EXPECT_EQ(master_.Events(stream, sched::Event::kHeartbeat).size(), 1u);
  master_.Advance(absl::Seconds(31));
  EXPECT_EQ(master_.Events(stream, sched::Event::kHeartbeat).size(), 3u);
}

TEST_F(SessionsTest, AStreamThatEndsBeforeItsIdIsDurableLeavesNothing) {
  master_.HoldCommits();
  const StreamId stream = master_.Subscribe(TestMaster::Info("batch"));
  master_.CloseFrameworkStream(stream);
  master_.ReleaseCommits();
  EXPECT_TRUE(master_.core().Metrics().frameworks.empty());
  for (const auto& [key, value] : registry_.table)
    EXPECT_FALSE(key.starts_with("frameworks/")) << key;
}

TEST_F(SessionsTest, TimersOfAFrameworkThatEndedDoNotMeanTheNextInItsPlace) {
  const StreamId first = master_.Subscribe(TestMaster::Info("first"));
  master_.CloseFrameworkStream(first);
  ops::TeardownFrameworkRequest teardown;
  teardown.set_framework_id(master_.SessionOf(first).framework_id());
  ASSERT_TRUE(master_.Operate<ops::TeardownFrameworkResponse>(teardown).ok());
  master_.Advance(absl::Minutes(30));
  const StreamId next = master_.Subscribe(TestMaster::Info("next"));
  master_.CloseFrameworkStream(next);
  // The hour of the first one is over, that of the next one is not.
  master_.Advance(absl::Minutes(45));
  const std::string id = master_.SessionOf(next).framework_id();
  const StreamId again = master_.Subscribe(Known(id));
  EXPECT_EQ(ClosedWith(again), pb::ErrorDetail::REASON_UNSPECIFIED);
  EXPECT_EQ(master_.SessionOf(again).framework_id(), id);
}

TEST_F(SessionsTest, HeartbeatsOfAFrameworkThatEndedDoNotGoOnForTheNextInItsPlace) {
  const StreamId first = master_.Subscribe(TestMaster::Info("first"));
  ASSERT_TRUE(master_.Call<sched::TeardownResponse>(first, sched::TeardownRequest()).ok());
  const StreamId next = master_.Subscribe(TestMaster::Info("next"));
  master_.Advance(absl::Seconds(31));
  EXPECT_EQ(master_.Events(next, sched::Event::kHeartbeat).size(), 3u);
}

// An agent brings a task of a framework whose first subscription to this master waits for the
// registry.
class BroughtWhileAdmittingTest : public SessionsTest {
 protected:
  BroughtWhileAdmittingTest() {
    const AgentStreamId first = master_.Register(TestMaster::AgentInfo("host-1"));
    agent_id_ = master_.AgentId(first);
    master_.CloseAgentStream(first);
    master_.TakeAllocatorEvents();
    master_.HoldCommits();
    stream_ = master_.Subscribe(Known("own-id"));
    link::TaskEntry record;
    record.set_framework_id("own-id");
    record.set_task_id("t1");
    *record.mutable_incarnation() = TestMaster::MadeUp();
    *record.mutable_incarnation() = TestMaster::MadeUp();
    *record.mutable_resources() = TestMaster::Resources("cpus:1");
    record.set_state(pb::TASK_RUNNING);
    agent_ =
        master_.Reregister(TestMaster::AgentInfo("host-1"), agent_id_, {Known("own-id")}, {record});
    EXPECT_EQ(master_.AgentId(agent_), agent_id_);
  }

  StreamId stream_;
  AgentStreamId agent_;
  std::string agent_id_;
};

TEST_F(BroughtWhileAdmittingTest, ItTakesItsTaskOver) {
  // The allocator hears of the framework before it hears of what is held by it.
  int added = 0;
  for (const alloc::ClusterEvent& event : master_.TakeAllocatorEvents()) {
    if (event.has_framework_added()) ++added;
    if (event.has_agent_added()) {
      EXPECT_EQ(added, 1);
    }
  }
  master_.ReleaseCommits();
  EXPECT_EQ(master_.SessionOf(stream_).framework_id(), "own-id");
  for (const alloc::ClusterEvent& event : master_.TakeAllocatorEvents()) {
    EXPECT_FALSE(event.has_framework_added()) << "added twice";
  }
  ASSERT_TRUE(
      master_.Call<sched::ReconcileTasksResponse>(stream_, sched::ReconcileTasksRequest()).ok());
  const auto statuses = master_.TakeStatuses(stream_);
  ASSERT_EQ(statuses.size(), 1u);
  EXPECT_EQ(statuses[0].state(), pb::TASK_RUNNING);
  ASSERT_TRUE(master_.Call<sched::TeardownResponse>(stream_, sched::TeardownRequest()).ok());
  EXPECT_TRUE(master_.Held(agent_id_, "own-id").empty());
}

TEST_F(BroughtWhileAdmittingTest, ItsTaskGoesOnUntilItsTimeOutWhenItsStreamEnds) {
  master_.CloseFrameworkStream(stream_);
  master_.ReleaseCommits();
  EXPECT_TRUE(registry_.Get<reg::FrameworkEntry>("frameworks/own-id").has_value());
  EXPECT_EQ(master_.Held(agent_id_, "own-id"),
            model::ParseResources("cpus:1")->AllocatedCopy("work"));
  auto advance = [this](int minutes) {
    for (int i = 0; i < minutes; ++i) {
      master_.Pong(agent_);
      master_.Advance(absl::Minutes(1));
    }
  };
  advance(59);
  EXPECT_FALSE(master_.Held(agent_id_, "own-id").empty());
  advance(2);
  EXPECT_TRUE(master_.Held(agent_id_, "own-id").empty());
  EXPECT_EQ(master_.TakeAgentMessages(agent_, link::MasterMessage::kShutdownFramework).size(), 1u);
  EXPECT_EQ(ClosedWith(master_.Subscribe(Known("own-id"))), pb::ErrorDetail::FRAMEWORK_REMOVED);
}

TEST_F(SessionsTest, AnIdThatAnAgentMadeUpIsNotGivenAgain) {
  const AgentStreamId first = master_.Register(TestMaster::AgentInfo("host-1"));
  const std::string agent_id = master_.AgentId(first);
  const std::string made_up = agent_id.substr(0, agent_id.rfind("-S")) + "-0000";
  link::TaskEntry record;
  record.set_framework_id(made_up);
  record.set_task_id("t1");
  *record.mutable_incarnation() = TestMaster::MadeUp();
  record.set_state(pb::TASK_RUNNING);
  master_.Reregister(TestMaster::AgentInfo("host-1"), agent_id, {Known(made_up)}, {record});
  const StreamId stream = master_.Subscribe(TestMaster::Info("batch"));
  EXPECT_TRUE(master_.SessionOf(stream).framework_id().ends_with("-0001"));
}

struct BadInfo {
  const char* name;
  void (*spoil)(pb::FrameworkInfo*);
};

class BadInfoTest : public SessionsTest, public ::testing::WithParamInterface<BadInfo> {};

TEST_P(BadInfoTest, EndsTheStreamWithAReason) {
  pb::FrameworkInfo info = TestMaster::Info("batch");
  GetParam().spoil(&info);
  const StreamId stream = master_.Subscribe(info);
  EXPECT_EQ(ClosedWith(stream), pb::ErrorDetail::INVALID_FIELD);
  EXPECT_EQ(master_.Events(stream, sched::Event::kError).size(), 1u);
  EXPECT_TRUE(master_.Events(stream, sched::Event::kSubscribed).empty());
}

INSTANTIATE_TEST_SUITE_P(
    Sessions, BadInfoTest,
    ::testing::Values(BadInfo{"RoleTwice", [](pb::FrameworkInfo* i) { i->add_roles("work"); }},
                      BadInfo{"BadRole", [](pb::FrameworkInfo* i) { i->add_roles("a//b"); }},
                      BadInfo{"BadId", [](pb::FrameworkInfo* i) { i->set_id("a/b"); }},
                      BadInfo{"NegativeTimeout",
                              [](pb::FrameworkInfo* i) {
                                i->mutable_failover_timeout()->set_seconds(-1);
                              }},
                      BadInfo{"EndlessTimeout",
                              [](pb::FrameworkInfo* i) {
                                i->mutable_failover_timeout()->set_seconds(int64_t{1} << 60);
                              }}),
    [](const auto& info) { return info.param.name; });

TEST_F(SessionsTest, SuppressedRolesMustBeSubscribed) {
  EXPECT_EQ(ClosedWith(master_.Subscribe(TestMaster::Info("batch"), {"other"})),
            pb::ErrorDetail::INVALID_FIELD);
}

TEST_F(SessionsTest, TheNewestSubscriptionWins) {
  const AgentStreamId agent = master_.Register(TestMaster::AgentInfo("host-1"));
  const StreamId first = master_.Subscribe(TestMaster::Info("batch"));
  const sched::Session old = master_.SessionOf(first);
  master_.Allocate(old.framework_id(), master_.AgentId(agent), "cpus:1");
  const StreamId second = master_.Subscribe(Known(old.framework_id()));
  EXPECT_EQ(ClosedWith(first), pb::ErrorDetail::FRAMEWORK_FAILED_OVER);
  EXPECT_EQ(master_.FrameworkClosed(first)->code(), absl::StatusCode::kAborted);
  EXPECT_EQ(master_.SessionOf(second).framework_id(), old.framework_id());
  EXPECT_NE(master_.SessionOf(second).subscription_id(), old.subscription_id());
  // Its offers went back, and nobody was told of each.
  EXPECT_TRUE(master_.Held(master_.AgentId(agent), old.framework_id()).empty());
  EXPECT_TRUE(master_.Events(first, sched::Event::kRescind).empty());
  // The old one's calls are refused, and its end changes nothing.
  sched::ReviveOffersRequest revive;
  *revive.mutable_session() = old;
  EXPECT_EQ(rpc::ReasonOf(master_.Call<sched::ReviveOffersResponse>(second, revive).status()),
            pb::ErrorDetail::STALE_SUBSCRIPTION);
  master_.CloseFrameworkStream(first);
  EXPECT_TRUE(master_.Call<sched::ReviveOffersResponse>(second, sched::ReviveOffersRequest()).ok());
}

TEST_F(SessionsTest, OfTwoSubscriptionsOnTheirWayTheNewerWins) {
  const StreamId first = master_.Subscribe(TestMaster::Info("batch"));
  const std::string id = master_.SessionOf(first).framework_id();
  master_.HoldCommits();
  const StreamId second = master_.Subscribe(Known(id));
  const StreamId third = master_.Subscribe(Known(id));
  EXPECT_EQ(ClosedWith(second), pb::ErrorDetail::FRAMEWORK_FAILED_OVER);
  master_.ReleaseCommits();
  master_.ReleaseCommits();
  EXPECT_TRUE(master_.Events(second, sched::Event::kSubscribed).empty());
  EXPECT_EQ(master_.Events(third, sched::Event::kSubscribed).size(), 1u);
}

TEST_F(SessionsTest, WhatMustNotChangeIsRefused) {
  const StreamId first = master_.Subscribe(TestMaster::Info("batch"));
  pb::FrameworkInfo info = Known(master_.SessionOf(first).framework_id());
  info.set_user("somebody-else");
  EXPECT_EQ(ClosedWith(master_.Subscribe(info)), pb::ErrorDetail::INVALID_FIELD);
  EXPECT_EQ(master_.FrameworkClosed(first), nullptr);
}

TEST_F(SessionsTest, CallsNeedASession) {
  const StreamId stream = master_.Subscribe(TestMaster::Info("batch"));
  const sched::Session session = master_.SessionOf(stream);
  sched::SuppressOffersRequest request;
  request.mutable_session()->set_framework_id("nobody");
  EXPECT_EQ(rpc::ReasonOf(master_.Call<sched::SuppressOffersResponse>(stream, request).status()),
            pb::ErrorDetail::UNKNOWN_FRAMEWORK);
  master_.CloseFrameworkStream(stream);
  *request.mutable_session() = session;
  EXPECT_EQ(rpc::ReasonOf(master_.Call<sched::SuppressOffersResponse>(stream, request).status()),
            pb::ErrorDetail::FRAMEWORK_DISCONNECTED);
}

TEST_F(SessionsTest, RolesAreRefusedAsAWhole) {
  const StreamId stream = master_.Subscribe(TestMaster::Info("batch"));
  master_.TakeAllocatorEvents();
  sched::SuppressOffersRequest request;
  request.add_roles("work");
  request.add_roles("other");
  EXPECT_EQ(rpc::ReasonOf(master_.Call<sched::SuppressOffersResponse>(stream, request).status()),
            pb::ErrorDetail::INVALID_FIELD);
  EXPECT_TRUE(master_.TakeAllocatorEvents().empty());
  request.mutable_roles()->RemoveLast();
  EXPECT_TRUE(master_.Call<sched::SuppressOffersResponse>(stream, request).ok());
  const auto events = master_.TakeAllocatorEvents();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].suppressed().roles(0), "work");
}

TEST_F(SessionsTest, UpdateReplacesTheDescription) {
  const AgentStreamId agent = master_.Register(TestMaster::AgentInfo("host-1"));
  const StreamId stream = master_.Subscribe(TestMaster::Info("batch"));
  const std::string id = master_.SessionOf(stream).framework_id();
  master_.Allocate(id, master_.AgentId(agent), "cpus:1");
  sched::UpdateFrameworkRequest request;
  *request.mutable_info() = Known(id);
  request.mutable_info()->set_name("renamed");
  request.mutable_info()->clear_roles();
  request.mutable_info()->add_roles("play");
  ASSERT_TRUE(master_.Call<sched::UpdateFrameworkResponse>(stream, request).ok());
  // The offer was to a role that it left.
  EXPECT_EQ(master_.Events(stream, sched::Event::kRescind).size(), 1u);
  EXPECT_EQ(registry_.Get<reg::FrameworkEntry>("frameworks/" + id)->info().name(), "renamed");
  request.mutable_info()->set_id("another");
  EXPECT_EQ(rpc::ReasonOf(master_.Call<sched::UpdateFrameworkResponse>(stream, request).status()),
            pb::ErrorDetail::INVALID_FIELD);
}

TEST_F(SessionsTest, ComesBackInTime) {
  const StreamId stream = master_.Subscribe(TestMaster::Info("batch"));
  const std::string id = master_.SessionOf(stream).framework_id();
  master_.CloseFrameworkStream(stream);
  EXPECT_TRUE(registry_.Get<reg::FrameworkEntry>("frameworks/" + id)->has_disconnected_time());
  master_.Advance(absl::Minutes(59));
  const StreamId again = master_.Subscribe(Known(id));
  EXPECT_EQ(master_.SessionOf(again).framework_id(), id);
  EXPECT_FALSE(registry_.Get<reg::FrameworkEntry>("frameworks/" + id)->has_disconnected_time());
  master_.Advance(absl::Hours(2));
  EXPECT_EQ(master_.FrameworkClosed(again), nullptr);
}

TEST_F(SessionsTest, IsRemovedWhenItDoesNotComeBack) {
  const StreamId stream = master_.Subscribe(TestMaster::Info("batch"));
  const std::string id = master_.SessionOf(stream).framework_id();
  master_.CloseFrameworkStream(stream);
  master_.Advance(absl::Minutes(61));
  EXPECT_TRUE(registry_.Get<reg::FrameworkEntry>("frameworks/" + id)->has_completed_time());
  EXPECT_EQ(ClosedWith(master_.Subscribe(Known(id))), pb::ErrorDetail::FRAMEWORK_REMOVED);
}

TEST_F(SessionsTest, TheNextLeaderGivesTimeToComeBackWhateverItsClockSays) {
  const StreamId stream = master_.Subscribe(TestMaster::Info("batch"));
  const std::string id = master_.SessionOf(stream).framework_id();
  master_.CloseFrameworkStream(stream);
  // Its own time is an hour, and over by this clock.
  TestMaster ahead(&registry_, master_.now() + absl::Hours(2));
  ahead.Lead();
  ahead.Advance(absl::Minutes(1));
  const StreamId again = ahead.Subscribe(Known(id));
  EXPECT_EQ(ahead.SessionOf(again).framework_id(), id);
  ahead.CloseFrameworkStream(again);
  // By this one it goes away in three hours only: its own time is all that it gets.
  TestMaster behind(&registry_, ahead.now() - absl::Hours(3));
  behind.Lead();
  behind.Advance(absl::Minutes(61));
  EXPECT_TRUE(registry_.Get<reg::FrameworkEntry>("frameworks/" + id)->has_completed_time());
}

TEST_F(SessionsTest, WithoutATimeOutItIsRemovedAtOnce) {
  pb::FrameworkInfo info = TestMaster::Info("batch");
  info.clear_failover_timeout();
  const StreamId stream = master_.Subscribe(info);
  const std::string id = master_.SessionOf(stream).framework_id();
  master_.CloseFrameworkStream(stream);
  EXPECT_EQ(ClosedWith(master_.Subscribe(Known(id))), pb::ErrorDetail::FRAMEWORK_REMOVED);
}

TEST_F(SessionsTest, TeardownEndsEverythingOfTheFramework) {
  const AgentStreamId agent = master_.Register(TestMaster::AgentInfo("host-1"));
  const std::string agent_id = master_.AgentId(agent);
  const StreamId stream = master_.Subscribe(TestMaster::Info("batch"));
  const std::string id = master_.SessionOf(stream).framework_id();
  master_.Allocate(id, agent_id, "cpus:2;mem:100");
  sched::AcceptOffersRequest accept;
  accept.add_offer_ids(master_.TakeOffers(stream)[0].id());
  auto* task = accept.add_operations()->mutable_launch()->add_tasks();
  task->set_id("t1");
  task->mutable_command()->set_value("true");
  *task->mutable_resources() = TestMaster::Resources("cpus:1");
  ASSERT_TRUE(master_.Call<sched::AcceptOffersResponse>(stream, accept).ok());
  master_.Allocate(id, agent_id, "cpus:1");

  sched::TeardownRequest teardown;
  *teardown.mutable_session() = master_.SessionOf(stream);
  ASSERT_TRUE(master_.Call<sched::TeardownResponse>(stream, teardown).ok());
  EXPECT_TRUE(master_.FrameworkClosed(stream)->ok());
  EXPECT_EQ(master_.TakeAgentMessages(agent, link::MasterMessage::kShutdownFramework).size(), 1u);
  EXPECT_TRUE(master_.Held(agent_id, id).empty());
  // A scrape still sees its last numbers for a while.
  ASSERT_EQ(master_.core().Metrics().frameworks.size(), 1u);
  EXPECT_EQ(master_.core().Metrics().frameworks[0].counters.tasks_terminated[pb::TASK_KILLED], 1u);
  // A repeat finds it done, and the id is dead.
  EXPECT_TRUE(master_.Call<sched::TeardownResponse>(stream, teardown).ok());
  EXPECT_EQ(ClosedWith(master_.Subscribe(Known(id))), pb::ErrorDetail::FRAMEWORK_REMOVED);
  // What the agent still says is acknowledged by the master itself.
  master_.Update(agent, id, "t1", pb::TASK_KILLED, std::string(16, 'k'));
  EXPECT_EQ(master_.TakeAgentMessages(agent, link::MasterMessage::kAcknowledgeUpdate).size(), 1u);
  for (int i = 0; i < 30; ++i) {
    master_.Pong(agent);
    master_.Advance(absl::Seconds(12));
  }
  EXPECT_TRUE(master_.core().Metrics().frameworks.empty());
}

TEST_F(SessionsTest, TooManyFrameworksAreRefused) {
  MasterConfig config = TestMaster::Config();
  config.frameworks_max = 1;
  TestRegistry registry;
  TestMaster master(&registry, kStart, config);
  master.Lead();
  master.Subscribe(TestMaster::Info("one"));
  const StreamId two = master.Subscribe(TestMaster::Info("two"));
  ASSERT_NE(master.FrameworkClosed(two), nullptr);
  EXPECT_EQ(rpc::ReasonOf(*master.FrameworkClosed(two)), pb::ErrorDetail::OVERLOADED);
}

}  // namespace
}  // namespace tessera::master
