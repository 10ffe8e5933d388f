// What runs is named by its incarnation: ids that frameworks use again, agents that come late or
// twice, and what a new leader learns from them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "services/master/core/test_tasks.h"

namespace tessera::master {
namespace {

using Kind = link::MasterMessage;

class IncarnationsTest : public TestTasks {
 protected:
  static pb::ExecutorInfo DefaultExecutor(const std::string& id) {
    pb::ExecutorInfo executor;
    executor.set_id(id);
    executor.set_type(pb::ExecutorInfo::DEFAULT);
    *executor.mutable_resources() = TestMaster::Resources("cpus:0.1;mem:32;disk:32");
    return executor;
  }
  // Launches a group of one task; returns the message that the agent got.
  link::MasterMessage::RunTaskGroup LaunchGroup(const std::string& executor,
                                                const std::string& task) {
    sched::AcceptOffersRequest request;
    request.add_offer_ids(Offer("cpus:2;mem:1024;disk:100"));
    auto* group = request.add_operations()->mutable_launch_group();
    *group->mutable_executor() = DefaultExecutor(executor);
    *group->mutable_group()->add_tasks() = Task(task);
    const auto answer = master_.Call<sched::AcceptOffersResponse>(stream_, request);
    EXPECT_TRUE(answer.ok() && answer->refused_task_ids().empty());
    return master_.TakeAgentMessages(agent_, Kind::kRunTaskGroup).back().run_task_group();
  }
  link::MasterMessage::RunTask LaunchOne(const std::string& id) {
    const auto answer = Launch({Offer("cpus:1;mem:64")}, {Task(id)});
    EXPECT_TRUE(answer.ok() && answer->refused_task_ids().empty());
    return master_.TakeAgentMessages(agent_, Kind::kRunTask).back().run_task();
  }
  void SendExited(const std::string& executor, const pb::Incarnation& incarnation,
                  bool refused = false) {
    link::AgentMessage message;
    auto* exited = message.mutable_executor_exited();
    exited->set_framework_id(framework_id_);
    exited->set_executor_id(executor);
    *exited->mutable_incarnation() = incarnation;
    exited->set_refused(refused);
    master_.Send(agent_, message);
  }
  size_t Failures() { return master_.Events(stream_, sched::Event::kFailure).size(); }
};

// ---- ids that are used again --------------------------------------------------------------------

TEST_F(IncarnationsTest, AnIdLaunchedAgainAtOnceIsAnotherTask) {
  pb::Incarnation last;
  for (int round = 0; round < 200; ++round) {
    const auto run = LaunchOne("t1");
    EXPECT_LT(model::wire::FromProto(last), model::wire::FromProto(run.task().incarnation()));
    if (round > 0) {
      // The agent repeats the end of the older one: it was acknowledged, and is again.
      master_.TakeAgentMessages(agent_, Kind::kAcknowledgeUpdate);
      master_.Update(agent_, framework_id_, "t1", pb::TASK_FINISHED, Uuid('f'), std::nullopt, last);
      EXPECT_TRUE(master_.TakeStatuses(stream_).empty());
      const auto again = master_.TakeAgentMessages(agent_, Kind::kAcknowledgeUpdate);
      ASSERT_EQ(again.size(), 1u);
      EXPECT_EQ(again[0].acknowledge_update().incarnation().number(), last.number());
      EXPECT_FALSE(master_.Held(agent_id_, framework_id_).empty()) << "the newer one lives";
    }
    last = run.task().incarnation();
    master_.Update(agent_, framework_id_, "t1", pb::TASK_FINISHED, Uuid('f'));
    ASSERT_EQ(master_.TakeStatuses(stream_).size(), 1u);
    Acknowledge("t1", Uuid('f'));
  }
}

TEST_F(IncarnationsTest, TheEndOfAnExecutorFreesItAndNoNewerOneOfItsId) {
  const auto first = LaunchGroup("e", "g1");
  EXPECT_TRUE(first.executor().launch_executor());
  master_.Update(agent_, framework_id_, "g1", pb::TASK_FINISHED, Uuid('f'));
  Acknowledge("g1", Uuid('f'));
  // It ends with its last task; the master has not heard so.
  const auto second = LaunchGroup("e", "g2");
  EXPECT_FALSE(second.executor().launch_executor()) << "said explicitly";
  EXPECT_EQ(second.executor().incarnation().number(), first.executor().incarnation().number());
  SendExited("e", first.executor().incarnation());
  master_.Update(agent_, framework_id_, "g2", pb::TASK_DROPPED, Uuid('d'));
  EXPECT_TRUE(master_.Held(agent_id_, framework_id_).empty());
  Acknowledge("g2", Uuid('d'));

  const auto third = LaunchGroup("e", "g2");
  EXPECT_TRUE(third.executor().launch_executor());
  EXPECT_NE(third.executor().incarnation().number(), first.executor().incarnation().number());
  const size_t failures = Failures();
  SendExited("e", first.executor().incarnation());
  EXPECT_EQ(master_.Held(agent_id_, framework_id_),
            model::ParseResources("cpus:1.1;mem:96;disk:32")->AllocatedCopy("work"));
  EXPECT_EQ(Failures(), failures) << "the framework means the one that lives";
}

TEST_F(IncarnationsTest, RefusedExecutorsLeaveNothingBooked) {
  for (int i = 0; i < 5; ++i) {
    const std::string id = "e" + std::to_string(i);
    pb::TaskInfo task = Task("t" + std::to_string(i), "cpus:0.1;mem:32");
    task.clear_command();
    task.mutable_executor()->set_id(id);
    task.mutable_executor()->set_type(pb::ExecutorInfo::CUSTOM);
    task.mutable_executor()->mutable_command()->set_value("true");
    *task.mutable_executor()->mutable_resources() = TestMaster::Resources("cpus:1.5;mem:32");
    ASSERT_TRUE(Launch({Offer()}, {task})->refused_task_ids().empty());
    const auto run = master_.TakeAgentMessages(agent_, Kind::kRunTask).back().run_task();
    EXPECT_TRUE(run.executor().launch_executor());
    EXPECT_EQ(run.executor().info(), model::wire::Describe(task.executor()).bytes());
    master_.Update(agent_, framework_id_, task.id(), pb::TASK_DROPPED, Uuid('d'));
    SendExited(id, run.executor().incarnation(), /*refused=*/true);
  }
  EXPECT_TRUE(master_.Held(agent_id_, framework_id_).empty());
  EXPECT_EQ(Failures(), 0u) << "they never began";
}

TEST_F(IncarnationsTest, KillsAndMessagesNameTheNewest) {
  const auto run = LaunchOne("t1");
  sched::KillTaskRequest kill;
  kill.set_task_id("t1");
  ASSERT_TRUE(master_.Call<sched::KillTaskResponse>(stream_, kill).ok());
  EXPECT_EQ(
      master_.TakeAgentMessages(agent_, Kind::kKillTask).at(0).kill_task().incarnation().number(),
      run.task().incarnation().number());
  const auto group = LaunchGroup("e", "g1");
  sched::ShutdownExecutorRequest shutdown;
  shutdown.set_agent_id(agent_id_);
  shutdown.set_executor_id("e");
  ASSERT_TRUE(master_.Call<sched::ShutdownExecutorResponse>(stream_, shutdown).ok());
  EXPECT_EQ(master_.TakeAgentMessages(agent_, Kind::kShutdownExecutor)
                .at(0)
                .shutdown_executor()
                .incarnation()
                .number(),
            group.executor().incarnation().number());
  shutdown.set_executor_id("no-such");
  ASSERT_TRUE(master_.Call<sched::ShutdownExecutorResponse>(stream_, shutdown).ok());
  EXPECT_TRUE(master_.TakeAgentMessages(agent_, Kind::kShutdownExecutor).empty());
}

TEST_F(IncarnationsTest, OfTwoTasksOfOneIdTheNewerOneIsMeant) {
  const auto run = LaunchOne("t1");
  // An agent that nobody knows comes with another one.
  link::TaskEntry newer = TestMaster::EntryOf(run);
  newer.mutable_incarnation()->set_number(run.task().incarnation().number() + 1000);
  const AgentStreamId other =
      master_.Reregister(TestMaster::AgentInfo("host-2"), "cell-1-S7", {}, {newer});
  // Its number is the higher one: what this master launched is superseded, and killed.
  const auto kills = master_.TakeAgentMessages(agent_, Kind::kKillTask);
  ASSERT_EQ(kills.size(), 1u);
  EXPECT_EQ(kills[0].kill_task().incarnation().number(), run.task().incarnation().number());
  master_.TakeStatuses(stream_);
  master_.Update(agent_, framework_id_, "t1", pb::TASK_KILLED, Uuid('k'), std::nullopt,
                 run.task().incarnation());
  EXPECT_TRUE(master_.TakeStatuses(stream_).empty()) << "of the newer one nothing was told";
  EXPECT_EQ(master_.TakeAgentMessages(agent_, Kind::kAcknowledgeUpdate).size(), 1u);
  EXPECT_TRUE(master_.Held(agent_id_, framework_id_).empty());
  master_.Update(other, framework_id_, "t1", pb::TASK_FINISHED, Uuid('f'), std::nullopt,
                 newer.incarnation());
  EXPECT_EQ(master_.TakeStatuses(stream_).size(), 1u);
}

// ---- what an agent is told with a launch --------------------------------------------------------

TEST_F(IncarnationsTest, AFrameworkIsDescribedOnceToAStream) {
  LaunchOne("t1");
  LaunchOne("t2");
  auto told = master_.TakeAgentMessages(agent_, Kind::kDescribeFramework);
  ASSERT_EQ(told.size(), 1u);
  pb::FrameworkInfo info;
  ASSERT_TRUE(info.ParseFromString(told[0].describe_framework().info()));
  EXPECT_EQ(info.id(), framework_id_);

  sched::UpdateFrameworkRequest update;
  *update.mutable_info() = TestMaster::Info("renamed");
  update.mutable_info()->set_id(framework_id_);
  update.mutable_info()->mutable_failover_timeout()->set_seconds(7200);
  ASSERT_TRUE(master_.Call<sched::UpdateFrameworkResponse>(stream_, update).ok());
  EXPECT_EQ(master_.TakeAgentMessages(agent_, Kind::kDescribeFramework).size(), 1u)
      << "it has tasks of it";
  LaunchOne("t3");
  EXPECT_TRUE(master_.TakeAgentMessages(agent_, Kind::kDescribeFramework).empty());
}

TEST_F(IncarnationsTest, ANewStreamIsToldUnlessItBringsTheSame) {
  const auto run = LaunchOne("t1");
  const std::string info =
      master_.TakeAgentMessages(agent_, Kind::kDescribeFramework).at(0).describe_framework().info();
  pb::FrameworkInfo same;
  ASSERT_TRUE(same.ParseFromString(info));
  agent_ = master_.Reregister(TestMaster::AgentInfo("host-1"), agent_id_, {same},
                              {TestMaster::EntryOf(run)});
  LaunchOne("t2");
  EXPECT_TRUE(master_.TakeAgentMessages(agent_, Kind::kDescribeFramework).empty());
  same.set_name("before it was renamed");
  agent_ = master_.Reregister(TestMaster::AgentInfo("host-1"), agent_id_, {same},
                              {TestMaster::EntryOf(run)});
  const auto told = master_.TakeAgentMessages(agent_, Kind::kDescribeFramework);
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].describe_framework().info(), info);
}

