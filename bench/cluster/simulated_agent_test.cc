#include "bench/cluster/simulated_agent.h"

#include <gtest/gtest.h>

#include "services/rpc/error.h"

namespace tessera::bench {
namespace {

using agentlink::v1::ConnectRequest;
using agentlink::v1::ConnectResponse;

const absl::Time kStart = absl::FromUnixSeconds(1'000'000);

model::v1::AgentInfo Info() {
  model::v1::AgentInfo info;
  info.set_hostname("agent-0");
  return info;
}

ConnectResponse Registered(uint64_t epoch) {
  ConnectResponse batch;
  batch.set_epoch(epoch);
  auto* registered = batch.add_messages()->mutable_registered();
  registered->set_agent_id("A1");
  registered->mutable_ping_timeout()->set_seconds(75);
  return batch;
}

// Each task id of these tests is launched once: its incarnation's number is that of its name.
model::v1::Incarnation IncarnationOf(const std::string& task_id) {
  model::v1::Incarnation incarnation;
  incarnation.set_epoch(1);
  for (const char c : task_id) incarnation.set_number(incarnation.number() * 256 + c);
  return incarnation;
}

ConnectResponse RunTask(const std::string& task_id) {
  ConnectResponse batch;
  batch.set_epoch(1);
  auto* describe = batch.add_messages()->mutable_describe_framework();
  describe->set_framework_id("F1");
  describe->set_info("F1's description");
  auto* run = batch.add_messages()->mutable_run_task();
  run->set_framework_id("F1");
  run->mutable_task()->set_task_id(task_id);
  *run->mutable_task()->mutable_incarnation() = IncarnationOf(task_id);
  return batch;
}

ConnectResponse Acknowledge(const std::string& task_id, const std::string& uuid) {
  ConnectResponse batch;
  batch.set_epoch(1);
  auto* update = batch.add_messages()->mutable_acknowledge_update();
  update->set_framework_id("F1");
  update->set_task_id(task_id);
  update->set_uuid(uuid);
  *update->mutable_incarnation() = IncarnationOf(task_id);
  return batch;
}

TEST(SimulatedAgent, RegistersAsNewAndComesBackWithItsTasks) {
  AgentBehaviour behaviour;
  SimulatedAgent agent(Info(), &behaviour, 1);
  ConnectRequest first;
  agent.Open(&first);
  ASSERT_EQ(first.messages_size(), 1);
  EXPECT_EQ(first.messages(0).register_().info().id(), "");

  ConnectRequest out;
  ASSERT_TRUE(agent.Handle(kStart, Registered(1), &out).ok());
  ASSERT_TRUE(agent.Handle(kStart, RunTask("t1"), &out).ok());
  agent.Closed();
  EXPECT_FALSE(agent.registered());

  ConnectRequest again;
  agent.Open(&again);
  ASSERT_EQ(again.messages_size(), 2);
  EXPECT_EQ(again.messages(0).register_().info().id(), "A1");
  EXPECT_EQ(again.messages(0).register_().highest_epoch(), 1);
  const auto& inventory = again.messages(1).inventory();
  EXPECT_TRUE(inventory.last());
  ASSERT_EQ(inventory.frameworks_size(), 1);
  ASSERT_EQ(inventory.tasks_size(), 1);
  EXPECT_EQ(inventory.tasks(0).state(), model::v1::TASK_RUNNING);
  EXPECT_EQ(inventory.tasks(0).status_update_state(), model::v1::TASK_RUNNING);
}

TEST(SimulatedAgent, SplitsALongInventory) {
  AgentBehaviour behaviour;
  behaviour.inventory_chunk = 2;
  SimulatedAgent agent(Info(), &behaviour, 1);
  ConnectRequest out;
  ASSERT_TRUE(agent.Handle(kStart, Registered(1), &out).ok());
  for (const char* id : {"a", "b", "c", "d"}) {
    ASSERT_TRUE(agent.Handle(kStart, RunTask(id), &out).ok());
  }
  ConnectRequest again;
  agent.Open(&again);
  ASSERT_EQ(again.messages_size(), 4);  // register, 1 + 1, 2, 1
  int tasks = 0, last = 0;
  for (int i = 1; i < again.messages_size(); ++i) {
    tasks += again.messages(i).inventory().tasks_size();
    last += again.messages(i).inventory().last();
  }
  EXPECT_EQ(tasks, 4);
  EXPECT_EQ(last, 1);
  EXPECT_TRUE(again.messages(3).inventory().last());
}

TEST(SimulatedAgent, SendsTheNextStatusOnlyWhenTheLastIsAcknowledged) {
  AgentBehaviour behaviour;
  behaviour.task_duration = absl::ZeroDuration();
  SimulatedAgent agent(Info(), &behaviour, 1);
  ConnectRequest out;
  ASSERT_TRUE(agent.Handle(kStart, Registered(1), &out).ok());
  out.Clear();
  ASSERT_TRUE(agent.Handle(kStart, RunTask("t1"), &out).ok());
  ASSERT_EQ(out.messages_size(), 1);
  const auto running = out.messages(0).status_update();
  EXPECT_EQ(running.status().state(), model::v1::TASK_RUNNING);
  EXPECT_EQ(running.latest_state(), model::v1::TASK_FINISHED);
  EXPECT_EQ(running.status().uuid().size(), 16);

  out.Clear();
  ASSERT_TRUE(agent.Handle(kStart, Acknowledge("t1", "another uuid 123"), &out).ok());
  EXPECT_EQ(out.messages_size(), 0);
  ASSERT_TRUE(agent.Handle(kStart, Acknowledge("t1", running.status().uuid()), &out).ok());
  ASSERT_EQ(out.messages_size(), 1);
  const auto finished = out.messages(0).status_update().status();
  EXPECT_EQ(finished.state(), model::v1::TASK_FINISHED);

  out.Clear();
  EXPECT_EQ(agent.unacknowledged(), 1);
  ASSERT_TRUE(agent.Handle(kStart, Acknowledge("t1", finished.uuid()), &out).ok());
  EXPECT_EQ(agent.unacknowledged(), 0);
  agent.Closed();
  ConnectRequest again;
  agent.Open(&again);
  EXPECT_EQ(again.messages(1).inventory().tasks_size(), 0);
  EXPECT_EQ(again.messages(1).inventory().frameworks_size(), 0);
}

TEST(SimulatedAgent, RepeatsAnUnacknowledgedStatusWithTheSameUuid) {
  AgentBehaviour behaviour;
  SimulatedAgent agent(Info(), &behaviour, 1);
  ConnectRequest out;
  ASSERT_TRUE(agent.Handle(kStart, Registered(1), &out).ok());
  ASSERT_TRUE(agent.Handle(kStart, RunTask("t1"), &out).ok());
  const std::string uuid = out.messages(0).status_update().status().uuid();
  EXPECT_EQ(agent.NextDeadline(), kStart + behaviour.status_retry);

  ConnectRequest repeated;
  agent.Wake(kStart + behaviour.status_retry - absl::Seconds(1), &repeated);
  EXPECT_EQ(repeated.messages_size(), 0);
  agent.Wake(kStart + behaviour.status_retry, &repeated);
  ASSERT_EQ(repeated.messages_size(), 1);
  EXPECT_EQ(repeated.messages(0).status_update().status().uuid(), uuid);
  EXPECT_EQ(agent.counters().statuses_repeated, 1);
}

TEST(SimulatedAgent, FinishesATaskAfterItsTime) {
  AgentBehaviour behaviour;
  behaviour.task_duration = absl::Seconds(3);
  SimulatedAgent agent(Info(), &behaviour, 1);
  ConnectRequest out;
  ASSERT_TRUE(agent.Handle(kStart, Registered(1), &out).ok());
  ASSERT_TRUE(agent.Handle(kStart, RunTask("t1"), &out).ok());
  const std::string uuid = out.messages(0).status_update().status().uuid();
  ASSERT_TRUE(agent.Handle(kStart, Acknowledge("t1", uuid), &out).ok());
  EXPECT_EQ(agent.live_tasks(), 1);
  ConnectRequest ended;
  agent.Wake(kStart + absl::Seconds(3), &ended);
  ASSERT_EQ(ended.messages_size(), 1);
  EXPECT_EQ(ended.messages(0).status_update().status().state(), model::v1::TASK_FINISHED);
  EXPECT_EQ(agent.live_tasks(), 0);
}

TEST(SimulatedAgent, RefusesAnOlderEpoch) {
  AgentBehaviour behaviour;
  SimulatedAgent agent(Info(), &behaviour, 1);
  ConnectRequest out;
  ASSERT_TRUE(agent.Handle(kStart, Registered(5), &out).ok());
  const absl::Status refused = agent.Handle(kStart, Registered(4), &out);
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(rpc::ReasonOf(refused), model::v1::ErrorDetail::STALE_EPOCH);
}

TEST(SimulatedAgent, KillsAndForgetsFrameworks) {
  AgentBehaviour behaviour;
  SimulatedAgent agent(Info(), &behaviour, 1);
  ConnectRequest out;
  ASSERT_TRUE(agent.Handle(kStart, Registered(1), &out).ok());
  ASSERT_TRUE(agent.Handle(kStart, RunTask("t1"), &out).ok());
  ASSERT_TRUE(agent.Handle(kStart, RunTask("t2"), &out).ok());
  ASSERT_TRUE(
      agent.Handle(kStart, Acknowledge("t1", out.messages(0).status_update().status().uuid()), &out)
          .ok());
  ConnectResponse kill;
  kill.set_epoch(1);
  kill.add_messages()->mutable_kill_task()->set_framework_id("F1");
  kill.mutable_messages(0)->mutable_kill_task()->set_task_id("t1");
  *kill.mutable_messages(0)->mutable_kill_task()->mutable_incarnation() = IncarnationOf("t1");
  out.Clear();
  ASSERT_TRUE(agent.Handle(kStart, kill, &out).ok());
  ASSERT_EQ(out.messages_size(), 1);
  EXPECT_EQ(out.messages(0).status_update().status().state(), model::v1::TASK_KILLED);
  EXPECT_EQ(agent.live_tasks(), 1);

  ConnectResponse shutdown;
  shutdown.set_epoch(1);
  shutdown.add_messages()->mutable_shutdown_framework()->set_framework_id("F1");
  ASSERT_TRUE(agent.Handle(kStart, shutdown, &out).ok());
  EXPECT_EQ(agent.live_tasks(), 0);
  EXPECT_EQ(agent.unacknowledged(), 0);
}

TEST(SimulatedAgent, SaysThatItDoesNotRunWhatItDoesNotKnow) {
  AgentBehaviour behaviour;
  SimulatedAgent agent(Info(), &behaviour, 1);
  ConnectRequest out;
  ASSERT_TRUE(agent.Handle(kStart, Registered(1), &out).ok());
  ConnectResponse ask;
  ask.set_epoch(1);
  auto* task = ask.add_messages()->mutable_reconcile_tasks()->add_tasks();
  task->set_framework_id("F9");
  task->set_task_id("lost");
  *task->mutable_incarnation() = IncarnationOf("lost");
  ASSERT_TRUE(agent.Handle(kStart, ask, &out).ok());
  ASSERT_EQ(out.messages_size(), 1);
  EXPECT_EQ(out.messages(0).status_update().framework_id(), "F9");
  EXPECT_EQ(out.messages(0).status_update().status().state(), model::v1::TASK_DROPPED);
}

}  // namespace
}  // namespace tessera::bench
