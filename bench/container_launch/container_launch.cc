// How many containers of /bin/true one agent launches, sees end and destroys in a second, beside
// crun and runc doing the same in the same run.
//
// An operation is the whole life: launch, exec, exit, termination told, state forgotten; the time
// until the last cgroup is gone counts, too. Rounds of the runtimes take turns, so that a noisy
// machine is noisy for all; medians are printed.
//
// crun and runc run in a mount namespace in which /sys/fs/cgroup/unified is hidden: crun 1.8
// refuses a hybrid layout.

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "bench/container_launch/oci_bundle.h"
#include "services/agent/runtime/linux_container_runtime.h"

ABSL_FLAG(double, seconds, 2, "seconds that each runtime gets in each round");
ABSL_FLAG(int, rounds, 3, "rounds; the median of them is printed");
ABSL_FLAG(int, parked, 8, "containers that our runtime prepares ahead");
ABSL_FLAG(bool, peers, true, "run crun and runc, too, where they are installed");
ABSL_FLAG(std::string, only, "", "of our runtime's forms only this: rootfs or hostroot");
ABSL_FLAG(std::string, launcher, "", "path of agent-launcher; empty: where the build left it");

namespace tessera::bench {
namespace {

using agent::ContainerSpec;
using agent::ContainerTermination;
using agent::LinuxContainerRuntime;

struct Measured {
  double operations_per_second = 0;
  double p50_milliseconds = 0;
  double p99_milliseconds = 0;
};

Measured Summarize(std::vector<double> milliseconds, absl::Duration elapsed) {
  Measured measured;
  if (milliseconds.empty()) return measured;
  std::sort(milliseconds.begin(), milliseconds.end());
  measured.operations_per_second =
      static_cast<double>(milliseconds.size()) / absl::ToDoubleSeconds(elapsed);
  measured.p50_milliseconds = milliseconds[milliseconds.size() / 2];
  measured.p99_milliseconds = milliseconds[milliseconds.size() * 99 / 100];
  return measured;
}

// Keeps `parallel` containers in flight for a while.
class OurRound {
 public:
  OurRound(const std::string& directory, bool own_root, int parallel)
      : directory_(directory), own_root_(own_root), parallel_(parallel) {}

  Measured Run(absl::Duration duration) {
    agent::LinuxRuntimeOptions options;
    options.runtime_dir = directory_ + "/runtime";
    options.cgroups_root = "tessera-bench";
    options.launcher_path = absl::GetFlag(FLAGS_launcher);
    options.parked_containers = static_cast<size_t>(absl::GetFlag(FLAGS_parked));
    options.workers = static_cast<size_t>(std::max(2, parallel_));
    auto created = LinuxContainerRuntime::Create(
        options, [this](const ContainerTermination& end) { Ended(end); });
    if (!created.ok()) {
      fprintf(stderr, "container_launch: %s\n", created.status().ToString().c_str());
      exit(1);
    }
    runtime_ = *std::move(created);
    runtime_->Recover({}, [this](const auto&) { SetRecovered(); });
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(&recovered_));
    }
    // The stock is full when an agent has been up for a moment.
    absl::SleepFor(absl::Milliseconds(200));
    const absl::Time begin = absl::Now();
    until_ = begin + duration;
    for (int lane = 0; lane < parallel_; ++lane) LaunchNext(lane);
    {
      absl::MutexLock lock(&mutex_);
      const auto idle = [this] { return idle_lanes_ == parallel_; };
      mutex_.Await(absl::Condition(&idle));
    }
    while (runtime_->Counters().cgroups_to_remove > 0) absl::SleepFor(absl::Microseconds(200));
    const absl::Duration elapsed = absl::Now() - begin;
    runtime_.reset();
    return Summarize(std::move(milliseconds_), elapsed);
  }

 private:
  struct Lane {
    int lane = 0;
    absl::Time begun;
  };

  void SetRecovered() {
    absl::MutexLock lock(&mutex_);
    recovered_ = true;
  }