TEST_F(IncarnationsTest, ALaunchNamesTheTotalThatItCountsOn) {
  EXPECT_EQ(LaunchOne("t1").resource_version(), 0u);
  link::AgentMessage message;
  auto* update = message.mutable_total_update();
  *update->mutable_total_resources() = TestMaster::Resources("cpus:8;mem:8192");
  update->set_resource_version(7);
  master_.Send(agent_, message);
  EXPECT_EQ(LaunchOne("t2").resource_version(), 7u);
}

TEST_F(IncarnationsTest, DataGoesToTheAgentAndNowhereElse) {
  pb::TaskInfo task = Task("t1");
  task.set_data(std::string(1000, 'd'));
  ASSERT_TRUE(Launch({Offer()}, {task}).ok());
  const auto run = master_.TakeAgentMessages(agent_, Kind::kRunTask).back().run_task();
  EXPECT_EQ(run.task().info(), model::wire::Describe(task).bytes());
  task.clear_data();
  for (const feed::Change& change : master_.feed_changes()) {
    const auto* set = std::get_if<feed::TaskSet>(&change);
    if (set == nullptr) continue;
    EXPECT_EQ(set->task.facts->info, model::wire::Describe(task));
  }
}

// ---- agents that come back ----------------------------------------------------------------------

