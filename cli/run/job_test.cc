#include "cli/run/job.h"

#include <gtest/gtest.h>

#include <string>

namespace tessera::cli {
namespace {

std::string ErrorOf(const std::string& text) {
  auto job = ParseJob(text);
  if (!job.ok()) return std::string(job.status().message());
  return std::string(ValidateJob(*job).message());
}

TEST(JobTest, TasksTakeWhatTheyDoNotSayFromTheDefaults) {
  const auto job = ParseJob(R"({"name": "j", "role": "a/b", "user": "nobody",
      "defaults": {"cpus": 0.25, "mem": 64, "environment": {"A": "1", "B": "2"}},
      "tasks": [{"name": "x", "command": "echo hi", "environment": {"B": "3"}},
                {"command": ["ls", "-l"], "cpus": 1.5, "disk": 10, "user": "root"}]})");
  ASSERT_TRUE(job.ok()) << job.status();
  ASSERT_TRUE(ValidateJob(*job).ok());
  EXPECT_EQ(job->role, "a/b");
  ASSERT_EQ(job->tasks.size(), 2);
  EXPECT_EQ(job->tasks[0].cpus_milli, 250);
  EXPECT_EQ(job->tasks[0].mem_milli, 64000);
  EXPECT_EQ(job->tasks[0].environment.at("A"), "1");
  EXPECT_EQ(job->tasks[0].environment.at("B"), "3");
  EXPECT_EQ(job->tasks[0].shell, "echo hi");
  EXPECT_EQ(job->tasks[1].name, "task-2");
  EXPECT_EQ(job->tasks[1].argv, (std::vector<std::string>{"ls", "-l"}));
  EXPECT_EQ(job->tasks[1].cpus_milli, 1500);
  EXPECT_EQ(job->tasks[1].disk_milli, 10000);
  EXPECT_EQ(job->tasks[1].user, "root");
}

TEST(JobTest, SaysWhatIsWrongAndWhere) {
  EXPECT_EQ(ErrorOf("{"), "the job file is not valid JSON");
  EXPECT_NE(ErrorOf(R"({"tasks": 1})").find("tasks"), std::string::npos);
  EXPECT_NE(ErrorOf(R"({"name":"j","tasks":[{"command":"x","cpu":1}]})").find("\"cpu\""),
            std::string::npos);
  EXPECT_NE(ErrorOf(R"({"name":"j","tasks":[{"command":"x","cpus":"1"}]})").find("tasks[0].cpus"),
            std::string::npos);
  EXPECT_NE(ErrorOf(R"({"name":"j","tasks":[{"command":"x","cpus":-1}]})").find("at least 0"),
            std::string::npos);
  EXPECT_NE(ErrorOf(R"({"name":"j","tasks":[{"command":7}]})").find("shell line"),
            std::string::npos);
  EXPECT_EQ(ErrorOf(R"({"name":"j","tasks":[]})"), "the job has no tasks");
  EXPECT_EQ(ErrorOf(R"({"tasks":[{"command":"x"}]})"), "the job has no name");
  EXPECT_NE(ErrorOf(R"({"name":"j","tasks":[{"name":"a/b\n","command":"x"}]})").find("task name"),
            std::string::npos);
  EXPECT_NE(ErrorOf(R"({"name":"j","tasks":[{"name":"a","command":"x"},
                        {"name":"a","command":"x"}]})")
                .find("two tasks"),
            std::string::npos);
  EXPECT_NE(ErrorOf(R"({"name":"j","role":"/x","tasks":[{"command":"x"}]})"), "");
  EXPECT_NE(ErrorOf(R"({"name":"j","tasks":[{"command":"x","cpus":0}]})").find("above 0"),
            std::string::npos);
}

}  // namespace
}  // namespace tessera::cli
