// The runtime's pure parts: the state file, process identities, specs, the start request as init
// will read it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>

#include "services/agent/container/container_spec.h"
#include "services/agent/launcher/start_request.h"
#include "services/agent/launcher/wire.h"
#include "services/agent/runtime/process_identity.h"
#include "services/agent/runtime/start_frame.h"
#include "services/agent/runtime/state_file.h"

namespace tessera::agent {
namespace {

using ::testing::HasSubstr;

ContainerState ExampleState() {
  ContainerState state;
  state.identity = {.init_pid = 4711, .init_start_ticks = 123456, .boot_id = "b-1"};
  state.cgroup = "c17";
  state.own_pids = false;
  state.resources.cpus_milli = 250;
  state.resources.memory_limit_bytes = int64_t{64} << 20;
  state.resources.pids_limit = 9;
  state.undo = {{"filesystem/linux", "one", RemoveHostDirectory{"/a b"}},
                {"pod", "cgroup", RemoveCgroup{"p3"}}};
  return state;
}

TEST(StateFileTest, HeadAndAppendedLinesComeBack) {
  ContainerResources raised = ExampleState().resources;
  raised.memory_limit_bytes = int64_t{128} << 20;
  raised.pids_limit.reset();
  const std::string contents = FormatStateHead(ExampleState()) + "started 1700000000000000001\n" +
                               FormatResources(raised) + "some_later_word 1 2 3\n" +
                               "exited 768 1700000000500000000 1500 250 2048\n" +
                               FormatLimitation(MemoryLimitation(1, 2, "cgroups/mem"));
  const absl::StatusOr<ContainerState> state = ParseState(contents);
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_EQ(state->identity.init_pid, 4711);
  EXPECT_EQ(state->identity.init_start_ticks, 123456u);
  EXPECT_EQ(state->identity.boot_id, "b-1");
  EXPECT_EQ(state->cgroup, "c17");
  EXPECT_FALSE(state->own_pids);
  EXPECT_EQ(state->resources.cpus_milli, 250);
  EXPECT_EQ(state->resources.memory_limit_bytes, int64_t{128} << 20);
  EXPECT_EQ(state->resources.pids_limit, std::nullopt);
  EXPECT_EQ(state->started, absl::FromUnixNanos(1700000000000000001));
  ASSERT_TRUE(state->exit.has_value());
  EXPECT_EQ(state->exit->wait_status, 768);
  EXPECT_EQ(state->exit->user_time, absl::Microseconds(1500));
  EXPECT_EQ(state->exit->system_time, absl::Microseconds(250));
  EXPECT_EQ(state->exit->maximum_rss_bytes, 2 << 20);
  EXPECT_EQ(state->undo, ExampleState().undo);
  EXPECT_TRUE(state->host_network);
  ASSERT_TRUE(state->limitation.has_value());
  EXPECT_EQ(state->limitation->resource, ContainerLimitation::Resource::kMemory);
  EXPECT_EQ(state->limitation->requested_bytes, 1);
  EXPECT_EQ(state->limitation->maximum_used_bytes, 2);
  EXPECT_EQ(state->limitation->isolator, "cgroups/mem");
  EXPECT_EQ(state->limitation->message, MemoryLimitation(1, 2, "").message);
}

TEST(StateFileTest, ThePodsComesBack) {
  PodState pod;
  pod.boot_id = "b-1";
  pod.cgroup = "p7";
  pod.namespaces = 11;
  pod.limits.memory_limit_bytes = 5;
  pod.undo = {{"pod", "cgroup", RemoveCgroup{"p7"}}};
  const std::string head = FormatPodHead(pod);
  const absl::StatusOr<PodState> making = ParsePodState(head);
  ASSERT_TRUE(making.ok()) << making.status();
  EXPECT_FALSE(making->keeper.has_value());
  EXPECT_EQ(making->undo, pod.undo);
  pod.limits.memory_limit_bytes = 6;
  const absl::StatusOr<PodState> made = ParsePodState(
      head + FormatKeeper({.init_pid = 9, .init_start_ticks = 10}) + FormatResources(pod.limits));
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(made->namespaces, 11u);
  EXPECT_EQ(made->limits.memory_limit_bytes, 6);
  ASSERT_TRUE(made->keeper.has_value());
  EXPECT_EQ(made->keeper->init_pid, 9);
  EXPECT_EQ(made->keeper->init_start_ticks, 10u);
  EXPECT_EQ(made->keeper->boot_id, "b-1");
  EXPECT_FALSE(ParsePodState("tessera-pod 1\nboot b\n").ok());
  EXPECT_FALSE(ParsePodState(FormatStateHead(ExampleState())).ok());
}

TEST(StateFileTest, ANewerAgentsFileIsLeftAlone) {
  EXPECT_EQ(ParseState("tessera-container 2\ninit 1 1\n").status().code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ParsePodState("tessera-pod 2\ncgroup p1\n").status().code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ParseState("tessera-container 0\n").status().code(), absl::StatusCode::kDataLoss);
}

TEST(StateFileTest, ALineWithoutAnEndWasNeverWritten) {
  const std::string head = FormatStateHead(ExampleState()) + "started 1\n";
  for (const char* torn : {"e", "exited", "exited 0 1 2", "exited 0 1 2 3 4", "kil"}) {
    const absl::StatusOr<ContainerState> state = ParseState(head + torn);
    ASSERT_TRUE(state.ok()) << torn << ": " << state.status();
    EXPECT_FALSE(state->exit.has_value()) << torn;
  }
  EXPECT_FALSE(ParseState(head)->killed);
  EXPECT_TRUE(ParseState(head + FormatKilled())->killed);
}

TEST(StateFileTest, DamageIsNamed) {
  EXPECT_FALSE(ParseState("").ok());
  EXPECT_FALSE(ParseState("tessera-container 1\n").ok());
  const std::string head = FormatStateHead(ExampleState());
  for (const char* line : {"init 0 1", "init x 1", "cgroup ../up", "cgroup a b", "exited 1",
                           "exited a b c d e", "started soon", "resources 1", "resources - - - - -",
                           "limited mem 1", "limited gold 1 2 a b", "own_pids x", "cgroup p1/c2/c3",
                           "cgroup p1/..", "undo filesystem/linux x unmount /a"}) {
    const absl::Status status = ParseState(head + line + "\n").status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << line;
    EXPECT_THAT(std::string(status.message()), HasSubstr(line));
  }
}

TEST(StateFileTest, FlippedBytesNeverCrash) {
  const std::string good = FormatStateHead(ExampleState()) + "started 1\nexited 0 1 2 3 4\n";
  std::mt19937 random(4);
  int parsed = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string bytes = good;
    for (int flips = 0; flips < 4; ++flips) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    const auto state = ParseState(bytes);
    if (!state.ok()) continue;
    ++parsed;
    EXPECT_GT(state->identity.init_pid, 0);
    EXPECT_EQ(state->cgroup.find(".."), std::string::npos);
  }
  EXPECT_GT(parsed, 100);
}

TEST(ProcessIdentityTest, StartTicksOfOddNames) {
  const std::string tail = " S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 987654 20 21";
  EXPECT_EQ(*ParseStartTicks("42 (sleep)" + tail), 987654u);
  EXPECT_EQ(*ParseStartTicks("42 (a) S 1 2 (b c))" + tail), 987654u);
  EXPECT_FALSE(ParseStartTicks("42 (sleep) S 1 2").ok());
  EXPECT_FALSE(ParseStartTicks("").ok());
}

TEST(ProcessIdentityTest, AnotherBootIsAnotherProcess) {
  ContainerIdentity identity{.init_pid = getpid(), .boot_id = "now"};
  identity.init_start_ticks = *StartTicks(getpid());
  EXPECT_TRUE(OpenProcess(identity, "now").ok());
  EXPECT_FALSE(OpenProcess(identity, "later").ok());
  ++identity.init_start_ticks;
  EXPECT_FALSE(OpenProcess(identity, "now").ok());
}

ContainerSpec GoodSpec() {
  ContainerSpec spec;
  spec.container_id = "c-1";
  spec.sandbox = "/sandbox";
  spec.command.value = "true";
  return spec;
}

StartRequest ReadBack(const std::string& frame, size_t descriptors) {
  StartRequest request;
  uint32_t unknown = 0;
  EXPECT_EQ(
      ParseStartRequest(frame.data() + sizeof(wire::FrameHeader),
                        frame.size() - sizeof(wire::FrameHeader), descriptors, &request, &unknown),
      0);
  return request;
}

TEST(StartFrameTest, InitReadsThePlan) {
  ContainerSpec spec = GoodSpec();
  spec.environment = {{"A", "1"}};
  HostUser user{.name = "u", .uid = 7, .gid = 8, .groups = {8, 9}, .switches = true};
  IsolationPlan plan;
  plan.root = "/";
  plan.trees = {{.source = "/data"}};
  plan.init = {{"a", MountFilesystem{.source = "proc", .target = "/proc", .type = "proc"}},
               {"b", AttachTree{.tree = 0, .target = "/data", .make_target = true}}};
  const absl::StatusOr<std::string> frame = StartFrame(spec, user, plan);
  ASSERT_TRUE(frame.ok());
  StartRequest request = ReadBack(*frame, 6);
  ASSERT_EQ(request.operation_count, 4u);
  EXPECT_EQ(request.operations[0].kind, wire::OperationKind::kEnterRoot);
  EXPECT_EQ(request.operations[0].number, wire::kHideOldRoot);
  EXPECT_EQ(request.operations[1].kind, wire::OperationKind::kMount);
  EXPECT_EQ(request.operations[2].kind, wire::OperationKind::kMakeTargetLikeTree);
  EXPECT_EQ(request.operations[3].kind, wire::OperationKind::kAttachTree);
  // Tree 0 is the root's.
  EXPECT_EQ(request.operations[3].number, 1u);
  EXPECT_EQ(request.tree_count, 2u);
  EXPECT_EQ(request.files[wire::kStateFile], 0);
  EXPECT_EQ(request.files[wire::kStandardError], 3);
  EXPECT_EQ(request.uid, 7u);
  EXPECT_EQ(request.group_count, 2u);
  EXPECT_STREQ(request.program, "/bin/sh");
  EXPECT_STREQ(request.arguments[2], "true");
  EXPECT_STREQ(request.working_directory, "/sandbox");
  EXPECT_STREQ(FindVariable(request.environment, "TESSERA_SANDBOX"), "/sandbox");
  EXPECT_STREQ(FindVariable(request.environment, "PATH"), wire::kDefaultPath);

  // Nothing covers /proc: the old root has to be unmounted.
  plan.init.clear();
  plan.trees.clear();
  const absl::StatusOr<std::string> bare = StartFrame(spec, HostUser(), plan);
  request = ReadBack(*bare, 5);
  EXPECT_EQ(request.operations[0].number, 0u);
  EXPECT_FALSE(request.switch_user);

  // Another container's files are joined: nothing is entered, no tree is sent.
  plan.root.clear();
  const absl::StatusOr<std::string> joined = StartFrame(spec, HostUser(), plan);
  request = ReadBack(*joined, 4);
  EXPECT_EQ(request.operation_count, 0u);
}

TEST(StartFrameTest, AKeeperKeepsAndNothingElse) {
  IsolationPlan plan;
  plan.init = {{"a", SetHostname{"inside"}}};
  const std::string frame = KeeperFrame(plan);
  const StartRequest request = ReadBack(frame, 0);
  EXPECT_TRUE(request.keeper);
  ASSERT_EQ(request.operation_count, 1u);
  EXPECT_STREQ(request.operations[0].first, "inside");
}

}  // namespace
}  // namespace tessera::agent
