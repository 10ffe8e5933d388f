// Agents: admission, return, health, loss, and what operators do to them.
#include <gtest/gtest.h>

#include "services/master/core/test_master.h"

namespace tessera::master {
namespace {

using Kind = link::MasterMessage;

const absl::Time kStart = absl::FromUnixSeconds(1'700'000'000);

std::string Uuid(char c) { return std::string(16, c); }

class AgentsTest : public ::testing::Test {
 protected:
  AgentsTest() : master_(&registry_, kStart) {
    master_.Lead();
    stream_ = master_.Subscribe(TestMaster::Info("batch"));
    framework_id_ = master_.SessionOf(stream_).framework_id();
    agent_ = master_.Register(TestMaster::AgentInfo("host-1"));
    agent_id_ = master_.AgentId(agent_);
  }

  void Launch(StreamId stream, const std::string& task_id) {
    master_.Allocate(master_.SessionOf(stream).framework_id(), agent_id_, "cpus:1;mem:64");
    sched::AcceptOffersRequest request;
    request.add_offer_ids(master_.TakeOffers(stream).back().id());
    auto* task = request.add_operations()->mutable_launch()->add_tasks();
    task->set_id(task_id);
    task->mutable_command()->set_value("true");
    *task->mutable_resources() = TestMaster::Resources("cpus:1;mem:64");
    ASSERT_TRUE(master_.Call<sched::AcceptOffersResponse>(stream, request).ok());
    const auto runs = master_.TakeAgentMessages(agent_, Kind::kRunTask);
    ASSERT_FALSE(runs.empty());
    record_ = TestMaster::EntryOf(runs.back().run_task());
    master_.Update(agent_, record_.framework_id(), task_id, pb::TASK_RUNNING, Uuid('r'));
    master_.TakeStatuses(stream);
  }
  // The agent answers nothing until it is given up; its stream stays open.
  void LetItBecomeUnreachable() { master_.Advance(absl::Seconds(80)); }

  TestRegistry registry_;
  TestMaster master_;
  StreamId stream_;
  std::string framework_id_;
  AgentStreamId agent_;
  std::string agent_id_;
  // The task launched last, as its agent would report it.
  link::TaskEntry record_;
};

TEST_F(AgentsTest, IsToldItsIdWhenItIsDurable) {
  master_.HoldCommits();
  const AgentStreamId stream = master_.Register(TestMaster::AgentInfo("host-2"));
  EXPECT_EQ(master_.AgentId(stream), "");
  master_.ReleaseCommits();
  const std::string id = master_.AgentId(stream);
  EXPECT_TRUE(id.ends_with("-S1")) << id;
  EXPECT_TRUE(registry_.Get<reg::AdmittedAgent>("agents/admitted/" + id).has_value());
  EXPECT_TRUE(master_.AllocatorKnows(id));
}

TEST_F(AgentsTest, DialledTwiceItIsAdmittedOnce) {
  master_.HoldCommits();
  const AgentStreamId first = master_.Register(TestMaster::AgentInfo("host-2"));
  const AgentStreamId second = master_.Register(TestMaster::AgentInfo("host-2"));
  EXPECT_NE(master_.AgentClosed(first), nullptr);
  master_.ReleaseCommits();
  EXPECT_NE(master_.AgentId(second), "");
  EXPECT_EQ(master_.core().Metrics().counters.agents_registered, 2u);
}

TEST_F(AgentsTest, ANewAgentTakesThePlaceOfOneThatIsAwayAtItsAddress) {
  Launch(stream_, "t1");
  master_.CloseAgentStream(agent_);
  const AgentStreamId fresh = master_.Register(TestMaster::AgentInfo("host-1"));
  EXPECT_NE(master_.AgentId(fresh), agent_id_);
  EXPECT_FALSE(registry_.Get<reg::AdmittedAgent>("agents/admitted/" + agent_id_).has_value());
  EXPECT_TRUE(registry_.Get<reg::GoneAgent>("agents/gone/" + agent_id_).has_value());
  const auto statuses = master_.TakeStatuses(stream_);
  ASSERT_EQ(statuses.size(), 1u);
  EXPECT_EQ(statuses[0].state(), pb::TASK_GONE);
}

TEST_F(AgentsTest, GarbageIsRefusedWithAReason) {
  const AgentStreamId silent = master_.OpenAgent();
  link::AgentMessage message;
  message.mutable_pong();
  master_.Send(silent, message);
  EXPECT_EQ(rpc::ReasonOf(*master_.AgentClosed(silent)), pb::ErrorDetail::INVALID_FIELD);
  pb::AgentInfo info = TestMaster::AgentInfo("host-9");
  info.mutable_resources(0)->mutable_scalar()->set_milli(-1);
  EXPECT_EQ(rpc::ReasonOf(*master_.AgentClosed(master_.Register(info))),
            pb::ErrorDetail::INVALID_FIELD);
  info = TestMaster::AgentInfo("host-9");
  info.set_id("../escape");
  EXPECT_EQ(rpc::ReasonOf(*master_.AgentClosed(master_.Register(info))),
            pb::ErrorDetail::INVALID_FIELD);
}

TEST_F(AgentsTest, AHigherEpochIsNotServed) {
  const AgentStreamId stream = master_.Register(TestMaster::AgentInfo("host-2"), 7);
  ASSERT_NE(master_.AgentClosed(stream), nullptr);
  EXPECT_EQ(rpc::ReasonOf(*master_.AgentClosed(stream)), pb::ErrorDetail::STALE_EPOCH);
}

// Agents that are refused dial again and again; the registry is asked once for each epoch.
TEST_F(AgentsTest, AHigherEpochIsDoubtedOnceAndTheRemedyIsNamed) {
  const int before = master_.renewals();
  for (const auto& [epoch, doubts] : {std::pair{7, 1}, {7, 1}, {5, 1}, {9, 2}, {9, 2}}) {
    const AgentStreamId stream = master_.Register(TestMaster::AgentInfo("host-2"), epoch);
    master_.Advance(absl::ZeroDuration());
    EXPECT_EQ(master_.renewals() - before, doubts) << epoch;
    ASSERT_NE(master_.AgentClosed(stream), nullptr);
    EXPECT_NE(master_.AgentClosed(stream)->message().find(absl::StrCat("--epoch_at_least=", epoch)),
              std::string::npos);
  }
  EXPECT_TRUE(master_.core().leading());
}

TEST_F(AgentsTest, ABrokenStreamTakesItOutOfOffersOnly) {
  Launch(stream_, "t1");
  master_.Allocate(framework_id_, agent_id_, "cpus:1");
  master_.CloseAgentStream(agent_);
  EXPECT_EQ(master_.Events(stream_, sched::Event::kRescind).size(), 1u);
  EXPECT_TRUE(master_.TakeStatuses(stream_).empty());
  EXPECT_FALSE(master_.Held(agent_id_, framework_id_).empty()) << "its task goes on";
  sched::KillTaskRequest kill;
  kill.set_task_id("t1");
  ASSERT_TRUE(master_.Call<sched::KillTaskResponse>(stream_, kill).ok());
  // Back in time: nothing is said, the kill is repeated.
  const AgentStreamId again =
      master_.Reregister(TestMaster::AgentInfo("host-1"), agent_id_, {}, {record_});
  EXPECT_EQ(master_.AgentId(again), agent_id_);
  EXPECT_TRUE(master_.TakeStatuses(stream_).empty());
  EXPECT_EQ(master_.TakeAgentMessages(again, Kind::kKillTask).size(), 1u);
  EXPECT_EQ(master_.Held(agent_id_, framework_id_),
            model::ParseResources("cpus:1;mem:64")->AllocatedCopy("work"));
}

TEST_F(AgentsTest, WithoutCheckpointingTasksEndWhenTheConnectionBroke) {
  pb::FrameworkInfo info = TestMaster::Info("fleeting");
  info.set_checkpoint(false);
  const StreamId fleeting = master_.Subscribe(info);
  Launch(fleeting, "t1");
  master_.CloseAgentStream(agent_);
  const AgentStreamId again =
      master_.Reregister(TestMaster::AgentInfo("host-1"), agent_id_, {}, {record_});
  EXPECT_EQ(master_.TakeAgentMessages(again, Kind::kKillTask).size(), 1u);
}

TEST_F(AgentsTest, TasksThatItDoesNotBringAreAskedBack) {
  Launch(stream_, "t1");
  master_.CloseAgentStream(agent_);
  const AgentStreamId again =
      master_.Reregister(TestMaster::AgentInfo("host-1"), agent_id_, {}, {});
  const auto asked = master_.TakeAgentMessages(again, Kind::kReconcileTasks);
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_EQ(asked[0].reconcile_tasks().tasks(0).task_id(), "t1");
  master_.Update(again, framework_id_, "t1", pb::TASK_GONE, Uuid('g'));
  EXPECT_EQ(master_.TakeStatuses(stream_)[0].state(), pb::TASK_GONE);
  EXPECT_TRUE(master_.Held(agent_id_, framework_id_).empty());
}

TEST_F(AgentsTest, AnsweredPingsKeepIt) {
  for (int i = 0; i < 10; ++i) {
    master_.Pong(agent_);
    master_.Advance(absl::Seconds(15));
  }
  EXPECT_EQ(master_.AgentClosed(agent_), nullptr);
}

TEST_F(AgentsTest, UnreachableAndBack) {
  const StreamId old = master_.Subscribe(TestMaster::Info("old", /*partition_aware=*/false));
  Launch(old, "t2");
  const link::TaskEntry of_old = record_;
  Launch(stream_, "t1");
  const link::TaskEntry of_new = record_;
  LetItBecomeUnreachable();
  EXPECT_NE(master_.AgentClosed(agent_), nullptr);
  EXPECT_FALSE(registry_.Get<reg::AdmittedAgent>("agents/admitted/" + agent_id_).has_value());
  EXPECT_TRUE(registry_.Get<reg::UnreachableAgent>("agents/unreachable/" + agent_id_).has_value());
  auto statuses = master_.TakeStatuses(stream_);
  ASSERT_EQ(statuses.size(), 1u);
  EXPECT_EQ(statuses[0].state(), pb::TASK_UNREACHABLE);
  EXPECT_TRUE(statuses[0].has_unreachable_time());
  EXPECT_EQ(master_.TakeStatuses(old)[0].state(), pb::TASK_LOST);
  EXPECT_EQ(master_.Events(stream_, sched::Event::kFailure).size(), 1u);
  EXPECT_FALSE(master_.AllocatorKnows(agent_id_));

  sched::ReconcileTasksRequest ask;
  ask.add_tasks()->set_task_id("t1");
  ask.mutable_tasks(0)->set_agent_id(agent_id_);
  ASSERT_TRUE(master_.Call<sched::ReconcileTasksResponse>(stream_, ask).ok());
  EXPECT_EQ(master_.TakeStatuses(stream_)[0].state(), pb::TASK_UNREACHABLE);

  const AgentStreamId again =
      master_.Reregister(TestMaster::AgentInfo("host-1"), agent_id_, {}, {of_new, of_old});
  EXPECT_EQ(master_.AgentId(again), agent_id_);
  EXPECT_TRUE(registry_.Get<reg::AdmittedAgent>("agents/admitted/" + agent_id_).has_value());
  EXPECT_FALSE(registry_.Get<reg::UnreachableAgent>("agents/unreachable/" + agent_id_).has_value());
  for (StreamId stream : {stream_, old}) {
    statuses = master_.TakeStatuses(stream);
    ASSERT_EQ(statuses.size(), 1u);
    EXPECT_EQ(statuses[0].state(), pb::TASK_RUNNING);
    EXPECT_EQ(statuses[0].reason(), pb::REASON_AGENT_REREGISTERED);
    EXPECT_TRUE(statuses[0].uuid().empty());
  }
  EXPECT_FALSE(master_.Held(agent_id_, framework_id_).empty());
}

TEST_F(AgentsTest, MarkingWaitsForTheRegistryAndStaysOneAtATime) {
  Launch(stream_, "t1");
  master_.HoldCommits();
  LetItBecomeUnreachable();
  EXPECT_TRUE(master_.TakeStatuses(stream_).empty()) << "nothing is said before it is durable";
  const AgentStreamId again =
      master_.Reregister(TestMaster::AgentInfo("host-1"), agent_id_, {}, {record_});
  ASSERT_NE(master_.AgentClosed(again), nullptr);
  EXPECT_EQ(master_.AgentClosed(again)->code(), absl::StatusCode::kUnavailable);
  master_.ReleaseCommits();
  EXPECT_EQ(master_.TakeStatuses(stream_)[0].state(), pb::TASK_UNREACHABLE);
}

TEST_F(AgentsTest, OnlySoManyAreMarkedInATime) {
  MasterConfig config = TestMaster::Config();
  config.unreachable_marking_interval = absl::Minutes(10);
  TestRegistry registry;
  TestMaster master(&registry, kStart, config);
  master.Lead();
  const AgentStreamId one = master.Register(TestMaster::AgentInfo("host-1"));
  const AgentStreamId two = master.Register(TestMaster::AgentInfo("host-2"));
  master.Advance(absl::Seconds(80));
  EXPECT_NE(master.AgentClosed(one), nullptr);
  EXPECT_EQ(master.AgentClosed(two), nullptr);
  // A late answer withdraws the marking.
  master.Pong(two);
  EXPECT_EQ(master.core().Metrics().counters.unreachable_cancelled, 1u);
  EXPECT_EQ(master.core().Metrics().agents_unreachable, 1u);
}

TEST_F(AgentsTest, ManyComingBackAtOnceArePaced) {
  MasterConfig config = TestMaster::Config();
  config.unknown_reregistrations_max = 1;
  TestRegistry registry;
  TestMaster master(&registry, kStart, config);
  master.Lead();
  pb::AgentInfo info = TestMaster::AgentInfo("host-1");
  info.set_id("cell-1-S1");
  const AgentStreamId one = master.Register(info);
  info = TestMaster::AgentInfo("host-2");
  info.set_id("cell-1-S2");
  const AgentStreamId two = master.Register(info);
  EXPECT_EQ(master.AgentClosed(one), nullptr);
  ASSERT_NE(master.AgentClosed(two), nullptr);
  const auto detail = rpc::DetailOf(*master.AgentClosed(two));
  EXPECT_EQ(detail->reason(), pb::ErrorDetail::OVERLOADED);
  EXPECT_TRUE(detail->has_retry_after());
  master.CloseAgentStream(one);
  EXPECT_EQ(master.AgentClosed(master.Register(info)), nullptr);
}

TEST_F(AgentsTest, AnInventoryMustFitTogether) {
  record_.set_framework_id("nobody-knows");
  record_.set_task_id("t1");
  *record_.mutable_incarnation() = TestMaster::MadeUp();
  record_.set_state(pb::TASK_RUNNING);
  const AgentStreamId stream =
      master_.Reregister(TestMaster::AgentInfo("host-1"), agent_id_, {}, {record_});
  ASSERT_NE(master_.AgentClosed(stream), nullptr);
  EXPECT_EQ(rpc::ReasonOf(*master_.AgentClosed(stream)), pb::ErrorDetail::INVALID_FIELD);
}

TEST_F(AgentsTest, AnIdBelongsToOneMachine) {
  const AgentStreamId copy = master_.Reregister(TestMaster::AgentInfo("host-2"), agent_id_, {}, {});
  ASSERT_NE(master_.AgentClosed(copy), nullptr);
  EXPECT_EQ(rpc::ReasonOf(*master_.AgentClosed(copy)), pb::ErrorDetail::INVALID_FIELD);
  EXPECT_EQ(master_.AgentClosed(agent_), nullptr) << "the real one goes on";
}

TEST_F(AgentsTest, LeavingEndsItsTasks) {
  Launch(stream_, "t1");
  link::AgentMessage leave;
  leave.mutable_unregister();
  master_.Send(agent_, leave);
  EXPECT_EQ(master_.TakeStatuses(stream_)[0].state(), pb::TASK_GONE);
  EXPECT_TRUE(master_.AgentClosed(agent_)->ok());
}

// ---- operators ----------------------------------------------------------------------------------

TEST_F(AgentsTest, GoneForEver) {
  Launch(stream_, "t1");
  ops::MarkAgentGoneRequest request;
  request.set_agent_id(agent_id_);
  ASSERT_TRUE(master_.Operate<ops::MarkAgentGoneResponse>(request).ok());
  EXPECT_EQ(master_.TakeStatuses(stream_)[0].state(), pb::TASK_GONE_BY_OPERATOR);
  EXPECT_EQ(master_.TakeAgentMessages(agent_, Kind::kShutdown).size(), 1u);
  EXPECT_EQ(rpc::ReasonOf(*master_.AgentClosed(agent_)), pb::ErrorDetail::AGENT_GONE);
  EXPECT_TRUE(master_.Operate<ops::MarkAgentGoneResponse>(request).ok()) << "a repeat is fine";
  const AgentStreamId again =
      master_.Reregister(TestMaster::AgentInfo("host-1"), agent_id_, {}, {record_});
  EXPECT_EQ(rpc::ReasonOf(*master_.AgentClosed(again)), pb::ErrorDetail::AGENT_GONE);
  request.set_agent_id("nobody");
  EXPECT_EQ(rpc::ReasonOf(master_.Operate<ops::MarkAgentGoneResponse>(request).status()),
            pb::ErrorDetail::UNKNOWN_AGENT);
}

TEST_F(AgentsTest, AnUnreachableAgentDeclaredGoneEndsItsTasks) {
  Launch(stream_, "t1");
  LetItBecomeUnreachable();
  master_.TakeStatuses(stream_);
  ops::MarkAgentGoneRequest request;
  request.set_agent_id(agent_id_);
  ASSERT_TRUE(master_.Operate<ops::MarkAgentGoneResponse>(request).ok());
  EXPECT_EQ(master_.TakeStatuses(stream_)[0].state(), pb::TASK_GONE_BY_OPERATOR);
  EXPECT_TRUE(registry_.Get<reg::GoneAgent>("agents/gone/" + agent_id_).has_value());
}

TEST_F(AgentsTest, AnUnreachableAgentWhosePlaceAnotherTakesEndsItsTasks) {
  Launch(stream_, "t1");
  LetItBecomeUnreachable();
  master_.TakeStatuses(stream_);
  master_.Register(TestMaster::AgentInfo("host-2"));
  EXPECT_TRUE(master_.TakeStatuses(stream_).empty()) << "that is another place";
  const AgentStreamId next = master_.Register(TestMaster::AgentInfo("host-1"));
  EXPECT_NE(master_.AgentId(next), agent_id_);
  const auto statuses = master_.TakeStatuses(stream_);
  ASSERT_EQ(statuses.size(), 1u);
  EXPECT_EQ(statuses[0].task_id(), "t1");
  EXPECT_EQ(statuses[0].state(), pb::TASK_GONE);
  const AgentStreamId again =
      master_.Reregister(TestMaster::AgentInfo("host-1"), agent_id_, {}, {record_});
  EXPECT_EQ(rpc::ReasonOf(*master_.AgentClosed(again)), pb::ErrorDetail::AGENT_GONE);
}

TEST_F(AgentsTest, AnUnreachableAgentIsKnownByItsPlaceAfterAFailover) {
  LetItBecomeUnreachable();
  TestMaster next(&registry_, master_.now());
  next.Lead();
  next.Register(TestMaster::AgentInfo("host-1"));
  EXPECT_TRUE(registry_.Get<reg::GoneAgent>("agents/gone/" + agent_id_).has_value());
}

TEST_F(AgentsTest, DeactivatedItIsNotOffered) {
  master_.Allocate(framework_id_, agent_id_, "cpus:1");
  ops::DeactivateAgentRequest request;
  request.set_agent_id(agent_id_);
  ASSERT_TRUE(master_.Operate<ops::DeactivateAgentResponse>(request).ok());
  EXPECT_EQ(master_.Events(stream_, sched::Event::kRescind).size(), 1u);
  EXPECT_TRUE(registry_.Get<reg::AdmittedAgent>("agents/admitted/" + agent_id_)->deactivated());
  master_.TakeOffers(stream_);
  master_.Allocate(framework_id_, agent_id_, "cpus:1");
  EXPECT_TRUE(master_.TakeOffers(stream_).empty());
  ops::ReactivateAgentRequest again;
  again.set_agent_id(agent_id_);
  ASSERT_TRUE(master_.Operate<ops::ReactivateAgentResponse>(again).ok());
  master_.Allocate(framework_id_, agent_id_, "cpus:1");
  EXPECT_EQ(master_.TakeOffers(stream_).size(), 1u);
}

TEST_F(AgentsTest, ADrainEndsWhenTheLastTaskIsAcknowledged) {
  Launch(stream_, "t1");
  ops::DrainAgentRequest request;
  request.set_agent_id(agent_id_);
  request.mutable_max_grace_period()->set_seconds(5);
  ASSERT_TRUE(master_.Operate<ops::DrainAgentResponse>(request).ok());
  EXPECT_EQ(master_.TakeAgentMessages(agent_, Kind::kDrain).size(), 1u);
  const auto kills = master_.TakeAgentMessages(agent_, Kind::kKillTask);
  ASSERT_EQ(kills.size(), 1u);
  EXPECT_EQ(kills[0].kill_task().kill_policy().grace_period().seconds(), 5);
  ops::ReactivateAgentRequest reactivate;
  reactivate.set_agent_id(agent_id_);
  EXPECT_EQ(rpc::ReasonOf(master_.Operate<ops::ReactivateAgentResponse>(reactivate).status()),
            pb::ErrorDetail::CONFLICTING_TRANSITION);
  const std::string key = "agents/admitted/" + agent_id_;
  master_.Update(agent_, framework_id_, "t1", pb::TASK_KILLED, Uuid('k'));
  EXPECT_EQ(registry_.Get<reg::AdmittedAgent>(key)->drain().state(), pb::DRAIN_STATE_DRAINING);
  sched::AcknowledgeRequest ack;
  ack.add_updates()->set_agent_id(agent_id_);
  ack.mutable_updates(0)->set_task_id("t1");
  ack.mutable_updates(0)->set_uuid(Uuid('k'));
  ASSERT_TRUE(master_.Call<sched::AcknowledgeResponse>(stream_, ack).ok());
  EXPECT_EQ(registry_.Get<reg::AdmittedAgent>(key)->drain().state(), pb::DRAIN_STATE_DRAINED);
  EXPECT_TRUE(master_.Operate<ops::ReactivateAgentResponse>(reactivate).ok());
}

TEST_F(AgentsTest, WeightsAndQuotasAreDurableAndTakeOffersBack) {
  master_.Allocate(framework_id_, agent_id_, "cpus:1");
  master_.TakeAllocatorEvents();
  ops::UpdateWeightsRequest weights;
  weights.add_weights()->set_role("work");
  weights.mutable_weights(0)->set_weight_milli(2500);
  ASSERT_TRUE(master_.Operate<ops::UpdateWeightsResponse>(weights).ok());
  EXPECT_EQ(registry_.Get<reg::Weight>("weights/work")->weight_milli(), 2500);
  EXPECT_EQ(master_.Events(stream_, sched::Event::kRescind).size(), 1u);
  EXPECT_EQ(master_.TakeAllocatorEvents()[0].weight_set().weight_milli(), 2500);
  weights.mutable_weights(0)->set_weight_milli(0);
  EXPECT_EQ(rpc::ReasonOf(master_.Operate<ops::UpdateWeightsResponse>(weights).status()),
            pb::ErrorDetail::INVALID_FIELD);

  ops::UpdateQuotaRequest quota;
  auto* config = quota.add_configs();
  config->set_role("work");
  (*config->mutable_guarantees()->mutable_amounts())["cpus"].set_milli(400'000);
  EXPECT_EQ(rpc::ReasonOf(master_.Operate<ops::UpdateQuotaResponse>(quota).status()),
            pb::ErrorDetail::INSUFFICIENT_RESOURCES);
  quota.set_force(true);
  EXPECT_TRUE(master_.Operate<ops::UpdateQuotaResponse>(quota).ok());
  EXPECT_TRUE(registry_.Get<reg::Quota>("quotas/work").has_value());
  // A role beneath it may not have more than it.
  auto* beneath = quota.add_configs();
  beneath->set_role("work/night");
  (*beneath->mutable_guarantees()->mutable_amounts())["cpus"].set_milli(400'001);
  EXPECT_EQ(rpc::ReasonOf(master_.Operate<ops::UpdateQuotaResponse>(quota).status()),
            pb::ErrorDetail::INVALID_FIELD);
  quota.mutable_configs()->RemoveLast();
  config->clear_guarantees();
  EXPECT_TRUE(master_.Operate<ops::UpdateQuotaResponse>(quota).ok());
  EXPECT_FALSE(registry_.Get<reg::Quota>("quotas/work").has_value());

  // To take away what was not there tells readers nothing.
  const size_t changes = master_.feed_changes().size();
  config->set_role("nobody/knows/it");
  EXPECT_TRUE(master_.Operate<ops::UpdateQuotaResponse>(quota).ok());
  EXPECT_EQ(master_.feed_changes().size(), changes);
}

TEST_F(AgentsTest, OneChangeOfQuotasAtATime) {
  ops::UpdateQuotaRequest quota;
  auto* config = quota.add_configs();
  config->set_role("work");
  (*config->mutable_limits()->mutable_amounts())["cpus"].set_milli(1000);
  master_.HoldCommits();
  EXPECT_EQ(master_.Operate<ops::UpdateQuotaResponse>(quota).status().code(),
            absl::StatusCode::kUnknown)
      << "no answer yet";
  EXPECT_EQ(rpc::ReasonOf(master_.Operate<ops::UpdateQuotaResponse>(quota).status()),
            pb::ErrorDetail::CONFLICTING_TRANSITION);
  master_.ReleaseCommits();
  EXPECT_TRUE(registry_.Get<reg::Quota>("quotas/work").has_value());
  EXPECT_TRUE(master_.Operate<ops::UpdateQuotaResponse>(quota).ok());
}

TEST_F(AgentsTest, WhatIsNotOfferedIsRefusedExplicitly) {
  const auto answer =
      master_.Operate<ops::ReserveResourcesResponse>(ops::ReserveResourcesRequest());
  EXPECT_EQ(answer.status().code(), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(rpc::ReasonOf(answer.status()), pb::ErrorDetail::NOT_SUPPORTED);
}

TEST_F(AgentsTest, OperatorsEndFrameworksAndTasks) {
  Launch(stream_, "t1");
  ops::KillTaskRequest kill;
  kill.set_framework_id(framework_id_);
  kill.set_task_id("t1");
  kill.set_dry_run(true);
  ASSERT_TRUE(master_.Operate<ops::KillTaskResponse>(kill).ok());
  EXPECT_TRUE(master_.TakeAgentMessages(agent_, Kind::kKillTask).empty());
  kill.set_dry_run(false);
  ASSERT_TRUE(master_.Operate<ops::KillTaskResponse>(kill).ok());
  EXPECT_EQ(master_.TakeAgentMessages(agent_, Kind::kKillTask).size(), 1u);
  ops::TeardownFrameworkRequest teardown;
  teardown.set_framework_id(framework_id_);
  ASSERT_TRUE(master_.Operate<ops::TeardownFrameworkResponse>(teardown).ok());
  EXPECT_EQ(rpc::ReasonOf(*master_.FrameworkClosed(stream_)), pb::ErrorDetail::FRAMEWORK_REMOVED);
}

}  // namespace
}  // namespace tessera::master