  void LaunchNext(int lane) {
    ContainerSpec spec;
    const absl::Time now = absl::Now();
    {
      absl::MutexLock lock(&mutex_);
      if (now > until_) {
        ++idle_lanes_;
        return;
      }
      spec.container_id = absl::StrCat("bench-", next_++);
      lanes_[spec.container_id] = {lane, now};
    }
    spec.sandbox = directory_ + "/sandbox";
    spec.command = {.value = "/bin/true", .shell = false};
    spec.resources.cpus_milli = 100;
    spec.resources.memory_limit_bytes = ContainerShape().memory_bytes;
    spec.resources.pids_limit = ContainerShape().pids;
    if (own_root_) {
      spec.rootfs = directory_ + "/rootfs";
      spec.hostname = "container";
    }
    runtime_->Launch(std::move(spec), [](agent::LaunchResult result) {
      if (const auto* failure = std::get_if<agent::LaunchFailure>(&result)) {
        fprintf(stderr, "container_launch: %s\n", failure->message.c_str());
        exit(1);
      }
    });
  }

  void Ended(const ContainerTermination& end) {
    if (end.wait_status != 0) {
      fprintf(stderr, "container_launch: %s\n", end.message.c_str());
      exit(1);
    }
    runtime_->Release(end.container_id, [this, id = end.container_id](const absl::Status&) {
      int lane;
      {
        absl::MutexLock lock(&mutex_);
        const auto found = lanes_.find(id);
        lane = found->second.lane;
        milliseconds_.push_back(absl::ToDoubleMilliseconds(absl::Now() - found->second.begun));
        lanes_.erase(found);
      }
      LaunchNext(lane);
    });
  }

  const std::string directory_;
  const bool own_root_;
  const int parallel_;
  std::unique_ptr<LinuxContainerRuntime> runtime_;
  absl::Time until_;
  absl::Mutex mutex_;
  bool recovered_ = false;
  int idle_lanes_ = 0;
  int next_ = 0;
  std::map<std::string, Lane> lanes_;
  std::vector<double> milliseconds_;
};

// `<program> run` in a loop on each of `parallel` threads.
Measured RunPeer(const std::string& program, const std::string& bundle, int parallel,
                 absl::Duration duration) {
  absl::Mutex mutex;
  std::vector<double> milliseconds;
  const absl::Time begin = absl::Now();
  std::vector<std::thread> threads;
  for (int thread = 0; thread < parallel; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 0; absl::Now() - begin < duration; ++i) {
        const std::string id = absl::StrCat("bench-", getpid(), "-", thread, "-", i);
        const std::string state = bundle + "/state";
        const char* arguments[] = {program.c_str(), "--root",       state.c_str(), "run",
                                   "--bundle",      bundle.c_str(), id.c_str(),    nullptr};
        char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
        char* environment[] = {path, nullptr};
        const absl::Time start = absl::Now();
        pid_t pid = 0;
        int status = 0;
        if (posix_spawn(&pid, program.c_str(), nullptr, nullptr, const_cast<char**>(arguments),
                        environment) != 0 ||
            waitpid(pid, &status, 0) != pid || status != 0) {
          fprintf(stderr, "container_launch: %s has failed with status %d\n", program.c_str(),
                  status);
          exit(1);
        }
        absl::MutexLock lock(&mutex);
        milliseconds.push_back(absl::ToDoubleMilliseconds(absl::Now() - start));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return Summarize(std::move(milliseconds), absl::Now() - begin);
}

// In a child process, whose mount namespace hides what crun does not understand.
Measured RunPeerApart(const std::string& program, const std::string& bundle, int parallel,
                      absl::Duration duration) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) exit(1);
  const pid_t child = fork();
  if (child == 0) {
    if (unshare(CLONE_NEWNS) != 0 || mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
      _exit(1);
    }
    umount2("/sys/fs/cgroup/unified", MNT_DETACH);
    const Measured measured = RunPeer(program, bundle, parallel, duration);
    _exit(write(ends[1], &measured, sizeof(measured)) == sizeof(measured) ? 0 : 1);
  }
  close(ends[1]);
  Measured measured;
  const bool answered = read(ends[0], &measured, sizeof(measured)) == sizeof(measured);
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (!answered || status != 0) {
    fprintf(stderr, "container_launch: %s cannot be measured\n", program.c_str());
    exit(1);
  }
  return measured;
}