// A new leader that heard of a task by its status only would not count it, nor kill it.
TEST_F(IncarnationsTest, ATaskThatIsNotBookedIsAskedForWithTheWholeInventory) {
  link::AgentMessage message;
  auto* update = message.mutable_status_update();
  update->set_framework_id(framework_id_);
  update->mutable_status()->set_task_id("t1");
  update->mutable_status()->set_state(pb::TASK_RUNNING);
  update->mutable_status()->set_uuid(Uuid('r'));
  update->set_latest_state(pb::TASK_RUNNING);
  *update->mutable_incarnation() = TestMaster::MadeUp();
  master_.Send(agent_, message);
  EXPECT_TRUE(master_.TakeStatuses(stream_).empty()) << "what is not booked is not told";
  EXPECT_TRUE(master_.TakeAgentMessages(agent_, Kind::kAcknowledgeUpdate).empty());
  ASSERT_NE(master_.AgentClosed(agent_), nullptr);
  EXPECT_EQ(master_.AgentClosed(agent_)->code(), absl::StatusCode::kAborted);
  EXPECT_EQ(master_.core().Metrics().counters.inventories_asked, 1u);

  link::TaskEntry entry;
  entry.set_framework_id(framework_id_);
  entry.set_task_id("t1");
  *entry.mutable_incarnation() = TestMaster::MadeUp();
  *entry.mutable_resources() = TestMaster::Resources("cpus:1");
  entry.set_state(pb::TASK_RUNNING);
  agent_ = master_.Reregister(TestMaster::AgentInfo("host-1"), agent_id_, {}, {entry});
  EXPECT_FALSE(master_.Held(agent_id_, framework_id_).empty());
  master_.Send(agent_, message);
  EXPECT_EQ(master_.TakeStatuses(stream_).size(), 1u);
  sched::KillTaskRequest kill;
  kill.set_task_id("t1");
  ASSERT_TRUE(master_.Call<sched::KillTaskResponse>(stream_, kill).ok());
  EXPECT_EQ(master_.TakeAgentMessages(agent_, Kind::kKillTask).size(), 1u);
}

