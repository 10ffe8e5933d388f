// Scripts of one agent and names that are used again: what is said of one launch or one executor is
// never taken for another of the same name, and the agent's books are what was launched.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "services/agent/core/agent_core.h"
#include "services/agent/core/testing/agent_harness.h"

namespace tessera::agent {
namespace {

using testing::AgentHarness;
using testing::AgentMessage;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::MasterMessage;
using ::testing::SizeIs;

constexpr int kExit0 = 0;

int64_t UsedCpus(AgentHarness& agent) {
  const auto view = agent.core().View();
  for (const auto& resource : view->used) {
    if (resource.name() == "cpus") return resource.scalar().milli();
  }
  return 0;
}

// Everything that was sent, by kind.
std::vector<AgentMessage::ExecutorExited> TakeExits(AgentHarness& agent) {
  std::vector<AgentMessage::ExecutorExited> exits;
  std::deque<AgentMessage> rest;
  for (AgentMessage& message : agent.sent) {
    if (message.has_executor_exited()) {
      exits.push_back(message.executor_exited());
    } else {
      rest.push_back(std::move(message));
    }
  }
  agent.sent = std::move(rest);
  return exits;
}

// ---- Tasks ----

// The master has forgotten a task when its last acknowledgement goes out, the agent only when that
// is on its disk: in between the framework may launch the id again.
class ReusedIdTest : public ::testing::TestWithParam<const char*> {
 protected:
  MasterMessage Launch(AgentHarness& agent, bool first) {
    const std::string how = GetParam();
    if (how == "task") return agent.RunTask("t1");
    AgentHarness::GroupShape shape;
    shape.begins = first || how == "group";
    return agent.RunGroup({"t1"}, shape);
  }
};

TEST_P(ReusedIdTest, LaunchRightAfterTheLastAcknowledgementIsANewTask) {
  AgentHarness agent;
  agent.Register();
  if (std::string(GetParam()) == "executor") {
    // Another task keeps the executor alive.
    AgentHarness::GroupShape shape;
    agent.FromMaster(agent.RunGroup({"keeper"}, shape));
    agent.Launched("keeper");
    agent.Drain();
  }
  bool first = std::string(GetParam()) != "executor";
  for (int round = 0; round < 100; ++round) {
    agent.FromMaster(Launch(agent, first));
    ASSERT_THAT(agent.Drain(), ElementsAre("t1:TASK_STARTING")) << "round " << round;
    agent.Launched("t1");
    agent.Drain();
    agent.Ends("t1", kExit0);
    agent.auto_sync = false;
    ASSERT_THAT(agent.Drain(), ElementsAre("t1:TASK_FINISHED"));
    // Not durable yet when the next one comes.
    ASSERT_GT(agent.unsynced(), 0u);
    agent.FromMaster(Launch(agent, first));
    agent.auto_sync = true;
    agent.Sync();
    ASSERT_THAT(agent.Drain(), ElementsAre("t1:TASK_STARTING")) << "round " << round;
    agent.Launched("t1");
    ASSERT_THAT(agent.Drain(), ElementsAre("t1:TASK_RUNNING")) << "round " << round;
    agent.Ends("t1", kExit0);
    agent.Drain();
  }
  EXPECT_EQ(agent.core().View()->counters.ignored_messages, 0u);
}

INSTANTIATE_TEST_SUITE_P(Ways, ReusedIdTest, ::testing::Values("task", "group", "executor"),
                         [](const auto& info) { return std::string(info.param); });

TEST(IncarnationTest, KillAndAcknowledgementOfAnEarlierLaunchDoNotTouchALaterOne) {
  AgentHarness agent;
  agent.Register();
  agent.FromMaster(agent.RunTask("t1"));
  const model::Incarnation first = agent.TaskIncarnation("t1");
  agent.Launched("t1");
  agent.Drain();
  agent.Ends("t1", kExit0);
  const auto last_of_first = agent.TakeUpdates();
  ASSERT_THAT(last_of_first, SizeIs(1));
  agent.auto_sync = false;
  agent.Acknowledge(last_of_first[0]);
  agent.FromMaster(agent.RunTask("t1"));
  agent.auto_sync = true;
  agent.Sync();
  agent.Launched("t1");
  const auto starting = agent.TakeUpdates();
  ASSERT_THAT(starting, SizeIs(1));
  EXPECT_NE(model::wire::FromProto(starting[0].incarnation()), first);

  agent.FromMaster(AgentHarness::Kill(first, "t1"));
  EXPECT_THAT(agent.kills, IsEmpty());
  AgentMessage::StatusUpdate wrong = starting[0];
  *wrong.mutable_incarnation() = model::wire::ToProto(first);
  agent.Acknowledge(wrong);
  for (const auto& update : agent.TakeUpdates()) {
    EXPECT_EQ(model::wire::FromProto(update.incarnation()), first)
        << "the later one's STARTING is not acknowledged";
  }
  agent.Acknowledge(starting[0]);
  EXPECT_THAT(agent.Drain(), ElementsAre("t1:TASK_RUNNING"));
}

TEST(IncarnationTest, TwoTasksOfOneIdAreReconciledEachByItself) {
  AgentHarness agent;
  agent.Register();
  agent.FromMaster(agent.RunTask("t1"));
  const model::Incarnation runs = agent.TaskIncarnation("t1");
  agent.Launched("t1");
  agent.Drain();
  agent.FromMaster(testing::AskFor("t1", {runs.epoch, runs.number + 1000}));
  const auto updates = agent.TakeUpdates();
  ASSERT_THAT(updates, SizeIs(1));
  EXPECT_EQ(updates[0].status().state(), model::v1::TASK_DROPPED);
  EXPECT_EQ(updates[0].incarnation().number(), runs.number + 1000);
  EXPECT_EQ(agent.core().View()->tasks[model::v1::TASK_RUNNING], 1u);
}

// ---- What is not durable yet ----

// A new master counts a task that a complete inventory lacks as never started.
TEST(InventoryTest, TasksWhoseSyncOutlastsARedialAreListed) {
  AgentHarness agent;
  agent.Register();
  agent.auto_sync = false;
  agent.FromMaster({agent.RunTask("t1"), agent.RunGroup({"t2"})});
  agent.Step(LinkClosed{agent.link, absl::UnavailableError("the master is replaced")});
  agent.Advance(absl::Seconds(1));
  ASSERT_THAT(agent.sent, SizeIs(2));
  const auto& inventory = agent.sent[1].inventory();
  ASSERT_EQ(inventory.tasks_size(), 2);
  EXPECT_FALSE(inventory.tasks(0).durable());
  EXPECT_EQ(inventory.tasks(0).state(), model::v1::TASK_STAGING);
  EXPECT_EQ(inventory.executors_size(), 1);
  agent.Sync();
  EXPECT_THAT(agent.launched, SizeIs(2));
}

// An agent that dies before the sync has never run it, and does not list it when it is back.
TEST(InventoryTest, ATaskThatNeverGotDurableIsGoneWithItsAgent) {
  AgentHarness agent;
  agent.Register();
  agent.auto_sync = false;
  agent.FromMaster(agent.RunTask("t1"));
  agent.Restart();
  agent.auto_sync = true;
  agent.Sync();
  agent.Register();
  for (const AgentMessage& message : agent.sent) EXPECT_EQ(message.inventory().tasks_size(), 0);
  EXPECT_THAT(agent.launched, IsEmpty());
}

// Messages wait for the epoch to be durable; those of a link that ends meanwhile are not obeyed on
// the next one.
TEST(InventoryTest, MessagesOfAnEndedLinkAreNotObeyedLater) {
  AgentHarness agent;
  agent.Register();
  agent.auto_sync = false;
  ++agent.epoch;
  agent.FromMaster(agent.RunTask("t1"));
  agent.Step(LinkClosed{agent.link, absl::UnavailableError("broken")});
  agent.Sync();
  agent.auto_sync = true;
  agent.Register();
  EXPECT_THAT(agent.launched, IsEmpty());
  for (const AgentMessage& message : agent.sent) EXPECT_EQ(message.inventory().tasks_size(), 0);
}

// ---- Executors ----

TEST(ExecutorTest, GroupForAnExecutorThatHasEndedIsDroppedAndBooksNothing) {
  AgentHarness agent;
  agent.Register();
  agent.FromMaster(agent.RunGroup({"a"}));
  agent.Launched("a");
  agent.Drain();
  // The end is not durable yet, so that the master has not heard of it.
  agent.auto_sync = false;
  agent.Ends("a", kExit0);
  AgentHarness::GroupShape shape;
  shape.begins = false;
  agent.FromMaster(agent.RunGroup({"b"}, shape));
  EXPECT_EQ(UsedCpus(agent), 0);
  agent.auto_sync = true;
  agent.Sync();
  EXPECT_THAT(TakeExits(agent), SizeIs(1));
  EXPECT_THAT(agent.Drain(), ElementsAre("a:TASK_FINISHED", "b:TASK_DROPPED"));
  EXPECT_EQ(agent.statuses["b"].back().reason(), model::v1::REASON_EXECUTOR_TERMINATED);
  EXPECT_THAT(agent.launched, SizeIs(1));
}

TEST(ExecutorTest, TheNextExecutorOfTheNameIsAnotherOne) {
  AgentHarness agent;
  agent.Register();
  agent.FromMaster(agent.RunGroup({"a"}));
  const model::Incarnation first = agent.ExecutorIncarnation();
  agent.Launched("a");
  agent.Drain();
  agent.auto_sync = false;
  agent.Ends("a", kExit0);
  agent.FromMaster(agent.RunGroup({"b"}));
  const model::Incarnation second = agent.ExecutorIncarnation();
  EXPECT_EQ(UsedCpus(agent), 2000) << "a task and the second executor";
  agent.auto_sync = true;
  agent.Sync();
  const auto exits = TakeExits(agent);
  ASSERT_THAT(exits, SizeIs(1));
  EXPECT_EQ(model::wire::FromProto(exits[0].incarnation()), first);
  EXPECT_FALSE(exits[0].refused());
  agent.Launched("b");
  agent.Ends("b", kExit0);
  const auto more = TakeExits(agent);
  ASSERT_THAT(more, SizeIs(1));
  EXPECT_EQ(model::wire::FromProto(more[0].incarnation()), second);
  EXPECT_EQ(UsedCpus(agent), 0);
}

TEST(ExecutorTest, ExitsAreToldWhenTheEndIsDurable) {
  AgentHarness agent;
  agent.Register();
  agent.FromMaster(agent.RunGroup({"a"}));
  agent.Launched("a");
  agent.Drain();
  agent.auto_sync = false;
  agent.Ends("a", kExit0);
  EXPECT_THAT(TakeExits(agent), IsEmpty());
  agent.Sync();
  EXPECT_THAT(TakeExits(agent), SizeIs(1));
}

TEST(ExecutorTest, RefusedExecutorsAreToldAndLeaveNothingBooked) {
  AgentHarness agent;
  agent.Register();
  for (int i = 0; i < 5; ++i) {
    AgentHarness::GroupShape shape;
    shape.executor = absl::StrCat("custom-", i);
    shape.type = model::v1::ExecutorInfo::CUSTOM;
    agent.auto_sync = false;
    agent.FromMaster(agent.RunGroup({absl::StrCat("t", i)}, shape));
    EXPECT_THAT(TakeExits(agent), IsEmpty()) << "the refusal is not durable yet";
    agent.auto_sync = true;
    agent.Sync();
    const auto exits = TakeExits(agent);
    ASSERT_THAT(exits, SizeIs(1));
    EXPECT_TRUE(exits[0].refused());
    EXPECT_EQ(exits[0].executor_id(), shape.executor);
    EXPECT_EQ(model::wire::FromProto(exits[0].incarnation()),
              agent.ExecutorIncarnation(shape.executor));
  }
  EXPECT_EQ(UsedCpus(agent), 0);
  for (int i = 0; i < 5; ++i) agent.Drain();
  EXPECT_EQ(agent.statuses["t4"].back().state(), model::v1::TASK_ERROR);
  agent.FromMaster(agent.RunTask("all", 4));
  EXPECT_THAT(agent.launched, SizeIs(1));
}

TEST(ExecutorTest, GroupThatIsRefusedForAnExecutorThatLivesDoesNotEndIt) {
  AgentHarness agent;
  agent.Register();
  agent.FromMaster(agent.RunGroup({"a"}));
  agent.Launched("a");
  agent.Drain();
  AgentHarness::GroupShape shape;
  shape.begins = false;
  agent.FromMaster(agent.RunGroup({"b", "c", "d", "e"}, shape));
  EXPECT_THAT(TakeExits(agent), IsEmpty());
  EXPECT_EQ(UsedCpus(agent), 2000);
}

TEST(ExecutorTest, ShutdownOfAnEarlierExecutorDoesNotTouchALaterOne) {
  AgentHarness agent;
  agent.Register();
  agent.FromMaster(agent.RunGroup({"a"}));
  const model::Incarnation first = agent.ExecutorIncarnation();
  agent.Launched("a");
  agent.Ends("a", kExit0);
  agent.FromMaster(agent.RunGroup({"b"}));
  agent.Launched("b");
  MasterMessage shutdown;
  shutdown.mutable_shutdown_executor()->set_framework_id("fw-1");
  shutdown.mutable_shutdown_executor()->set_executor_id("exec");
  *shutdown.mutable_shutdown_executor()->mutable_incarnation() = model::wire::ToProto(first);
  agent.FromMaster(shutdown);
  EXPECT_THAT(agent.kills, IsEmpty());
  *shutdown.mutable_shutdown_executor()->mutable_incarnation() =
      model::wire::ToProto(agent.ExecutorIncarnation());
  agent.FromMaster(shutdown);
  EXPECT_THAT(agent.kills, SizeIs(1));
}

// A master of the simplest kind: it books what it launches and frees what it hears the end of.
TEST(ExecutorTest, BooksAgreeWhenGroupsOfOneNameEndAndBeginAtTheSameTime) {
  AgentConfig config = testing::TestConfig();
  config.info.mutable_resources(0)->mutable_scalar()->set_milli(64'000);
  AgentHarness agent(config);
  agent.Register();
  base::Rng rng(11);
  std::map<model::Incarnation, int64_t> executors;  // as the master books them
  std::map<model::Incarnation, int64_t> tasks;
  int started = 0;
  const auto hear = [&] {
    while (!agent.sent.empty()) {
      const AgentMessage message = std::move(agent.sent.front());
      agent.sent.pop_front();
      if (message.has_executor_exited()) {
        executors.erase(model::wire::FromProto(message.executor_exited().incarnation()));
      } else if (message.has_status_update()) {
        const auto& update = message.status_update();
        if (update.latest_state() == model::v1::TASK_FINISHED ||
            update.latest_state() == model::v1::TASK_DROPPED) {
          tasks.erase(model::wire::FromProto(update.incarnation()));
        }
        agent.Acknowledge(update);
      }
    }
  };
  std::deque<std::string> running;
  for (int round = 0; round < 200; ++round) {
    agent.auto_sync = false;
    AgentHarness::GroupShape shape;
    shape.executor = absl::StrCat("e", rng.Below(3));
    // What the master has heard decides, not what is.
    shape.begins = executors.count(agent.ExecutorIncarnation(shape.executor)) == 0;
    const std::string task = absl::StrCat("t", round);
    const MasterMessage group = agent.RunGroup({task}, shape);
    if (shape.begins) executors[agent.ExecutorIncarnation(shape.executor)] = 1000;
    tasks[agent.TaskIncarnation(task)] = 1000;
    if (!running.empty() && rng.Chance(0.7)) {
      agent.Ends(running.front(), kExit0);
      running.pop_front();
    }
    agent.FromMaster(group);
    if (rng.Chance(0.6)) {
      agent.Sync();
      hear();
    }
    agent.auto_sync = true;
    agent.Sync();
    if (agent.ContainerOf(task) != "") {
      agent.Launched(task);
      running.push_back(task);
      ++started;
    }
    hear();
    int64_t booked = 0;
    for (const auto& [incarnation, cpus] : executors) booked += cpus;
    for (const auto& [incarnation, cpus] : tasks) booked += cpus;
    ASSERT_EQ(UsedCpus(agent), booked) << "round " << round;
  }
  EXPECT_GT(started, 100);
}

// ---- The total and its version ----

TEST(ResourceVersionTest, LaunchesForAnotherTotalAreDropped) {
  AgentHarness agent;
  agent.Register();
  const uint64_t version = agent.resource_version;
  EXPECT_EQ(version, 1u);
  MasterMessage run = agent.RunTask("t1");
  run.mutable_run_task()->set_resource_version(version + 1);
  agent.FromMaster(run);
  EXPECT_THAT(agent.Drain(), ElementsAre("t1:TASK_DROPPED"));
  EXPECT_EQ(agent.statuses["t1"].back().reason(), model::v1::REASON_INVALID_OFFERS);
  EXPECT_THAT(agent.statuses["t1"].back().message(), HasSubstr("version is 1"));
}

TEST(ResourceVersionTest, VersionOutlivesRestartsAndGrowsWithTheTotal) {
  AgentHarness agent;
  agent.Register();
  agent.Restart();
  agent.Register();
  EXPECT_EQ(agent.resource_version, 1u);
  AgentConfig more = testing::TestConfig();
  *more.info.add_resources() = testing::ScalarResource("gpus", 2);
  AgentCore core(
      more, [] { return std::string(16, 'u'); }, base::Rng(1));
  Effects effects;
  core.Step(agent.now, Started{agent.log, false}, &effects);
  core.Step(agent.now, ContainersRecovered{RecoveryResult{}}, &effects);
  EXPECT_EQ(core.View()->resource_version, 2u);
  // It is told when it is durable, not before.
  EXPECT_EQ(core.NextDeadline(), absl::InfiniteFuture());
  const Persist* persist = nullptr;
  for (const Effect& effect : effects) {
    if (const auto* p = std::get_if<Persist>(&effect)) persist = p;
  }
  ASSERT_NE(persist, nullptr);
  core.Step(agent.now, Persisted{persist->id}, &effects);
  EXPECT_LT(core.NextDeadline(), agent.now + absl::Seconds(1));
}

// ---- Descriptions ----

TEST(DescriptionTest, FrameworkIsDescribedOnceAndKeptWithItsTasks) {
  AgentHarness agent;
  agent.Register();
  model::v1::TaskInfo info = AgentHarness::Info("t1");
  info.set_data(std::string(100'000, 'd'));
  info.mutable_labels()->add_label()->set_key("kept");
  agent.FromMaster(agent.RunTask(info));
  size_t bytes = 0;
  for (const auto& record : agent.log) bytes += record.ByteSizeLong();
  EXPECT_LT(bytes, 10'000u) << "data is not written down";
  agent.Restart();
  agent.Advance(absl::Seconds(1));
  ASSERT_THAT(agent.sent, SizeIs(2));
  const auto& inventory = agent.sent[1].inventory();
  EXPECT_THAT(inventory.frameworks(), ElementsAre(agent.Framework().SerializeAsString()));
  ASSERT_EQ(inventory.tasks_size(), 1);
  info.clear_data();
  EXPECT_EQ(inventory.tasks(0).info(), info.SerializeAsString());
}

TEST(DescriptionTest, FrameworkOfTheInventoryIsKnownAsLongAsTheLink) {
  AgentHarness agent;
  agent.Register();
  agent.FromMaster(agent.RunTask("t1"));
  agent.Launched("t1");
  agent.Restart();
  agent.Register();
  agent.Ends("t1", 0);
  agent.Drain();
  agent.FromMaster(agent.RunTask("t2"));
  agent.Launched("t2");
  EXPECT_THAT(agent.Drain(), ElementsAre("t2:TASK_STARTING", "t2:TASK_RUNNING"));
}

TEST(DescriptionTest, ATaskThatCameBeforeTheDescriptionTakesNoFrameworkWithIt) {
  AgentHarness agent;
  agent.Register();
  agent.FromMaster(testing::AskFor("lost", {1, 99}));
  agent.FromMaster(agent.RunTask("t1"));
  agent.Launched("t1");
  for (const auto& update : agent.TakeUpdates()) agent.Acknowledge(update);
  agent.Drain();
  EXPECT_EQ(agent.core().View()->frameworks, 1);
  agent.Restart();
  agent.Advance(absl::Seconds(1));
  ASSERT_THAT(agent.sent, SizeIs(2));
  EXPECT_EQ(agent.sent[1].inventory().frameworks_size(), 1);
  ASSERT_EQ(agent.sent[1].inventory().tasks_size(), 1);
  EXPECT_EQ(agent.sent[1].inventory().tasks(0).task_id(), "t1");
}

TEST(DescriptionTest, TaskOfAFrameworkThatWasNotDescribedIsDroppedOnce) {
  AgentHarness agent;
  agent.Register();
  LinkReceived received;
  received.link = agent.link;
  received.batch.set_epoch(1);
  *received.batch.add_messages() = agent.RunTask("t1", 1, "never-described");
  agent.sent.clear();
  agent.Step(received);
  const auto updates = agent.TakeUpdates();
  ASSERT_THAT(updates, SizeIs(1));
  EXPECT_EQ(updates[0].status().state(), model::v1::TASK_DROPPED);
  EXPECT_TRUE(updates[0].status().uuid().empty());
}

// ---- Launches that hang ----

TEST(LaunchStageTest, RuntimeThatDoesNotAnswerFailsTheTaskInTheEnd) {
  AgentHarness agent;
  agent.Register();
  agent.FromMaster(agent.RunTask("t1"));
  agent.Drain();
  MasterMessage ping;
  ping.mutable_ping()->set_sequence(1);
  for (int i = 0; i < 299; ++i) {
    agent.Advance(absl::Seconds(1));
    agent.FromMaster(ping);
  }
  EXPECT_THAT(agent.destroyed, IsEmpty());
  agent.Advance(absl::Seconds(1));
  ASSERT_THAT(agent.destroyed, SizeIs(1));
  agent.LaunchFails("t1", LaunchStep::kAborted, "destroyed");
  EXPECT_THAT(agent.Drain(), ElementsAre("t1:TASK_FAILED"));
  EXPECT_EQ(agent.statuses["t1"].back().reason(), model::v1::REASON_CONTAINER_LAUNCH_FAILED);
  EXPECT_THAT(agent.statuses["t1"].back().message(), HasSubstr("not started in time"));
  EXPECT_EQ(agent.core().View()->counters.launch_timeouts, 1u);
  EXPECT_EQ(UsedCpus(agent), 0);
}

// ---- Views ----

TEST(AgentViewTest, VersionGrowsOnlyWithWhatIsShown) {
  AgentHarness agent;
  agent.Register();
  agent.FromMaster(agent.RunTask("t1"));
  agent.Launched("t1");
  agent.Drain();
  const uint64_t before = agent.core().view_version();
  MasterMessage ping;
  ping.mutable_ping()->set_sequence(1);
  for (int i = 0; i < 10; ++i) {
    agent.FromMaster(ping);
    agent.Step(Wake{});
    agent.Step(DiskUsed{0.1});
  }
  EXPECT_EQ(agent.core().view_version(), before);
  const auto view = agent.core().View();
  agent.FromMaster(agent.RunTask("t2"));
  EXPECT_GT(agent.core().view_version(), before);
  // What has not changed is the same object.
  EXPECT_EQ(agent.core().View()->info, view->info);
}

TEST(AgentViewTest, SnapshotsShareThePiecesInWhichNothingChanged) {
  AgentConfig config = testing::TestConfig();
  config.info.mutable_resources(0)->mutable_scalar()->set_milli(4'000'000);
  config.info.mutable_resources(1)->mutable_scalar()->set_milli(int64_t{64} * 4'000'000);
  AgentHarness agent(config);
  agent.Register();
  std::vector<MasterMessage> runs;
  for (int i = 0; i < 1000; ++i) runs.push_back(agent.RunTask(absl::StrCat("t", i)));
  agent.FromMaster(runs);
  const auto before = agent.core().View()->containers;
  agent.Launched("t500");
  const auto after = agent.core().View()->containers;
  ASSERT_EQ(before.live.size(), after.live.size());
  size_t changed = 0;
  for (size_t i = 0; i < before.live.size(); ++i) changed += before.live[i] != after.live[i];
  EXPECT_EQ(changed, 1u);
}

}  // namespace
}  // namespace tessera::agent
