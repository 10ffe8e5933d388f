#include "cli/cluster_file.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

namespace tessera::cli {
namespace {

TEST(ClusterFileTest, ReadsWhatWasWritten) {
  const std::string dir = testing::TempDir();
  ClusterFile cluster;
  cluster.supervisor_pid = getpid();
  cluster.supervisor_start_time = ProcessStartTime(getpid());
  cluster.services.push_back({"master", 12, "127.0.0.1:1", "127.0.0.1:2", 3});
  ASSERT_TRUE(WriteClusterFile(dir, cluster).ok());
  const auto read = ReadClusterFile(dir);
  ASSERT_TRUE(read.ok()) << read.status();
  ASSERT_EQ(read->services.size(), 1);
  EXPECT_EQ(read->services[0].name, "master");
  EXPECT_EQ(read->services[0].http_address, "127.0.0.1:2");
  EXPECT_EQ(read->services[0].restarts, 3);
  EXPECT_TRUE(SupervisorRuns(*read));
  RemoveClusterFile(dir);
  EXPECT_EQ(ReadClusterFile(dir).status().code(), absl::StatusCode::kNotFound);
}

TEST(ClusterFileTest, DamageIsAnErrorThatNamesTheFile) {
  const std::string dir = testing::TempDir();
  for (const char* text : {"", "{", "[]", "{\"services\": 3}", "{\"services\": [1]}"}) {
    std::ofstream(dir + "/cluster.json") << text;
    const auto read = ReadClusterFile(dir);
    EXPECT_EQ(read.status().code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_NE(read.status().message().find("cluster.json"), absl::string_view::npos);
  }
  RemoveClusterFile(dir);
}

TEST(ProcessStartTimeTest, TellsLiveFromEnded) {
  EXPECT_NE(ProcessStartTime(getpid()), 0);
  EXPECT_EQ(ProcessStartTime(0), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) _exit(0);
  siginfo_t info{};
  ASSERT_EQ(waitid(P_PID, child, &info, WEXITED | WNOWAIT), 0);
  EXPECT_EQ(ProcessStartTime(child), 0);  // ended, not reaped
  waitpid(child, nullptr, 0);
  EXPECT_EQ(ProcessStartTime(child), 0);
}

}  // namespace
}  // namespace tessera::cli