// What an agent has accepted and not written yet is in its inventory: it will run.
TEST_F(IncarnationsTest, ATaskThatIsNotDurableYetIsNotDeclaredGoneByANewLeader) {
  const auto run = LaunchOne("t1");
  TestMaster next(&registry_, kTestTasksStart + absl::Minutes(1));
  next.Lead();
  pb::FrameworkInfo info = TestMaster::Info("batch");
  info.set_id(framework_id_);
  const StreamId stream = next.Subscribe(info);
  link::TaskEntry entry = TestMaster::EntryOf(run);
  entry.set_state(pb::TASK_STAGING);
  entry.set_durable(false);
  const AgentStreamId agent =
      next.Reregister(TestMaster::AgentInfo("host-1"), agent_id_, {info}, {entry});
  sched::ReconcileTasksRequest ask;
  ask.add_tasks()->set_task_id("t1");
  ask.mutable_tasks(0)->set_agent_id(agent_id_);
  ASSERT_TRUE(next.Call<sched::ReconcileTasksResponse>(stream, ask).ok());
  auto statuses = next.TakeStatuses(stream);
  ASSERT_EQ(statuses.size(), 1u);
  EXPECT_EQ(statuses[0].state(), pb::TASK_STAGING);
  next.Update(agent, framework_id_, "t1", pb::TASK_RUNNING, Uuid('r'));
  EXPECT_EQ(next.TakeStatuses(stream).at(0).state(), pb::TASK_RUNNING);
  EXPECT_FALSE(next.Held(agent_id_, framework_id_).empty()) << "it is counted";
}

