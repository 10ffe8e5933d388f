#include "cli/cluster/supervisor.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "cli/cluster_file.h"
#include "services/base/file_io.h"
#include "services/base/status_macros.h"

namespace tessera::cli {

namespace {

constexpr int kAgentsMax = 64;
// A service that ends is started again after this long, twice as long each time, up to the bound; a
// service that ran for a while starts from the beginning.
constexpr absl::Duration kRestartWait = absl::Milliseconds(200);
constexpr absl::Duration kRestartWaitMax = absl::Seconds(10);
constexpr absl::Duration kStableAfter = absl::Seconds(30);
// After SIGTERM a service may take this long before it is killed.
constexpr absl::Duration kStopGrace = absl::Seconds(10);

struct Service {
  std::string name;    // "agent-2"
  std::string binary;  // "agent-svc"
  std::vector<std::string> flags;
  pid_t pid = 0;
  std::string grpc_address = "127.0.0.1:0";
  std::string http_address = "127.0.0.1:0";
  int restarts = 0;
  absl::Time started = absl::InfinitePast();
  absl::Time restart_at = absl::InfiniteFuture();
  absl::Duration wait = kRestartWait;
};

std::string KindOf(const std::string& name) { return name.substr(0, name.find('-')); }

class Supervisor {
 public:
  explicit Supervisor(const LocalClusterOptions& options) : options_(options) {}

  int Run(int ready_fd) {
    sigset_t mask;
    sigemptyset(&mask);
    for (const int signal : {SIGTERM, SIGINT, SIGCHLD}) sigaddset(&mask, signal);
    sigprocmask(SIG_BLOCK, &mask, &inherited_mask_);
    signals_ = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);

    const absl::Status started = StartAll();
    if (!started.ok()) {
      (void)base::WriteFileDurably(options_.dir + "/error", std::string(started.message()) + "\n");
      StopAll();
      close(ready_fd);
      return 1;
    }
    const ssize_t told = write(ready_fd, "r", 1);
    (void)told;  // whoever waited may be gone; the cluster runs all the same
    close(ready_fd);
    Watch();
    StopAll();
    RemoveClusterFile(options_.dir);
    return 0;
  }

 private:
  // Each service needs the addresses of those before it.
  absl::Status StartAll() {
    RETURN_IF_ERROR(Add("registry", "registry-svc", {"--data_dir=" + options_.dir + "/registry"}));
    RETURN_IF_ERROR(Add("allocator", "allocator-svc", {}));
    const std::string registry = services_[0].grpc_address;
    const std::string allocator = services_[1].grpc_address;
    RETURN_IF_ERROR(
        Add("master", "master-svc", {"--registry=" + registry, "--allocator=" + allocator}));
    const std::string master = services_[2].grpc_address;
    RETURN_IF_ERROR(Add("state", "state-svc", {"--feed=" + master}));
    for (int i = 1; i <= options_.agents; ++i) {
      const std::string name = absl::StrCat("agent-", i);
      const std::string home = options_.dir + "/" + name;
      std::vector<std::string> flags = {"--master=" + master, "--work_dir=" + home + "/work",
                                        "--runtime_dir=" + home + "/run", "--hostname=" + name};
      if (!options_.agent_resources.empty()) {
        flags.push_back("--resources=" + options_.agent_resources);
      }
      RETURN_IF_ERROR(Add(name, "agent-svc", std::move(flags)));
    }
    return Record();
  }

  absl::Status Add(const std::string& name, const std::string& binary,
                   std::vector<std::string> flags) {
    Service service;
    service.name = name;
    service.binary = binary;
    service.flags = std::move(flags);
    for (const std::string& extra : options_.service_flags) {
      const std::string prefix = KindOf(name) + ":";
      if (absl::StartsWith(extra, prefix)) service.flags.push_back(extra.substr(prefix.size()));
    }
    services_.push_back(std::move(service));
    Service& added = services_.back();
    RETURN_IF_ERROR(base::MakeDirectories(options_.dir + "/" + name));
    RETURN_IF_ERROR(Spawn(added));
    return AwaitServing(added);
  }

  std::string OutPath(const Service& service) const {
    return options_.dir + "/" + service.name + "/out";
  }
  std::string LogPath(const Service& service) const {
    return options_.dir + "/" + service.name + "/log";
  }