std::string FirstExisting(const std::vector<std::string>& paths) {
  for (const std::string& path : paths) {
    if (access(path.c_str(), X_OK) == 0) return path;
  }
  return "";
}

struct Contender {
  std::string suffix;  // of the figure's name
  std::function<Measured(int parallel, absl::Duration)> run;
};

Measured Median(std::vector<Measured> rounds) {
  std::sort(rounds.begin(), rounds.end(), [](const Measured& a, const Measured& b) {
    return a.operations_per_second < b.operations_per_second;
  });
  return rounds[rounds.size() / 2];
}

std::vector<Contender> MakeContenders(const std::string& directory) {
  std::vector<Contender> contenders;
  const std::string only = absl::GetFlag(FLAGS_only);
  if (only != "hostroot") {
    contenders.push_back({"", [directory](int parallel, absl::Duration duration) {
                            return OurRound(directory, true, parallel).Run(duration);
                          }});
  }
  if (only != "rootfs") {
    contenders.push_back({".hostroot", [directory](int parallel, absl::Duration duration) {
                            return OurRound(directory, false, parallel).Run(duration);
                          }});
  }
  if (!absl::GetFlag(FLAGS_peers)) return contenders;
  for (const std::string name : {"crun", "runc"}) {
    const std::string program = FirstExisting({"/usr/bin/" + name, "/usr/sbin/" + name});
    if (program.empty()) {
      printf("SKIPPED: %s is not installed\n", name.c_str());
      continue;
    }
    contenders.push_back({"." + name, [directory, program](int parallel, absl::Duration duration) {
                            return RunPeerApart(program, directory, parallel, duration);
                          }});
  }
  return contenders;
}

int Run() {
  if (geteuid() != 0) {
    fprintf(stderr, "container_launch: containers need root\n");
    return 1;
  }
  if (absl::GetFlag(FLAGS_launcher).empty()) {
    const auto program = std::filesystem::read_symlink("/proc/self/exe").parent_path();
    absl::SetFlag(
        &FLAGS_launcher,
        (program / "../../services/agent/launcher/agent-launcher").lexically_normal().string());
  }
  // State and root on a tmpfs where there is one: the disk is not what is measured.
  char directory[] = "/dev/shm/tessera-bench-XXXXXX";
  if (mkdtemp(directory) == nullptr || !MakeRootfs(directory)) {
    fprintf(stderr, "container_launch: cannot make a root file system; is busybox-static there?\n");
    return 1;
  }
  WriteBundle(directory, ContainerShape());
  const std::vector<Contender> contenders = MakeContenders(directory);
  for (const int parallel : {1, 2, 8}) {
    std::vector<std::vector<Measured>> rounds(contenders.size());
    for (int round = 0; round < absl::GetFlag(FLAGS_rounds); ++round) {
      for (size_t i = 0; i < contenders.size(); ++i) {
        rounds[i].push_back(
            contenders[i].run(parallel, absl::Seconds(absl::GetFlag(FLAGS_seconds))));
      }
    }
    std::map<std::string, double> rates;
    for (size_t i = 0; i < contenders.size(); ++i) {
      const Measured measured = Median(rounds[i]);
      const std::string name =
          absl::StrCat("container.launch_destroy.", parallel, "parallel", contenders[i].suffix);
      printf("figure %s %.1f ops_per_s\n", name.c_str(), measured.operations_per_second);
      printf("figure %s.p50 %.2f ms\n", name.c_str(), measured.p50_milliseconds);
      printf("figure %s.p99 %.2f ms\n", name.c_str(), measured.p99_milliseconds);
      rates[contenders[i].suffix] = measured.operations_per_second;
    }
    for (const std::string peer : {"crun", "runc"}) {
      if (rates.count("." + peer) == 0 || rates.count("") == 0) continue;
      printf("figure container.launch_destroy.%dparallel.times_%s %.2f x\n", parallel, peer.c_str(),
             rates[""] / rates["." + peer]);
    }
    fflush(stdout);
  }
  std::error_code ignored;
  std::filesystem::remove_all(directory, ignored);
  return 0;
}

}  // namespace
}  // namespace tessera::bench

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage(
      "Measures containers launched and destroyed in a second, beside crun and runc.");
  absl::ParseCommandLine(argc, argv);
  return tessera::bench::Run();
}