TEST_F(IncarnationsTest, ReconciliationWithANewLeaderTellsNoEndBeforeItsTurn) {
  const auto run = LaunchOne("t1");
  TestMaster next(&registry_, kTestTasksStart + absl::Minutes(1));
  next.Lead();
  pb::FrameworkInfo info = TestMaster::Info("batch");
  info.set_id(framework_id_);
  const StreamId stream = next.Subscribe(info);
  link::TaskEntry entry = TestMaster::EntryOf(run);
  entry.set_state(pb::TASK_FINISHED);
  entry.set_status_update_state(pb::TASK_STARTING);
  next.Reregister(TestMaster::AgentInfo("host-1"), agent_id_, {info}, {entry});
  next.TakeStatuses(stream);
  ASSERT_TRUE(
      next.Call<sched::ReconcileTasksResponse>(stream, sched::ReconcileTasksRequest()).ok());
  const auto statuses = next.TakeStatuses(stream);
  ASSERT_EQ(statuses.size(), 1u);
  EXPECT_EQ(statuses[0].state(), pb::TASK_STARTING) << "RUNNING and FINISHED are on their way";
  EXPECT_TRUE(next.Held(agent_id_, framework_id_).empty()) << "it has ended all the same";
}

// A launch that its agent refused while the leader changed: nobody else tells its end.
TEST_F(IncarnationsTest, AnEndThatNobodyHasHeardOfIsToldUntilItIsAcknowledged) {
  const pb::Incarnation incarnation = TestMaster::MadeUp();
  master_.Update(agent_, framework_id_, "t1", pb::TASK_DROPPED, Uuid('d'), std::nullopt,
                 incarnation);
  EXPECT_EQ(master_.TakeStatuses(stream_).at(0).state(), pb::TASK_DROPPED);
  Acknowledge("t1", Uuid('d'));
  auto acknowledged = master_.TakeAgentMessages(agent_, Kind::kAcknowledgeUpdate);
  ASSERT_EQ(acknowledged.size(), 1u);
  EXPECT_EQ(acknowledged[0].acknowledge_update().incarnation().number(), incarnation.number());
  // The agent repeated it meanwhile.
  master_.Update(agent_, framework_id_, "t1", pb::TASK_DROPPED, Uuid('d'), std::nullopt,
                 incarnation);
  EXPECT_TRUE(master_.TakeStatuses(stream_).empty());
  EXPECT_EQ(master_.TakeAgentMessages(agent_, Kind::kAcknowledgeUpdate).size(), 1u);
}

TEST_F(IncarnationsTest, OperationsOfANewerWorldAreCountedAndDropNothing) {
  const auto run = LaunchOne("t1");
  pb::AgentInfo info = TestMaster::AgentInfo("host-1");
  info.set_id(agent_id_);
  const AgentStreamId stream = master_.Register(info);
  link::AgentMessage message;
  *message.mutable_inventory()->add_tasks() = TestMaster::EntryOf(run);
  message.mutable_inventory()->add_operations()->set_uuid(Uuid('o'));
  message.mutable_inventory()->set_last(true);
  master_.Send(stream, message);
  EXPECT_EQ(master_.AgentClosed(stream), nullptr);
  EXPECT_EQ(master_.core().Metrics().counters.inventory_operations, 1u);
  EXPECT_FALSE(master_.Held(agent_id_, framework_id_).empty());
}

