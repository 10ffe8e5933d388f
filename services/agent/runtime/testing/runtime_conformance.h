// What every ContainerRuntime promises, as tests. A runtime's own test file includes this, writes a
// harness and instantiates RuntimeConformanceTest with a factory of harnesses.
#pragma once

#include <errno.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "services/agent/runtime/testing/runtime_harness.h"

namespace tessera::agent {

using HarnessFactory = std::function<std::unique_ptr<RuntimeHarness>()>;

class RuntimeConformanceTest : public testing::TestWithParam<HarnessFactory> {
 protected:
  void SetUp() override {
    harness_ = GetParam()();
    ASSERT_NE(harness_, nullptr);
    const auto recovery = harness_->Recover({});
    ASSERT_TRUE(recovery.ok()) << recovery.status();
    EXPECT_TRUE(recovery->containers.empty());
  }

  ContainerSpec Shell(const std::string& id, const std::string& line) {
    ContainerSpec spec;
    spec.container_id = id;
    spec.sandbox = harness_->SandboxOf(id);
    spec.command.value = line;
    spec.resources.cpus_milli = 100;
    spec.resources.memory_limit_bytes = int64_t{64} << 20;
    return spec;
  }

  bool Launched(const ContainerSpec& spec) {
    const LaunchResult result = harness_->Launch(spec);
    if (const auto* failure = std::get_if<LaunchFailure>(&result)) {
      ADD_FAILURE() << spec.container_id << ": " << failure->message;
      return false;
    }
    return true;
  }

  ContainerTermination AwaitEnd(const std::string& id) {
    const bool came =
        harness_->WaitUntil([this, &id] { return !harness_->TerminationsOf(id).empty(); });
    if (!came) {
      ADD_FAILURE() << "container " << id << " did not end";
      return {};
    }
    return harness_->TerminationsOf(id).front();
  }

