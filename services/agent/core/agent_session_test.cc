// Scripts of one agent and its masters: registration, epochs, pings, restarts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "services/agent/core/agent_core.h"
#include "services/agent/core/testing/agent_harness.h"
#include "services/rpc/error.h"

namespace tessera::agent {
namespace {

using model::v1::ErrorDetail;
using testing::AgentHarness;
using testing::AgentMessage;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::MasterMessage;
using ::testing::SizeIs;

MasterMessage Ping(uint64_t sequence) {
  MasterMessage message;
  message.mutable_ping()->set_sequence(sequence);
  return message;
}

TEST(AgentSessionTest, NewAgentRegistersAndKeepsItsId) {
  AgentHarness agent;
  agent.Advance(absl::Seconds(1));
  ASSERT_THAT(agent.dialled, ElementsAre("m1:5050"));
  ASSERT_THAT(agent.sent, SizeIs(1));
  EXPECT_TRUE(agent.sent[0].register_().info().id().empty());
  EXPECT_EQ(agent.sent[0].register_().total_resources_size(), 2);
  agent.Register("agent-7");
  EXPECT_TRUE(agent.core().View()->registered);
  agent.Restart();
  agent.Advance(absl::Seconds(1));
  EXPECT_EQ(agent.sent[0].register_().info().id(), "agent-7");
  EXPECT_EQ(agent.sent[0].register_().highest_epoch(), 1);
  ASSERT_THAT(agent.sent, SizeIs(2));
  EXPECT_TRUE(agent.sent[1].inventory().last());
}

TEST(AgentSessionTest, HintsAreFollowedAtOnceAndFailuresWithGrowingWaits) {
  AgentHarness agent;
  agent.Advance(absl::Seconds(1));
  agent.Step(LinkClosed{agent.link, rpc::NotLeader("m9:5050")});
  agent.Advance(absl::Milliseconds(60));
  EXPECT_EQ(agent.dialled.back(), "m9:5050");
  std::vector<absl::Duration> waits;
  for (int i = 0; i < 8; ++i) {
    const absl::Time failed = agent.now;
    const size_t dials = agent.dialled.size();
    agent.Step(LinkClosed{agent.link, absl::UnavailableError("refused")});
    while (agent.dialled.size() == dials) agent.Advance(absl::Milliseconds(10));
    waits.push_back(agent.now - failed);
  }
  EXPECT_LE(waits[0], absl::Milliseconds(260));
  EXPECT_GE(waits[7], absl::Seconds(5));
  EXPECT_LE(waits[7], absl::Milliseconds(10020));
}

TEST(AgentSessionTest, AMasterIsGivenTheTimeItAsksFor) {
  AgentHarness agent;
  agent.Advance(absl::Seconds(1));
  size_t dials = 1;
  for (const auto& [code, reason] :
       {std::pair(absl::StatusCode::kUnavailable, ErrorDetail::RECOVERING),
        std::pair(absl::StatusCode::kResourceExhausted, ErrorDetail::OVERLOADED)}) {
    ErrorDetail detail;
    detail.set_reason(reason);
    detail.mutable_retry_after()->set_seconds(20);
    ASSERT_THAT(agent.dialled, SizeIs(dials));
    agent.Step(LinkClosed{agent.link, rpc::Error(code, detail, "wait")});
    // Not sooner, and not all agents at once: up to a fifth later.
    agent.Advance(absl::Seconds(20) - absl::Milliseconds(1));
    EXPECT_THAT(agent.dialled, SizeIs(dials)) << ErrorDetail::Reason_Name(reason);
    agent.Advance(absl::Seconds(4) + absl::Milliseconds(1));
    EXPECT_THAT(agent.dialled, SizeIs(++dials)) << ErrorDetail::Reason_Name(reason);
  }
}

TEST(AgentSessionTest, SilentMasterIsGivenUp) {
  AgentHarness agent;
  agent.Register();
  for (int i = 0; i < 5; ++i) {
    agent.Advance(absl::Seconds(60));
    agent.FromMaster(Ping(i));
    EXPECT_EQ(agent.sent.back().pong().sequence(), i);
  }
  EXPECT_THAT(agent.closed, IsEmpty());
  agent.Advance(absl::Seconds(76));
  ASSERT_THAT(agent.closed, SizeIs(1));
  EXPECT_EQ(agent.core().View()->counters.ping_timeouts, 1);
  EXPECT_FALSE(agent.core().View()->registered);
  EXPECT_THAT(agent.dialled, SizeIs(2));
}

TEST(AgentSessionTest, LowerEpochIsRefusedAndNothingItSaysIsDone) {
  AgentHarness agent;
  agent.epoch = 5;
  agent.Register();
  agent.FromMaster({agent.RunTask("t1")}, 4);
  EXPECT_THAT(agent.launched, IsEmpty());
  ASSERT_THAT(agent.closed, SizeIs(1));
  EXPECT_EQ(rpc::ReasonOf(agent.closed[0]), ErrorDetail::STALE_EPOCH);
  EXPECT_EQ(agent.core().View()->counters.stale_batches, 1);
  // The refusal outlives a restart.
  agent.Restart();
  agent.Advance(absl::Seconds(1));
  EXPECT_EQ(agent.sent[0].register_().highest_epoch(), 5);
  agent.FromMaster({Ping(1)}, 4);
  EXPECT_THAT(agent.closed, SizeIs(2));
}

TEST(AgentSessionTest, HigherEpochIsObeyedOnlyWhenItIsDurable) {
  AgentHarness agent;
  agent.Register();
  agent.auto_sync = false;
  agent.sent.clear();
  agent.FromMaster({Ping(7)}, 2);
  EXPECT_THAT(agent.sent, IsEmpty());
  agent.Sync();
  ASSERT_THAT(agent.sent, SizeIs(1));
  EXPECT_EQ(agent.sent[0].pong().sequence(), 7);
}

TEST(AgentSessionTest, CommandsBehindARegistrationWaitForTheIdToBeDurable) {
  AgentHarness agent;
  agent.auto_sync = false;
  agent.Advance(absl::Seconds(1));
  MasterMessage registered;
  registered.mutable_registered()->set_agent_id("agent-1");
  agent.FromMaster({registered, agent.RunTask("t1")});
  EXPECT_FALSE(agent.core().View()->registered);
  agent.Sync();
  agent.Sync();
  agent.Sync();
  EXPECT_TRUE(agent.core().View()->registered);
  EXPECT_THAT(agent.launched, SizeIs(1));
}

TEST(AgentSessionTest, MessagesOfAReplacedLinkAreIgnored) {
  AgentHarness agent;
  agent.Register();
  const uint64_t old_link = agent.link;
  agent.Step(LinkClosed{old_link, absl::UnavailableError("broken")});
  agent.Register();
  LinkReceived late;
  late.link = old_link;
  late.batch.set_epoch(1);
  *late.batch.add_messages() = agent.RunTask("t1");
  agent.Step(late);
  EXPECT_THAT(agent.launched, IsEmpty());
  agent.Step(LinkClosed{old_link, absl::UnavailableError("again")});
  EXPECT_TRUE(agent.core().View()->registered);
}

TEST(AgentSessionTest, ReconnectionTellsWhatLivesAndRepeatsWhatIsNotAcknowledged) {
  AgentHarness agent;
  agent.Register();
  agent.FromMaster({agent.RunTask("t1"), agent.RunTask("t2")});
  agent.Launched("t1");
  agent.Launched("t2");
  agent.Drain();
  agent.Ends("t1", 0);
  agent.Step(LinkClosed{agent.link, absl::UnavailableError("broken")});
  agent.Advance(absl::Seconds(1));
  ASSERT_THAT(agent.sent, SizeIs(2)) << "no status before the master has admitted the agent";
  const auto& inventory = agent.sent[1].inventory();
  ASSERT_EQ(inventory.tasks_size(), 2);
  EXPECT_EQ(inventory.tasks(0).state(), model::v1::TASK_FINISHED);
  EXPECT_EQ(inventory.tasks(1).state(), model::v1::TASK_RUNNING);
  EXPECT_EQ(inventory.tasks(1).task_id(), "t2");
  EXPECT_EQ(inventory.tasks(1).info(), agent.RunTask("t2").run_task().task().info());
  EXPECT_EQ(inventory.tasks(1).resources(0).allocation_role(), "web");
  EXPECT_TRUE(inventory.tasks(1).durable());
  EXPECT_EQ(inventory.frameworks_size(), 1);
  agent.Register();
  EXPECT_THAT(agent.Drain(), ElementsAre("t1:TASK_FINISHED"));
}

TEST(AgentSessionTest, InventoryGoesInChunks) {
  AgentConfig config = testing::TestConfig();
  config.inventory_entries_max = 3;
  config.info.mutable_resources(0)->mutable_scalar()->set_milli(100'000);
  AgentHarness agent(config);
  agent.Register();
  for (int i = 0; i < 10; ++i) agent.FromMaster(agent.RunTask(absl::StrCat("t", i)));
  agent.Step(LinkClosed{agent.link, absl::UnavailableError("broken")});
  agent.Advance(absl::Seconds(1));
  int tasks = 0;
  int last = 0;
  for (const AgentMessage& message : agent.sent) {
    if (!message.has_inventory()) continue;
    tasks += message.inventory().tasks_size();
    last += message.inventory().last();
    EXPECT_LE(message.inventory().tasks_size(), 3);
  }
  EXPECT_EQ(tasks, 10);
  EXPECT_EQ(last, 1);
  EXPECT_TRUE(agent.sent.back().inventory().last());
}

TEST(AgentSessionTest, TasksThatTheMasterMissesAreAnsweredFor) {
  AgentHarness agent;
  agent.Register();
  agent.FromMaster(testing::AskFor("lost", agent.TaskIncarnation("lost")));
  agent.Drain();
  EXPECT_EQ(agent.statuses["lost"][0].state(), model::v1::TASK_DROPPED);
  EXPECT_EQ(agent.statuses["lost"][0].reason(), model::v1::REASON_RECONCILIATION);
}

TEST(AgentSessionTest, GoneAgentKillsEverythingAndComesBackAsANewOne) {
  AgentHarness agent;
  agent.Register();
  agent.FromMaster(agent.RunTask("t1"));
  agent.Launched("t1");
  const size_t dials = agent.dialled.size();
  agent.Step(LinkClosed{agent.link, rpc::Error(absl::StatusCode::kPermissionDenied,
                                               ErrorDetail::AGENT_GONE, "gone")});
  EXPECT_THAT(agent.kills, SizeIs(1));
  agent.Advance(absl::Minutes(2));
  EXPECT_THAT(agent.dialled, SizeIs(dials)) << "not before all has ended";
  agent.Restart();
  EXPECT_THAT(agent.kills.size() + agent.destroyed.size(), ::testing::Ge(2));
  agent.Ends("t1", 15);
  agent.Advance(absl::Seconds(1));
  EXPECT_THAT(agent.dialled, SizeIs(dials + 1));
  ASSERT_THAT(agent.sent, SizeIs(1));
  EXPECT_TRUE(agent.sent[0].register_().info().id().empty());
}

// ---- Restarts ----

TEST(AgentRestartTest, RunningContainersRunOnAndEndsMeanwhileAreTold) {
  AgentHarness agent;
  agent.Register();
  for (const char* task : {"runs", "ends", "fails"}) {
    agent.FromMaster(agent.RunTask(task));
    agent.Launched(task);
  }
  agent.Drain();
  agent.Ends("ends", 0, false, /*down=*/true);
  agent.Ends("fails", 3 << 8, false, /*down=*/true);
  agent.Restart();
  agent.Register();
  EXPECT_THAT(agent.Drain(), ElementsAre("ends:TASK_FINISHED", "fails:TASK_FAILED"));
  EXPECT_EQ(agent.statuses["fails"].back().wait_status(), 3 << 8);
  EXPECT_THAT(agent.released, SizeIs(2));
  EXPECT_THAT(agent.launched, SizeIs(3)) << "nothing is launched twice";
  agent.Ends("runs", 0);
  EXPECT_THAT(agent.Drain(), ElementsAre("runs:TASK_FINISHED"));
}

TEST(AgentRestartTest, StatusesSurviveInOrderUntilAcknowledged) {
  AgentHarness agent;
  agent.Register();
  agent.FromMaster(agent.RunTask("t1"));
  agent.Launched("t1");
  agent.Ends("t1", 0);
  agent.Restart();
  agent.Register();
  const auto updates = agent.TakeUpdates();
  ASSERT_THAT(updates, SizeIs(1));
  EXPECT_EQ(updates[0].status().state(), model::v1::TASK_STARTING);
  agent.Acknowledge(updates[0]);
  agent.Restart();
  agent.Register();
  EXPECT_THAT(agent.Drain(), ElementsAre("t1:TASK_RUNNING", "t1:TASK_FINISHED"));
  agent.Restart();
  agent.Register();
  EXPECT_THAT(agent.Drain(), IsEmpty());
  EXPECT_EQ(agent.core().View()->frameworks, 0);
}

TEST(AgentRestartTest, KillGoesOnWithWhatIsLeftOfItsGrace) {
  AgentHarness agent;
  agent.Register();
  agent.FromMaster(agent.RunTask("t1"));
  agent.Launched("t1");
  agent.FromMaster(agent.Kill("t1", 60));
  agent.now += absl::Seconds(20);
  agent.Restart();
  ASSERT_THAT(agent.kills, SizeIs(2));
  EXPECT_EQ(agent.kills[1].second, absl::Seconds(40));
  agent.Register();
  agent.Ends("t1", 15);
  agent.Drain();
  EXPECT_EQ(agent.statuses["t1"].back().state(), model::v1::TASK_KILLED);
}

// Kills are carried out before they are durable: an agent that dies in between finds what came of
// them, and takes them for what they were.
TEST(AgentRestartTest, AKillThatTheLogMissedIsStillAKill) {
  AgentHarness agent;
  agent.Register();
  model::v1::TaskInfo limited = AgentHarness::Info("limited");
  limited.mutable_max_completion_time()->set_seconds(60);
  agent.FromMaster({agent.RunTask("ended"), agent.RunTask("stubborn"), agent.RunTask(limited)});
  for (const char* task : {"ended", "stubborn", "limited"}) agent.Launched(task);
  agent.Drain();
  agent.auto_sync = false;
  agent.FromMaster({agent.Kill("ended", 60), agent.Kill("stubborn", 60)});
  agent.Advance(absl::Seconds(60));
  agent.Ends("ended", 15, false, /*down=*/true);
  agent.Ends("limited", 9, false, /*down=*/true);
  agent.kills.clear();
  agent.auto_sync = true;
  agent.Restart();
  ASSERT_THAT(agent.kills, SizeIs(1)) << "the one that runs on is killed on";
  EXPECT_EQ(agent.kills[0].first, agent.ContainerOf("stubborn"));
  agent.Register();
  agent.Ends("stubborn", 9);
  agent.Drain();
  EXPECT_EQ(agent.statuses["ended"].back().state(), model::v1::TASK_KILLED);
  EXPECT_EQ(agent.statuses["stubborn"].back().state(), model::v1::TASK_KILLED);
  EXPECT_EQ(agent.statuses["limited"].back().reason(),
            model::v1::REASON_MAX_COMPLETION_TIME_REACHED);
}

TEST(AgentRestartTest, CompletionTimeCountsFromTheStartOfTheContainer) {
  AgentHarness agent;
  agent.Register();
  model::v1::TaskInfo limited = AgentHarness::Info("t1");
  limited.mutable_max_completion_time()->set_seconds(60);
  agent.FromMaster(agent.RunTask(limited));
  agent.Launched("t1");
  agent.Advance(absl::Seconds(50));
  agent.Restart();
  agent.Advance(absl::Seconds(9));
  EXPECT_THAT(agent.destroyed, IsEmpty());
  agent.Advance(absl::Seconds(1));
  EXPECT_THAT(agent.destroyed, SizeIs(1));
}

TEST(AgentRestartTest, AcceptedButNeverLaunchedIsDropped) {
  AgentHarness agent;
  agent.Register();
  agent.FromMaster(agent.RunTask("t1"));
  agent.Restart();
  agent.Register();
  agent.Drain();
  EXPECT_EQ(agent.statuses["t1"].back().state(), model::v1::TASK_DROPPED);
  EXPECT_EQ(agent.statuses["t1"].back().reason(), model::v1::REASON_AGENT_RESTARTED);
}

TEST(AgentRestartTest, LaunchedButNotNotedRunsOn) {
  AgentHarness agent;
  agent.Register();
  agent.FromMaster(agent.RunTask("t1"));
  agent.Drain();
  agent.auto_sync = false;
  agent.Launched("t1");
  agent.auto_sync = true;
  agent.Restart();
  agent.Register();
  EXPECT_THAT(agent.Drain(), ElementsAre("t1:TASK_RUNNING"));
}

TEST(AgentRestartTest, LossOfOneGroupMemberKillsTheRunningOnesAndSparesThoseThatEnded) {
  AgentHarness agent;
  agent.Register();
  agent.FromMaster(agent.RunGroup({"lost", "ended", "runs"}));
  agent.LaunchedUnseen("runs");
  agent.Launched("ended");
  agent.Ends("ended", 0, false, /*down=*/true);
  agent.Restart();
  EXPECT_THAT(agent.kills, SizeIs(1));
  EXPECT_EQ(agent.kills[0].first, agent.ContainerOf("runs"));
  agent.Register();
  agent.Ends("runs", 15);
  agent.Drain();
  EXPECT_EQ(agent.statuses["lost"].back().state(), model::v1::TASK_DROPPED);
  EXPECT_EQ(agent.statuses["ended"].back().state(), model::v1::TASK_FINISHED);
  EXPECT_EQ(agent.statuses["runs"].back().state(), model::v1::TASK_KILLED);
}

TEST(AgentRestartTest, RebootEndsContainersButKeepsTheId) {
  AgentHarness agent;
  agent.Register("agent-3");
  agent.FromMaster(agent.RunTask("t1"));
  agent.Launched("t1");
  agent.Restart(/*rebooted=*/true);
  agent.Register("agent-3");
  agent.Drain();
  EXPECT_EQ(agent.statuses["t1"].back().state(), model::v1::TASK_GONE);
  EXPECT_EQ(agent.core().View()->info->id(), "agent-3");
}

TEST(AgentRestartTest, LongLogIsReplacedByItsEssenceAndMeansTheSame) {
  AgentConfig config = testing::TestConfig();
  config.compact_records_min = 40;
  config.gc_delay = absl::ZeroDuration();
  AgentHarness agent(config);
  agent.Register();
  agent.FromMaster(agent.RunTask("stays"));
  agent.Launched("stays");
  agent.Drain();
  for (int i = 0; i < 200; ++i) {
    const std::string task = absl::StrCat("t", i);
    agent.FromMaster(agent.RunTask(task));
    agent.Launched(task);
    agent.Ends(task, 0);
    EXPECT_THAT(agent.Drain(), SizeIs(3));
    agent.Step(DiskUsed{1.0});
    EXPECT_LT(agent.log.size(), 100);
  }
  EXPECT_GT(agent.core().View()->counters.log_compactions, 10);
  agent.Restart();
  EXPECT_EQ(agent.core().View()->counters.recovery_errors, 0);
  ASSERT_THAT(agent.core().View()->containers.All(), SizeIs(1));
  EXPECT_EQ(agent.core().View()->containers.All()[0]->task_id, "stays");
  agent.Register();
  agent.Ends("stays", 0);
  EXPECT_THAT(agent.Drain(), ElementsAre("stays:TASK_FINISHED"));
}

TEST(AgentRestartTest, WhatEndedInSilenceDoesNotComeBackFromAShortenedLog) {
  AgentConfig config = testing::TestConfig();
  config.compact_records_min = 40;
  // Somewhere the log is replaced in the very step of the end.
  for (int before = 0; before < 40; ++before) {
    AgentHarness agent(config);
    agent.Register();
    agent.FromMaster(agent.RunTask("stays"));
    agent.Launched("stays");
    agent.Drain();
    for (int i = 0; i < before; ++i) {
      const std::string task = absl::StrCat("t", i);
      agent.FromMaster(agent.RunTask(task));
      agent.Launched(task);
      agent.Ends(task, 0);
      agent.Drain();
    }
    agent.FromMaster(agent.RunTask("ends"));
    agent.Launched("ends");
    MasterMessage gone;
    gone.mutable_shutdown()->set_message("declared gone");
    agent.FromMaster(gone);
    agent.Ends("ends", 9);
    agent.Restart();
    const size_t dialled = agent.dialled.size();
    agent.Ends("stays", 9);
    agent.Advance(absl::Minutes(1));
    EXPECT_GT(agent.dialled.size(), dialled)
        << "it never comes back as a new agent, after " << before << " tasks";
  }
}

TEST(AgentRestartTest, ExecutorOutlivesTheEndOfOneOfItsTasksInAShortenedLog) {
  AgentConfig config = testing::TestConfig();
  config.compact_records_min = 60;
  config.gc_delay = absl::ZeroDuration();
  AgentHarness agent(config);
  agent.Register();
  AgentHarness::GroupShape shape;
  shape.name = "the group's";
  agent.FromMaster(agent.RunGroup({"ended", "runs"}, shape));
  agent.Launched("ended");
  agent.Launched("runs");
  agent.Drain();
  agent.Ends("ended", 0);  // and nobody acknowledges it
  agent.sent.clear();
  for (int i = 0; agent.core().View()->counters.log_compactions == 0; ++i) {
    ASSERT_LT(i, 100);
    const std::string task = absl::StrCat("t", i);
    agent.FromMaster(agent.RunTask(task));
    agent.Launched(task);
    agent.Ends(task, 0);
    agent.Drain();
    agent.Step(DiskUsed{1.0});
  }
  agent.Restart();
  EXPECT_EQ(agent.core().View()->counters.recovery_errors, 0);
  // 1 cpu of the task that runs and 1 of its executor.
  ASSERT_THAT(agent.core().View()->used, SizeIs(2));
  EXPECT_EQ(agent.core().View()->used[0].scalar().milli(), 2000);
  agent.Register();
  std::vector<agentlink::v1::ExecutorEntry> executors;
  for (const auto& sent : agent.sent) {
    executors.insert(executors.end(), sent.inventory().executors().begin(),
                     sent.inventory().executors().end());
  }
  ASSERT_THAT(executors, SizeIs(1));
  model::v1::ExecutorInfo told;
  ASSERT_TRUE(told.ParseFromString(executors[0].info()));
  EXPECT_EQ(told.name(), "the group's");
  EXPECT_EQ(executors[0].resources(0).scalar().milli(), 1000);
  // The next executor of that name may come with another description.
  agent.Ends("runs", 0);
  agent.Drain();
  EXPECT_THAT(agent.core().View()->used, IsEmpty());
  shape.executor_cpus = 3;
  agent.FromMaster(agent.RunGroup({"next"}, shape));
  agent.Launched("next");
  agent.Restart();
  ASSERT_THAT(agent.core().View()->used, SizeIs(2));
  EXPECT_EQ(agent.core().View()->used[0].scalar().milli(), 4000);
}

// ---- Compatibility ----

TEST(AgentRestartTest, LessThanBeforeIsRefusedWithTheDifference) {
  AgentHarness agent;
  agent.Register();
  AgentConfig less = testing::TestConfig();
  less.info.mutable_resources(0)->mutable_scalar()->set_milli(2'000);
  AgentCore core(
      less, [] { return std::string(16, 'u'); }, base::Rng(1));
  Effects effects;
  core.Step(agent.now, Started{agent.log, false}, &effects);
  ASSERT_THAT(effects, SizeIs(1));
  EXPECT_THAT(std::get<Fatal>(effects[0]).message, HasSubstr("cpus:4"));
}

TEST(AgentRestartTest, MoreThanBeforeIsWelcome) {
  AgentHarness agent;
  agent.Register("agent-4");
  AgentConfig more = testing::TestConfig();
  *more.info.add_resources() = testing::ScalarResource("gpus", 2);
  AgentCore core(
      more, [] { return std::string(16, 'u'); }, base::Rng(1));
  Effects effects;
  core.Step(agent.now, Started{agent.log, false}, &effects);
  EXPECT_EQ(core.View()->info->id(), "agent-4");
  EXPECT_EQ(core.View()->total.size(), 3);
}

}  // namespace
}  // namespace tessera::agent
