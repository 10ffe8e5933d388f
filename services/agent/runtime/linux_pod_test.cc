// Pods on the real kernel: what their containers share, what holds for all of them, and what is
// left of them. Needs root; skips, saying so, without.

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/wait.h>

#include <fstream>
#include <iostream>

#include "services/agent/runtime/process_identity.h"
#include "services/agent/runtime/testing/linux_runtime_harness.h"

namespace tessera::agent {
namespace {

using ::testing::HasSubstr;

class LinuxPodTest : public LinuxContainerRuntimeTest {
 protected:
  PodSpec Pod(const std::string& id) {
    PodSpec spec;
    spec.pod_id = id;
    spec.sandbox = harness_.SandboxOf(id);
    spec.namespaces = {.pid = false, .ipc = true, .uts = true, .net = true};
    spec.hostname = "the-pod";
    spec.limits.memory_limit_bytes = int64_t{128} << 20;
    return spec;
  }
  CreatedPod Created(const PodSpec& spec) {
    const PodResult result = harness_.CreatePod(spec);
    if (const auto* created = std::get_if<CreatedPod>(&result)) return *created;
    ADD_FAILURE() << std::get<LaunchFailure>(result).message;
    return {};
  }
  // In the pod, sharing all that it keeps.
  ContainerSpec Inside(const PodSpec& pod, const std::string& name, const std::string& line) {
    ContainerSpec spec = Shell(pod.pod_id.Child(name), line);
    spec.sandbox = pod.sandbox + "/" + name;
    spec.namespaces = NamespacesInPod(pod);
    spec.resources.memory_limit_bytes.reset();
    return spec;
  }
  std::string NamespaceOf(int64_t pid, const std::string& kind) {
    char link[64] = {};
    EXPECT_GT(readlink(absl::StrCat("/proc/", pid, "/ns/", kind).c_str(), link, sizeof(link) - 1),
              0);
    return link;
  }
};

TEST_F(LinuxPodTest, ContainersShareWhatThePodKeeps) {
  const PodSpec pod = Pod("shared");
  const CreatedPod created = Created(pod);
  ASSERT_GT(created.keeper.init_pid, 0);
  const LaunchedContainer one = Started(Inside(pod, "one", "sleep 100"));
  const LaunchedContainer two = Started(Inside(pod, "two", "sleep 100"));
  for (const char* kind : {"ipc", "uts", "net"}) {
    const std::string kept = NamespaceOf(created.keeper.init_pid, kind);
    EXPECT_NE(kept, NamespaceOf(getpid(), kind)) << kind;
    EXPECT_EQ(NamespaceOf(one.identity.init_pid, kind), kept) << kind;
    EXPECT_EQ(NamespaceOf(two.identity.init_pid, kind), kept) << kind;
  }
  for (const char* kind : {"pid", "mnt"}) {
    EXPECT_NE(NamespaceOf(one.identity.init_pid, kind), NamespaceOf(two.identity.init_pid, kind));
  }
  EXPECT_EQ(Output(Inside(pod, "name", "hostname")), "the-pod\n");
  // The namespaces outlive the containers that were first in them.
  EXPECT_TRUE(harness_.Destroy("shared.one").ok());
  EXPECT_TRUE(harness_.Destroy("shared.two").ok());
  AwaitEnd("shared.one");
  AwaitEnd("shared.two");
  const LaunchedContainer three = Started(Inside(pod, "three", "sleep 100"));
  EXPECT_EQ(NamespaceOf(three.identity.init_pid, "net"),
            NamespaceOf(created.keeper.init_pid, "net"));
  EXPECT_TRUE(harness_.DestroyPod("shared").ok());
}

// Two containers talk over the loopback interface of their pod, which nobody else sees.
TEST_F(LinuxPodTest, ThePodsNetworkIsTheirs) {
  const PodSpec pod = Pod("network");
  Created(pod);
  const ContainerSpec server =
      Inside(pod, "server", "echo hello | busybox nc -l -p 7; echo served");
  Started(server);
  const std::string heard = Output(Inside(pod, "client",
                                          "for i in 1 2 3 4 5 6 7 8 9 10; do busybox nc 127.0.0.1 "
                                          "7 && exit 0; sleep 0.2; done; exit 1"));
  EXPECT_EQ(heard, "hello\n");
  EXPECT_EQ(AwaitEnd("network.server").wait_status, 0);
  EXPECT_EQ(ReadAll(server.sandbox + "/stdout"), "served\n");

  Started(Inside(pod, "still", "sleep 100"));
  for (const char* id : {"network.still", "network"}) {
    const auto usage = harness_.ReadUsage(id);
    ASSERT_TRUE(usage.ok()) << usage.status();
    ASSERT_EQ(usage->interfaces.size(), 1u) << id;
    EXPECT_EQ(usage->interfaces[0].name, "lo");
    EXPECT_GT(usage->interfaces[0].received_bytes, 0);
  }
  EXPECT_TRUE(harness_.DestroyPod("network").ok());
}

TEST_F(LinuxPodTest, ASharedPidNamespaceShowsEachTheOthers) {
  PodSpec pod = Pod("pids");
  pod.namespaces.pid = true;
  const CreatedPod created = Created(pod);
  const LaunchedContainer sleeper = Started(Inside(pod, "sleeper", "exec sleep 7654"));
  EXPECT_EQ(NamespaceOf(sleeper.identity.init_pid, "pid"),
            NamespaceOf(created.keeper.init_pid, "pid"));
  EXPECT_EQ(Output(Inside(pod, "looker", "ps -A -o args= | grep -c '^sleep 7654'")), "1\n");
  // The end of one is not the end of the other, and takes all that is its own along.
  Started(Inside(pod, "family", "sleep 8765 & exec sleep 8766"));
  ASSERT_TRUE(harness_.WaitUntil(
      [] { return ProcessesWith("sleep 8765 ") + ProcessesWith("sleep 8766 ") == 2; }));
  EXPECT_TRUE(harness_.Destroy("pids.family").ok());
  AwaitEnd("pids.family");
  EXPECT_EQ(ProcessesWith("sleep 8765 ") + ProcessesWith("sleep 8766 "), 0u);
  EXPECT_EQ(ProcessesWith("sleep 7654 "), 1u);
  EXPECT_TRUE(harness_.Kill("pids.sleeper", absl::Seconds(10)).ok());
  EXPECT_EQ(WTERMSIG(AwaitEnd("pids.sleeper").wait_status), SIGTERM);
  EXPECT_TRUE(harness_.DestroyPod("pids").ok());
}

TEST_F(LinuxPodTest, ThePodsLimitHoldsForAllOfThem) {
  PodSpec pod = Pod("limited");
  pod.limits.memory_limit_bytes = int64_t{64} << 20;
  const CreatedPod created = Created(pod);
  std::string limit;
  for (const std::string& path : created.cgroup_paths) {
    for (const char* file : {"/memory.limit_in_bytes", "/memory.max"})
      limit += ReadAll(path + file);
  }
  EXPECT_EQ(limit, absl::StrCat(64 << 20, "\n"));
  const LaunchedContainer quiet = Started(Inside(pod, "quiet", "sleep 100"));
  for (const std::string& path : quiet.cgroup_paths) {
    const std::string parent = path.substr(0, path.rfind('/'));
    EXPECT_THAT(created.cgroup_paths, testing::Contains(parent));
  }
  Started(Inside(pod, "hungry", "tail /dev/zero"));
  const ContainerTermination end = AwaitEnd("limited.hungry");
  ASSERT_TRUE(end.limitation.has_value()) << end.message;
  EXPECT_EQ(end.limitation->requested_bytes, 64 << 20);
  EXPECT_EQ(end.limitation->isolator, "cgroups/mem");
  // The pod is out of memory, so all of it ends.
  const ContainerTermination other = AwaitEnd("limited.quiet");
  EXPECT_TRUE(other.limitation.has_value()) << other.message;
  EXPECT_TRUE(harness_.UpdatePod("limited", pod.limits).ok());
  EXPECT_TRUE(harness_.DestroyPod("limited").ok());
}

TEST_F(LinuxPodTest, AContainersOwnLimitIsItsOwn) {
  const PodSpec pod = Pod("own");
  Created(pod);
  Started(Inside(pod, "quiet", "sleep 100"));
  ContainerSpec hungry = Inside(pod, "hungry", "tail /dev/zero");
  hungry.resources.memory_limit_bytes = int64_t{40} << 20;
  Started(hungry);
  const ContainerTermination end = AwaitEnd("own.hungry");
  ASSERT_TRUE(end.limitation.has_value()) << end.message;
  EXPECT_EQ(end.limitation->requested_bytes, 40 << 20);
  EXPECT_TRUE(harness_.ReadUsage("own.quiet").ok());
  EXPECT_TRUE(harness_.TerminationsOf("own.quiet").empty());
  EXPECT_TRUE(harness_.DestroyPod("own").ok());
}

TEST_F(LinuxPodTest, AContainerCanJoinAnothersFiles) {
  const PodSpec pod = Pod("files");
  Created(pod);
  const std::string data = harness_.directory() + "/data";
  ASSERT_EQ(mkdir(data.c_str(), 0755), 0);
  std::ofstream(data + "/file") << "mounted\n";
  ContainerSpec main = Inside(pod, "main", "sleep 100");
  main.mounts = {{data, "/mnt", true}};
  Started(main);
  ContainerSpec check = Inside(pod, "main.check", "cat /mnt/file; ls /proc | grep -c '^[0-9]'");
  check.namespaces.mnt = NamespaceChoice::Join("files.main");
  check.namespaces.pid = NamespaceChoice::Join("files.main");
  // The other's init, shell and sleep; its own init, shell, ls and grep.
  EXPECT_THAT(Output(check), testing::StartsWith("mounted\n"));
  check.container_id = "files.main.late";
  EXPECT_TRUE(harness_.Destroy("files.main").ok());
  AwaitEnd("files.main");
  EXPECT_EQ(FailureOf(check).step, LaunchStep::kPod);
  EXPECT_TRUE(harness_.DestroyPod("files").ok());
}

TEST_F(LinuxPodTest, AnEndTakesThoseBelowItAlong) {
  const PodSpec pod = Pod("tree");
  Created(pod);
  Started(Inside(pod, "a", "sleep 100"));
  Started(Inside(pod, "a.b", "sleep 100"));
  Started(Inside(pod, "ab", "sleep 100"));
  EXPECT_TRUE(harness_.Destroy("tree.a").ok());
  AwaitEnd("tree.a");
  EXPECT_EQ(WTERMSIG(AwaitEnd("tree.a.b").wait_status), SIGKILL);
  EXPECT_TRUE(harness_.TerminationsOf("tree.ab").empty());
  EXPECT_TRUE(harness_.DestroyPod("tree").ok());
  EXPECT_EQ(harness_.TerminationsOf("tree.ab").size(), 1u);
}

TEST_F(LinuxPodTest, WhatCannotBeIsRefusedAndLeavesNothing) {
  PodSpec pod = Pod("refused");
  pod.user = "no-such-user";
  PodResult result = harness_.CreatePod(pod);
  ASSERT_TRUE(std::holds_alternative<LaunchFailure>(result));
  EXPECT_EQ(std::get<LaunchFailure>(result).step, LaunchStep::kUser);
  pod = Pod("refused");
  pod.sandbox = "/proc/no/sandbox";
  result = harness_.CreatePod(pod);
  ASSERT_TRUE(std::holds_alternative<LaunchFailure>(result));
  EXPECT_EQ(std::get<LaunchFailure>(result).step, LaunchStep::kSandbox);

  pod = Pod("refused");
  pod.namespaces.ipc = false;
  Created(pod);
  ContainerSpec joins = Inside(pod, "joins", "true");
  joins.namespaces.ipc = NamespaceChoice::Join("refused");
  const LaunchFailure failure = FailureOf(joins);
  EXPECT_EQ(failure.step, LaunchStep::kPod);
  EXPECT_THAT(failure.message, HasSubstr("keeps no namespace of that kind"));
  EXPECT_TRUE(harness_.DestroyPod("refused").ok());
  EXPECT_TRUE(harness_.DestroyPod("refused").ok()) << "may be repeated";
  ASSERT_TRUE(
      harness_.WaitUntil([this] { return harness_.runtime()->Counters().cgroups_to_remove == 0; }));
  for (const std::string& left : CgroupsLeft(harness_.options())) {
    EXPECT_NE(left[left.rfind('/') + 1], 'p') << left;
  }
  const std::string pods = harness_.options().runtime_dir + "/pods/refused";
  EXPECT_NE(access(pods.c_str(), F_OK), 0);
}

TEST_F(LinuxPodTest, PodsSurviveTheAgentAndTheirKeepersEndIsSeen) {
  const PodSpec kept = Pod("kept");
  const PodSpec broken = Pod("broken");
  const PodSpec orphan = Pod("orphan");
  const CreatedPod before = Created(kept);
  const CreatedPod doomed = Created(broken);
  Created(orphan);
  Started(Inside(kept, "runs", "sleep 100"));
  Started(Inside(broken, "runs", "exec sleep 9753"));
  Started(Inside(orphan, "runs", "exec sleep 9754"));
  harness_.Drop();
  ASSERT_EQ(kill(static_cast<pid_t>(doomed.keeper.init_pid), SIGKILL), 0);
  harness_.Restart();
  const auto recovery = harness_.Recover({"kept.runs", "broken.runs"}, {"kept", "broken", "never"});
  ASSERT_TRUE(recovery.ok()) << recovery.status();
  ASSERT_EQ(recovery->pods.size(), 3u);
  ASSERT_TRUE(recovery->pods[0].pod.has_value()) << recovery->pods[0].lost;
  EXPECT_EQ(recovery->pods[0].pod->keeper.init_pid, before.keeper.init_pid);
  EXPECT_EQ(recovery->pods[0].pod->cgroup_paths, before.cgroup_paths);
  EXPECT_EQ(recovery->pods[1].lost, "its namespaces have ended with their keeper");
  EXPECT_EQ(recovery->pods[2].lost, "it was never created");
  EXPECT_TRUE(std::holds_alternative<RecoveredContainer::Running>(recovery->containers[0].state));
  EXPECT_TRUE(
      std::holds_alternative<RecoveredContainer::Terminated>(recovery->containers[1].state));
  EXPECT_THAT(recovery->destroyed_orphans, testing::Contains(ContainerId("orphan")));
  EXPECT_EQ(ProcessesWith("sleep 9753 ") + ProcessesWith("sleep 9754 "), 0u);
  // The one that is left goes on.
  Started(Inside(kept, "more", "sleep 100"));
  EXPECT_TRUE(harness_.DestroyPod("kept").ok());
  EXPECT_EQ(harness_.TerminationsOf("kept.runs").size(), 1u);
  EXPECT_EQ(harness_.TerminationsOf("kept.more").size(), 1u);
}

}  // namespace
}  // namespace tessera::agent

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (geteuid() != 0) {
    std::cout << "SKIPPED: containers on the real kernel need root" << std::endl;
    return 0;
  }
  return RUN_ALL_TESTS();
}