  std::unique_ptr<RuntimeHarness> harness_;
};

TEST_P(RuntimeConformanceTest, ExitStatuses) {
  const std::vector<std::pair<std::string, int>> cases = {
      {"true", 0}, {"false", 1}, {"exit 3", 3}, {"exit 255", 255}, {"sleep 0.05; exit 7", 7}};
  for (size_t i = 0; i < cases.size(); ++i) {
    const std::string id = absl::StrCat("exit-", i);
    ASSERT_TRUE(Launched(Shell(id, cases[i].first)));
    const ContainerTermination end = AwaitEnd(id);
    ASSERT_TRUE(WIFEXITED(end.wait_status)) << end.message;
    EXPECT_EQ(WEXITSTATUS(end.wait_status), cases[i].second);
    EXPECT_TRUE(end.command_exited);
    EXPECT_FALSE(end.kill_requested);
    EXPECT_FALSE(end.limitation.has_value());
    EXPECT_EQ(end.message, absl::StrCat("exited with status ", cases[i].second));
  }
}

TEST_P(RuntimeConformanceTest, AMissingProgramIsATypedFailureAndFreesTheId) {
  ContainerSpec spec = Shell("missing", "/bin/no-such-program");
  spec.command.shell = false;
  const LaunchResult result = harness_->Launch(spec);
  ASSERT_TRUE(std::holds_alternative<LaunchFailure>(result));
  const LaunchFailure& failure = std::get<LaunchFailure>(result);
  EXPECT_EQ(failure.step, LaunchStep::kExec);
  EXPECT_EQ(failure.error_number, ENOENT);
  EXPECT_EQ(failure.message, "exec /bin/no-such-program: No such file or directory");
  ASSERT_TRUE(Launched(Shell("missing", "true")));
  AwaitEnd("missing");
  EXPECT_EQ(harness_->TerminationsOf("missing").size(), 1u);
}

TEST_P(RuntimeConformanceTest, MalformedSpecsAreRefused) {
  ContainerSpec spec = Shell("bad/id", "true");
  LaunchResult result = harness_->Launch(spec);
  ASSERT_TRUE(std::holds_alternative<LaunchFailure>(result));
  EXPECT_EQ(std::get<LaunchFailure>(result).step, LaunchStep::kSpec);
  spec = Shell("empty", "");
  result = harness_->Launch(spec);
  ASSERT_TRUE(std::holds_alternative<LaunchFailure>(result));
  EXPECT_THAT(std::get<LaunchFailure>(result).message, testing::HasSubstr("command.value"));
}

TEST_P(RuntimeConformanceTest, OneIdRunsOnce) {
  ASSERT_TRUE(Launched(Shell("twin", "sleep 100")));
  LaunchResult second = harness_->Launch(Shell("twin", "true"));
  ASSERT_TRUE(std::holds_alternative<LaunchFailure>(second));
  EXPECT_THAT(std::get<LaunchFailure>(second).message, testing::HasSubstr("exists already"));
  EXPECT_TRUE(harness_->Destroy("twin").ok());
  AwaitEnd("twin");
  // The end must be released before the id is free.
  second = harness_->Launch(Shell("twin", "true"));
  EXPECT_TRUE(std::holds_alternative<LaunchFailure>(second));
  EXPECT_TRUE(harness_->Release("twin").ok());
  EXPECT_TRUE(Launched(Shell("twin", "true")));
}

TEST_P(RuntimeConformanceTest, DestroyKills) {
  ASSERT_TRUE(Launched(Shell("doomed", "trap '' TERM; sleep 100")));
  EXPECT_EQ(harness_->Release("doomed").code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(harness_->Destroy("doomed").ok());
  const ContainerTermination end = AwaitEnd("doomed");
  EXPECT_TRUE(WIFSIGNALED(end.wait_status));
  EXPECT_EQ(WTERMSIG(end.wait_status), SIGKILL);
  EXPECT_TRUE(end.kill_requested);
  EXPECT_FALSE(end.command_exited);
  EXPECT_EQ(end.message, "terminated with signal SIGKILL");
  EXPECT_EQ(harness_->Destroy("doomed").code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(harness_->Release("doomed").ok());
  EXPECT_TRUE(harness_->Release("doomed").ok());
  EXPECT_EQ(harness_->TerminationsOf("doomed").size(), 1u);
}

TEST_P(RuntimeConformanceTest, KillLetsGoInPeace) {
  ASSERT_TRUE(Launched(Shell("peaceful", "sleep 100")));
  EXPECT_TRUE(harness_->Kill("peaceful", absl::Seconds(100)).ok());
  const ContainerTermination end = AwaitEnd("peaceful");
  EXPECT_TRUE(WIFSIGNALED(end.wait_status)) << end.message;
  EXPECT_EQ(WTERMSIG(end.wait_status), SIGTERM);
  EXPECT_TRUE(end.kill_requested);
  EXPECT_TRUE(end.command_exited);
}

TEST_P(RuntimeConformanceTest, KillEscalatesAfterGrace) {
  ASSERT_TRUE(Launched(Shell("stubborn", "trap '' TERM; echo ready; sleep 100")));
  ASSERT_TRUE(harness_->WaitForOutput("stubborn"));
  EXPECT_TRUE(harness_->Kill("stubborn", absl::Milliseconds(300)).ok());
  const ContainerTermination end = AwaitEnd("stubborn");
  EXPECT_EQ(WTERMSIG(end.wait_status), SIGKILL) << end.message;
  EXPECT_FALSE(end.command_exited);
}

TEST_P(RuntimeConformanceTest, ALaterKillCanOnlyBringTheEndForward) {
  ASSERT_TRUE(Launched(Shell("forward", "trap '' TERM; echo ready; sleep 100")));
  ASSERT_TRUE(harness_->WaitForOutput("forward"));
  EXPECT_TRUE(harness_->Kill("forward", absl::Milliseconds(200)).ok());
  EXPECT_TRUE(harness_->Kill("forward", absl::Hours(1)).ok());
  EXPECT_EQ(WTERMSIG(AwaitEnd("forward").wait_status), SIGKILL);
}

TEST_P(RuntimeConformanceTest, UnknownContainersAreNotFound) {
  EXPECT_EQ(harness_->Kill("nobody", absl::Seconds(1)).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(harness_->Destroy("nobody").code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(harness_->Signal("nobody", SIGUSR1).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(harness_->Update("nobody", {}).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(harness_->ReadUsage("nobody").status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(harness_->Release("nobody").ok());
}

TEST_P(RuntimeConformanceTest, UsageAndUpdate) {
  ASSERT_TRUE(Launched(Shell("measured", "sleep 100")));
  absl::StatusOr<ContainerUsage> usage = harness_->ReadUsage("measured");
  ASSERT_TRUE(usage.ok()) << usage.status();
  EXPECT_TRUE(usage->cpu_user_time.has_value());
  EXPECT_GT(usage->memory_total_bytes.value_or(0), 0);
  EXPECT_EQ(usage->memory_limit_bytes, int64_t{64} << 20);
  ContainerResources more;
  more.cpus_milli = 500;
  more.memory_limit_bytes = int64_t{128} << 20;
  EXPECT_TRUE(harness_->Update("measured", more).ok());
  EXPECT_EQ(harness_->ReadUsage("measured")->memory_limit_bytes, int64_t{128} << 20);
  // Lowering would kill; it is left alone.
  more.memory_limit_bytes = int64_t{32} << 20;
  EXPECT_TRUE(harness_->Update("measured", more).ok());
  EXPECT_EQ(harness_->ReadUsage("measured")->memory_limit_bytes, int64_t{128} << 20);
  harness_->Destroy("measured").IgnoreError();
  AwaitEnd("measured");
}

TEST_P(RuntimeConformanceTest, RecoveryFindsRunningEndedAndLost) {
  ASSERT_TRUE(Launched(Shell("runs", "sleep 100")));
  ASSERT_TRUE(Launched(Shell("ends", "sleep 0.3; exit 5")));
  ASSERT_TRUE(Launched(Shell("orphan", "sleep 100")));
  ASSERT_TRUE(Launched(Shell("ended", "exit 4")));
  AwaitEnd("ended");
  harness_->Restart();
  const LaunchResult early = harness_->Launch(Shell("early", "true"));
  ASSERT_TRUE(std::holds_alternative<LaunchFailure>(early));
  EXPECT_EQ(std::get<LaunchFailure>(early).step, LaunchStep::kAborted);

  const auto recovery = harness_->Recover({"runs", "ends", "ended", "never"});
  ASSERT_TRUE(recovery.ok()) << recovery.status();
  ASSERT_EQ(recovery->containers.size(), 4u);
  ASSERT_TRUE(std::holds_alternative<RecoveredContainer::Running>(recovery->containers[0].state));
  const auto& running = std::get<RecoveredContainer::Running>(recovery->containers[0].state);
  EXPECT_EQ(running.container.container_id, "runs");
  EXPECT_GT(running.container.identity.init_pid, 0);
  ASSERT_TRUE(
      std::holds_alternative<RecoveredContainer::Terminated>(recovery->containers[2].state));
  const auto& ended = std::get<RecoveredContainer::Terminated>(recovery->containers[2].state);
  EXPECT_EQ(WEXITSTATUS(ended.termination.wait_status), 4);
  EXPECT_TRUE(std::holds_alternative<RecoveredContainer::Lost>(recovery->containers[3].state));
  EXPECT_THAT(recovery->destroyed_orphans, testing::ElementsAre("orphan"));

  // Whether it ended before or after the recovery, its status is told once and is true.
  ContainerTermination end;
  if (const auto* terminated =
          std::get_if<RecoveredContainer::Terminated>(&recovery->containers[1].state)) {
    end = terminated->termination;
  } else {
    end = AwaitEnd("ends");
  }
  EXPECT_TRUE(end.command_exited);
  EXPECT_EQ(WEXITSTATUS(end.wait_status), 5);

  EXPECT_TRUE(harness_->Kill("runs", absl::Seconds(100)).ok());
  EXPECT_EQ(WTERMSIG(AwaitEnd("runs").wait_status), SIGTERM);
  EXPECT_EQ(harness_->Recover({}).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_P(RuntimeConformanceTest, APodHoldsItsContainersAndEndsWithThem) {
  PodSpec pod;
  pod.pod_id = "pod";
  pod.sandbox = harness_->SandboxOf("pod");
  pod.namespaces.ipc = true;
  const auto inside = [&](const std::string& name, const std::string& line) {
    ContainerSpec spec = Shell(pod.pod_id.Child(name), line);
    spec.namespaces = NamespacesInPod(pod);
    return spec;
  };
  LaunchResult early = harness_->Launch(inside("early", "true"));
  ASSERT_TRUE(std::holds_alternative<LaunchFailure>(early));
  EXPECT_EQ(std::get<LaunchFailure>(early).step, LaunchStep::kPod);

  PodResult created = harness_->CreatePod(pod);
  ASSERT_TRUE(std::holds_alternative<CreatedPod>(created))
      << std::get<LaunchFailure>(created).message;
  created = harness_->CreatePod(pod);
  ASSERT_TRUE(std::holds_alternative<LaunchFailure>(created));
  EXPECT_THAT(std::get<LaunchFailure>(created).message, testing::HasSubstr("exists already"));
  // Pods and containers share one space of names.
  EXPECT_TRUE(std::holds_alternative<LaunchFailure>(harness_->Launch(Shell("pod", "true"))));

  ASSERT_TRUE(Launched(inside("one", "exit 3")));
  EXPECT_EQ(WEXITSTATUS(AwaitEnd("pod.one").wait_status), 3);
  ASSERT_TRUE(Launched(inside("two", "sleep 100")));
  ASSERT_TRUE(Launched(inside("three", "sleep 100")));
  EXPECT_TRUE(harness_->ReadUsage("pod").ok());
  EXPECT_TRUE(harness_->UpdatePod("pod", pod.limits).ok());
  EXPECT_TRUE(harness_->DestroyPod("pod").ok());
  // All ends are told by then, and each once.
  for (const char* id : {"pod.one", "pod.two", "pod.three"}) {
    EXPECT_EQ(harness_->TerminationsOf(id).size(), 1u) << id;
    EXPECT_TRUE(harness_->Release(id).ok());
  }
  EXPECT_TRUE(harness_->TerminationsOf("pod.two").front().kill_requested);
  EXPECT_TRUE(harness_->DestroyPod("pod").ok());
  EXPECT_EQ(harness_->UpdatePod("pod", pod.limits).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(harness_->ReadUsage("pod").status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(std::holds_alternative<CreatedPod>(harness_->CreatePod(pod)));
  EXPECT_TRUE(harness_->DestroyPod("pod").ok());
}

TEST_P(RuntimeConformanceTest, RecoveryFindsPods) {
  PodSpec pod;
  pod.pod_id = "found";
  pod.sandbox = harness_->SandboxOf("found");
  ASSERT_TRUE(std::holds_alternative<CreatedPod>(harness_->CreatePod(pod)));
  ASSERT_TRUE(Launched(Shell("found.one", "sleep 100")));
  pod.pod_id = "orphan";
  pod.sandbox = harness_->SandboxOf("orphan");
  ASSERT_TRUE(std::holds_alternative<CreatedPod>(harness_->CreatePod(pod)));
  ASSERT_TRUE(Launched(Shell("orphan.one", "sleep 100")));
  harness_->Restart();
  const auto recovery = harness_->Recover({"found.one"}, {"found", "never"});
  ASSERT_TRUE(recovery.ok()) << recovery.status();
  ASSERT_EQ(recovery->pods.size(), 2u);
  EXPECT_TRUE(recovery->pods[0].pod.has_value()) << recovery->pods[0].lost;
  EXPECT_FALSE(recovery->pods[1].pod.has_value());
  EXPECT_TRUE(std::holds_alternative<RecoveredContainer::Running>(recovery->containers[0].state));
  EXPECT_THAT(recovery->destroyed_orphans, testing::Contains(ContainerId("orphan")));
  ASSERT_TRUE(Launched(Shell("found.two", "sleep 100")));
  EXPECT_TRUE(harness_->DestroyPod("found").ok());
  EXPECT_EQ(harness_->TerminationsOf("found.one").size(), 1u);
  EXPECT_EQ(harness_->TerminationsOf("found.two").size(), 1u);
  EXPECT_TRUE(harness_->TerminationsOf("orphan.one").empty());
}

TEST_P(RuntimeConformanceTest, AReleasedContainerIsForgottenByRecovery) {
  ASSERT_TRUE(Launched(Shell("released", "true")));
  AwaitEnd("released");
  EXPECT_TRUE(harness_->Release("released").ok());
  harness_->Restart();
  const auto recovery = harness_->Recover({"released"});
  ASSERT_TRUE(recovery.ok());
  EXPECT_TRUE(std::holds_alternative<RecoveredContainer::Lost>(recovery->containers[0].state));
  EXPECT_TRUE(recovery->destroyed_orphans.empty());
}

TEST_P(RuntimeConformanceTest, EndsAreToldOnceForMany) {
  constexpr int kCount = 30;
  int failures = 0;
  absl::Mutex mutex;
  int launched = 0;
  for (int i = 0; i < kCount; ++i) {
    harness_->runtime()->Launch(Shell(absl::StrCat("many-", i), absl::StrCat("exit ", i)),
                                [&](LaunchResult result) {
                                  absl::MutexLock lock(&mutex);
                                  ++launched;
                                  failures += std::holds_alternative<LaunchFailure>(result);
                                });
  }
  ASSERT_TRUE(harness_->WaitUntil([&] {
    absl::MutexLock lock(&mutex);
    return launched == kCount;
  }));
  EXPECT_EQ(failures, 0);
  for (int i = 0; i < kCount; ++i) {
    EXPECT_EQ(WEXITSTATUS(AwaitEnd(absl::StrCat("many-", i)).wait_status), i);
  }
  for (int i = 0; i < kCount; ++i) {
    EXPECT_EQ(harness_->TerminationsOf(absl::StrCat("many-", i)).size(), 1u);
  }
  const RuntimeCounters counters = harness_->runtime()->Counters();
  EXPECT_EQ(counters.launches, static_cast<uint64_t>(kCount));
  EXPECT_EQ(counters.terminations, static_cast<uint64_t>(kCount));
  EXPECT_EQ(counters.running, 0u);
}

}  // namespace tessera::agent
