#include "cli/run/run_command.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "cli/endpoints.h"
#include "cli/run/batch_scheduler.h"
#include "cli/run/job.h"
#include "cli/run/sandbox_reader.h"
#include "services/base/file_io.h"
#include "services/base/status_macros.h"

ABSL_FLAG(std::string, name, "", "name of the framework; default: the job's, or `run`");
ABSL_FLAG(
    std::string, role, "",
    "role that a job is offered resources for (default: its own, or *), or that is asked about "
    "(default: each of the framework)");
ABSL_FLAG(double, cpus, 0.1, "number of cpus of each task");
ABSL_FLAG(double, mem, 32, "memory of each task, in MiB");
ABSL_FLAG(double, disk, 0, "disk of each task, in MiB");
ABSL_FLAG(int, count, 1, "number of tasks that run the command");
ABSL_FLAG(std::vector<std::string>, env, {},
          "environment of each task, as NAME=VALUE, separated by commas");
ABSL_FLAG(std::string, user, "", "operating-system user of the tasks; default: root");
ABSL_FLAG(std::string, job, "", "path of a job file (JSON) instead of a command");
ABSL_FLAG(int, attempts, 10,
          "number of times that a task is launched when it is lost (not: when it fails)");
ABSL_FLAG(bool, follow, true, "print the output of a single task as it comes");
ABSL_FLAG(std::string, output_dir, "",
          "folder for each task's output, as <name>.stdout and <name>.stderr");
ABSL_FLAG(std::string, report, "", "path of a JSON report on each task, written at the end");
ABSL_FLAG(bool, quiet, false, "no progress on stderr");

namespace tessera::cli {

namespace {

// An agent that does not answer may be restarting.
constexpr absl::Duration kAgentPatience = absl::Seconds(60);
// Outputs that are fetched at the same time.
constexpr int kFetchers = 8;

std::atomic<int> interrupted{0};

void OnInterrupt(int) {
  // The second one ends the command at once.
  if (interrupted.fetch_add(1) > 0) _exit(130);
}

absl::StatusOr<Job> JobFromFlags(const std::vector<std::string>& arguments) {
  Job job;
  const std::string path = absl::GetFlag(FLAGS_job);
  if (!path.empty()) {
    if (!arguments.empty()) {
      return absl::InvalidArgumentError("give either --job or a command, not both");
    }
    ASSIGN_OR_RETURN(const std::string text, base::ReadFile(path));
    ASSIGN_OR_RETURN(job, ParseJob(text));
  } else {
    if (arguments.empty()) {
      return absl::InvalidArgumentError(
          "nothing to run: give a command (`tessera run -- ls -l`) or --job=FILE");
    }
    if (absl::GetFlag(FLAGS_count) < 1) {
      return absl::InvalidArgumentError("--count must be at least 1");
    }
    JobTask task;
    task.cpus_milli = static_cast<int64_t>(absl::GetFlag(FLAGS_cpus) * 1000 + 0.5);
    task.mem_milli = static_cast<int64_t>(absl::GetFlag(FLAGS_mem) * 1000 + 0.5);
    task.disk_milli = static_cast<int64_t>(absl::GetFlag(FLAGS_disk) * 1000 + 0.5);
    for (const std::string& variable : absl::GetFlag(FLAGS_env)) {
      const std::pair<std::string, std::string> parts =
          absl::StrSplit(variable, absl::MaxSplits('=', 1));
      if (variable.find('=') == std::string::npos || parts.first.empty()) {
        return absl::InvalidArgumentError(
            absl::StrCat("--env=", variable, " is malformed: write NAME=VALUE"));
      }
      task.environment[parts.first] = parts.second;
    }
    // A single word is a shell line; several are a program with its arguments.
    if (arguments.size() == 1) {
      task.shell = arguments[0];
    } else {
      task.argv = arguments;
    }
    job.name = "run";
    for (int i = 1; i <= absl::GetFlag(FLAGS_count); ++i) {
      task.name = absl::StrCat("task-", i);
      job.tasks.push_back(task);
    }
  }
  if (!absl::GetFlag(FLAGS_name).empty()) job.name = absl::GetFlag(FLAGS_name);
  if (!absl::GetFlag(FLAGS_role).empty()) job.role = absl::GetFlag(FLAGS_role);
  if (!absl::GetFlag(FLAGS_user).empty()) job.user = absl::GetFlag(FLAGS_user);
  if (job.name.empty()) job.name = "job";
  RETURN_IF_ERROR(ValidateJob(job));
  return job;
}

// A line that is written over on a terminal, and printed when it changed (at most each second)
// elsewhere.
class ProgressLine {
 public:
  explicit ProgressLine(bool quiet) : quiet_(quiet), terminal_(isatty(STDERR_FILENO) == 1) {}

