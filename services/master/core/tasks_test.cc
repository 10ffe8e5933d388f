// Launches and the life of tasks, on a leading master.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "services/master/core/test_tasks.h"

namespace tessera::master {
namespace {

using ::testing::HasSubstr;
using Kind = link::MasterMessage;

class TasksTest : public TestTasks {};

TEST_F(TasksTest, FromOfferToAcknowledgedEnd) {
  master_.Allocate(framework_id_, agent_id_, "cpus:4;mem:4096");
  const auto offers = master_.TakeOffers(stream_);
  ASSERT_EQ(offers.size(), 1u);
  EXPECT_EQ(offers[0].framework_id(), framework_id_);
  EXPECT_EQ(offers[0].agent_id(), agent_id_);
  EXPECT_EQ(offers[0].hostname(), "host-1");
  EXPECT_EQ(offers[0].role(), "work");

  const auto answer = Launch({offers[0].id()}, {Task("t1")});
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_TRUE(answer->refused_task_ids().empty());
  const auto runs = master_.TakeAgentMessages(agent_, Kind::kRunTask);
  ASSERT_EQ(runs.size(), 1u);
  EXPECT_EQ(runs[0].run_task().framework_id(), framework_id_);
  EXPECT_EQ(runs[0].run_task().task().task_id(), "t1");
  EXPECT_TRUE(model::wire::FromProto(runs[0].run_task().task().incarnation()).valid());
  EXPECT_EQ(runs[0].run_task().task().info(), model::wire::Describe(Task("t1")).bytes())
      << "as the framework sent it";
  for (const auto& resource : runs[0].run_task().task().resources()) {
    EXPECT_EQ(resource.allocation_role(), "work");
  }
  // What was not used went back at once, with the default filter.
  EXPECT_EQ(master_.Held(agent_id_, framework_id_),
            model::ParseResources("cpus:1;mem:64")->AllocatedCopy("work"));

  master_.Update(agent_, framework_id_, "t1", pb::TASK_RUNNING, Uuid('a'));
  auto statuses = master_.TakeStatuses(stream_);
  ASSERT_EQ(statuses.size(), 1u);
  EXPECT_EQ(statuses[0].state(), pb::TASK_RUNNING);
  EXPECT_EQ(statuses[0].uuid(), Uuid('a'));
  EXPECT_EQ(statuses[0].agent_id(), agent_id_);
  Acknowledge("t1", Uuid('a'));
  auto acks = master_.TakeAgentMessages(agent_, Kind::kAcknowledgeUpdate);
  ASSERT_EQ(acks.size(), 1u);
  EXPECT_EQ(acks[0].acknowledge_update().uuid(), Uuid('a'));

  master_.Update(agent_, framework_id_, "t1", pb::TASK_FINISHED, Uuid('b'));
  EXPECT_TRUE(master_.Held(agent_id_, framework_id_).empty()) << "an ended task holds nothing";
  // Its id is still in use until the end is acknowledged.
  EXPECT_EQ(Launch({Offer()}, {Task("t1")})->refused_task_ids_size(), 1);
  Acknowledge("t1", Uuid('b'));
  EXPECT_TRUE(Launch({Offer()}, {Task("t1")})->refused_task_ids().empty());
}

TEST_F(TasksTest, AnAgentAheadOfItsUpdatesReleasesEarly) {
  ASSERT_TRUE(Launch({Offer()}, {Task("t1")}).ok());
  master_.Update(agent_, framework_id_, "t1", pb::TASK_RUNNING, Uuid('a'), pb::TASK_FINISHED);
  EXPECT_TRUE(master_.Held(agent_id_, framework_id_).empty());
  EXPECT_EQ(master_.TakeStatuses(stream_)[0].state(), pb::TASK_RUNNING);
  Acknowledge("t1", Uuid('a'));
  master_.Update(agent_, framework_id_, "t1", pb::TASK_FINISHED, Uuid('b'));
  EXPECT_EQ(master_.TakeStatuses(stream_)[0].state(), pb::TASK_FINISHED);
  // Readers get both statuses, each with the state that the task has.
  std::vector<std::string> shown;
  for (const feed::Change& change : master_.feed_changes()) {
    const auto* added = std::get_if<feed::TaskStatusAdded>(&change);
    if (added == nullptr) continue;
    EXPECT_EQ(added->state, pb::TASK_FINISHED);
    shown.push_back(pb::TaskState_Name(added->status->state));
  }
  EXPECT_EQ(shown, (std::vector<std::string>{"TASK_RUNNING", "TASK_FINISHED"}));
}

TEST_F(TasksTest, AnEndIsAnEndWhateverTheAgentCallsItsNewestState) {
  ASSERT_TRUE(Launch({Offer()}, {Task("t1")}).ok());
  master_.Update(agent_, framework_id_, "t1", pb::TASK_FINISHED, Uuid('a'), pb::TASK_RUNNING);
  EXPECT_TRUE(master_.Held(agent_id_, framework_id_).empty());
  EXPECT_EQ(master_.TakeStatuses(stream_)[0].state(), pb::TASK_FINISHED);
  Acknowledge("t1", Uuid('a'));
  EXPECT_TRUE(Launch({Offer()}, {Task("t1")})->refused_task_ids().empty()) << "its id is free";
}

TEST_F(TasksTest, AnEndThatNobodyRepeatsDoesNotWaitForAFrameworkThatIsAway) {
  ASSERT_TRUE(Launch({Offer()}, {Task("t1")}).ok());
  master_.CloseFrameworkStream(stream_);
  // Refusals have no uuid: the agent says them once.
  master_.Update(agent_, framework_id_, "t1", pb::TASK_DROPPED, "");
  EXPECT_TRUE(master_.Held(agent_id_, framework_id_).empty());
  pb::FrameworkInfo info = TestMaster::Info("test");
  info.set_id(framework_id_);
  stream_ = master_.Subscribe(info);
  sched::ReconcileTasksRequest request;
  request.add_tasks()->set_task_id("t1");
  request.mutable_tasks(0)->set_agent_id(agent_id_);
  ASSERT_TRUE(master_.Call<sched::ReconcileTasksResponse>(stream_, request).ok());
  const auto statuses = master_.TakeStatuses(stream_);
  ASSERT_EQ(statuses.size(), 1u);
  EXPECT_EQ(statuses[0].state(), pb::TASK_GONE);
}

TEST_F(TasksTest, ARepeatedAcceptHarmsNothing) {
  const std::string offer = Offer();
  ASSERT_TRUE(Launch({offer}, {Task("t1")}).ok());
  EXPECT_EQ(rpc::ReasonOf(Launch({offer}, {Task("t1")}).status()), pb::ErrorDetail::INVALID_OFFER);
  EXPECT_TRUE(master_.TakeStatuses(stream_).empty());
  EXPECT_FALSE(master_.Held(agent_id_, framework_id_).empty());
}

TEST_F(TasksTest, OtherOperationsAreRefusedBeforeAnythingIsUsed) {
  const std::string offer = Offer();
  sched::AcceptOffersRequest request;
  request.add_offer_ids(offer);
  *request.add_operations()->mutable_reserve()->mutable_resources() =
      TestMaster::Resources("cpus:1");
  const auto answer = master_.Call<sched::AcceptOffersResponse>(stream_, request);
  EXPECT_EQ(answer.status().code(), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(rpc::ReasonOf(answer.status()), pb::ErrorDetail::NOT_SUPPORTED);
  EXPECT_TRUE(Launch({offer}, {Task("t1")}).ok());
}

struct BadTask {
  const char* name;
  void (*spoil)(pb::TaskInfo*);
  const char* message;
};

class BadTaskTest : public TasksTest, public ::testing::WithParamInterface<BadTask> {};

TEST_P(BadTaskTest, IsRefusedAloneWithAReason) {
  pb::TaskInfo bad = Task("bad");
  GetParam().spoil(&bad);
  const auto answer = Launch({Offer()}, {bad, Task("good")});
  ASSERT_TRUE(answer.ok());
  ASSERT_EQ(answer->refused_task_ids_size(), 1);
  EXPECT_EQ(answer->refused_task_ids(0), bad.id());
  const auto statuses = master_.TakeStatuses(stream_);
  ASSERT_EQ(statuses.size(), 1u);
  EXPECT_EQ(statuses[0].state(), pb::TASK_ERROR);
  EXPECT_EQ(statuses[0].reason(), pb::REASON_TASK_INVALID);
  EXPECT_THAT(statuses[0].message(), HasSubstr(GetParam().message));
  ASSERT_EQ(master_.TakeAgentMessages(agent_, Kind::kRunTask).size(), 1u);
}

INSTANTIATE_TEST_SUITE_P(
    Tasks, BadTaskTest,
    ::testing::Values(
        BadTask{"Slash", [](pb::TaskInfo* t) { t->set_id("a/b"); }, "task id"},
        BadTask{"Newline", [](pb::TaskInfo* t) { t->set_id("a\nb"); }, "task id"},
        BadTask{"NoId", [](pb::TaskInfo* t) { t->clear_id(); }, "task id"},
        BadTask{"Agent", [](pb::TaskInfo* t) { t->set_agent_id("other"); }, "agent"},
        BadTask{"Grace",
                [](pb::TaskInfo* t) {
                  t->mutable_kill_policy()->mutable_grace_period()->set_seconds(-1);
                },
                "grace_period"},
        BadTask{"NoResources", [](pb::TaskInfo* t) { t->clear_resources(); }, "no resources"},
        BadTask{
            "Negative",
            [](pb::TaskInfo* t) { t->mutable_resources(0)->mutable_scalar()->set_milli(-1000); },
            "resources"},
        BadTask{"TooMuch",
                [](pb::TaskInfo* t) { *t->mutable_resources() = TestMaster::Resources("cpus:40"); },
                "more is used"},
        BadTask{"Role",
                [](pb::TaskInfo* t) { t->mutable_resources(0)->set_allocation_role("other"); },
                "allocated to"},
        BadTask{
            "HalfAGpu",
            [](pb::TaskInfo* t) { *t->mutable_resources() = TestMaster::Resources("gpus:0.5"); },
            "whole"},
        BadTask{"NoCommand", [](pb::TaskInfo* t) { t->clear_command(); }, "either"},
        BadTask{"Both", [](pb::TaskInfo* t) { t->mutable_executor()->set_id("e"); }, "either"},
        BadTask{"Environment",
                [](pb::TaskInfo* t) { t->mutable_command()->add_environment()->set_name("A=B"); },
                "environment"},
        BadTask{"Limit", [](pb::TaskInfo* t) { (*t->mutable_limits())["cpus"].set_milli(500); },
                "below the request"},
        BadTask{"Huge", [](pb::TaskInfo* t) { t->set_data(std::string(2 << 20, 'x')); }, "bytes"}),
    [](const auto& info) { return info.param.name; });

TEST_F(TasksTest, TwoTasksOfOneIdInOneCall) {
  const auto answer = Launch({Offer()}, {Task("t1"), Task("t1")});
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer->refused_task_ids_size(), 1);
  // An update would be taken for one of the task that lives.
  EXPECT_TRUE(master_.TakeStatuses(stream_).empty());
  EXPECT_EQ(master_.TakeAgentMessages(agent_, Kind::kRunTask).size(), 1u);
}

TEST_F(TasksTest, AGroupStartsWhollyOrNotAtAll) {
  pb::ExecutorInfo executor;
  executor.set_id("e1");
  executor.set_type(pb::ExecutorInfo::DEFAULT);
  *executor.mutable_resources() = TestMaster::Resources("cpus:0.1;mem:32;disk:32");
  sched::AcceptOffersRequest request;
  request.add_offer_ids(Offer("cpus:4;mem:4096;disk:100"));
  auto* group = request.add_operations()->mutable_launch_group();
  *group->mutable_executor() = executor;
  *group->mutable_group()->add_tasks() = Task("g1");
  *group->mutable_group()->add_tasks() = Task("g2", "cpus:100");
  auto answer = master_.Call<sched::AcceptOffersResponse>(stream_, request);
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer->refused_task_ids_size(), 2);
  for (const auto& status : master_.TakeStatuses(stream_)) {
    EXPECT_EQ(status.reason(), pb::REASON_TASK_GROUP_INVALID);
  }
  EXPECT_TRUE(master_.TakeAgentMessages(agent_, Kind::kRunTaskGroup).empty());