  absl::Status Spawn(Service& service) {
    const std::string path = options_.bin_dir + "/" + service.binary;
    std::vector<std::string> arguments = {path, "--listen=" + service.grpc_address,
                                          "--http_listen=" + service.http_address};
    arguments.insert(arguments.end(), service.flags.begin(), service.flags.end());
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    const std::string out = OutPath(service), log = LogPath(service);
    const pid_t pid = fork();
    if (pid < 0) return base::ErrnoStatus(errno, "fork for", path);
    if (pid == 0) {
      // Only calls that are safe between fork and exec.
      setsid();
      sigprocmask(SIG_SETMASK, &inherited_mask_, nullptr);
      const int null = open("/dev/null", O_RDONLY);
      const int out_fd = open(out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
      const int log_fd = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
      if (null < 0 || out_fd < 0 || log_fd < 0 || dup2(null, 0) < 0 || dup2(out_fd, 1) < 0 ||
          dup2(log_fd, 2) < 0) {
        _exit(126);
      }
      execv(path.c_str(), argv.data());
      _exit(127);
    }
    service.pid = pid;
    service.started = absl::Now();
    service.restart_at = absl::InfiniteFuture();
    return absl::OkStatus();
  }

  // Waits for the line `listening grpc=A http=B`.
  absl::Status AwaitServing(Service& service) {
    const absl::Time deadline = absl::Now() + options_.start_timeout;
    while (absl::Now() < deadline) {
      const auto out = base::ReadFile(OutPath(service));
      if (out.ok()) {
        for (const absl::string_view line : absl::StrSplit(*out, '\n')) {
          if (!absl::StartsWith(line, "listening ")) continue;
          for (const absl::string_view word : absl::StrSplit(line, ' ')) {
            if (absl::StartsWith(word, "grpc=")) service.grpc_address = std::string(word.substr(5));
            if (absl::StartsWith(word, "http=")) service.http_address = std::string(word.substr(5));
          }
          return absl::OkStatus();
        }
      }
      int status = 0;
      if (waitpid(service.pid, &status, WNOHANG) == service.pid) {
        service.pid = 0;
        return absl::InternalError(absl::StrCat(service.name,
                                                " ended while it started: ", LastWords(service),
                                                " (log: ", LogPath(service), ")"));
      }
      absl::SleepFor(absl::Milliseconds(20));
    }
    return absl::DeadlineExceededError(absl::StrCat(service.name, " does not serve after ",
                                                    absl::FormatDuration(options_.start_timeout),
                                                    " (log: ", LogPath(service), ")"));
  }

  std::string LastWords(const Service& service) const {
    const auto log = base::ReadFile(LogPath(service));
    if (!log.ok() || log->empty()) return "it said nothing";
    std::vector<std::string> lines = absl::StrSplit(*log, '\n', absl::SkipWhitespace());
    return lines.empty() ? "it said nothing" : lines.back();
  }

  absl::Status Record() const {
    ClusterFile cluster;
    cluster.supervisor_pid = getpid();
    cluster.supervisor_start_time = ProcessStartTime(getpid());
    for (const Service& service : services_) {
      cluster.services.push_back({service.name, service.pid, service.grpc_address,
                                  service.http_address, service.restarts});
    }
    return WriteClusterFile(options_.dir, cluster);
  }

  // Until SIGTERM or SIGINT: starts again what has ended.
  void Watch() {
    for (;;) {
      absl::Time next = absl::InfiniteFuture();
      for (const Service& service : services_) next = std::min(next, service.restart_at);
      int wait_ms = -1;
      if (next != absl::InfiniteFuture()) {
        wait_ms = static_cast<int>(
            std::clamp<int64_t>(absl::ToInt64Milliseconds(next - absl::Now()) + 1, 0, 60'000));
      }
      pollfd poll_signals{signals_, POLLIN, 0};
      poll(&poll_signals, 1, wait_ms);
      signalfd_siginfo info;
      while (read(signals_, &info, sizeof(info)) == sizeof(info)) {
        if (info.ssi_signo != SIGCHLD) return;
      }
      bool changed = Reap();
      for (Service& service : services_) {
        if (absl::Now() < service.restart_at) continue;
        ++service.restarts;
        changed = true;
        if (!Spawn(service).ok()) service.restart_at = absl::Now() + service.wait;
      }
      if (changed) (void)Record();
    }
  }

  bool Reap() {
    bool changed = false;
    int status = 0;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
      for (Service& service : services_) {
        if (service.pid != pid) continue;
        changed = true;
        service.pid = 0;
        const absl::Time now = absl::Now();
        if (now - service.started > kStableAfter) service.wait = kRestartWait;
        service.restart_at = now + service.wait;
        service.wait = std::min(service.wait * 2, kRestartWaitMax);
      }
    }
    return changed;
  }

  // In reverse order: agents leave before their master does.
  void StopAll() {
    for (auto service = services_.rbegin(); service != services_.rend(); ++service) {
      if (service->pid == 0) continue;
      kill(service->pid, SIGTERM);
      const absl::Time deadline = absl::Now() + kStopGrace;
      int status = 0;
      while (waitpid(service->pid, &status, WNOHANG) == 0) {
        if (absl::Now() > deadline) {
          kill(service->pid, SIGKILL);
          waitpid(service->pid, &status, 0);
          break;
        }
        absl::SleepFor(absl::Milliseconds(10));
      }
      service->pid = 0;
    }
  }

  const LocalClusterOptions options_;
  std::vector<Service> services_;
  sigset_t inherited_mask_{};
  int signals_ = -1;
};

}  // namespace

absl::Status ValidateOptions(const LocalClusterOptions& options) {
  if (options.agents < 1 || options.agents > kAgentsMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("--agents must be from 1 to ", kAgentsMax, ", not ", options.agents));
  }
  for (const char* binary :
       {"registry-svc", "allocator-svc", "master-svc", "state-svc", "agent-svc"}) {
    const std::string path = options.bin_dir + "/" + binary;
    if (access(path.c_str(), X_OK) != 0) {
      return absl::InvalidArgumentError(
          absl::StrCat(path,
                       " is missing or not executable: run `make build`, or name the folder of the "
                       "services with --bin_dir"));
    }
  }
  static constexpr const char* kKinds[] = {"registry", "allocator", "master", "state", "agent"};
  for (const std::string& flag : options.service_flags) {
    const size_t colon = flag.find(":--");
    const bool known = std::any_of(std::begin(kKinds), std::end(kKinds), [&](const char* kind) {
      return colon != std::string::npos && flag.substr(0, colon) == kind;
    });
    if (!known) {
      return absl::InvalidArgumentError(absl::StrCat(
          "--service_flag=", flag, " is malformed: write service:--flag=value, where service is ",
          absl::StrJoin(kKinds, ", ")));
    }
  }
  return absl::OkStatus();
}

int Supervise(const LocalClusterOptions& options, int ready_fd) {
  return Supervisor(options).Run(ready_fd);
}

}  // namespace tessera::cli
