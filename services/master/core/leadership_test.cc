// Who leads, and what a new leader finds.
#include <gtest/gtest.h>

#include "services/master/core/test_master.h"

namespace tessera::master {
namespace {

const absl::Time kStart = absl::FromUnixSeconds(1'700'000'000);

TEST(LeadershipTest, AStandbyNamesTheLeader) {
  TestRegistry registry;
  TestMaster master(&registry, kStart);
  master.LeadElsewhere("master-2:5050");
  master.Step(Started{});
  EXPECT_FALSE(master.core().leading());
  const StreamId stream = master.Subscribe(TestMaster::Info("batch"));
  ASSERT_NE(master.FrameworkClosed(stream), nullptr);
  EXPECT_EQ(master.FrameworkClosed(stream)->code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(rpc::DetailOf(*master.FrameworkClosed(stream))->leader_address(), "master-2:5050");
  EXPECT_EQ(rpc::ReasonOf(*master.AgentClosed(master.OpenAgent())), pb::ErrorDetail::NOT_LEADER);
  EXPECT_EQ(rpc::ReasonOf(
                master.Call<sched::TeardownResponse>(stream, sched::TeardownRequest()).status()),
            pb::ErrorDetail::NOT_LEADER);
  EXPECT_EQ(rpc::ReasonOf(
                master.Operate<ops::MarkAgentGoneResponse>(ops::MarkAgentGoneRequest()).status()),
            pb::ErrorDetail::NOT_LEADER);
}

TEST(LeadershipTest, ANewLeaderRefusesUntilItHasReadTheRegistry) {
  TestRegistry registry;
  TestMaster master(&registry, kStart);
  master.FailReads(absl::UnavailableError("slow"));
  master.Step(Started{});
  EXPECT_FALSE(master.core().leading());
  const AgentStreamId stream = master.OpenAgent();
  EXPECT_EQ(rpc::ReasonOf(*master.AgentClosed(stream)), pb::ErrorDetail::RECOVERING);
  master.FailReads(absl::OkStatus());
  master.Advance(absl::Seconds(5));
  EXPECT_TRUE(master.core().leading());
}

TEST(LeadershipTest, EachLeaderCountsUpTheCell) {
  TestRegistry registry;
  TestMaster first(&registry, kStart);
  first.Lead();
  const auto cell = registry.Get<reg::Cell>("settings/cell");
  ASSERT_TRUE(cell.has_value());
  EXPECT_EQ(cell->leader_count(), 1u);
  TestMaster second(&registry, kStart);
  second.Lead();
  EXPECT_EQ(registry.Get<reg::Cell>("settings/cell")->leader_count(), 2u);
  EXPECT_EQ(registry.Get<reg::Cell>("settings/cell")->id(), cell->id());
  const StreamId stream = second.Subscribe(TestMaster::Info("batch"));
  EXPECT_EQ(second.SessionOf(stream).framework_id(), cell->id() + "-2-0000");
}

TEST(LeadershipTest, StopsBeforeItsLeaseEnds) {
  TestRegistry registry;
  TestMaster master(&registry, kStart);
  master.Lead();
  const StreamId stream = master.Subscribe(TestMaster::Info("batch"));
  const AgentStreamId agent = master.Register(TestMaster::AgentInfo("host-1"));
  master.Advance(absl::Seconds(30));
  EXPECT_TRUE(master.core().leading()) << "renewals keep it";
  master.FailRenewals(absl::UnavailableError("no answer"));
  const absl::Time cut_off = master.now();
  while (master.core().leading()) master.Advance(absl::Milliseconds(100));
  EXPECT_LT(master.now(), cut_off + absl::Seconds(10)) << "the lease is ten seconds long";
  EXPECT_EQ(rpc::ReasonOf(*master.FrameworkClosed(stream)), pb::ErrorDetail::NOT_LEADER);
  EXPECT_EQ(rpc::ReasonOf(*master.AgentClosed(agent)), pb::ErrorDetail::NOT_LEADER);
  EXPECT_EQ(master.ended().size(), 1u);
}

// Otherwise the registry could grant the lease to the process that has just given it up.
TEST(LeadershipTest, AResignationGoesAfterTheLastRenewalIsAnswered) {
  TestRegistry registry;
  TestMaster master(&registry, kStart);
  master.Lead();
  master.TakeLeaseOrder();
  master.HoldRenewals();
  master.Step(StopRequested{});
  EXPECT_FALSE(master.core().leading());
  EXPECT_EQ(master.TakeLeaseOrder(), (std::vector<std::string>{"end campaign", "renew"}));
  master.ReleaseRenewals();
  EXPECT_EQ(master.TakeLeaseOrder(), (std::vector<std::string>{"resign", "stopped"}));
  master.Advance(absl::Hours(1));
  EXPECT_TRUE(master.TakeLeaseOrder().empty()) << "it strives no more";
}

TEST(LeadershipTest, ARegistryThatAnswersNothingIsNotWaitedForWithResigning) {
  TestRegistry registry;
  TestMaster master(&registry, kStart);
  master.Lead();
  master.TakeLeaseOrder();
  master.HoldRenewals();
  master.Step(StopRequested{});
  master.Advance(absl::Seconds(2));
  EXPECT_EQ(master.TakeLeaseOrder(),
            (std::vector<std::string>{"end campaign", "renew", "resign", "stopped"}));
}

TEST(LeadershipTest, AStandbyStopsAtOnce) {
  TestRegistry registry;
  TestMaster master(&registry, kStart);
  master.LeadElsewhere("other:5050");
  master.Step(Started{});
  master.TakeLeaseOrder();
  master.Step(StopRequested{});
  EXPECT_EQ(master.TakeLeaseOrder(), (std::vector<std::string>{"end campaign", "stopped"}));
  EXPECT_EQ(master.resignations(), 0);
}

TEST(LeadershipTest, AStaleEpochEndsItAtOnceAndNothingIsTold) {
  TestRegistry registry;
  TestMaster master(&registry, kStart);
  master.Lead();
  registry.epoch = 9;  // somebody else campaigned and won
  const StreamId stream = master.Subscribe(TestMaster::Info("batch"));
  EXPECT_TRUE(master.Events(stream, sched::Event::kSubscribed).empty());
  EXPECT_EQ(rpc::ReasonOf(*master.FrameworkClosed(stream)), pb::ErrorDetail::NOT_LEADER);
  EXPECT_EQ(master.ended().size(), 1u);
}

TEST(LeadershipTest, AFailedWriteIsSentAgain) {
  TestRegistry registry;
  TestMaster master(&registry, kStart);
  master.Lead();
  master.FailCommits(absl::UnavailableError("disk full"));
  const StreamId stream = master.Subscribe(TestMaster::Info("batch"));
  master.Advance(absl::Seconds(3));
  EXPECT_TRUE(master.Events(stream, sched::Event::kSubscribed).empty());
  master.FailCommits(absl::OkStatus());
  master.Advance(absl::Seconds(6));
  EXPECT_EQ(master.Events(stream, sched::Event::kSubscribed).size(), 1u);
}

TEST(LeadershipTest, CallsThatWaitAreAnsweredWhenItEnds) {
  TestRegistry registry;
  TestMaster master(&registry, kStart);
  master.Lead();
  master.HoldCommits();
  ops::UpdateWeightsRequest request;
  request.add_weights()->set_role("work");
  request.mutable_weights(0)->set_weight_milli(2000);
  master.Step(OperatorCall{CallId(77), request});
  EXPECT_EQ(master.core().Metrics().registry_queue, 1u);
  master.Step(StopRequested{});
  EXPECT_FALSE(master.core().leading());
  EXPECT_EQ(master.resignations(), 1);
}

class FailoverTest : public ::testing::Test {
 protected:
  FailoverTest() {
    first_ = std::make_unique<TestMaster>(&registry_, kStart);
    first_->Lead();
    info_ = TestMaster::Info("batch");
    const StreamId stream = first_->Subscribe(info_);
    info_.set_id(first_->SessionOf(stream).framework_id());
    const AgentStreamId agent = first_->Register(TestMaster::AgentInfo("host-1"));
    agent_id_ = first_->AgentId(agent);
    first_->Allocate(info_.id(), agent_id_, "cpus:1;mem:64");
    sched::AcceptOffersRequest request;
    request.add_offer_ids(first_->TakeOffers(stream).back().id());
    auto* task = request.add_operations()->mutable_launch()->add_tasks();
    task->set_id("t1");
    task->mutable_command()->set_value("true");
    *task->mutable_resources() = TestMaster::Resources("cpus:1;mem:64");
    EXPECT_TRUE(first_->Call<sched::AcceptOffersResponse>(stream, request).ok());
    record_ = TestMaster::EntryOf(
        first_->TakeAgentMessages(agent, link::MasterMessage::kRunTask)[0].run_task());
    second_ = std::make_unique<TestMaster>(&registry_, kStart + absl::Seconds(20));
    second_->Lead();
  }

  TestRegistry registry_;
  std::unique_ptr<TestMaster> first_;
  std::unique_ptr<TestMaster> second_;
  pb::FrameworkInfo info_;
  std::string agent_id_;
  link::TaskEntry record_;
};

TEST_F(FailoverTest, EverythingComesBack) {
  const StreamId stream = second_->Subscribe(info_);
  EXPECT_EQ(second_->SessionOf(stream).framework_id(), info_.id());
  // The task may be on the agent that is not back: silence.
  sched::ReconcileTasksRequest ask;
  ask.add_tasks()->set_task_id("t1");
  ask.mutable_tasks(0)->set_agent_id(agent_id_);
  ask.add_tasks()->set_task_id("t1");
  ASSERT_TRUE(second_->Call<sched::ReconcileTasksResponse>(stream, ask).ok());
  EXPECT_TRUE(second_->TakeStatuses(stream).empty());

  const AgentStreamId agent =
      second_->Reregister(TestMaster::AgentInfo("host-1"), agent_id_, {info_}, {record_});
  EXPECT_EQ(second_->AgentId(agent), agent_id_);
  EXPECT_TRUE(second_->TakeStatuses(stream).empty()) << "a task that went on is no news";
  ASSERT_TRUE(second_->Call<sched::ReconcileTasksResponse>(stream, ask).ok());
  const auto statuses = second_->TakeStatuses(stream);
  ASSERT_EQ(statuses.size(), 2u);
  EXPECT_EQ(statuses[0].state(), pb::TASK_RUNNING);
  EXPECT_EQ(second_->Held(agent_id_, info_.id()),
            model::ParseResources("cpus:1;mem:64")->AllocatedCopy("work"));
  EXPECT_EQ(second_->feed_resets(), 1);
}

TEST_F(FailoverTest, AnAgentBeforeItsFramework) {
  const AgentStreamId agent =
      second_->Reregister(TestMaster::AgentInfo("host-1"), agent_id_, {info_}, {record_});
  EXPECT_NE(second_->AgentId(agent), "");
  EXPECT_EQ(second_->core().Metrics().counters.tasks[pb::TASK_RUNNING], 1);
  // An update waits at the agent until there is somebody to tell.
  second_->Update(agent, info_.id(), "t1", pb::TASK_FINISHED, std::string(16, 'f'));
  const StreamId stream = second_->Subscribe(info_);
  EXPECT_TRUE(second_->TakeStatuses(stream).empty());
  second_->Update(agent, info_.id(), "t1", pb::TASK_FINISHED, std::string(16, 'f'));
  EXPECT_EQ(second_->TakeStatuses(stream)[0].state(), pb::TASK_FINISHED);
}

TEST_F(FailoverTest, AnAgentThatDoesNotComeBackIsUnreachable) {
  const StreamId stream = second_->Subscribe(info_);
  second_->Advance(absl::Minutes(9));
  EXPECT_EQ(second_->core().Metrics().agents_recovered, 1u);
  second_->Advance(absl::Minutes(2));
  EXPECT_EQ(second_->core().Metrics().agents_recovered, 0u);
  EXPECT_EQ(second_->core().Metrics().agents_unreachable, 1u);
  EXPECT_EQ(second_->Events(stream, sched::Event::kFailure).size(), 1u);
  // It comes back after all: its task is news now.
  second_->Reregister(TestMaster::AgentInfo("host-1"), agent_id_, {info_}, {record_});
  const auto statuses = second_->TakeStatuses(stream);
  ASSERT_EQ(statuses.size(), 1u);
  EXPECT_EQ(statuses[0].reason(), pb::REASON_AGENT_REREGISTERED);
}

TEST_F(FailoverTest, TooManyMissingAgentsAreNotGivenUp) {
  MasterConfig config = TestMaster::Config();
  config.recovery_removal_limit_percent = 50;
  TestMaster third(&registry_, kStart + absl::Minutes(1), config);
  third.Lead();
  third.Advance(absl::Hours(1));
  EXPECT_EQ(third.core().Metrics().agents_recovered, 1u);
}

TEST_F(FailoverTest, AFrameworkThatDoesNotComeBackIsRemoved) {
  const AgentStreamId agent =
      second_->Reregister(TestMaster::AgentInfo("host-1"), agent_id_, {info_}, {record_});
  for (int i = 0; i < 245; ++i) {
    second_->Pong(agent);
    second_->Advance(absl::Seconds(15));
  }
  EXPECT_TRUE(registry_.Get<reg::FrameworkEntry>("frameworks/" + info_.id())->has_completed_time());
  EXPECT_EQ(second_->TakeAgentMessages(agent, link::MasterMessage::kShutdownFramework).size(), 1u);
}

TEST_F(FailoverTest, RemovedIdsStayRemovedOverLeaders) {
  const StreamId stream = second_->Subscribe(info_);
  ASSERT_TRUE(second_->Call<sched::TeardownResponse>(stream, sched::TeardownRequest()).ok());
  TestMaster third(&registry_, kStart + absl::Minutes(1));
  third.Lead();
  const StreamId again = third.Subscribe(info_);
  EXPECT_EQ(rpc::ReasonOf(*third.FrameworkClosed(again)), pb::ErrorDetail::FRAMEWORK_REMOVED);
  // The agent is told to end what it still runs of it.
  const AgentStreamId agent =
      third.Reregister(TestMaster::AgentInfo("host-1"), agent_id_, {info_}, {record_});
  EXPECT_EQ(third.TakeAgentMessages(agent, link::MasterMessage::kShutdownFramework).size(), 1u);
  EXPECT_EQ(third.core().Metrics().counters.tasks[pb::TASK_RUNNING], 0);
}

TEST_F(FailoverTest, SettingsSurvive) {
  ops::UpdateWeightsRequest weights;
  weights.add_weights()->set_role("work");
  weights.mutable_weights(0)->set_weight_milli(3000);
  ASSERT_TRUE(second_->Operate<ops::UpdateWeightsResponse>(weights).ok());
  ops::DeactivateAgentRequest deactivate;
  deactivate.set_agent_id(agent_id_);
  ASSERT_TRUE(second_->Operate<ops::DeactivateAgentResponse>(deactivate).ok());
  TestMaster third(&registry_, kStart + absl::Minutes(1));
  third.Lead();
  bool weight_seen = false;
  for (const auto& event : third.TakeAllocatorEvents()) {
    if (event.has_weight_set()) weight_seen = event.weight_set().weight_milli() == 3000;
  }
  EXPECT_TRUE(weight_seen);
  third.Reregister(TestMaster::AgentInfo("host-1"), agent_id_, {info_}, {record_});
  EXPECT_EQ(third.core().Metrics().agents_connected_inactive, 1u);
}

TEST_F(FailoverTest, ADamagedRecordIsNotLedOn) {
  registry_.table["frameworks/broken"] = {std::string("\xff\xff garbage"), 3};
  TestMaster third(&registry_, kStart + absl::Minutes(1));
  third.Step(Started{});
  EXPECT_FALSE(third.core().leading());
  EXPECT_GE(third.resignations(), 1);
}

// Readers of the state rely on it: only the core of a master that leads makes heartbeats.
TEST(FeedHeartbeatTest, AreMadeWhileThisMasterLeads) {
  TestRegistry registry;
  TestMaster master(&registry, kStart);
  master.LeadElsewhere("master-2:5050");
  master.Step(Started{});
  master.Advance(absl::Minutes(1));
  EXPECT_EQ(master.feed_heartbeats(), 0);
  TestMaster leader(&registry, kStart);
  leader.Lead();
  EXPECT_EQ(leader.feed_heartbeats(), 1);
  leader.Advance(absl::Minutes(1));
  EXPECT_EQ(leader.feed_heartbeats(), 13);
  leader.FailRenewals(absl::UnavailableError("gone"));
  leader.LeadElsewhere("master-2:5050");
  leader.Advance(absl::Minutes(1));
  ASSERT_FALSE(leader.core().leading());
  const int last = leader.feed_heartbeats();
  leader.Advance(absl::Minutes(1));
  EXPECT_EQ(leader.feed_heartbeats(), last);
}

class AllocatorPingTest : public testing::Test {
 protected:
  AllocatorPingTest() { master_.Lead(); }

  TestRegistry registry_;
  TestMaster master_{&registry_, kStart};
};

TEST_F(AllocatorPingTest, AnAllocatorThatAnswersKeepsItsStream) {
  const LinkId link = master_.link();
  master_.Advance(absl::Minutes(10));
  EXPECT_EQ(master_.link(), link);
  EXPECT_EQ(master_.pings(), 40);
  EXPECT_EQ(master_.core().Metrics().counters.allocator_timeouts, 0u);
}

TEST_F(AllocatorPingTest, AnAllocatorThatIsStuckGetsANewStreamWithASnapshot) {
  master_.Advance(absl::Minutes(1));
  const LinkId link = master_.link();
  master_.StickAllocator();
  master_.Advance(absl::Seconds(59));
  EXPECT_EQ(master_.link(), link);
  master_.Advance(absl::Seconds(20));
  EXPECT_NE(master_.link(), link);
  EXPECT_EQ(master_.core().Metrics().counters.allocator_timeouts, 1u);
  EXPECT_TRUE(master_.snapshot_complete());
  // It is tried again and again, and kept once it answers.
  master_.Advance(absl::Minutes(5));
  EXPECT_EQ(master_.core().Metrics().counters.allocator_timeouts, 6u);
  master_.StickAllocator(false);
  const LinkId last = master_.link();
  master_.Advance(absl::Minutes(5));
  EXPECT_EQ(master_.link(), last);
}

}  // namespace
}  // namespace tessera::master
