// A job: tasks to run, as the flags of `tessera run` or a job file describe them.
//
// A job file is JSON:
//   {"name": "words", "role": "batch", "user": "nobody",
//    "defaults": {"cpus": 0.1, "mem": 32, "disk": 0, "environment": {"LANG": "C"}},
//    "tasks": [{"name": "t1", "command": "wc -w file", "cpus": 0.5}, …]}
// mem and disk are in MiB. A task takes what it does not say from `defaults`.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace tessera::cli {

struct JobTask {
  // Unique in the job; part of the task's id.
  std::string name;
  // Either a shell line, or a program with its arguments.
  std::string shell;
  std::vector<std::string> argv;
  int64_t cpus_milli = 100;
  int64_t mem_milli = 32'000;
  int64_t disk_milli = 0;
  std::map<std::string, std::string> environment;
  // Empty: the job's user.
  std::string user;
};

struct Job {
  std::string name;
  std::string role = "*";
  std::string user = "root";
  std::vector<JobTask> tasks;
};

// Reads a job file's text. INVALID_ARGUMENT names the place and what is wrong with it.
absl::StatusOr<Job> ParseJob(std::string_view json);

// What every job must hold, from wherever it came: at least one task, valid and unique names,
// positive resources, something to run.
absl::Status ValidateJob(const Job& job);

}  // namespace tessera::cli
