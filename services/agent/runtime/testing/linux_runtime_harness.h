// The Linux runtime on this machine, for its tests: a directory and a cgroup root of its own,
// emptied and looked after at the end. Needs root.
#pragma once

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <functional>
#include <memory>
#include <set>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "services/agent/runtime/linux_container_runtime.h"
#include "services/agent/runtime/testing/runtime_harness.h"
#include "services/base/file_io.h"

namespace tessera::agent {

inline std::string LauncherPath() {
  char resolved[PATH_MAX];
  const char* path = realpath("services/agent/launcher/agent-launcher", resolved);
  return path == nullptr ? "" : path;
}

inline LinuxRuntimeOptions OptionsIn(const std::string& directory) {
  LinuxRuntimeOptions options;
  options.runtime_dir = directory + "/runtime";
  options.cgroups_root = "tessera-test/" + directory.substr(directory.rfind('/') + 1);
  options.launcher_path = LauncherPath();
  options.parked_containers = 2;
  return options;
}

inline std::string ReadAll(const std::string& path) {
  const absl::StatusOr<std::string> contents = base::ReadFile(path);
  return contents.ok() ? *contents : "";
}

inline size_t CountLinesWith(const std::string& path, const std::string& text) {
  size_t count = 0;
  for (const absl::string_view line : absl::StrSplit(ReadAll(path), '\n')) {
    count += absl::StrContains(line, text);
  }
  return count;
}

// Every process of the machine, but not threads.
inline std::set<pid_t> AllProcesses() {
  std::set<pid_t> pids;
  DIR* proc = opendir("/proc");
  while (const dirent* entry = readdir(proc)) {
    pid_t pid = 0;
    if (absl::SimpleAtoi(entry->d_name, &pid)) pids.insert(pid);
  }
  closedir(proc);
  return pids;
}

inline std::string CommandLineOf(pid_t pid) {
  return absl::StrReplaceAll(ReadAll(absl::StrCat("/proc/", pid, "/cmdline")),
                             {{std::string(1, '\0'), " "}});
}

inline size_t ProcessesWith(const std::string& text) {
  size_t count = 0;
  for (const pid_t pid : AllProcesses()) count += absl::StrContains(CommandLineOf(pid), text);
  return count;
}

// Names below the cgroup root of `options`, of every hierarchy.
inline std::set<std::string> CgroupsLeft(const LinuxRuntimeOptions& options) {
  std::set<std::string> left;
  for (const char* controller : {"cpu", "cpuacct", "memory", "pids", "."}) {
    const std::string path = absl::StrCat("/sys/fs/cgroup/", controller, "/", options.cgroups_root);
    DIR* directory = opendir(path.c_str());
    if (directory == nullptr) continue;
    while (const dirent* entry = readdir(directory)) {
      if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
        left.insert(path + "/" + entry->d_name);
    }
    closedir(directory);
  }
  return left;
}

class LinuxHarness : public RuntimeHarness {
 public:
  using Change = std::function<void(LinuxRuntimeOptions*)>;
  // `change` may set options before the runtime is made.
  explicit LinuxHarness(const Change& change = nullptr) {
    char directory[] = "/tmp/tessera-runtime-XXXXXX";
    directory_ = mkdtemp(directory);
    options_ = OptionsIn(directory_);
    if (change) change(&options_);
    Restart();
  }
  ~LinuxHarness() override {
    runtime_.reset();
    // What a failed test has left running is an orphan to this one.
    Restart();
    if (runtime_ != nullptr) Recover({}).IgnoreError();
    runtime_.reset();
    const std::set<std::string> left = CgroupsLeft(options_);
    EXPECT_TRUE(left.empty()) << *left.begin();
    for (const char* memory : {"/sys/fs/cgroup/memory/", "/sys/fs/cgroup/"}) {
      EXPECT_NE(access(absl::StrCat(memory, options_.cgroups_root).c_str(), F_OK), 0);
    }
    const std::string remove = "rm -rf " + directory_;
    EXPECT_EQ(system(remove.c_str()), 0);
  }

