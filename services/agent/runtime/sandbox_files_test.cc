#include "services/agent/runtime/sandbox_files.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>

#include "services/base/file_io.h"

namespace tessera::agent {
namespace {

std::string TemporaryDirectory() {
  std::string directory = testing::TempDir() + "/sandbox-XXXXXX";
  EXPECT_NE(mkdtemp(directory.data()), nullptr);
  return directory;
}

TEST(SandboxFilesTest, MakesItsParents) {
  const std::string sandbox = TemporaryDirectory() + "/framework/task/container";
  ASSERT_TRUE(OpenSandboxFiles(sandbox, HostUser()).ok());
  struct stat info {};
  ASSERT_EQ(stat(sandbox.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0750u);
  EXPECT_EQ(access((sandbox + "/stdout").c_str(), F_OK), 0);
  EXPECT_TRUE(OpenSandboxFiles(sandbox, HostUser()).ok()) << "may be repeated";
}

TEST(SandboxFilesTest, AFileInItsPlaceIsAnError) {
  const std::string directory = TemporaryDirectory();
  ASSERT_TRUE(base::WriteFileDurably(directory + "/file", "x").ok());
  EXPECT_FALSE(OpenSandboxFiles(directory + "/file/sandbox", HostUser()).ok());
  EXPECT_FALSE(OpenSandboxFiles(directory + "/file", HostUser()).ok());
}

// The sandboxes of ended tasks are cleared away together with their parents, as far as these are
// empty, while others of the same framework are launched.
TEST(SandboxFilesTest, ParentsMayBeClearedAwayMeanwhile) {
  const std::string directory = TemporaryDirectory();
  const std::string framework = directory + "/framework";
  const std::string task = framework + "/task";
  std::atomic<bool> stop{false};
  std::thread clearing([&] {
    while (!stop) {
      rmdir(task.c_str());
      rmdir(framework.c_str());
      usleep(20);
    }
  });
  int failed = 0;
  for (int round = 0; round < 500; ++round) {
    const std::string sandbox = task + "/container";
    failed += !MakeSandboxDirectory(sandbox, HostUser()).ok();
    rmdir(sandbox.c_str());
  }
  stop = true;
  clearing.join();
  EXPECT_EQ(failed, 0);
}

}  // namespace
}  // namespace tessera::agent