  void Show(const BatchProgress& progress, size_t total, bool last) {
    if (quiet_) return;
    std::string line = absl::StrCat(progress.finished, "/", total, " finished, ", progress.running,
                                    " running, ", progress.live - progress.running, " starting, ",
                                    progress.waiting, " waiting, ", progress.failed, " failed");
    if (progress.relaunched > 0) absl::StrAppend(&line, ", ", progress.relaunched, " relaunched");
    if (!progress.connected) absl::StrAppend(&line, " (no session with a master)");
    if (line == shown_ && !last) return;
    const absl::Time now = absl::Now();
    if (terminal_) {
      std::cerr << "\r\033[K" << line << (last ? "\n" : "") << std::flush;
    } else {
      if (!last && now - shown_at_ < absl::Seconds(1)) return;
      if (last && line == shown_) return;
      std::cerr << line << std::endl;
    }
    shown_ = line;
    shown_at_ = now;
  }

 private:
  const bool quiet_;
  const bool terminal_;
  std::string shown_;
  absl::Time shown_at_ = absl::InfinitePast();
};

// Prints a running task's output to ours, from a thread per file, until the task has ended.
class OutputFollower {
 public:
  ~OutputFollower() { Finish(/*cancel=*/true); }

  // A later start replaces an earlier one: the task was launched again.
  void Start(const std::string& framework_id, const TaskOutcome& task) {
    absl::MutexLock lock(&mu_);
    if (finished_) return;
    End(/*cancel=*/true);
    for (const bool error : {false, true}) {
      readers_.push_back(std::make_unique<SandboxReader>());
      threads_.emplace_back([reader = readers_.back().get(), framework_id, task, error] {
        const SandboxFile file{task.agent_address, framework_id, task.task_id,
                               error ? "stderr" : "stdout"};
        const absl::Status status =
            reader->Read(file, 0, /*follow=*/true, kAgentPatience, [&](const std::string& bytes) {
              std::ostream& out = error ? std::cerr : std::cout;
              out << bytes << std::flush;
            });
        if (!status.ok() && !absl::IsCancelled(status)) {
          std::cerr << "tessera: cannot read " << file.path << " of " << task.task_id << ": "
                    << status.message() << "\n";
        }
      });
    }
  }

  // Waits until everything was printed, or ends early with `cancel`. Later starts do nothing.
  void Finish(bool cancel) {
    absl::MutexLock lock(&mu_);
    finished_ = true;
    End(cancel);
  }

 private:
  void End(bool cancel) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (cancel) {
      for (auto& reader : readers_) reader->Cancel();
    }
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
    readers_.clear();
  }

  absl::Mutex mu_;
  bool finished_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<std::unique_ptr<SandboxReader>> readers_ ABSL_GUARDED_BY(mu_);
  std::vector<std::thread> threads_ ABSL_GUARDED_BY(mu_);
};

// Brings the outputs of ended tasks into --output_dir, some at a time, while others still run.
class OutputFetcher {
 public:
  OutputFetcher(std::string dir, std::function<std::string()> framework_id)
      : dir_(std::move(dir)), framework_id_(std::move(framework_id)) {
    for (int i = 0; i < kFetchers; ++i) threads_.emplace_back([this] { Work(); });
  }

  void Add(const std::string& name, const TaskOutcome& task) {
    absl::MutexLock lock(&mu_);
    queue_.emplace_back(name, task);
  }

  // Waits for all that was added; what could not be fetched comes back as text, a line each.
  std::string Finish() {
    {
      absl::MutexLock lock(&mu_);
      finishing_ = true;
    }
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
    absl::MutexLock lock(&mu_);
    return errors_;
  }

