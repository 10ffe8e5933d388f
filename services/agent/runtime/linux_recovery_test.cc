// What is left when the agent or its launcher dies, on the real kernel. Needs root; skips, saying
// so, without.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/wait.h>

#include <atomic>
#include <fstream>
#include <iostream>

#include "services/agent/runtime/process_identity.h"
#include "services/agent/runtime/testing/linux_runtime_harness.h"

namespace tessera::agent {
namespace {

using LinuxRecoveryTest = LinuxContainerRuntimeTest;

TEST_F(LinuxRecoveryTest, TheLauncherMayDie) {
  Started(Shell("before", "sleep 0.5; exit 6"));
  const pid_t launcher = harness_.linux_runtime()->launcher_pid();
  ASSERT_GT(launcher, 1);
  ASSERT_EQ(kill(launcher, SIGKILL), 0);
  // Enough to use up what was parked before.
  for (int i = 0; i < 6; ++i) Started(Shell(absl::StrCat("after-", i), "exit 2"));
  EXPECT_EQ(WEXITSTATUS(AwaitEnd("before").wait_status), 6);
  for (int i = 0; i < 6; ++i) {
    EXPECT_EQ(WEXITSTATUS(AwaitEnd(absl::StrCat("after-", i)).wait_status), 2);
  }
  EXPECT_NE(harness_.linux_runtime()->launcher_pid(), launcher);
  EXPECT_GE(harness_.runtime()->Counters().launcher_restarts, 1u);
}

TEST_F(LinuxRecoveryTest, OneRuntimeADirectory) {
  const auto second = LinuxContainerRuntime::Create(harness_.options(), [](const auto&) {});
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(second.status().message()), testing::HasSubstr("another agent uses"));
}

TEST_F(LinuxRecoveryTest, AHundredLaunchesLeaveNothing) {
  const size_t mounts = CountLinesWith("/proc/self/mountinfo", " ");
  constexpr int kCount = 100;
  std::vector<ContainerIdentity> inits;
  for (int i = 0; i < kCount; ++i) {
    inits.push_back(Started(Shell(absl::StrCat("one-", i), "true")).identity);
  }
  for (int i = 0; i < kCount; ++i) AwaitEnd(absl::StrCat("one-", i));
  for (int i = 0; i < kCount; ++i) {
    EXPECT_TRUE(harness_.Release(absl::StrCat("one-", i)).ok());
  }
  EXPECT_EQ(harness_.runtime()->Counters().terminations, static_cast<uint64_t>(kCount));
  harness_.Drop();
  EXPECT_TRUE(CgroupsLeft(harness_.options()).empty());
  EXPECT_EQ(CountLinesWith("/proc/self/mountinfo", " "), mounts);
  for (const ContainerIdentity& init : inits) {
    // A zombie would still be found, and not by another's number.
    const auto ticks = StartTicks(static_cast<pid_t>(init.init_pid));
    EXPECT_TRUE(!ticks.ok() || *ticks != init.init_start_ticks) << init.init_pid;
  }
  DIR* states = opendir((harness_.options().runtime_dir + "/containers").c_str());
  int files = 0;
  while (const dirent* entry = readdir(states)) files += entry->d_name[0] != '.';
  closedir(states);
  EXPECT_EQ(files, 0);
  harness_.Restart();
}

// The agent of these tests, in a process of its own so that it can be killed. Writes a line when
// all containers run.
int DriveAgent(const std::string& directory, int containers) {
  auto runtime = LinuxContainerRuntime::Create(OptionsIn(directory), [](const auto&) {});
  if (!runtime.ok()) {
    std::cerr << runtime.status() << std::endl;
    return 1;
  }
  absl::Mutex mutex;
  int answers = 0;
  const auto await = [&](int count) {
    const auto reached = [&] { return answers == count; };
    absl::MutexLock lock(&mutex);
    mutex.Await(absl::Condition(&reached));
  };
  const auto answer = [&] {
    absl::MutexLock lock(&mutex);
    ++answers;
  };
  (*runtime)->Recover({}, [&](const auto&) { answer(); });
  await(1);
  for (int i = 0; i < containers; ++i) {
    ContainerSpec spec;
    spec.container_id = absl::StrCat("survivor-", i);
    spec.sandbox = absl::StrCat(directory, "/sandboxes/", spec.container_id.text());
    // Even ones end while the agent is dead, odd ones run on and still write.
    spec.command.value =
        i % 2 == 0 ? absl::StrCat("sleep 0.5; exit ", i + 1)
                   : absl::StrCat("while [ ! -e go ]; do sleep 0.05; done; echo on; exit ", i + 1);
    spec.resources.memory_limit_bytes = int64_t{64} << 20;
    (*runtime)->Launch(spec, [&](LaunchResult result) {
      if (const auto* failure = std::get_if<LaunchFailure>(&result)) {
        std::cerr << failure->message << std::endl;
        _exit(1);
      }
      answer();
    });
  }
  await(1 + containers);
  std::cout << "running" << std::endl;
  pause();
  return 0;
}

TEST_F(LinuxRecoveryTest, ContainersSurviveTheAgentsSuddenDeath) {
  constexpr int kContainers = 20;
  harness_.Drop();
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const pid_t driver = fork();
  if (driver == 0) {
    dup2(ends[1], 1);
    execl("/proc/self/exe", "driver", "--drive-agent", harness_.directory().c_str(),
          absl::StrCat(kContainers).c_str(), nullptr);
    _exit(127);
  }
  close(ends[1]);
  char line[16] = {};
  ASSERT_EQ(read(ends[0], line, sizeof(line)), 8) << "the driver has failed";
  ASSERT_EQ(kill(driver, SIGKILL), 0);
  waitpid(driver, nullptr, 0);
  // Its launcher and all that was parked must go by themselves, and let go of the pipe.
  ASSERT_EQ(read(ends[0], line, sizeof(line)), 0);
  close(ends[0]);
  // Their inits write the ends down with nobody there to read them.
  ASSERT_TRUE(harness_.WaitUntil([this] {
    for (int i = 0; i < kContainers; i += 2) {
      const std::string state =
          ReadAll(absl::StrCat(harness_.options().runtime_dir, "/containers/survivor-", i));
      if (!absl::StrContains(state, "\nexited ")) return false;
    }
    return true;
  }));

  harness_.Restart();
  std::vector<ContainerId> expected;
  for (int i = 0; i < kContainers; ++i) expected.push_back(absl::StrCat("survivor-", i));
  const auto recovery = harness_.Recover(expected);
  ASSERT_TRUE(recovery.ok()) << recovery.status();
  EXPECT_TRUE(recovery->destroyed_orphans.empty());
  for (int i = 0; i < kContainers; ++i) {
    const auto& state = recovery->containers[i].state;
    if (i % 2 == 0) {
      // An init that has written the end down may not have ended itself yet.
      ASSERT_FALSE(std::holds_alternative<RecoveredContainer::Lost>(state)) << i;
      const auto* ended = std::get_if<RecoveredContainer::Terminated>(&state);
      const ContainerTermination end =
          ended != nullptr ? ended->termination : AwaitEnd(expected[i]);
      EXPECT_EQ(WEXITSTATUS(end.wait_status), i + 1);
      EXPECT_TRUE(end.command_exited);
      continue;
    }
    ASSERT_TRUE(std::holds_alternative<RecoveredContainer::Running>(state)) << i;
    EXPECT_TRUE(harness_.ReadUsage(expected[i]).ok());
    std::ofstream(harness_.SandboxOf(expected[i]) + "/go") << "";
  }
  for (int i = 1; i < kContainers; i += 2) {
    EXPECT_EQ(WEXITSTATUS(AwaitEnd(expected[i]).wait_status), i + 1);
    EXPECT_EQ(ReadAll(harness_.SandboxOf(expected[i]) + "/stdout"), "on\n");
  }
}

// Launches until it is killed, a few at once, and writes the id of each that runs.
int DriveStorm(const std::string& directory) {
  auto runtime = LinuxContainerRuntime::Create(OptionsIn(directory), [](const auto&) {});
  if (!runtime.ok()) return 1;
  std::atomic<int> next{0};
  std::function<void()> launch = [&] {
    ContainerSpec spec;
    spec.container_id = absl::StrCat("storm-", next++);
    spec.sandbox = absl::StrCat(directory, "/sandboxes/", spec.container_id.text());
    spec.command.value = "exec sleep 1000";
    (*runtime)->Launch(spec, [&, id = spec.container_id.text()](LaunchResult result) {
      if (std::holds_alternative<LaunchFailure>(result)) _exit(1);
      const std::string line = id + "\n";
      if (write(1, line.data(), line.size()) < 0) _exit(1);
      if (next < 200) launch();
    });
  };
  (*runtime)->Recover({}, [&](const auto&) {
    for (int i = 0; i < 6; ++i) launch();
  });
  pause();
  return 0;
}

// At whatever moment of a launch the agent dies: what it has told of runs, what it has not told of
// runs or does not, and afterwards nothing is left.
TEST_F(LinuxRecoveryTest, DeathInTheMiddleOfLaunches) {
  harness_.Drop();
  for (int round = 0; round < 6; ++round) {
    int ends[2];
    ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
    const pid_t driver = fork();
    if (driver == 0) {
      dup2(ends[1], 1);
      execl("/proc/self/exe", "driver", "--drive-storm", harness_.directory().c_str(), nullptr);
      _exit(127);
    }
    close(ends[1]);
    // Into the storm, at another moment each time.
    std::string told;
    char buffer[4096];
    while (told.size() < 40u * static_cast<size_t>(round + 1)) {
      const ssize_t size = read(ends[0], buffer, sizeof(buffer));
      ASSERT_GT(size, 0) << "the driver has failed";
      told.append(buffer, static_cast<size_t>(size));
    }
    absl::SleepFor(absl::Microseconds(370 * round));
    kill(driver, SIGKILL);
    waitpid(driver, nullptr, 0);
    for (ssize_t size; (size = read(ends[0], buffer, sizeof(buffer))) > 0;) {
      told.append(buffer, static_cast<size_t>(size));
    }
    close(ends[0]);

    std::vector<ContainerId> expected;
    for (int i = 0; i < 200; ++i) expected.push_back(absl::StrCat("storm-", i));
    const std::vector<std::string> lines = absl::StrSplit(told, '\n', absl::SkipEmpty());
    const std::set<std::string> promised(lines.begin(), lines.end());
    harness_.Restart();
    const auto recovery = harness_.Recover(expected);
    ASSERT_TRUE(recovery.ok());
    std::vector<std::string> running;
    for (const RecoveredContainer& container : recovery->containers) {
      const bool runs = std::holds_alternative<RecoveredContainer::Running>(container.state);
      EXPECT_TRUE(runs || promised.count(container.container_id) == 0) << container.container_id;
      if (runs) running.push_back(container.container_id);
    }
    EXPECT_GE(running.size(), promised.size());
    // What runs is a shell at first.
    EXPECT_TRUE(harness_.WaitUntil([&running] {
      return ProcessesWith("sleep 1000 ") == running.size();
    })) << ProcessesWith("sleep 1000 ")
        << " of " << running.size();
    // The next agent can go on at once.
    Started(Shell("between", "exec sleep 1000"));
    running.push_back("between");
    for (const std::string& id : running) EXPECT_TRUE(harness_.Destroy(id).ok());
    for (const std::string& id : running) {
      EXPECT_EQ(WTERMSIG(AwaitEnd(id).wait_status), SIGKILL);
      EXPECT_TRUE(harness_.Release(id).ok());
    }
    EXPECT_EQ(ProcessesWith("sleep 1000 "), 0u);
    harness_.Drop();
    EXPECT_TRUE(CgroupsLeft(harness_.options()).empty());
    harness_.ForgetTerminations();
  }
  harness_.Restart();
}

TEST_F(LinuxRecoveryTest, ANumberReusedIsNotTheContainer) {
  Started(Shell("reused", "sleep 100"));
  harness_.Drop();
  // Another process under the same number: here this one, with a wrong start time.
  const std::string path = harness_.options().runtime_dir + "/containers/reused";
  std::string state = ReadAll(path);
  const size_t at = state.find("\ninit ");
  const size_t end = state.find('\n', at + 1);
  state.replace(at, end - at, absl::StrCat("\ninit ", getpid(), " 1"));
  std::ofstream(path) << state;
  harness_.Restart();
  const auto recovery = harness_.Recover({"reused"});
  const auto* ended = std::get_if<RecoveredContainer::Terminated>(&recovery->containers[0].state);
  ASSERT_NE(ended, nullptr);
  EXPECT_FALSE(ended->termination.command_exited);
  EXPECT_EQ(WTERMSIG(ended->termination.wait_status), SIGKILL);
  // Its cgroup was nobody's, and was swept.
  EXPECT_TRUE(harness_.WaitUntil([] { return ProcessesWith("sleep 100 ") == 0; }));
}

}  // namespace
}  // namespace tessera::agent

int main(int argc, char** argv) {
  if (argc == 4 && std::string(argv[1]) == "--drive-agent") {
    return tessera::agent::DriveAgent(argv[2], atoi(argv[3]));
  }
  if (argc == 3 && std::string(argv[1]) == "--drive-storm") {
    return tessera::agent::DriveStorm(argv[2]);
  }
  testing::InitGoogleTest(&argc, argv);
  if (geteuid() != 0) {
    std::cout << "SKIPPED: containers on the real kernel need root" << std::endl;
    return 0;
  }
  return RUN_ALL_TESTS();
}
