// What containers are on the real kernel. Needs root; skips, saying so, without.

#include <pwd.h>

#include <fstream>
#include <iostream>

#include "services/agent/runtime/testing/linux_runtime_harness.h"
#include "services/agent/runtime/testing/runtime_conformance.h"

namespace tessera::agent {
namespace {

INSTANTIATE_TEST_SUITE_P(Linux, RuntimeConformanceTest, testing::Values(HarnessFactory([] {
                           return std::make_unique<LinuxHarness>();
                         })));

TEST_F(LinuxContainerRuntimeTest, OutputGoesToTheSandbox) {
  ContainerSpec spec = Shell("output", "echo out; echo err >&2; pwd; cat");
  EXPECT_EQ(Output(spec), "out\n" + spec.sandbox + "\n");
  EXPECT_EQ(ReadAll(spec.sandbox + "/stderr"), "err\n");
  struct stat sandbox;
  ASSERT_EQ(stat(spec.sandbox.c_str(), &sandbox), 0);
  EXPECT_EQ(sandbox.st_mode & 0777, 0750u);
}

TEST_F(LinuxContainerRuntimeTest, TheEnvironmentIsTheSpecsAlone) {
  setenv("TESSERA_LEAK", "yes", 1);
  ContainerSpec spec = Shell("environment", "");
  spec.command = {.value = "env", .shell = false};
  spec.environment = {{"GREETING", "hello world"}, {"EMPTY", ""}};
  std::vector<std::string> lines = absl::StrSplit(Output(spec), '\n', absl::SkipEmpty());
  EXPECT_THAT(lines, testing::UnorderedElementsAre("GREETING=hello world",
                                                   "EMPTY=", "TESSERA_SANDBOX=" + spec.sandbox,
                                                   testing::StartsWith("PATH=/usr/local/sbin")));
}

TEST_F(LinuxContainerRuntimeTest, ArgumentsArriveAsTheyAre) {
  ContainerSpec spec = Shell("arguments", "");
  spec.command = {
      .value = "printf", .shell = false, .arguments = {"printf", "%s|", "a b", "", "$X"}};
  EXPECT_EQ(Output(spec), "a b||$X|");
}

TEST_F(LinuxContainerRuntimeTest, UserAndGroups) {
  ContainerSpec spec = Shell("user", "id -u; id -g; id -G; touch mine && stat -c %U mine stdout");
  spec.user = "nobody";
  EXPECT_EQ(Output(spec), "65534\n65534\n65534\nnobody\nnobody\n");
}

TEST_F(LinuxContainerRuntimeTest, WorkingDirectoryAndProgramInIt) {
  ContainerSpec spec = Shell("directory", "pwd");
  spec.working_directory = "/usr/share";
  EXPECT_EQ(Output(spec), "/usr/share\n");

  ContainerSpec local = Shell("local", "");
  ASSERT_EQ(mkdir((harness_.directory() + "/sandboxes").c_str(), 0755) == 0 || errno == EEXIST,
            true);
  ASSERT_EQ(mkdir(local.sandbox.c_str(), 0750), 0);
  std::ofstream(local.sandbox + "/program") << "#!/bin/sh\necho from the sandbox\n";
  chmod((local.sandbox + "/program").c_str(), 0755);
  local.command = {.value = "program", .shell = false};
  EXPECT_EQ(Output(local), "from the sandbox\n");
}

TEST_F(LinuxContainerRuntimeTest, NamespacesOfItsOwn) {
  ContainerSpec spec = Shell("namespaces",
                             "echo $$; hostname; set -- /proc/[0-9]*; echo $#; "
                             "ls /proc/self/fd | wc -l");
  spec.hostname = "inside";
  char before[256];
  gethostname(before, sizeof(before));
  // The shell is process 2, and there is but init beside it. The descriptors of ls are 0, 1, 2 and
  // the directory that it reads.
  EXPECT_EQ(Output(spec), "2\ninside\n2\n4\n");
  char after[256];
  gethostname(after, sizeof(after));
  EXPECT_STREQ(before, after);
  // No way leads back to where the container's root came from.
  EXPECT_EQ(
      Output(Shell("up", "cd /.. && pwd; ls -d /../etc /proc/../etc; ls /proc/1/root/etc/passwd")),
      "/\n/../etc\n/proc/../etc\n/proc/1/root/etc/passwd\n");
  for (const char* kind : {"pid", "mnt", "ipc", "uts", "cgroup"}) {
    char host[64] = {};
    ASSERT_GT(readlink(absl::StrCat("/proc/self/ns/", kind).c_str(), host, sizeof(host) - 1), 0);
    const std::string line = absl::StrCat("readlink /proc/self/ns/", kind);
    EXPECT_NE(Output(Shell(absl::StrCat("ns-", kind), line)), std::string(host) + "\n") << kind;
  }
}

TEST_F(LinuxContainerRuntimeTest, SeesItsOwnCgroupsAsTheRoot) {
  const std::string output = Output(Shell("cgroups", "cat /proc/self/cgroup"));
  if (output == "0::/\n") return;  // all there is where v2 is alone
  int seen = 0;
  for (const absl::string_view line : absl::StrSplit(output, '\n', absl::SkipEmpty())) {
    const std::vector<std::string> parts = absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (parts[1] != "cpu" && parts[1] != "memory" && parts[1] != "pids") continue;
    EXPECT_EQ(parts[2], "/") << line;
    ++seen;
  }
  EXPECT_EQ(seen, 3);
}

TEST_F(LinuxContainerRuntimeTest, NamespacesCanBeShared) {
  ContainerSpec spec = Shell("shared", "sleep 100 & exec sleep 101");
  const NamespaceChoice host = NamespaceChoice::Host();
  spec.namespaces = {.pid = host, .ipc = host, .uts = host, .cgroup = host};
  Started(spec);
  ASSERT_TRUE(harness_.WaitUntil(
      [] { return ProcessesWith("sleep 100 ") == 1 && ProcessesWith("sleep 101 ") == 1; }));
  EXPECT_TRUE(harness_.Destroy("shared").ok());
  AwaitEnd("shared");
  EXPECT_EQ(ProcessesWith("sleep 100 "), 0u);
  EXPECT_EQ(ProcessesWith("sleep 101 "), 0u);
}

TEST_F(LinuxContainerRuntimeTest, LimitsAreInTheKernel) {
  ContainerSpec spec = Shell("limits", "sleep 100");
  spec.resources.cpus_milli = 2500;
  spec.resources.cpu_limit_milli = 500;
  spec.resources.pids_limit = 20;
  const LaunchedContainer launched = Started(spec);
  const auto value = [&launched](const std::string& file) {
    for (const std::string& path : launched.cgroup_paths) {
      const std::string contents = ReadAll(path + "/" + file);
      if (!contents.empty()) return contents;
    }
    return std::string("none");
  };
  const std::string memory = absl::StrCat(64 << 20, "\n");
  if (value("cpu.weight") == "none") {
    EXPECT_EQ(value("cpu.shares"), "2560\n");
    EXPECT_EQ(value("cpu.cfs_quota_us"), "50000\n");
    EXPECT_EQ(value("memory.limit_in_bytes"), memory);
    EXPECT_EQ(value("memory.soft_limit_in_bytes"), memory);
  } else {
    EXPECT_EQ(value("cpu.weight"), "250\n");
    EXPECT_EQ(value("cpu.max"), "50000 100000\n");
    EXPECT_EQ(value("memory.max"), memory);
    EXPECT_EQ(value("memory.low"), memory);
    EXPECT_EQ(value("memory.oom.group"), "1\n");
  }
  EXPECT_EQ(value("pids.max"), "21\n");
  harness_.Destroy("limits").IgnoreError();
  AwaitEnd("limits");
}

TEST_F(LinuxContainerRuntimeTest, ACpuLimitThrottles) {
  ContainerSpec spec = Shell("throttled", "i=0; while true; do i=$((i+1)); done");
  // So little that a busy machine gives more.
  spec.resources.cpu_limit_milli = 10;
  Started(spec);
  ASSERT_TRUE(harness_.WaitUntil([this] {
    const auto usage = harness_.ReadUsage("throttled");
    return usage.ok() && usage->cpu_throttled_periods.value_or(0) >= 3 &&
           usage->cpu_throttled_time.value_or(absl::ZeroDuration()) > absl::ZeroDuration() &&
           usage->cpu_user_time.value_or(absl::ZeroDuration()) > absl::ZeroDuration();
  }));
  const auto usage = harness_.ReadUsage("throttled");
  EXPECT_EQ(usage->cpus_limit_milli, 10);
  EXPECT_GE(usage->processes.value_or(0), 2);
  harness_.Destroy("throttled").IgnoreError();
  AwaitEnd("throttled");
}

TEST_F(LinuxContainerRuntimeTest, RunningOutOfMemoryIsALimitation) {
  // tail keeps what it has read since the last newline, and there is none.
  ContainerSpec spec = Shell("hungry", "tail /dev/zero");
  Started(spec);
  const ContainerTermination end = AwaitEnd("hungry");
  ASSERT_TRUE(end.limitation.has_value()) << end.message;
  EXPECT_EQ(end.limitation->resource, ContainerLimitation::Resource::kMemory);
  EXPECT_EQ(end.limitation->requested_bytes, 64 << 20);
  EXPECT_GT(end.limitation->maximum_used_bytes, 60 << 20);
  EXPECT_THAT(end.message,
              testing::StartsWith("memory limit exceeded: requested 64 MB, used maximum"));
  EXPECT_EQ(harness_.runtime()->Counters().memory_limitations, 1u);
  // It is in the state file, too: the cgroup is gone.
  harness_.Restart();
  const auto recovery = harness_.Recover({"hungry"});
  const auto* ended = std::get_if<RecoveredContainer::Terminated>(&recovery->containers[0].state);
  ASSERT_NE(ended, nullptr);
  EXPECT_EQ(ended->termination.message, end.message);
}

TEST_F(LinuxContainerRuntimeTest, AChildOutOfMemoryEndsTheWholeContainer) {
  Started(Shell("parent", "tail /dev/zero; sleep 100"));
  EXPECT_TRUE(AwaitEnd("parent").limitation.has_value());
}

TEST_F(LinuxContainerRuntimeTest, APidsLimitHolds) {
  ContainerSpec spec = Shell("forks", "for i in 1 2 3 4 5 6 7 8; do sleep 1 & done; wait");
  spec.resources.pids_limit = 4;
  Started(spec);
  const ContainerTermination end = AwaitEnd("forks");
  EXPECT_NE(end.wait_status, 0);
  EXPECT_THAT(ReadAll(spec.sandbox + "/stderr"), testing::HasSubstr("fork"));
}

TEST_F(LinuxContainerRuntimeTest, FailuresSayWhatAndWhy) {
  ContainerSpec spec = Shell("nobody-knows", "true");
  spec.user = "no-such-user";
  LaunchFailure failure = FailureOf(spec);
  EXPECT_EQ(failure.step, LaunchStep::kUser);
  EXPECT_EQ(failure.message, "user \"no-such-user\" not found");

  spec = Shell("no-program", "");
  spec.command = {.value = "no-such-program", .shell = false};
  failure = FailureOf(spec);
  EXPECT_EQ(failure.step, LaunchStep::kExec);
  EXPECT_EQ(failure.message, "exec no-such-program: No such file or directory");

  spec.command = {.value = "/etc/passwd", .shell = false};
  failure = FailureOf(spec);
  EXPECT_EQ(failure.message, "exec /etc/passwd: Permission denied");

  spec = Shell("no-directory", "true");
  spec.working_directory = "/no/such/directory";
  failure = FailureOf(spec);
  EXPECT_EQ(failure.step, LaunchStep::kDirectory);
  EXPECT_EQ(failure.error_number, ENOENT);
  EXPECT_EQ(failure.message, "chdir /no/such/directory: No such file or directory");

  spec = Shell("no-mount", "true");
  spec.mounts = {{"/no/such/source", "/mnt", false}};
  failure = FailureOf(spec);
  EXPECT_EQ(failure.step, LaunchStep::kFilesystem);
  EXPECT_EQ(failure.message, "take /no/such/source: No such file or directory");

  spec = Shell("no-rootfs", "true");
  spec.rootfs = "/no/such/rootfs";
  EXPECT_EQ(FailureOf(spec).step, LaunchStep::kFilesystem);

  spec = Shell("no-sandbox", "true");
  spec.sandbox = "/proc/no/sandbox";
  EXPECT_EQ(FailureOf(spec).step, LaunchStep::kSandbox);

  spec = Shell("too-large", "true");
  spec.environment = {{"BIG", std::string(3 << 20, 'x')}};
  failure = FailureOf(spec);
  EXPECT_EQ(failure.message, "exec /bin/sh: Argument list too long");
  spec.environment = {{"BIG", std::string(8 << 20, 'x')}};
  EXPECT_EQ(FailureOf(spec).step, LaunchStep::kSpec);

  // No failed launch has left anything.
  ASSERT_TRUE(
      harness_.WaitUntil([this] { return harness_.runtime()->Counters().cgroups_to_remove == 0; }));
  EXPECT_LE(CgroupsLeft(harness_.options()).size(), 4 * harness_.options().parked_containers);
  EXPECT_EQ(ReadAll(harness_.options().runtime_dir + "/containers/no-directory"), "");
}

TEST_F(LinuxContainerRuntimeTest, ARootOfItsOwn) {
  const std::string rootfs = harness_.directory() + "/rootfs";
  const std::string make = absl::StrCat("mkdir -p ", rootfs, "/bin && cp /bin/busybox ", rootfs,
                                        "/bin/ && ln -s busybox ", rootfs, "/bin/sh");
  ASSERT_EQ(system(make.c_str()), 0);
  const std::string data = harness_.directory() + "/data";
  ASSERT_EQ(mkdir(data.c_str(), 0755), 0);
  std::ofstream(data + "/file") << "shared\n";

  ContainerSpec spec =
      Shell("rooted",
            "busybox pwd; busybox ls /; busybox ls /.. /proc/.. | busybox grep -c bin; "
            "busybox cat /data/file; "
            "busybox touch /data/x 2>/dev/null || echo read-only; "
            "echo kept > file; echo x > /dev/null; "
            "set -- /proc/[0-9]*; echo $#; "
            "busybox touch /sys/x 2>/dev/null || echo no-sys");
  spec.rootfs = rootfs;
  spec.mounts = {{data, "/data", true}};
  EXPECT_EQ(
      Output(spec),
      "/mnt/tessera/sandbox\nbin\ndata\ndev\nmnt\nproc\nsys\n2\nshared\nread-only\n2\nno-sys\n");
  EXPECT_EQ(ReadAll(spec.sandbox + "/file"), "kept\n");
  EXPECT_EQ(CountLinesWith("/proc/self/mountinfo", harness_.directory()), 0u);
}

// A container's root must not reach the launcher's program, which every init runs.
TEST_F(LinuxContainerRuntimeTest, TheLaunchersProgramIsSealed) {
  const std::string before = ReadAll(LauncherPath());
  ASSERT_FALSE(before.empty());
  ContainerSpec spec = Shell("attacker",
                             "(echo x > /proc/1/exe) 2>/dev/null || echo refused; "
                             "(echo x >> /proc/1/exe) 2>/dev/null || echo refused; "
                             "readlink /proc/1/exe");
  EXPECT_EQ(Output(spec), "refused\nrefused\n/memfd:tessera-launcher (deleted)\n");
  EXPECT_EQ(ReadAll(LauncherPath()), before);
}

// A rootfs must not lead a mount of ours elsewhere.
TEST_F(LinuxContainerRuntimeTest, ALinkInPlaceOfProcIsRefused) {
  const std::string rootfs = harness_.directory() + "/rootfs";
  const std::string make =
      absl::StrCat("mkdir -p ", rootfs, "/bin ", rootfs, "/elsewhere && cp /bin/busybox ", rootfs,
                   "/bin/sh && ln -s /elsewhere ", rootfs, "/proc");
  ASSERT_EQ(system(make.c_str()), 0);
  ContainerSpec spec = Shell("linked", "true");
  spec.rootfs = rootfs;
  const LaunchFailure failure = FailureOf(spec);
  EXPECT_EQ(failure.step, LaunchStep::kFilesystem);
  EXPECT_EQ(failure.error_number, ELOOP);
}

TEST_F(LinuxContainerRuntimeTest, APrivateTmp) {
  // The sandboxes of this test are below /tmp, which a private one would hide.
  ContainerSpec spec = Shell("tmp", "true");
  spec.private_tmp = true;
  EXPECT_THAT(FailureOf(spec).message, testing::HasSubstr("would hide the sandbox"));
  spec.sandbox = "/var/tmp/" + harness_.directory().substr(5);
  spec.command.value = "echo mine > /tmp/file; ls /tmp; pwd";
  EXPECT_EQ(Output(spec), "file\n" + spec.sandbox + "\n");
  EXPECT_EQ(ReadAll(spec.sandbox + "/.tmp/file"), "mine\n");
  EXPECT_EQ(system(("rm -rf " + spec.sandbox).c_str()), 0);
}

TEST_F(LinuxContainerRuntimeTest, InitReapsAndItsEndTakesAll) {
  // Grandchildren outlive their parents; the short one must not stay as a zombie.
  Output(Shell("family",
               "(sleep 0.05 &); (sleep 12345 &); sleep 0.1; for i in 1 2 3 4 5 6 7 8 9; do "
               "ps -A -o stat= | grep -q Z || exit 0; sleep 0.2; done; exit 1"));
  EXPECT_EQ(ProcessesWith("sleep 12345"), 0u);
}

TEST_F(LinuxContainerRuntimeTest, SignalsAreForwarded) {
  ContainerSpec spec = Shell("signalled",
                             "trap 'echo usr1' USR1; trap 'echo term; exit 9' TERM; "
                             "echo ready; while true; do sleep 0.02; done");
  Started(spec);
  ASSERT_TRUE(harness_.WaitUntil([&] { return ReadAll(spec.sandbox + "/stdout") == "ready\n"; }));
  EXPECT_TRUE(harness_.Signal("signalled", SIGUSR1).ok());
  ASSERT_TRUE(
      harness_.WaitUntil([&] { return ReadAll(spec.sandbox + "/stdout") == "ready\nusr1\n"; }));
  EXPECT_TRUE(harness_.Kill("signalled", absl::Seconds(10)).ok());
  const ContainerTermination end = AwaitEnd("signalled");
  EXPECT_EQ(WEXITSTATUS(end.wait_status), 9) << end.message;
  EXPECT_EQ(ReadAll(spec.sandbox + "/stdout"), "ready\nusr1\nterm\n");
}

TEST_F(LinuxContainerRuntimeTest, UsageOfTheCommandIsKept) {
  Started(Shell("busy", "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"));
  const ContainerTermination end = AwaitEnd("busy");
  EXPECT_GT(end.user_time + end.system_time, absl::Milliseconds(20));
  EXPECT_GT(end.maximum_rss_bytes, 100 << 10);
}

TEST_F(LinuxContainerRuntimeTest, OptionsAreChecked) {
  LinuxRuntimeOptions options = harness_.options();
  options.runtime_dir += "-2";
  options.launcher_path = "/no/such/launcher";
  auto runtime = LinuxContainerRuntime::Create(options, [](const auto&) {});
  EXPECT_THAT(std::string(runtime.status().message()),
              testing::HasSubstr("cannot start the launcher /no/such/launcher"));
  options = harness_.options();
  options.isolation = "cgroups/gold";
  runtime = LinuxContainerRuntime::Create(options, [](const auto&) {});
  EXPECT_EQ(runtime.status().code(), absl::StatusCode::kInvalidArgument);
  options = harness_.options();
  options.cgroups_root = "../up";
  runtime = LinuxContainerRuntime::Create(options, [](const auto&) {});
  EXPECT_EQ(runtime.status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(LinuxContainerRuntimeTest, DestroyDuringTheLaunch) {
  for (int i = 0; i < 20; ++i) {
    const std::string id = absl::StrCat("hasty-", i);
    std::optional<LaunchResult> result;
    absl::Mutex mutex;
    harness_.runtime()->Launch(Shell(id, "sleep 100"), [&](LaunchResult r) {
      absl::MutexLock lock(&mutex);
      result = std::move(r);
    });
    harness_.Destroy(id).IgnoreError();
    ASSERT_TRUE(harness_.WaitUntil([&] {
      absl::MutexLock lock(&mutex);
      return result.has_value();
    }));
    if (std::holds_alternative<LaunchFailure>(*result)) {
      EXPECT_EQ(std::get<LaunchFailure>(*result).step, LaunchStep::kAborted);
      EXPECT_TRUE(harness_.TerminationsOf(id).empty());
    } else {
      EXPECT_EQ(WTERMSIG(AwaitEnd(id).wait_status), SIGKILL);
    }
  }
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