  *group->mutable_group()->mutable_tasks(1) = Task("g2");
  request.set_offer_ids(0, Offer("cpus:4;mem:4096;disk:100"));
  answer = master_.Call<sched::AcceptOffersResponse>(stream_, request);
  EXPECT_TRUE(answer->refused_task_ids().empty());
  const auto runs = master_.TakeAgentMessages(agent_, Kind::kRunTaskGroup);
  ASSERT_EQ(runs.size(), 1u);
  EXPECT_EQ(runs[0].run_task_group().tasks_size(), 2);
  EXPECT_EQ(master_.Held(agent_id_, framework_id_),
            model::ParseResources("cpus:2.1;mem:160;disk:32")->AllocatedCopy("work"));
  // The executor's end gives its share back.
  for (const char* id : {"g1", "g2"}) {
    master_.Update(agent_, framework_id_, id, pb::TASK_FINISHED, Uuid('f'));
  }
  link::AgentMessage exited;
  exited.mutable_executor_exited()->set_framework_id(framework_id_);
  exited.mutable_executor_exited()->set_executor_id("e1");
  *exited.mutable_executor_exited()->mutable_incarnation() =
      runs[0].run_task_group().executor().incarnation();
  master_.Send(agent_, exited);
  EXPECT_TRUE(master_.Held(agent_id_, framework_id_).empty());
  EXPECT_EQ(master_.Events(stream_, sched::Event::kFailure).size(), 1u);
}

TEST_F(TasksTest, KillReachesTheAgentWithItsPolicy) {
  Run("t1");
  sched::KillTaskRequest request;
  request.set_task_id("t1");
  request.mutable_kill_policy()->mutable_grace_period()->set_seconds(7);
  ASSERT_TRUE(master_.Call<sched::KillTaskResponse>(stream_, request).ok());
  const auto kills = master_.TakeAgentMessages(agent_, Kind::kKillTask);
  ASSERT_EQ(kills.size(), 1u);
  EXPECT_EQ(kills[0].kill_task().kill_policy().grace_period().seconds(), 7);
  request.set_agent_id("other");
  EXPECT_EQ(rpc::ReasonOf(master_.Call<sched::KillTaskResponse>(stream_, request).status()),
            pb::ErrorDetail::INVALID_FIELD);
}

TEST_F(TasksTest, KillOfAnUnknownTaskIsAnsweredLikeReconciliation) {
  sched::KillTaskRequest request;
  request.set_task_id("never");
  ASSERT_TRUE(master_.Call<sched::KillTaskResponse>(stream_, request).ok());
  const auto statuses = master_.TakeStatuses(stream_);
  ASSERT_EQ(statuses.size(), 1u);
  EXPECT_EQ(statuses[0].state(), pb::TASK_UNKNOWN);
  EXPECT_EQ(statuses[0].reason(), pb::REASON_RECONCILIATION);
}

TEST_F(TasksTest, ReconciliationSaysWhatIsKnown) {
  Run("t1");
  sched::ReconcileTasksRequest all;
  ASSERT_TRUE(master_.Call<sched::ReconcileTasksResponse>(stream_, all).ok());
  auto statuses = master_.TakeStatuses(stream_);
  ASSERT_EQ(statuses.size(), 1u);
  EXPECT_EQ(statuses[0].state(), pb::TASK_RUNNING);
  EXPECT_TRUE(statuses[0].uuid().empty());

  sched::ReconcileTasksRequest some;
  auto ask = [&some](const std::string& task, const std::string& agent) {
    some.add_tasks()->set_task_id(task);
    some.mutable_tasks(some.tasks_size() - 1)->set_agent_id(agent);
  };
  ask("t1", "");
  ask("gone", agent_id_);
  ask("x", "no-such-agent");
  ask("y", "");
  ASSERT_TRUE(master_.Call<sched::ReconcileTasksResponse>(stream_, some).ok());
  statuses = master_.TakeStatuses(stream_);
  ASSERT_EQ(statuses.size(), 4u);
  EXPECT_EQ(statuses[0].state(), pb::TASK_RUNNING);
  EXPECT_EQ(statuses[1].state(), pb::TASK_GONE);
  EXPECT_EQ(statuses[2].state(), pb::TASK_UNKNOWN);
  EXPECT_EQ(statuses[3].state(), pb::TASK_UNKNOWN);
}

TEST_F(TasksTest, AFrameworkWithoutPartitionAwarenessHearsLost) {
  const StreamId old = master_.Subscribe(TestMaster::Info("old", /*partition_aware=*/false));
  sched::KillTaskRequest request;
  request.set_task_id("never");
  ASSERT_TRUE(master_.Call<sched::KillTaskResponse>(old, request).ok());
  EXPECT_EQ(master_.TakeStatuses(old)[0].state(), pb::TASK_LOST);
}

TEST_F(TasksTest, AMalformedAcknowledgementIsRefused) {
  sched::AcknowledgeRequest request;
  request.add_updates()->set_uuid("short");
  EXPECT_EQ(rpc::ReasonOf(master_.Call<sched::AcknowledgeResponse>(stream_, request).status()),
            pb::ErrorDetail::INVALID_FIELD);
}

TEST_F(TasksTest, MessagesGoBothWaysAndAreBounded) {
  sched::SendMessageRequest request;
  request.set_agent_id(agent_id_);
  request.set_executor_id("e1");
  request.set_data("hello");
  ASSERT_TRUE(master_.Call<sched::SendMessageResponse>(stream_, request).ok());
  EXPECT_TRUE(master_.TakeAgentMessages(agent_, Kind::kFrameworkToExecutor).empty())
      << "said to an executor that is not there";
  sched::AcceptOffersRequest accept;
  accept.add_offer_ids(Offer("cpus:2;mem:1024;disk:100"));
  auto* group = accept.add_operations()->mutable_launch_group();
  group->mutable_executor()->set_id("e1");
  group->mutable_executor()->set_type(pb::ExecutorInfo::DEFAULT);
  *group->mutable_executor()->mutable_resources() =
      TestMaster::Resources("cpus:0.1;mem:32;disk:32");
  *group->mutable_group()->add_tasks() = Task("t1");
  ASSERT_TRUE(master_.Call<sched::AcceptOffersResponse>(stream_, accept).ok());
  const auto runs = master_.TakeAgentMessages(agent_, Kind::kRunTaskGroup);
  ASSERT_EQ(runs.size(), 1u);
  ASSERT_TRUE(master_.Call<sched::SendMessageResponse>(stream_, request).ok());
  const auto sent = master_.TakeAgentMessages(agent_, Kind::kFrameworkToExecutor);
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].framework_to_executor().incarnation().number(),
            runs[0].run_task_group().executor().incarnation().number());
  request.set_data(std::string(2 << 20, 'x'));
  EXPECT_EQ(rpc::ReasonOf(master_.Call<sched::SendMessageResponse>(stream_, request).status()),
            pb::ErrorDetail::MESSAGE_TOO_LARGE);
  request.set_data("hello");
  request.set_agent_id("nobody");
  EXPECT_EQ(rpc::ReasonOf(master_.Call<sched::SendMessageResponse>(stream_, request).status()),
            pb::ErrorDetail::UNKNOWN_AGENT);
  link::AgentMessage back;
  back.mutable_executor_message()->set_framework_id(framework_id_);
  back.mutable_executor_message()->set_data("there");
  master_.Send(agent_, back);
  EXPECT_EQ(master_.Events(stream_, sched::Event::kMessage).size(), 1u);
}

TEST_F(TasksTest, CountersTellWhatHappened) {
  Run("t1");
  master_.Update(agent_, framework_id_, "t1", pb::TASK_FAILED, Uuid('f'));
  const MasterMetrics metrics = master_.core().Metrics();
  ASSERT_EQ(metrics.frameworks.size(), 1u);
  const FrameworkCounters& counters = metrics.frameworks[0].counters;
  EXPECT_EQ(counters.calls[static_cast<int>(CallType::kAccept)], 1u);
  EXPECT_EQ(counters.offers_sent, 1u);
  EXPECT_EQ(counters.offers_accepted, 1u);
  EXPECT_EQ(counters.operations[static_cast<size_t>(OperationType::kLaunch)], 1u);
  EXPECT_EQ(counters.tasks[pb::TASK_RUNNING], 0);
  EXPECT_EQ(counters.tasks_terminated[pb::TASK_FAILED], 1u);
  EXPECT_EQ(metrics.counters.tasks_terminated.at({pb::TASK_FAILED, pb::SOURCE_EXECUTOR, 0}), 1u);
}

}  // namespace
}  // namespace tessera::master