  ContainerRuntime* runtime() override { return runtime_.get(); }
  LinuxContainerRuntime* linux_runtime() { return runtime_.get(); }
  bool WaitUntil(const std::function<bool()>& done) override {
    const absl::Time deadline = absl::Now() + absl::Seconds(20);
    while (!done()) {
      if (absl::Now() > deadline) return false;
      absl::SleepFor(absl::Milliseconds(2));
    }
    return true;
  }
  void Restart() override {
    runtime_.reset();
    auto runtime = LinuxContainerRuntime::Create(
        options_, [this](const ContainerTermination& end) { Terminated(end); });
    EXPECT_TRUE(runtime.ok()) << runtime.status();
    if (runtime.ok()) runtime_ = *std::move(runtime);
  }
  void Drop() { runtime_.reset(); }
  void Use(std::unique_ptr<LinuxContainerRuntime> runtime) { runtime_ = std::move(runtime); }
  bool WaitForOutput(const std::string& id) override {
    return WaitUntil([this, &id] { return !ReadAll(SandboxOf(id) + "/stdout").empty(); });
  }
  std::string SandboxOf(const std::string& id) override { return directory_ + "/sandboxes/" + id; }
  const LinuxRuntimeOptions& options() const { return options_; }
  const std::string& directory() const { return directory_; }

 private:
  std::string directory_;
  LinuxRuntimeOptions options_;
  std::unique_ptr<LinuxContainerRuntime> runtime_;
};

class LinuxContainerRuntimeTest : public testing::Test {
 protected:
  explicit LinuxContainerRuntimeTest(const LinuxHarness::Change& change = nullptr)
      : harness_(change) {}
  void SetUp() override { ASSERT_TRUE(harness_.Recover({}).ok()); }

  ContainerSpec Shell(const std::string& id, const std::string& line) {
    ContainerSpec spec;
    spec.container_id = id;
    spec.sandbox = harness_.SandboxOf(id);
    spec.command.value = line;
    spec.resources.cpus_milli = 100;
    spec.resources.memory_limit_bytes = int64_t{64} << 20;
    return spec;
  }
  ContainerTermination AwaitEnd(const std::string& id) {
    if (!harness_.WaitUntil([&] { return !harness_.TerminationsOf(id).empty(); })) {
      ADD_FAILURE() << id << " did not end";
      return {};
    }
    return harness_.TerminationsOf(id)[0];
  }
  // Runs to the end and gives what it wrote to stdout.
  std::string Output(const ContainerSpec& spec) {
    const LaunchResult result = harness_.Launch(spec);
    if (const auto* failure = std::get_if<LaunchFailure>(&result)) {
      ADD_FAILURE() << spec.container_id << ": " << failure->message;
      return "";
    }
    const ContainerTermination end = AwaitEnd(spec.container_id);
    const std::string error = ReadAll(spec.sandbox + "/stderr");
    EXPECT_EQ(end.wait_status, 0) << end.message << "\n" << error;
    return ReadAll(spec.sandbox + "/stdout");
  }
  LaunchFailure FailureOf(const ContainerSpec& spec) {
    const LaunchResult result = harness_.Launch(spec);
    if (const auto* failure = std::get_if<LaunchFailure>(&result)) return *failure;
    ADD_FAILURE() << spec.container_id << " was launched";
    return {};
  }
  LaunchedContainer Started(const ContainerSpec& spec) {
    const LaunchResult result = harness_.Launch(spec);
    if (const auto* launched = std::get_if<LaunchedContainer>(&result)) return *launched;
    ADD_FAILURE() << std::get<LaunchFailure>(result).message;
    return {};
  }

  LinuxHarness harness_;
};

}  // namespace tessera::agent
