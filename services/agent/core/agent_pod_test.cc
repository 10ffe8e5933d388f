// Scripts of one agent and its pods: a task group is one pod of its executor.
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
using ::testing::UnorderedElementsAre;

constexpr int kExit0 = 0;
constexpr int64_t kMib = 1 << 20;

size_t Exits(const AgentHarness& agent) {
  size_t exits = 0;
  for (const AgentMessage& message : agent.sent) exits += message.has_executor_exited();
  return exits;
}

AgentConfig RoomyConfig() {
  AgentConfig config = testing::TestConfig();
  config.info.mutable_resources(0)->mutable_scalar()->set_milli(64'000);
  return config;
}

TEST(AgentPodTest, AGroupIsOnePodWithSharedSandboxLimitsAndNamespaces) {
  AgentHarness agent(RoomyConfig());
  agent.Register();
  agent.FromMaster(agent.RunGroup({"a", "b"}));
  ASSERT_THAT(agent.pods, SizeIs(1));
  const auto& [id, pod] = *agent.pods.begin();
  EXPECT_EQ(pod.sandbox, "/sandboxes/fw-1/exec/" + id);
  EXPECT_TRUE(pod.namespaces.ipc);
  EXPECT_FALSE(pod.namespaces.net) << "the network is the machine's";
  // 1 cpu of the executor and of each task; 64 MiB of each task.
  EXPECT_EQ(pod.limits.cpus_milli, 3000);
  EXPECT_EQ(pod.limits.memory_limit_bytes, 128 * kMib);
  ASSERT_THAT(agent.launched, SizeIs(2));
  for (const std::string& container : agent.launched) {
    const ContainerSpec& spec = agent.SpecOfContainer(container);
    EXPECT_EQ(spec.container_id.Parent(), ContainerId(id));
    EXPECT_THAT(spec.sandbox, HasSubstr(pod.sandbox + "/containers/"));
    EXPECT_EQ(spec.namespaces.ipc, NamespaceChoice::Join(id));
    EXPECT_TRUE(spec.namespaces.pid.own());
    EXPECT_EQ(spec.namespaces.net, NamespaceChoice::Host());
    EXPECT_EQ(spec.resources.memory_limit_bytes, std::nullopt) << "the limit is the pod's";
    EXPECT_EQ(spec.resources.cpus_milli, 1000);
  }
  EXPECT_NE(agent.SpecOf("a").sandbox, agent.SpecOf("b").sandbox);
}

TEST(AgentPodTest, TasksOfAGroupMaySharePidsAndWantCgroupsOfTheirOwn) {
  AgentHarness agent;
  agent.Register();
  model::v1::TaskInfo shares = agent.Info("shares");
  shares.mutable_container()->mutable_linux_info()->set_share_pid_namespace(true);
  model::v1::TaskInfo limited = agent.Info("limited");
  limited.mutable_container()->mutable_linux_info()->set_share_cgroups(false);
  agent.FromMaster(agent.RunGroupOf({shares, limited}, {}));
  ASSERT_THAT(agent.pods, SizeIs(1));
  const std::string id = agent.pods.begin()->first;
  EXPECT_TRUE(agent.pods.begin()->second.namespaces.pid);
  EXPECT_EQ(agent.SpecOf("shares").namespaces.pid, NamespaceChoice::Join(id));
  EXPECT_EQ(agent.SpecOf("limited").resources.memory_limit_bytes, 64 * kMib);
  // By itself a task has nobody to share with but the machine.
  agent.FromMaster(agent.RunTask(shares));
  agent.Drain();
  EXPECT_EQ(agent.statuses["shares"].back().state(), model::v1::TASK_ERROR);
}

TEST(AgentPodTest, ThePodGrowsAndShrinksWithItsGroupsAndEndsWithTheLast) {
  AgentHarness agent(RoomyConfig());
  agent.Register();
  agent.FromMaster(agent.RunGroup({"a"}));
  const std::string id = agent.pods.begin()->first;
  AgentHarness::GroupShape shape;
  shape.begins = false;
  agent.FromMaster(agent.RunGroup({"b", "c"}, shape));
  EXPECT_THAT(agent.created_pods, ElementsAre(id)) << "one pod for both groups";
  EXPECT_EQ(agent.pods.at(id).limits.cpus_milli, 4000);
  EXPECT_EQ(agent.pods.at(id).limits.memory_limit_bytes, 192 * kMib);
  for (const char* task : {"a", "b", "c"}) agent.Launched(task);
  agent.Ends("b", kExit0);
  EXPECT_EQ(agent.pods.at(id).limits.cpus_milli, 3000);
  agent.Ends("a", kExit0);
  EXPECT_THAT(agent.destroyed_pods, IsEmpty());
  agent.sent.clear();
  agent.Ends("c", kExit0);
  EXPECT_THAT(agent.destroyed_pods, ElementsAre(id));
  EXPECT_EQ(Exits(agent), 1u);
  EXPECT_TRUE(agent.core().View()->used.empty());
}

TEST(AgentPodTest, AnExecutorHoldsItsResourcesUntilItsPodIsGone) {
  AgentHarness agent;
  agent.Register();
  agent.FromMaster(agent.RunGroup({"a"}));
  agent.Launched("a");
  agent.Drain();
  agent.auto_pods = false;
  agent.Ends("a", kExit0);
  const std::string id = agent.destroyed_pods.at(0);
  ASSERT_THAT(agent.core().View()->used, SizeIs(1));
  EXPECT_EQ(agent.core().View()->used[0].scalar().milli(), 1000);
  EXPECT_EQ(Exits(agent), 0u);
  // It does not work at once, and is tried again.
  agent.Step(PodDestroyed{id, absl::InternalError("busy")});
  agent.Advance(absl::Seconds(10));
  EXPECT_THAT(agent.destroyed_pods, ElementsAre(id, id));
  // No group gets in any more.
  AgentHarness::GroupShape shape;
  shape.begins = false;
  agent.FromMaster(agent.RunGroup({"late"}, shape));
  agent.Step(PodDestroyed{id, absl::OkStatus()});
  EXPECT_EQ(Exits(agent), 1u);
  EXPECT_TRUE(agent.core().View()->used.empty());
  agent.Drain();
  EXPECT_EQ(agent.statuses["late"].back().reason(), model::v1::REASON_EXECUTOR_TERMINATED);
}

TEST(AgentPodTest, PodThatCannotBeMadeFailsItsTasks) {
  AgentHarness agent;
  agent.Register();
  agent.auto_pods = false;
  agent.FromMaster(agent.RunGroup({"a", "b"}));
  EXPECT_THAT(agent.launched, IsEmpty());
  agent.Step(PodCreated{agent.created_pods.at(0),
                        LaunchFailure{LaunchStep::kCgroup, 28, "no space for a cgroup"}});
  EXPECT_EQ(Exits(agent), 1u);
  agent.Drain();
  for (const char* task : {"a", "b"}) {
    EXPECT_EQ(agent.statuses[task].back().state(), model::v1::TASK_FAILED);
    EXPECT_THAT(agent.statuses[task].back().message(), HasSubstr("no space for a cgroup"));
  }
  EXPECT_THAT(agent.launched, IsEmpty());
  EXPECT_THAT(agent.destroyed_pods, IsEmpty()) << "there is nothing to take away";
  EXPECT_TRUE(agent.core().View()->used.empty());
}

TEST(AgentPodTest, KillWhileThePodIsMadeStartsNothingAndTakesItAway) {
  AgentHarness agent;
  agent.Register();
  agent.auto_pods = false;
  agent.FromMaster(agent.RunGroup({"a"}));
  agent.FromMaster(agent.Kill("a"));
  agent.Drain();
  EXPECT_EQ(agent.statuses["a"].back().reason(), model::v1::REASON_TASK_KILLED_DURING_LAUNCH);
  EXPECT_THAT(agent.destroyed_pods, IsEmpty()) << "the runtime is still at it";
  const std::string id = agent.created_pods.at(0);
  agent.Step(PodCreated{id, CreatedPod{id, {}, {}}});
  EXPECT_THAT(agent.launched, IsEmpty());
  EXPECT_THAT(agent.destroyed_pods, ElementsAre(id));
  agent.Step(PodDestroyed{id, absl::OkStatus()});
  EXPECT_EQ(Exits(agent), 1u);
}

TEST(AgentPodTest, PodThatIsNotMadeInTimeIsGivenUp) {
  AgentHarness agent;
  agent.Register();
  agent.auto_pods = false;
  agent.FromMaster(agent.RunGroup({"a"}));
  MasterMessage ping;
  ping.mutable_ping()->set_sequence(1);
  for (int i = 0; i < 10; ++i) {
    agent.FromMaster(ping);
    agent.Advance(absl::Seconds(30));
  }
  agent.Drain();
  EXPECT_EQ(agent.statuses["a"].back().state(), model::v1::TASK_FAILED);
  EXPECT_THAT(agent.statuses["a"].back().message(), HasSubstr("not started in time"));
}

TEST(AgentPodTest, PodsOutliveRestartsOfTheAgent) {
  AgentHarness agent;
  agent.Register();
  agent.FromMaster(agent.RunGroup({"a"}));
  agent.Launched("a");
  agent.Drain();
  const std::string id = agent.pods.begin()->first;
  agent.Restart();
  EXPECT_EQ(agent.core().View()->counters.recovery_errors, 0u);
  agent.Register();
  AgentHarness::GroupShape shape;
  shape.begins = false;
  agent.FromMaster(agent.RunGroup({"b"}, shape));
  EXPECT_THAT(agent.created_pods, ElementsAre(id));
  EXPECT_EQ(agent.SpecOf("b").container_id.Parent(), ContainerId(id));
  EXPECT_EQ(agent.pods.at(id).limits.cpus_milli, 3000);
  agent.Launched("b");
  agent.Ends("a", kExit0);
  agent.Ends("b", kExit0, false, /*down=*/true);
  agent.Restart();
  EXPECT_THAT(agent.destroyed_pods, ElementsAre(id));
  agent.Register();
  agent.Drain();
  EXPECT_EQ(agent.statuses["b"].back().state(), model::v1::TASK_FINISHED);
  EXPECT_TRUE(agent.core().View()->used.empty());
}

TEST(AgentPodTest, RebootEndsPodsAndTheirExecutors) {
  AgentHarness agent;
  agent.Register();
  agent.FromMaster(agent.RunGroup({"a"}));
  agent.Launched("a");
  agent.Drain();
  agent.Restart(/*rebooted=*/true);
  EXPECT_THAT(agent.destroyed_pods, IsEmpty()) << "there is nothing to take away";
  EXPECT_TRUE(agent.core().View()->used.empty());
  agent.Register();
  for (const AgentMessage& message : agent.sent) {
    EXPECT_EQ(message.inventory().executors_size(), 0);
  }
  agent.Drain();
  EXPECT_EQ(agent.statuses["a"].back().state(), model::v1::TASK_GONE);
}

TEST(AgentPodTest, SandboxesOfContainersGoBeforeAndApartFromThePods) {
  AgentHarness agent;
  agent.Register();
  agent.FromMaster(agent.RunGroup({"a"}));
  AgentHarness::GroupShape shape;
  shape.begins = false;
  agent.FromMaster(agent.RunGroup({"b"}, shape));
  agent.Launched("a");
  agent.Launched("b");
  const std::string of_a = agent.SpecOf("a").sandbox;
  agent.Ends("a", kExit0);
  agent.Advance(absl::Minutes(2));
  agent.Step(DiskUsed{1.0});
  EXPECT_THAT(agent.deleted_sandboxes, ElementsAre(of_a));
  EXPECT_THAT(agent.deleted_with_parents, IsEmpty()) << "the pod lives";
  const std::string of_pod = agent.pods.begin()->second.sandbox;
  const std::string of_b = agent.SpecOf("b").sandbox;
  agent.Ends("b", kExit0);
  agent.Advance(absl::Minutes(2));
  EXPECT_THAT(agent.deleted_sandboxes, UnorderedElementsAre(of_a, of_b, of_pod));
  EXPECT_THAT(agent.deleted_with_parents, ElementsAre(of_pod));
}

}  // namespace
}  // namespace tessera::agent
