// Agents in the middle of changes: rows that are used again, markings that meet another change,
// what is said before the registry has answered, and ends that were on their way when the agent
// went.
#include <gtest/gtest.h>

#include "services/master/core/test_master.h"

namespace tessera::master {
namespace {

using Kind = link::MasterMessage;

const absl::Time kStart = absl::FromUnixSeconds(1'700'000'000);

std::string Uuid(char c) { return std::string(16, c); }

link::AgentMessage Unregister() {
  link::AgentMessage message;
  message.mutable_unregister();
  return message;
}

class AgentChangesTest : public ::testing::Test {
 protected:
  AgentChangesTest() : master_(&registry_, kStart) {
    master_.Lead();
    stream_ = master_.Subscribe(TestMaster::Info("batch"));
    framework_id_ = master_.SessionOf(stream_).framework_id();
    agent_ = master_.Register(TestMaster::AgentInfo("host-1"));
    agent_id_ = master_.AgentId(agent_);
  }

  // Launches a task whose first status is forwarded; returns it as its agent would report it.
  link::TaskEntry Launch(AgentStreamId agent, const std::string& task_id) {
    master_.Allocate(framework_id_, master_.AgentId(agent), "cpus:1;mem:64");
    sched::AcceptOffersRequest request;
    request.add_offer_ids(master_.TakeOffers(stream_).back().id());
    auto* task = request.add_operations()->mutable_launch()->add_tasks();
    task->set_id(task_id);
    task->mutable_command()->set_value("true");
    *task->mutable_resources() = TestMaster::Resources("cpus:1;mem:64");
    EXPECT_TRUE(master_.Call<sched::AcceptOffersResponse>(stream_, request).ok());
    const auto runs = master_.TakeAgentMessages(agent, Kind::kRunTask);
    const link::TaskEntry record = TestMaster::EntryOf(runs.back().run_task());
    master_.Update(agent, framework_id_, task_id, pb::TASK_RUNNING, Uuid('r'));
    master_.TakeStatuses(stream_);
    return record;
  }
  // A task that has ended while its first status still waits for its acknowledgement, so that its
  // end has not been forwarded.
  link::TaskEntry LaunchAndEndUnheard(const std::string& task_id) {
    link::TaskEntry record = Launch(agent_, task_id);
    master_.Update(agent_, framework_id_, task_id, pb::TASK_RUNNING, Uuid('r'), pb::TASK_FINISHED);
    EXPECT_TRUE(master_.Held(agent_id_, framework_id_).empty());
    master_.TakeStatuses(stream_);
    record.set_state(pb::TASK_FINISHED);
    return record;
  }
  // Agents that answer nothing are given up; their streams stay open.
  void LetThemBecomeUnreachable() { master_.Advance(absl::Seconds(80)); }

  // The agent re-registers with an executor and a description that has to be made durable first.
  AgentStreamId ReregisterChanged(const std::string& executor_id) {
    pb::AgentInfo info = TestMaster::AgentInfo("host-1");
    info.set_id(agent_id_);
    info.set_address("host-1:6051");
    const AgentStreamId stream = master_.Register(info);
    link::AgentMessage message;
    auto* executor = message.mutable_inventory()->add_executors();
    executor->set_executor_id(executor_id);
    executor->set_framework_id(framework_id_);
    *executor->mutable_incarnation() = TestMaster::MadeUp();
    *executor->mutable_resources() = TestMaster::Resources("cpus:1;mem:32");
    message.mutable_inventory()->set_last(true);
    master_.Send(stream, message);
    return stream;
  }

  TestRegistry registry_;
  TestMaster master_;
  StreamId stream_;
  std::string framework_id_;
  AgentStreamId agent_;
  std::string agent_id_;
};

TEST_F(AgentChangesTest, PingsOfAnAgentThatLeftDoNotGoOnForTheNextInItsPlace) {
  master_.Send(agent_, Unregister());
  ASSERT_NE(master_.AgentClosed(agent_), nullptr);
  const AgentStreamId next = master_.Register(TestMaster::AgentInfo("host-2"));
  master_.Advance(absl::Seconds(31));
  EXPECT_EQ(master_.TakeAgentMessages(next, Kind::kPing).size(), 3u);
}

// ---- markings that meet another change ----------------------------------------------------------

TEST_F(AgentChangesTest, AMarkingThatMetAnotherChangeIsAskedForAgain) {
  MasterConfig config = TestMaster::Config();
  config.unreachable_marking_interval = absl::Minutes(10);
  TestRegistry registry;
  TestMaster master(&registry, kStart, config);
  master.Lead();
  const AgentStreamId one = master.Register(TestMaster::AgentInfo("host-1"));
  const AgentStreamId two = master.Register(TestMaster::AgentInfo("host-2"));
  const std::string id = master.AgentId(two);
  master.Advance(absl::Seconds(80));
  ASSERT_NE(master.AgentClosed(one), nullptr);
  ASSERT_EQ(master.AgentClosed(two), nullptr) << "it waits in the queue";
  // Its turn comes while the registry is asked to take it out of offers.
  master.HoldCommits();
  ops::DeactivateAgentRequest request;
  request.set_agent_id(id);
  (void)master.Operate<ops::DeactivateAgentResponse>(request);
  ASSERT_EQ(master.held_commits(), 1u);
  master.Advance(absl::Minutes(10));
  EXPECT_EQ(master.core().Metrics().counters.unreachable_cancelled, 1u);
  master.ReleaseCommits();
  EXPECT_EQ(master.AgentClosed(two), nullptr);
  master.Advance(absl::Minutes(1));
  EXPECT_NE(master.AgentClosed(two), nullptr);
  EXPECT_TRUE(registry.Get<reg::UnreachableAgent>("agents/unreachable/" + id).has_value());
}

TEST_F(AgentChangesTest, AnAnswerDuringAnotherChangeWithdrawsTheMarking) {
  MasterConfig config = TestMaster::Config();
  config.unreachable_marking_interval = absl::Minutes(1);
  TestRegistry registry;
  TestMaster master(&registry, kStart, config);
  master.Lead();
  master.Register(TestMaster::AgentInfo("host-1"));
  const AgentStreamId two = master.Register(TestMaster::AgentInfo("host-2"));
  master.Advance(absl::Seconds(80));
  master.HoldCommits();
  ops::DeactivateAgentRequest request;
  request.set_agent_id(master.AgentId(two));
  (void)master.Operate<ops::DeactivateAgentResponse>(request);
  master.Pong(two);
  master.ReleaseCommits();
  master.Advance(absl::Seconds(70));
  EXPECT_EQ(master.AgentClosed(two), nullptr) << "it answered before its turn came";
}

TEST_F(AgentChangesTest, AfterAFailOverTheMissingAreLookedForUntilNoneIsLeft) {
  TestMaster next(&registry_, master_.now());
  next.Lead();
  ASSERT_EQ(next.core().Metrics().agents_recovered, 1u);
  // When the time to come back is over, the registry is asked about something else.
  next.Advance(absl::Minutes(9));
  next.HoldCommits();
  ops::DeactivateAgentRequest request;
  request.set_agent_id(agent_id_);
  (void)next.Operate<ops::DeactivateAgentResponse>(request);
  next.Advance(absl::Minutes(2));
  next.ReleaseCommits();
  EXPECT_EQ(next.core().Metrics().agents_recovered, 1u);
  next.Advance(absl::Minutes(10));
  EXPECT_EQ(next.core().Metrics().agents_recovered, 0u);
  EXPECT_EQ(next.core().Metrics().agents_unreachable, 1u);
}

// ---- said before the registry has answered ------------------------------------------------------

TEST_F(AgentChangesTest, AnExecutorThatExitsBeforeTheReturnIsDurableIsNotBooked) {
  master_.CloseAgentStream(agent_);
  master_.HoldCommits();
  const AgentStreamId again = ReregisterChanged("e1");
  ASSERT_EQ(master_.held_commits(), 1u);
  link::AgentMessage exited;
  exited.mutable_executor_exited()->set_framework_id(framework_id_);
  exited.mutable_executor_exited()->set_executor_id("e1");
  *exited.mutable_executor_exited()->mutable_incarnation() = TestMaster::MadeUp();
  master_.Send(again, exited);
  master_.ReleaseCommits();
  EXPECT_EQ(master_.AgentId(again), agent_id_);
  EXPECT_TRUE(master_.Held(agent_id_, framework_id_).empty());
  const auto failures = master_.Events(stream_, sched::Event::kFailure);
  ASSERT_EQ(failures.size(), 1u);
  EXPECT_EQ(failures[0].failure().agent_id(), agent_id_);
  EXPECT_EQ(failures[0].failure().executor_id(), "e1");
}

TEST_F(AgentChangesTest, LeavingBeforeTheReturnIsDurableIsLeaving) {
  for (const bool closes : {false, true}) {
    SCOPED_TRACE(closes);
    TestRegistry registry;
    TestMaster master(&registry, kStart);
    master.Lead();
    const AgentStreamId first = master.Register(TestMaster::AgentInfo("host-1"));
    const std::string id = master.AgentId(first);
    master.CloseAgentStream(first);
    master.HoldCommits();
    pb::AgentInfo info = TestMaster::AgentInfo("host-1");
    info.set_address("host-1:6051");
    const AgentStreamId again = master.Reregister(info, id, {}, {});
    master.Send(again, Unregister());
    if (closes) master.CloseAgentStream(again);
    master.ReleaseCommits();
    master.ReleaseCommits();
    EXPECT_FALSE(registry.Get<reg::AdmittedAgent>("agents/admitted/" + id).has_value());
    EXPECT_FALSE(master.AllocatorKnows(id));
  }
}

TEST_F(AgentChangesTest, LeavingBeforeTheAdmissionIsDurableIsLeaving) {
  for (const bool closes : {false, true}) {
    SCOPED_TRACE(closes);
    TestRegistry registry;
    TestMaster master(&registry, kStart);
    master.Lead();
    master.HoldCommits();
    const AgentStreamId stream = master.Register(TestMaster::AgentInfo("host-1"));
    master.Send(stream, Unregister());
    if (closes) master.CloseAgentStream(stream);
    master.ReleaseCommits();
    for (const auto& [key, value] : registry.table) {
      EXPECT_FALSE(key.starts_with("agents/admitted/")) << key;
    }
    const MasterMetrics metrics = master.core().Metrics();
    EXPECT_EQ(metrics.agents_connected_active + metrics.agents_disconnected, 0u);
  }
}

TEST_F(AgentChangesTest, AnAgentThatLeftAndDialsAgainBeforeItsAdmissionStays) {
  master_.HoldCommits();
  const AgentStreamId first = master_.Register(TestMaster::AgentInfo("host-2"));
  master_.Send(first, Unregister());
  master_.CloseAgentStream(first);
  const AgentStreamId second = master_.Register(TestMaster::AgentInfo("host-2"));
  EXPECT_EQ(master_.AgentClosed(first), nullptr) << "it is closed already";
  master_.ReleaseCommits();
  EXPECT_TRUE(master_.AllocatorKnows(master_.AgentId(second)));
}

TEST_F(AgentChangesTest, ATotalToldBeforeTheAdmissionIsDurableCounts) {
  master_.HoldCommits();
  const AgentStreamId stream = master_.Register(TestMaster::AgentInfo("host-2"));
  link::AgentMessage message;
  *message.mutable_total_update()->mutable_total_resources() = TestMaster::Resources("cpus:2");
  master_.Send(stream, message);
  master_.TakeAllocatorEvents();
  master_.ReleaseCommits();
  const auto events = master_.TakeAllocatorEvents();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(*model::wire::FromProto(events[0].agent_added().total()),
            *model::ParseResources("cpus:2"));
}

TEST_F(AgentChangesTest, AnIdThatAnAgentMadeUpIsNotGivenAgain) {
  const std::string master_id = agent_id_.substr(0, agent_id_.rfind("-S"));
  pb::AgentInfo info = TestMaster::AgentInfo("host-2");
  const AgentStreamId liar = master_.Reregister(info, master_id + "-S1", {}, {});
  ASSERT_EQ(master_.AgentId(liar), master_id + "-S1");
  EXPECT_EQ(master_.AgentId(master_.Register(TestMaster::AgentInfo("host-3"))), master_id + "-S2");
}

// ---- ends on their way --------------------------------------------------------------------------

TEST_F(AgentChangesTest, TheFrameworkHearsOfAnEndThatTheLeavingAgentDidNotTell) {
  LaunchAndEndUnheard("t1");
  master_.Send(agent_, Unregister());
  const auto statuses = master_.TakeStatuses(stream_);
  ASSERT_EQ(statuses.size(), 1u);
  EXPECT_EQ(statuses[0].state(), pb::TASK_FINISHED);
  EXPECT_EQ(statuses[0].source(), pb::SOURCE_MASTER);
  EXPECT_EQ(statuses[0].reason(), pb::REASON_AGENT_REMOVED);
}

TEST_F(AgentChangesTest, TheFrameworkHearsOfAnEndThatAnAgentDeclaredGoneDidNotTell) {
  LaunchAndEndUnheard("t1");
  ops::MarkAgentGoneRequest request;
  request.set_agent_id(agent_id_);
  ASSERT_TRUE(master_.Operate<ops::MarkAgentGoneResponse>(request).ok());
  const auto statuses = master_.TakeStatuses(stream_);
  ASSERT_EQ(statuses.size(), 1u);
  EXPECT_EQ(statuses[0].state(), pb::TASK_FINISHED);
  EXPECT_EQ(statuses[0].reason(), pb::REASON_AGENT_REMOVED_BY_OPERATOR);
}

TEST_F(AgentChangesTest, AnEndThatWasToldIsNotToldAgain) {
  Launch(agent_, "t1");
  master_.Update(agent_, framework_id_, "t1", pb::TASK_FINISHED, Uuid('f'));
  ASSERT_EQ(master_.TakeStatuses(stream_).size(), 1u);
  master_.Send(agent_, Unregister());
  EXPECT_TRUE(master_.TakeStatuses(stream_).empty());
}

TEST_F(AgentChangesTest, AnUnheardEndIsUnreachableUntilTheAgentTellsIt) {
  const link::TaskEntry record = LaunchAndEndUnheard("t1");
  LetThemBecomeUnreachable();
  auto statuses = master_.TakeStatuses(stream_);
  ASSERT_EQ(statuses.size(), 1u);
  EXPECT_EQ(statuses[0].state(), pb::TASK_UNREACHABLE);
  const AgentStreamId again =
      master_.Reregister(TestMaster::AgentInfo("host-1"), agent_id_, {}, {record});
  EXPECT_TRUE(master_.TakeStatuses(stream_).empty());
  master_.Update(again, framework_id_, "t1", pb::TASK_FINISHED, Uuid('f'));
  statuses = master_.TakeStatuses(stream_);
  ASSERT_EQ(statuses.size(), 1u);
  EXPECT_EQ(statuses[0].state(), pb::TASK_FINISHED);
}

TEST_F(AgentChangesTest, OfUnreachableTasksOnlyThoseOfTheAgentThatIsBackAreSettled) {
  const AgentStreamId other = master_.Register(TestMaster::AgentInfo("host-2"));
  const std::string other_id = master_.AgentId(other);
  Launch(agent_, "t1");
  const link::TaskEntry kept = Launch(agent_, "t2");
  Launch(other, "t3");
  LetThemBecomeUnreachable();
  ASSERT_EQ(master_.TakeStatuses(stream_).size(), 3u);
  master_.Reregister(TestMaster::AgentInfo("host-1"), agent_id_, {}, {kept});
  auto statuses = master_.TakeStatuses(stream_);
  ASSERT_EQ(statuses.size(), 2u);
  EXPECT_EQ(statuses[0].task_id(), "t1");
  EXPECT_EQ(statuses[0].state(), pb::TASK_GONE);
  EXPECT_EQ(statuses[1].task_id(), "t2");
  EXPECT_EQ(statuses[1].state(), pb::TASK_RUNNING);
  ops::MarkAgentGoneRequest request;
  request.set_agent_id(other_id);
  ASSERT_TRUE(master_.Operate<ops::MarkAgentGoneResponse>(request).ok());
  statuses = master_.TakeStatuses(stream_);
  ASSERT_EQ(statuses.size(), 1u);
  EXPECT_EQ(statuses[0].task_id(), "t3");
  EXPECT_EQ(statuses[0].state(), pb::TASK_GONE_BY_OPERATOR);
}

}  // namespace
}  // namespace tessera::master
