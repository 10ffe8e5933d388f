// Scripts of one agent: tasks from acceptance to acknowledgement.
#include "services/agent/core/agent_core.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "services/agent/core/testing/agent_harness.h"

namespace tessera::agent {
namespace {

using testing::AgentHarness;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::MasterMessage;
using ::testing::Pair;
using ::testing::SizeIs;

constexpr int kExit0 = 0;
constexpr int kExit3 = 3 << 8;
constexpr int kSigkill = 9;
constexpr int kSigterm = 15;

model::v1::TaskStatus LastOf(AgentHarness& agent, const std::string& task) {
  return agent.statuses[task].back();
}

TEST(AgentCoreTest, TaskRunsFromAcceptanceToAcknowledgement) {
  AgentHarness agent;
  agent.Register();
  agent.FromMaster(agent.RunTask("t1"));
  EXPECT_THAT(agent.Drain(), ElementsAre("t1:TASK_STARTING"));
  ASSERT_THAT(agent.launched, SizeIs(1));
  agent.Launched("t1");
  EXPECT_THAT(agent.Drain(), ElementsAre("t1:TASK_RUNNING"));
  EXPECT_EQ(LastOf(agent, "t1").container_status().init_pid(), 100);
  agent.Ends("t1", kExit0);
  EXPECT_THAT(agent.Drain(), ElementsAre("t1:TASK_FINISHED"));
  EXPECT_EQ(LastOf(agent, "t1").message(), "Command exited with status 0");
  EXPECT_EQ(LastOf(agent, "t1").wait_status(), 0);
  EXPECT_EQ(agent.released.count(agent.ContainerOf("t1")), 1);
  EXPECT_TRUE(agent.core().View()->used.empty());
  EXPECT_EQ(agent.core().View()->unacknowledged_statuses, 0);
  EXPECT_EQ(agent.core().View()->frameworks, 0);
}

TEST(AgentCoreTest, NothingIsLaunchedOrSentBeforeItIsDurable) {
  AgentHarness agent;
  agent.Register();
  agent.auto_sync = false;
  agent.sent.clear();
  agent.FromMaster(agent.RunTask("t1"));
  EXPECT_THAT(agent.launched, IsEmpty());
  EXPECT_THAT(agent.TakeUpdates(), IsEmpty());
  agent.Sync();
  EXPECT_THAT(agent.launched, SizeIs(1));
  auto updates = agent.TakeUpdates();
  ASSERT_THAT(updates, SizeIs(1));
  agent.Launched("t1");
  EXPECT_THAT(agent.TakeUpdates(), IsEmpty());
  agent.Sync();
  // RUNNING waits for the acknowledgement of STARTING, and that for the log.
  EXPECT_THAT(agent.TakeUpdates(), IsEmpty());
  agent.Acknowledge(updates[0]);
  EXPECT_THAT(agent.TakeUpdates(), IsEmpty());
  agent.Sync();
  updates = agent.TakeUpdates();
  ASSERT_THAT(updates, SizeIs(1));
  EXPECT_EQ(updates[0].status().state(), model::v1::TASK_RUNNING);
  agent.Ends("t1", kExit0);
  EXPECT_THAT(agent.released, IsEmpty()) << "the end is not durable yet";
  agent.Sync();
  EXPECT_THAT(agent.released, SizeIs(1));
}

TEST(AgentCoreTest, LatestStateRunsAheadOfTheStatusThatIsDelivered) {
  AgentHarness agent;
  agent.Register();
  agent.FromMaster(agent.RunTask("t1"));
  agent.Launched("t1");
  agent.Ends("t1", kExit3);
  agent.Advance(absl::Seconds(11));
  const auto updates = agent.TakeUpdates();
  ASSERT_THAT(updates, SizeIs(2)) << "STARTING, and once more after 10 s";
  EXPECT_EQ(updates[1].status().state(), model::v1::TASK_STARTING);
  EXPECT_EQ(updates[1].status().uuid(), updates[0].status().uuid());
  EXPECT_EQ(updates[1].latest_state(), model::v1::TASK_FAILED);
}

TEST(AgentCoreTest, StatusIsRepeatedWithGrowingWaitsUntilAcknowledged) {
  AgentHarness agent;
  agent.Register();
  agent.FromMaster(agent.RunTask("t1"));
  const absl::Time first = agent.now;
  auto update = agent.TakeUpdates()[0];
  std::vector<int64_t> waits;
  MasterMessage ping;
  ping.mutable_ping()->set_sequence(1);
  while (agent.now < first + absl::Minutes(40)) {
    agent.Advance(absl::Seconds(1));
    if (!agent.TakeUpdates().empty()) waits.push_back(absl::ToInt64Seconds(agent.now - first));
    agent.FromMaster(ping);
  }
  EXPECT_THAT(waits, ElementsAre(10, 30, 70, 150, 310, 630, 1230, 1830));
  EXPECT_EQ(agent.core().View()->counters.status_update_retries, waits.size());
  agent.Acknowledge(update);
  agent.TakeUpdates();
  agent.Advance(absl::Seconds(70));
  EXPECT_THAT(agent.TakeUpdates(), IsEmpty());
}

TEST(AgentCoreTest, WrongAndRepeatedAcknowledgementsAreIgnored) {
  AgentHarness agent;
  agent.Register();
  agent.FromMaster(agent.RunTask("t1"));
  auto update = agent.TakeUpdates()[0];
  auto wrong = update;
  wrong.mutable_status()->set_uuid("0123456789abcdef");
  agent.Acknowledge(wrong);
  agent.Launched("t1");
  EXPECT_THAT(agent.TakeUpdates(), IsEmpty());
  agent.Acknowledge(update);
  EXPECT_THAT(agent.TakeUpdates(), SizeIs(1));
  agent.Acknowledge(update);
  EXPECT_EQ(agent.core().View()->counters.ignored_messages, 2);
}

TEST(AgentCoreTest, FailedLaunchEndsTheTaskWithTheStep) {
  AgentHarness agent;
  agent.Register();
  agent.FromMaster(agent.RunTask("t1"));
  agent.LaunchFails("t1", LaunchStep::kUser, "user \"nobody2\" not found");
  agent.Drain();
  EXPECT_EQ(LastOf(agent, "t1").state(), model::v1::TASK_FAILED);
  EXPECT_EQ(LastOf(agent, "t1").reason(), model::v1::REASON_CONTAINER_LAUNCH_FAILED);
  EXPECT_THAT(LastOf(agent, "t1").message(), HasSubstr("(user): user \"nobody2\" not found"));
  EXPECT_TRUE(agent.core().View()->used.empty());
}

TEST(AgentCoreTest, ExhaustedMemoryIsToldAsSuch) {
  AgentHarness agent;
  agent.Register();
  agent.FromMaster(agent.RunTask("t1"));
  agent.Launched("t1");
  agent.Ends("t1", kSigkill, /*memory=*/true);
  agent.Drain();
  const auto status = LastOf(agent, "t1");
  EXPECT_EQ(status.state(), model::v1::TASK_FAILED);
  EXPECT_EQ(status.reason(), model::v1::REASON_CONTAINER_LIMITATION_MEMORY);
  ASSERT_EQ(status.limitation_size(), 1);
  EXPECT_EQ(status.limitation(0).name(), "mem");
  EXPECT_EQ(status.limitation(0).scalar().milli(), 64'000);
}

TEST(AgentCoreTest, FatalSignalFailsTheTask) {
  AgentHarness agent;
  agent.Register();
  agent.FromMaster(agent.RunTask("t1"));
  agent.Launched("t1");
  agent.Ends("t1", 11 | 0x80);
  agent.Drain();
  EXPECT_EQ(LastOf(agent, "t1").state(), model::v1::TASK_FAILED);
  EXPECT_EQ(LastOf(agent, "t1").message(), "Command terminated with signal SIGSEGV (core dumped)");
}

// ---- Kill ----

TEST(AgentCoreTest, KillGivesGraceAndALaterKillCanOnlyShortenIt) {
  AgentHarness agent;
  agent.Register();
  agent.FromMaster(agent.RunTask("t1"));
  agent.Launched("t1");
  agent.FromMaster(agent.Kill("t1", 60));
  ASSERT_THAT(agent.kills, SizeIs(1));
  EXPECT_EQ(agent.kills[0].second, absl::Seconds(60));
  agent.Advance(absl::Seconds(1));
  agent.FromMaster(agent.Kill("t1", 120));
  EXPECT_THAT(agent.kills, SizeIs(1)) << "a longer grace changes nothing";
  agent.FromMaster(agent.Kill("t1", 5));
  ASSERT_THAT(agent.kills, SizeIs(2));
  EXPECT_EQ(agent.kills[1].second, absl::Seconds(5));
  agent.FromMaster(agent.Kill("t1", 0));
  EXPECT_THAT(agent.destroyed, SizeIs(1));
  agent.Ends("t1", kSigterm);
  agent.Drain();
  EXPECT_EQ(LastOf(agent, "t1").state(), model::v1::TASK_KILLED);
  EXPECT_EQ(LastOf(agent, "t1").wait_status(), kSigterm);
}

TEST(AgentCoreTest, DefaultGraceIsThreeSecondsAndTheTaskMayNameItsOwn) {
  AgentHarness agent;
  agent.Register();
  agent.FromMaster(agent.RunTask("t1"));
  model::v1::TaskInfo other = agent.Info("t2");
  other.mutable_kill_policy()->mutable_grace_period()->set_seconds(9);
  agent.FromMaster(agent.RunTask(other));
  agent.Launched("t1");
  agent.Launched("t2");
  agent.FromMaster({agent.Kill("t1"), agent.Kill("t2")});
  ASSERT_THAT(agent.kills, SizeIs(2));
  EXPECT_EQ(agent.kills[0].second, absl::Seconds(3));
  EXPECT_EQ(agent.kills[1].second, absl::Seconds(9));
}

TEST(AgentCoreTest, KillingIsToldToFrameworksThatKnowTheState) {
  AgentHarness agent;
  agent.Register();
  agent.Framework().add_capabilities(model::v1::FrameworkInfo::TASK_KILLING_STATE);
  agent.FromMaster(agent.RunTask("t1"));
  agent.Launched("t1");
  agent.FromMaster(agent.Kill("t1"));
  agent.Ends("t1", kExit0);
  EXPECT_THAT(agent.Drain(), ElementsAre("t1:TASK_STARTING", "t1:TASK_RUNNING", "t1:TASK_KILLING",
                                         "t1:TASK_KILLED"));
}

TEST(AgentCoreTest, KillBeforeTheLaunchStartsNothing) {
  AgentHarness agent;
  agent.Register();
  agent.FromMaster({agent.RunTask("t1"), agent.Kill("t1")});
  EXPECT_THAT(agent.launched, IsEmpty());
  agent.Drain();
  EXPECT_EQ(LastOf(agent, "t1").state(), model::v1::TASK_KILLED);
  EXPECT_EQ(LastOf(agent, "t1").reason(), model::v1::REASON_TASK_KILLED_DURING_LAUNCH);
}

TEST(AgentCoreTest, KillDuringTheLaunchDestroys) {
  AgentHarness agent;
  agent.Register();
  agent.FromMaster(agent.RunTask("t1"));
  agent.FromMaster(agent.Kill("t1"));
  EXPECT_THAT(agent.destroyed, SizeIs(1));
  agent.LaunchFails("t1", LaunchStep::kAborted, "destroyed");
  agent.Drain();
  EXPECT_EQ(LastOf(agent, "t1").state(), model::v1::TASK_KILLED);
  EXPECT_EQ(LastOf(agent, "t1").reason(), model::v1::REASON_TASK_KILLED_DURING_LAUNCH);
}

// A task may have filled the very disk that the record of its kill needs.
TEST(AgentCoreTest, KillsDoNotWaitForTheLog) {
  AgentHarness agent;
  agent.Register();
  model::v1::TaskInfo limited = AgentHarness::Info("limited");
  limited.mutable_max_completion_time()->set_seconds(60);
  agent.FromMaster({agent.RunTask("asked"), agent.RunTask("operated"), agent.RunTask(limited),
                    agent.RunTask("drained")});
  for (const char* task : {"asked", "operated", "limited", "drained"}) agent.Launched(task);
  agent.Drain();
  agent.auto_sync = false;
  agent.FromMaster(agent.Kill("asked", 5));
  EXPECT_THAT(agent.kills, ElementsAre(Pair(agent.ContainerOf("asked"), absl::Seconds(5))));
  agent.Step(OperatorSignal{1, agent.ContainerOf("operated"), kSigkill});
  EXPECT_THAT(agent.destroyed, ElementsAre(agent.ContainerOf("operated")));
  agent.destroyed.clear();
  agent.Advance(absl::Seconds(61));
  EXPECT_THAT(agent.destroyed, Contains(agent.ContainerOf("limited")));
  MasterMessage drain;
  drain.mutable_drain()->mutable_config();
  agent.FromMaster(drain);
  EXPECT_THAT(agent.kills, Contains(Pair(agent.ContainerOf("drained"), absl::Seconds(3))));
  // What they came to is told when it is durable, not before.
  agent.sent.clear();
  agent.Ends("asked", kSigterm);
  EXPECT_THAT(agent.TakeUpdates(), IsEmpty());
  agent.auto_sync = true;
  agent.Sync();
  agent.Drain();
  EXPECT_EQ(LastOf(agent, "asked").state(), model::v1::TASK_KILLED);
}

TEST(AgentCoreTest, NothingNewIsBegunInTheLastSpaceOfTheLog) {
  AgentHarness agent;
  agent.Register();
  agent.FromMaster(agent.RunTask("before"));
  agent.Launched("before");
  agent.Drain();
  agent.Step(LogSpace{true});
  const size_t records = agent.log.size();
  agent.FromMaster(agent.RunTask("meanwhile"));
  EXPECT_THAT(agent.Drain(), ElementsAre("meanwhile:TASK_DROPPED"));
  EXPECT_THAT(LastOf(agent, "meanwhile").message(), HasSubstr("disk of the agent's log is full"));
  EXPECT_EQ(agent.log.size(), records) << "refusing costs nothing of it";
  agent.Ends("before", kExit0);
  EXPECT_THAT(agent.Drain(), ElementsAre("before:TASK_FINISHED"));
  agent.Step(LogSpace{false});
  agent.FromMaster(agent.RunTask("after"));
  EXPECT_THAT(agent.Drain(), ElementsAre("after:TASK_STARTING"));
}

TEST(AgentCoreTest, ContainerThatDoesNotDieIsDestroyedAgain) {
  AgentHarness agent;
  agent.Register();
  agent.FromMaster(agent.RunTask("t1"));
  agent.Launched("t1");
  agent.FromMaster(agent.Kill("t1", 1));
  agent.Advance(absl::Seconds(35));
  EXPECT_THAT(agent.destroyed, SizeIs(3));
  EXPECT_EQ(agent.core().View()->counters.destroy_retries, 3);
}

TEST(AgentCoreTest, KillOfAnUnknownTaskIsAnsweredDurably) {
  AgentHarness agent;
  agent.Register();
  agent.FromMaster(agent.Kill("nope"));
  agent.Drain();
  EXPECT_EQ(LastOf(agent, "nope").state(), model::v1::TASK_DROPPED);
  EXPECT_EQ(LastOf(agent, "nope").uuid().size(), 16);
}

TEST(AgentCoreTest, MaxCompletionTimeFailsTheTask) {
  AgentHarness agent;
  agent.Register();
  model::v1::TaskInfo limited = AgentHarness::Info("t1");
  limited.mutable_max_completion_time()->set_seconds(30);
  agent.FromMaster(agent.RunTask(limited));
  agent.Advance(absl::Seconds(5));
  agent.Launched("t1");
  agent.Advance(absl::Seconds(29));
  EXPECT_THAT(agent.destroyed, IsEmpty());
  agent.Advance(absl::Seconds(1));
  EXPECT_THAT(agent.destroyed, SizeIs(1));
  agent.Ends("t1", kSigkill);
  agent.Drain();
  EXPECT_EQ(LastOf(agent, "t1").state(), model::v1::TASK_FAILED);
  EXPECT_EQ(LastOf(agent, "t1").reason(), model::v1::REASON_MAX_COMPLETION_TIME_REACHED);
}

// ---- Refusals ----

TEST(AgentCoreTest, BadTasksAreRefusedWithWhatIsWrong) {
  AgentHarness agent;
  agent.Register();
  const auto refused = [&](const model::v1::TaskInfo& info, const std::string& framework = "fw-1") {
    agent.FromMaster(agent.RunTask(info, framework));
    agent.Drain();
    EXPECT_EQ(LastOf(agent, info.id()).state(), model::v1::TASK_ERROR);
    EXPECT_EQ(LastOf(agent, info.id()).reason(), model::v1::REASON_TASK_INVALID);
    return LastOf(agent, info.id()).message();
  };
  EXPECT_THAT(refused(agent.Info("a/b")), HasSubstr("task id"));
  EXPECT_THAT(refused(agent.Info("a\nb")), HasSubstr("task id"));
  EXPECT_THAT(refused(agent.Info("..")), HasSubstr("task id"));
  EXPECT_THAT(refused(agent.Info("t1"), "../../etc"), HasSubstr("framework id"));
  model::v1::TaskInfo info = agent.Info("huge");
  info.mutable_command()->set_value(std::string(5 << 20, 'x'));
  EXPECT_THAT(refused(info), HasSubstr("more than 4194304"));
  info = agent.Info("image");
  info.mutable_container()->mutable_image();
  EXPECT_THAT(refused(info), HasSubstr("container.image"));
  info = agent.Info("executor");
  info.clear_command();
  info.mutable_executor()->set_type(model::v1::ExecutorInfo::CUSTOM);
  EXPECT_THAT(refused(info), HasSubstr("custom executors"));
  info = agent.Info("dots");
  info.mutable_command()->set_working_directory("../x");
  EXPECT_THAT(refused(info), HasSubstr("working_directory"));
  info = agent.Info("nothing");
  info.clear_resources();
  EXPECT_THAT(refused(info), HasSubstr("resources"));
  EXPECT_THAT(agent.launched, IsEmpty());
}

TEST(AgentCoreTest, ResourcesAreNeverOvercommitted) {
  AgentHarness agent;
  agent.Register();
  agent.FromMaster({agent.RunTask("t1", 3), agent.RunTask("t2", 2), agent.RunTask("t3", 8)});
  agent.Drain();
  EXPECT_EQ(LastOf(agent, "t2").state(), model::v1::TASK_DROPPED);
  EXPECT_EQ(LastOf(agent, "t2").reason(), model::v1::REASON_INVALID_OFFERS);
  EXPECT_EQ(LastOf(agent, "t3").reason(), model::v1::REASON_RESOURCES_UNKNOWN);
  EXPECT_THAT(agent.launched, SizeIs(1));
}

TEST(AgentCoreTest, RepeatedRunTaskIsOneTask) {
  AgentHarness agent;
  agent.Register();
  const MasterMessage run = agent.RunTask("t1");
  agent.FromMaster({run, run});
  EXPECT_THAT(agent.launched, SizeIs(1));
  EXPECT_THAT(agent.Drain(), ElementsAre("t1:TASK_STARTING"));
}

TEST(AgentCoreTest, TableOfTasksIsBounded) {
  AgentConfig config = testing::TestConfig();
  config.tasks_max = 2;
  AgentHarness agent(config);
  agent.Register();
  agent.FromMaster({agent.RunTask("t1"), agent.RunTask("t2"), agent.RunTask("t3")});
  const auto updates = agent.TakeUpdates();
  const auto dropped = std::find_if(updates.begin(), updates.end(), [](const auto& update) {
    return update.status().task_id() == "t3";
  });
  ASSERT_NE(dropped, updates.end());
  EXPECT_EQ(dropped->status().state(), model::v1::TASK_DROPPED);
  EXPECT_TRUE(dropped->status().uuid().empty());
}

// ---- Groups ----

TEST(AgentCoreTest, GroupStartsWhollyAndOneFailureEndsIt) {
  AgentHarness agent;
  agent.Register();
  agent.FromMaster(agent.RunGroup({"a", "b", "c"}));
  EXPECT_THAT(agent.launched, SizeIs(3));
  for (const char* task : {"a", "b", "c"}) agent.Launched(task);
  agent.Ends("a", kExit0);
  EXPECT_THAT(agent.kills, IsEmpty()) << "a finished task leaves the others alone";
  agent.Ends("b", kExit3);
  ASSERT_THAT(agent.kills, SizeIs(1));
  agent.Ends("c", kSigterm);
  agent.Drain();
  EXPECT_EQ(LastOf(agent, "a").state(), model::v1::TASK_FINISHED);
  EXPECT_EQ(LastOf(agent, "b").state(), model::v1::TASK_FAILED);
  EXPECT_EQ(LastOf(agent, "c").state(), model::v1::TASK_KILLED);
  EXPECT_TRUE(agent.core().View()->used.empty()) << "the executor's resources are free, too";
}

TEST(AgentCoreTest, GroupThatDoesNotFitStartsNothing) {
  AgentHarness agent;
  agent.Register();
  agent.FromMaster(agent.RunGroup({"a", "b", "c", "d"}));  // 4 cpus and one for the executor
  EXPECT_THAT(agent.launched, IsEmpty());
  agent.Drain();
  EXPECT_EQ(LastOf(agent, "a").state(), model::v1::TASK_DROPPED);
  EXPECT_EQ(LastOf(agent, "d").state(), model::v1::TASK_DROPPED);
}

TEST(AgentCoreTest, EachTaskOfAGroupThatTheTableHasNoRoomForIsDropped) {
  AgentConfig config = testing::TestConfig();
  config.tasks_max = 2;
  AgentHarness agent(config);
  agent.Register();
  agent.FromMaster(agent.RunTask("first"));
  agent.Drain();
  agent.FromMaster(agent.RunGroup({"a", "b"}));
  EXPECT_THAT(agent.launched, SizeIs(1)) << "all of a group or nothing";
  const auto updates = agent.TakeUpdates();
  ASSERT_THAT(updates, SizeIs(2));
  for (const auto& update : updates) {
    EXPECT_EQ(update.framework_id(), "fw-1");
    EXPECT_EQ(update.status().state(), model::v1::TASK_DROPPED);
    EXPECT_EQ(update.status().executor_id(), "exec");
    EXPECT_TRUE(update.status().uuid().empty()) << "there is no task to acknowledge it to";
  }
  EXPECT_EQ(updates[0].status().task_id(), "a");
  EXPECT_EQ(updates[1].status().task_id(), "b");
  EXPECT_EQ(agent.core().View()->counters.tasks_refused, 2);
}

TEST(AgentCoreTest, EndOfAGroupIsToldAsTheExecutorsEnd) {
  AgentHarness agent;
  agent.Register();
  agent.FromMaster(agent.RunGroup({"a"}));
  agent.Launched("a");
  agent.sent.clear();
  agent.Ends("a", kExit0);
  const auto messages = agent.TakeSent();
  EXPECT_TRUE(std::any_of(messages.begin(), messages.end(), [](const auto& message) {
    return message.has_executor_exited() && message.executor_exited().executor_id() == "exec";
  }));
}

TEST(AgentCoreTest, KillOfAGroupMemberThatIsNotStartedEndsTheGroup) {
  AgentHarness agent;
  agent.Register();
  agent.FromMaster({agent.RunGroup({"a", "b"}), agent.Kill("a")});
  EXPECT_THAT(agent.launched, IsEmpty());
  agent.Drain();
  EXPECT_EQ(LastOf(agent, "a").state(), model::v1::TASK_KILLED);
  EXPECT_EQ(LastOf(agent, "b").state(), model::v1::TASK_KILLED);
}

// ---- Frameworks and drain ----

TEST(AgentCoreTest, ShutDownFrameworkIsKilledAndForgottenAndItsResourcesAreWaitedFor) {
  AgentHarness agent;
  agent.Register();
  agent.FromMaster(agent.RunTask("t1", 4));
  agent.Launched("t1");
  agent.Drain();
  MasterMessage shutdown;
  shutdown.mutable_shutdown_framework()->set_framework_id("fw-1");
  agent.FromMaster(shutdown);
  ASSERT_THAT(agent.kills, SizeIs(1));
  EXPECT_EQ(agent.kills[0].second, absl::Seconds(5));
  // The master gives the resources away at once.
  agent.FromMaster(agent.RunTask("t2", 4, "fw-2"));
  EXPECT_THAT(agent.launched, SizeIs(1));
  EXPECT_THAT(agent.Drain(), ElementsAre("t2:TASK_STARTING"));
  agent.Ends("t1", kSigterm);
  EXPECT_THAT(agent.launched, SizeIs(2));
  const auto updates = agent.TakeUpdates();
  ASSERT_THAT(updates, SizeIs(1));
  EXPECT_EQ(updates[0].status().state(), model::v1::TASK_KILLED);
  EXPECT_TRUE(updates[0].status().uuid().empty()) << "nobody is there to acknowledge it";
  agent.Launched("t2");
  EXPECT_THAT(agent.Drain(), ElementsAre("t2:TASK_RUNNING"));
}

TEST(AgentCoreTest, DrainKillsAllAndDropsWhatComes) {
  AgentHarness agent;
  agent.Register();
  agent.Framework().add_capabilities(model::v1::FrameworkInfo::PARTITION_AWARE);
  agent.FromMaster(agent.RunTask("t1"));
  agent.Launched("t1");
  MasterMessage drain;
  drain.mutable_drain()->mutable_config()->mutable_max_grace_period()->set_seconds(1);
  drain.mutable_drain()->mutable_config()->set_mark_gone(true);
  agent.FromMaster(drain);
  ASSERT_THAT(agent.kills, SizeIs(1));
  EXPECT_EQ(agent.kills[0].second, absl::Seconds(1));
  agent.FromMaster(agent.RunTask("t2"));
  agent.Ends("t1", kSigterm);
  agent.Drain();
  EXPECT_EQ(LastOf(agent, "t1").state(), model::v1::TASK_GONE_BY_OPERATOR);
  EXPECT_EQ(LastOf(agent, "t1").reason(), model::v1::REASON_AGENT_DRAINING);
  EXPECT_EQ(LastOf(agent, "t2").state(), model::v1::TASK_DROPPED);
  EXPECT_FALSE(agent.core().View()->draining);
}

// ---- Sandboxes and operators ----

TEST(AgentCoreTest, SandboxIsDeletedAfterTheDelayAndSoonerOnAFullDisk) {
  AgentHarness agent;
  agent.Register();
  for (const char* task : {"t1", "t2"}) {
    agent.FromMaster(agent.RunTask(task));
    agent.Launched(task);
  }
  for (const char* task : {"t1", "t2"}) {
    agent.Ends(task, kExit0);
    agent.Advance(absl::Hours(24));
  }
  agent.Advance(absl::Hours(108));
  EXPECT_THAT(agent.deleted_sandboxes, IsEmpty());
  agent.Advance(absl::Hours(24));
  EXPECT_THAT(agent.deleted_sandboxes,
              ElementsAre("/sandboxes/fw-1/t1/" + agent.ContainerOf("t1")));
  agent.Step(DiskUsed{0.95});
  EXPECT_THAT(agent.deleted_sandboxes, SizeIs(2));
}

TEST(AgentCoreTest, OperatorsWaitAndSignal) {
  AgentHarness agent;
  agent.Register();
  agent.FromMaster(agent.RunTask("t1"));
  agent.Launched("t1");
  const std::string id = agent.ContainerOf("t1");
  agent.Step(OperatorWait{1, id});
  agent.Step(OperatorWait{2, "unknown"});
  ASSERT_THAT(agent.answers, SizeIs(1));
  EXPECT_EQ(agent.answers[0].status.code(), absl::StatusCode::kNotFound);
  agent.Step(OperatorSignal{3, id, 9});
  EXPECT_THAT(agent.destroyed, ElementsAre(id));
  agent.Ends("t1", kSigkill);
  ASSERT_THAT(agent.answers, SizeIs(3));
  EXPECT_EQ(agent.answers[2].call, 1);
  EXPECT_EQ(agent.answers[2].termination->wait_status, kSigkill);
  agent.Step(OperatorWait{4, id});
  EXPECT_EQ(agent.answers[3].termination->wait_status, kSigkill);
}

}  // namespace
}  // namespace tessera::agent
