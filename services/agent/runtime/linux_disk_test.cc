// The state files of containers on a disk that others have filled. Needs root; skips, saying so,
// without.

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cerrno>
#include <fstream>
#include <iostream>
#include <optional>

#include "services/agent/runtime/testing/linux_runtime_harness.h"
#include "services/base/testing/small_disk.h"

namespace tessera::agent {
namespace {

using ::testing::HasSubstr;

// The runtime directory is on a small disk, the sandboxes are not.
class LinuxDiskTest : public LinuxContainerRuntimeTest {
 protected:
  void SetUp() override {
    harness_.Drop();
    disk_.emplace(harness_.options().runtime_dir, 8);
    if (!disk_->why_not().empty()) {
      std::cout << "SKIPPED: " << disk_->why_not() << std::endl;
      GTEST_SKIP() << disk_->why_not();
    }
    harness_.Restart();
    ASSERT_TRUE(harness_.Recover({}).ok());
  }
  void TearDown() override {
    harness_.Drop();
    disk_.reset();
  }

  std::string StatePath(const std::string& id) {
    return harness_.options().runtime_dir + "/containers/" + id;
  }
  // Grows the state file until less than a line fits into its last block.
  void FillLastBlock(const std::string& id) {
    for (int i = 0; i < 200; ++i) {
      struct stat state {};
      ASSERT_EQ(stat(StatePath(id).c_str(), &state), 0);
      if (state.st_size % 1024 > 1024 - 40) return;
      ASSERT_TRUE(harness_.Update(id, Shell(id, "").resources).ok());
    }
    FAIL() << "the state file does not grow";
  }
  void LetGo(const std::string& id) { std::ofstream(harness_.SandboxOf(id) + "/go") << ""; }

  std::optional<base::SmallDisk> disk_;
};

constexpr char kUntilLetGo[] = "while [ ! -e go ]; do sleep 0.02; done; ";

TEST_F(LinuxDiskTest, ExitStatusesAreTrueOnAFullDisk) {
  const std::vector<ContainerId> ids = {"zero", "seven", "away"};
  Started(Shell("zero", absl::StrCat(kUntilLetGo, "exit 0")));
  Started(Shell("seven", absl::StrCat(kUntilLetGo, "exit 7")));
  Started(Shell("away", absl::StrCat(kUntilLetGo, "exit 3")));
  for (const ContainerId& id : ids) FillLastBlock(id);
  ASSERT_TRUE(disk_->Fill());
  LetGo("zero");
  LetGo("seven");
  for (const auto& [id, status] : {std::pair{"zero", 0}, std::pair{"seven", 7}}) {
    const ContainerTermination end = AwaitEnd(id);
    EXPECT_TRUE(end.command_exited) << id;
    EXPECT_EQ(end.wait_status, status << 8) << end.message;
  }
  // And so they are for the next agent, and for what ends without one.
  harness_.Drop();
  LetGo("away");
  ASSERT_TRUE(harness_.WaitUntil(
      [this] { return absl::StrContains(ReadAll(StatePath("away")), "\nexited "); }));
  harness_.Restart();
  const auto recovery = harness_.Recover(ids);
  ASSERT_TRUE(recovery.ok()) << recovery.status();
  for (size_t i = 0; i < ids.size(); ++i) {
    const auto& state = recovery->containers[i].state;
    const auto* ended = std::get_if<RecoveredContainer::Terminated>(&state);
    ASSERT_NE(ended, nullptr) << ids[i];
    EXPECT_EQ(ended->termination.wait_status, (i == 0 ? 0 : i == 1 ? 7 : 3) << 8) << ids[i];
  }
}

TEST_F(LinuxDiskTest, AKillOnAFullDiskIsStillKnownToTheNextAgent) {
  Started(Shell("stubborn", "trap '' TERM; echo ready; while :; do sleep 0.05; done"));
  Started(Shell("spared", "exec sleep 1000"));
  ASSERT_TRUE(harness_.WaitForOutput("stubborn"));
  FillLastBlock("stubborn");
  ASSERT_TRUE(disk_->Fill());
  EXPECT_TRUE(harness_.Kill("stubborn", absl::Hours(1)).ok());
  harness_.Restart();
  const auto recovery = harness_.Recover({"stubborn", "spared"});
  ASSERT_TRUE(recovery.ok()) << recovery.status();
  for (size_t i = 0; i < 2; ++i) {
    const auto& state = recovery->containers[i].state;
    const auto* running = std::get_if<RecoveredContainer::Running>(&state);
    ASSERT_NE(running, nullptr) << i;
    EXPECT_EQ(running->kill_requested, i == 0);
  }
  for (const char* id : {"stubborn", "spared"}) {
    EXPECT_TRUE(harness_.Destroy(id).ok());
    EXPECT_EQ(WTERMSIG(AwaitEnd(id).wait_status), SIGKILL);
  }
}

TEST_F(LinuxDiskTest, ALaunchWithoutRoomForItsEndFails) {
  ASSERT_TRUE(disk_->Fill());
  const LaunchFailure failure = FailureOf(Shell("late", "exit 0"));
  EXPECT_EQ(failure.step, LaunchStep::kState);
  EXPECT_THAT(failure.message, HasSubstr("No space left on device"));
  disk_->Free();
  Started(Shell("late", "exit 4"));
  EXPECT_EQ(WEXITSTATUS(AwaitEnd("late").wait_status), 4);
}

// A start that cannot be written down would be cut short by the next agent. A limit on the size of
// files stands for the disk here.
TEST_F(LinuxDiskTest, ACommandWhoseStartCannotBeWrittenDownDoesNotRunOn) {
  harness_.Drop();
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  rlimit low = before;
  low.rlim_cur = 100;
  const auto handler = signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &low), 0);
  harness_.Restart();  // its launcher inherits the limit
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  ASSERT_TRUE(harness_.Recover({}).ok());
  const LaunchFailure failure = FailureOf(Shell("unwritten", "exec sleep 4321"));
  signal(SIGXFSZ, handler);
  EXPECT_EQ(failure.step, LaunchStep::kState);
  EXPECT_EQ(failure.error_number, EFBIG);
  EXPECT_EQ(failure.message, "write to the container's state file: File too large");
  EXPECT_TRUE(harness_.WaitUntil([] { return ProcessesWith("sleep 4321 ") == 0; }));
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