// ---- agents and their ids -----------------------------------------------------------------------

TEST_F(IncarnationsTest, ALivingAgentsAddressIsNotGivenAway) {
  LaunchOne("t1");
  const AgentStreamId copy = master_.Register(TestMaster::AgentInfo("host-1"));
  ASSERT_NE(master_.AgentClosed(copy), nullptr);
  EXPECT_EQ(master_.AgentClosed(copy)->code(), absl::StatusCode::kAlreadyExists);
  const auto detail = rpc::DetailOf(*master_.AgentClosed(copy));
  EXPECT_EQ(detail->reason(), pb::ErrorDetail::ADDRESS_IN_USE);
  EXPECT_TRUE(detail->has_retry_after());
  EXPECT_EQ(master_.AgentClosed(agent_), nullptr);
  EXPECT_TRUE(master_.TakeStatuses(stream_).empty()) << "no framework hears of it";
  EXPECT_EQ(Failures(), 0u);
}

TEST_F(IncarnationsTest, AnIdThatWasTakenAwayNeverComesBack) {
  const auto run = LaunchOne("t1");
  master_.CloseAgentStream(agent_);
  const AgentStreamId fresh = master_.Register(TestMaster::AgentInfo("host-1"));
  EXPECT_NE(master_.AgentId(fresh), agent_id_);
  EXPECT_EQ(master_.TakeStatuses(stream_).at(0).state(), pb::TASK_GONE);
  const AgentStreamId old = master_.Reregister(TestMaster::AgentInfo("host-1"), agent_id_, {},
                                               {TestMaster::EntryOf(run)});
  ASSERT_NE(master_.AgentClosed(old), nullptr);
  EXPECT_EQ(rpc::ReasonOf(*master_.AgentClosed(old)), pb::ErrorDetail::AGENT_GONE);
  EXPECT_TRUE(master_.TakeStatuses(stream_).empty()) << "gone is gone";
  EXPECT_TRUE(registry_.Get<reg::GoneAgent>("agents/gone/" + agent_id_).has_value());
}

TEST_F(IncarnationsTest, AnAgentThatLeftMayNotComeBackWithItsId) {
  const auto run = LaunchOne("t1");
  link::AgentMessage leave;
  leave.mutable_unregister();
  master_.Send(agent_, leave);
  EXPECT_TRUE(master_.AgentClosed(agent_)->ok());
  const AgentStreamId again = master_.Reregister(TestMaster::AgentInfo("host-1"), agent_id_, {},
                                                 {TestMaster::EntryOf(run)});
  EXPECT_EQ(rpc::ReasonOf(*master_.AgentClosed(again)), pb::ErrorDetail::AGENT_GONE);
}

// A registry that was restored from a backup has an older count of leaders; its epoch was raised.
TEST_F(IncarnationsTest, NoIdIsGivenAgainAfterARestoreOfTheRegistry) {
  TestRegistry backup = registry_;
  TestMaster later(&registry_, kTestTasksStart + absl::Minutes(1));
  later.Lead();
  const StreamId stream = later.Subscribe(TestMaster::Info("after the backup"));
  const std::string framework = later.SessionOf(stream).framework_id();
  const std::string agent = later.AgentId(later.Register(TestMaster::AgentInfo("host-2")));
  backup.epoch = registry_.epoch;
  TestMaster restored(&backup, kTestTasksStart + absl::Minutes(2));
  restored.Lead();
  for (int i = 0; i < 5; ++i) {
    const StreamId fresh = restored.Subscribe(TestMaster::Info("new"));
    EXPECT_NE(restored.SessionOf(fresh).framework_id(), framework);
    const std::string host = "new-" + std::to_string(i);
    EXPECT_NE(restored.AgentId(restored.Register(TestMaster::AgentInfo(host))), agent);
  }
}

}  // namespace
}  // namespace tessera::master