  ~OutputFetcher() {
    if (!threads_.empty()) Finish();
  }

 private:
  bool HasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return finishing_ || !queue_.empty(); }

  void Work() {
    for (;;) {
      std::pair<std::string, TaskOutcome> item;
      {
        absl::MutexLock lock(&mu_);
        mu_.Await(absl::Condition(this, &OutputFetcher::HasWork));
        if (queue_.empty()) return;
        item = std::move(queue_.front());
        queue_.pop_front();
      }
      for (const char* stream : {"stdout", "stderr"}) Fetch(item.first, item.second, stream);
    }
  }

  void Fetch(const std::string& name, const TaskOutcome& task, const std::string& stream) {
    const std::string path = absl::StrCat(dir_, "/", name, ".", stream);
    std::ofstream out(path, std::ios::binary | std::ios::trunc);
    SandboxReader reader;
    absl::Status status = reader.Read({task.agent_address, framework_id_(), task.task_id, stream},
                                      0, /*follow=*/false, kAgentPatience,
                                      [&](const std::string& bytes) { out << bytes; });
    out.close();
    if (status.ok() && !out) status = absl::InternalError("cannot write " + path);
    if (status.ok()) return;
    absl::MutexLock lock(&mu_);
    absl::StrAppend(&errors_, "cannot fetch ", stream, " of ", task.task_id, ": ", status.message(),
                    "\n");
  }

  const std::string dir_;
  const std::function<std::string()> framework_id_;
  absl::Mutex mu_;
  std::deque<std::pair<std::string, TaskOutcome>> queue_ ABSL_GUARDED_BY(mu_);
  bool finishing_ ABSL_GUARDED_BY(mu_) = false;
  std::string errors_ ABSL_GUARDED_BY(mu_);
  std::vector<std::thread> threads_;
};

double SecondsSinceEpoch(absl::Time time) {
  return time == absl::InfinitePast() ? 0 : absl::ToDoubleSeconds(time - absl::UnixEpoch());
}

absl::Status WriteReport(const std::string& path, const Job& job, const BatchProgress& progress,
                         const std::map<std::string, TaskOutcome>& outcomes) {
  nlohmann::json tasks = nlohmann::json::array();
  for (const auto& [name, outcome] : outcomes) {
    nlohmann::json task = {{"name", name},
                           {"id", outcome.task_id},
                           {"agent_id", outcome.agent_id},
                           {"state", model::v1::TaskState_Name(outcome.state)},
                           {"message", outcome.message},
                           {"attempts", outcome.attempts},
                           {"terminal_updates", outcome.terminal_updates},
                           {"launched", SecondsSinceEpoch(outcome.launched)},
                           {"running", SecondsSinceEpoch(outcome.running)},
                           {"ended", SecondsSinceEpoch(outcome.ended)}};
    if (outcome.wait_status) task["wait_status"] = *outcome.wait_status;
    tasks.push_back(std::move(task));
  }
  const nlohmann::json report = {{"name", job.name},
                                 {"role", job.role},
                                 {"framework_id", progress.framework_id},
                                 {"finished", progress.finished},
                                 {"failed", progress.failed},
                                 {"relaunched", progress.relaunched},
                                 {"tasks", tasks}};
  return base::WriteFileDurably(path, report.dump(1) + "\n");
}

int ExitStatusOf(const TaskOutcome& outcome) {
  if (outcome.state == model::v1::TASK_FINISHED) return 0;
  if (!outcome.wait_status) return 1;
  if (WIFEXITED(*outcome.wait_status)) return WEXITSTATUS(*outcome.wait_status);
  if (WIFSIGNALED(*outcome.wait_status)) return 128 + WTERMSIG(*outcome.wait_status);
  return 1;
}

}  // namespace

