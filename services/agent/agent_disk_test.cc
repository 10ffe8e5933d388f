// agent-svc on a disk of its own that a task fills: the real program, real containers, a master
// that the test plays. Needs root and a loop device.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/agent/testing/agent_process.h"
#include "services/agent/testing/fake_master.h"
#include "services/agent/testing/task_commands.h"
#include "services/base/testing/small_disk.h"

namespace tessera::agent {
namespace {

using testing::AgentProcess;
using testing::Await;
using testing::FakeMaster;
using ::testing::HasSubstr;
using testing::KillTask;
using testing::RunTask;
using ::testing::SizeIs;

class AgentDiskTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "containers need root";
    disk_.emplace(agent_.home(), 48);
    if (!disk_->why_not().empty()) {
      std::cout << "SKIPPED: " << disk_->why_not() << std::endl;
      GTEST_SKIP() << disk_->why_not();
    }
  }

  void StartAgent() {
    ASSERT_TRUE(
        agent_.Start(master_.address(), {"--resources=cpus:64;mem:8192;disk:10240;ports:[]",
                                         "--status_retry=200ms", "--registration_backoff=50ms"}))
        << agent_.LastWords();
    AwaitRegistration();
  }
  void AwaitRegistration() {
    ASSERT_TRUE(master_.AwaitRegistrations(++registrations_)) << agent_.LastWords();
  }
  // Runs it and gives its sandbox.
  std::string Running(const std::string& task, const std::string& command) {
    master_.Send(RunTask(task, command));
    const auto status = master_.AwaitStatus(task, model::v1::TASK_RUNNING);
    EXPECT_EQ(status.state(), model::v1::TASK_RUNNING) << task << "\n" << agent_.LastWords();
    return absl::StrCat(agent_.work_dir(), "/sandboxes/fw/", task, "/",
                        status.container_status().container_id());
  }
  // Takes whatever space there is, again and again. Gives its sandbox.
  std::string RunEater() {
    const std::string sandbox =
        Running("eater", "while :; do cat /dev/zero >> eaten; sleep 0.02; done 2>/dev/null");
    EXPECT_TRUE(Await([this] { return disk_->FreeBytes() == 0; }));
    return sandbox;
  }
  void ExpectKilled(const std::string& task) {
    EXPECT_EQ(master_.AwaitStatus(task, model::v1::TASK_KILLED).state(), model::v1::TASK_KILLED)
        << task << "\n"
        << agent_.LastWords();
  }

  FakeMaster master_;
  AgentProcess agent_{"services/agent/agent-svc", "services/agent/launcher/agent-launcher"};
  std::optional<base::SmallDisk> disk_;
  int registrations_ = 0;
};

TEST_F(AgentDiskTest, ATaskThatFillsTheDiskIsKilledAndNothingIsLost) {
  constexpr int kSleepers = 30;
  constexpr char kUntilLetGo[] = "while [ ! -e go ]; do sleep 0.05; done; exit ";
  StartAgent();
  for (int i = 0; i < kSleepers; ++i) Running(absl::StrCat("sleeper-", i), "exec sleep 1000");
  const std::string seen = Running("seen", absl::StrCat(kUntilLetGo, 7));
  const std::string unseen = Running("unseen", absl::StrCat(kUntilLetGo, 0));
  const std::string eaten = RunEater() + "/eaten";

  // A new master is obeyed: its epoch is durable before it is registered with.
  master_.set_epoch(2);
  master_.Disconnect();
  AwaitRegistration();
  EXPECT_EQ(master_.last_registration().highest_epoch(), 1u);
  // Ends are heard, and true.
  ASSERT_TRUE(std::ofstream(seen + "/go").good());
  EXPECT_EQ(master_.AwaitStatus("seen", model::v1::TASK_FAILED).wait_status(), 7 << 8)
      << agent_.LastWords();
  for (int i = 0; i < kSleepers; ++i) master_.Send(KillTask(absl::StrCat("sleeper-", i), 5));
  for (int i = 0; i < kSleepers; ++i) ExpectKilled(absl::StrCat("sleeper-", i));

  // An agent that dies comes back, with what ended meanwhile.
  agent_.KillHard();
  ASSERT_TRUE(std::ofstream(unseen + "/go").good());
  StartAgent();
  EXPECT_EQ(master_.last_registration().highest_epoch(), 2u);
  EXPECT_EQ(master_.inventory().count("eater"), 1u);
  EXPECT_EQ(master_.AwaitStatus("unseen", model::v1::TASK_FINISHED).state(),
            model::v1::TASK_FINISHED)
      << agent_.LastWords();
  // What is new has no place, and is told so. (A little space may come back at any time.)
  std::string refusal;
  for (int i = 0; i < 50 && refusal.find("No space left on device") == std::string::npos; ++i) {
    const std::string task = absl::StrCat("new-", i);
    disk_->Fill();
    master_.Send(RunTask(task, "exit 0"));
    ASSERT_TRUE(Await([&] {
      const auto statuses = master_.StatusesOf(task);
      if (statuses.empty() || statuses.back().state() < model::v1::TASK_FINISHED) return false;
      refusal = statuses.back().message();
      return true;
    })) << agent_.LastWords();
  }
  EXPECT_THAT(refusal, HasSubstr("No space left on device"));

  // The kill that frees the disk.
  master_.Send(KillTask("eater", 0));
  ExpectKilled("eater");
  disk_->Free();
  ASSERT_EQ(::unlink(eaten.c_str()), 0);
  master_.Send(RunTask("after", "echo there is space; exit 0"));
  EXPECT_EQ(master_.AwaitStatus("after", model::v1::TASK_FINISHED).state(),
            model::v1::TASK_FINISHED)
      << agent_.LastWords();
  // Every end is durable, and so is its acknowledgement, once it has come: one that came just
  // before the agent died is asked for again.
  for (int restart = 0; restart < 20; ++restart) {
    agent_.KillHard();
    StartAgent();
    if (master_.inventory().empty()) break;
  }
  EXPECT_THAT(master_.inventory(), SizeIs(0));
  for (int i = 0; i < kSleepers; ++i) {
    EXPECT_THAT(master_.StatusesOf(absl::StrCat("sleeper-", i)), SizeIs(3)) << "each state once";
  }
}

}  // namespace
}  // namespace tessera::agent