absl::StatusOr<int> Run(const std::vector<std::string>& arguments) {
  ASSIGN_OR_RETURN(const Job job, JobFromFlags(arguments));
  ASSIGN_OR_RETURN(const std::vector<std::string> masters, MasterAddresses());
  const std::string output_dir = absl::GetFlag(FLAGS_output_dir);
  if (!output_dir.empty()) {
    RETURN_IF_ERROR(base::MakeDirectories(output_dir));
    RETURN_IF_ERROR(base::CheckWritableDirectory(output_dir));
  }
  if (absl::GetFlag(FLAGS_attempts) < 1) {
    return absl::InvalidArgumentError("--attempts must be at least 1");
  }

  BatchScheduler scheduler(job, absl::GetFlag(FLAGS_attempts));
  sdk::DriverOptions options;
  options.session.masters = masters;
  options.session.info = BatchScheduler::FrameworkOf(job);
  RETURN_IF_ERROR(sdk::ValidateConfig(options.session));

  const bool single = job.tasks.size() == 1;
  OutputFollower follower;
  std::unique_ptr<OutputFetcher> fetcher;
  const auto framework_id = [&scheduler] { return scheduler.Snapshot().framework_id; };
  if (!output_dir.empty()) fetcher = std::make_unique<OutputFetcher>(output_dir, framework_id);
  if (single && absl::GetFlag(FLAGS_follow) && output_dir.empty()) {
    scheduler.OnRunning([&](const std::string&, const TaskOutcome& outcome) {
      follower.Start(framework_id(), outcome);
    });
  }
  if (fetcher != nullptr) {
    scheduler.OnEnded([&](const std::string& name, const TaskOutcome& outcome) {
      // A session that was lost at that moment may have missed that it ran.
      const bool ran = outcome.running != absl::InfinitePast() || outcome.wait_status.has_value();
      if (ran) fetcher->Add(name, outcome);
    });
  }

  signal(SIGINT, &OnInterrupt);
  signal(SIGTERM, &OnInterrupt);
  sdk::SchedulerDriver driver(options, &scheduler);
  scheduler.SetCalls([&driver](sdk::Request request) { driver.Call(std::move(request)); });
  driver.Start();

  ProgressLine line(absl::GetFlag(FLAGS_quiet) || (single && absl::GetFlag(FLAGS_follow)));
  const absl::Time connect_deadline = absl::Now() + CommandTimeout();
  BatchProgress progress;
  absl::Status failure = absl::OkStatus();
  for (;;) {
    scheduler.Tick(absl::Now());
    progress = scheduler.Snapshot();
    line.Show(progress, job.tasks.size(), progress.done);
    if (progress.done || interrupted > 0) break;
    if (!progress.session.ok()) {
      failure = progress.session;
      break;
    }
    if (progress.framework_id.empty() && absl::Now() > connect_deadline) {
      failure = absl::UnavailableError(
          absl::StrCat("no master lets us subscribe at ", absl::StrJoin(masters, ", "),
                       "; check the address and that the cluster runs"));
      break;
    }
    absl::SleepFor(absl::Milliseconds(20));
  }
  // Outputs first: the sandboxes of a framework that is gone may be deleted.
  follower.Finish(/*cancel=*/!progress.done);
  std::string fetch_errors;
  if (fetcher != nullptr) fetch_errors = fetcher->Finish();
  driver.RequestStop(/*teardown=*/true);
  const bool ended = driver.WaitForEnd(absl::Seconds(30));
  const absl::Status end = scheduler.Snapshot().session;
  const std::string how_it_ended = HowTeardownWent(progress.framework_id, ended, end);

  const auto outcomes = scheduler.Outcomes();
  const std::string report = absl::GetFlag(FLAGS_report);
  if (!report.empty()) RETURN_IF_ERROR(WriteReport(report, job, progress, outcomes));
  RETURN_IF_ERROR(failure);
  if (interrupted > 0 && !progress.done) {
    std::cerr << "tessera: interrupted; " << how_it_ended << "\n";
    return 130;
  }
  if (!ended || !end.ok()) std::cerr << "tessera: " << how_it_ended << "\n";
  int shown = 0;
  for (const auto& [name, outcome] : outcomes) {
    if (outcome.state == model::v1::TASK_FINISHED) continue;
    if (++shown > 20) break;
    std::cerr << "tessera: " << outcome.task_id << " " << model::v1::TaskState_Name(outcome.state)
              << ": " << outcome.message << "\n";
  }
  if (!fetch_errors.empty()) {
    std::cerr << fetch_errors;
    return 1;
  }
  if (single) return ExitStatusOf(outcomes.begin()->second);
  return progress.failed == 0 ? 0 : 1;
}

}  // namespace tessera::cli
