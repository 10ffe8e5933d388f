#include "cli/cluster/cluster_commands.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "cli/calls.h"
#include "cli/cluster/supervisor.h"
#include "cli/cluster_file.h"
#include "cli/endpoints.h"
#include "cli/table.h"
#include "services/base/file_io.h"
#include "services/base/status_macros.h"

ABSL_FLAG(int, agents, 3, "number of agents, from 1 to 64");
ABSL_FLAG(std::string, agent_resources, "",
          "resources of each agent, e.g. `cpus:2;mem:2048` (mem and disk in MiB); "
          "default: what the agent finds on this machine, for each agent");
ABSL_FLAG(std::string, bin_dir, "",
          "folder of the services' binaries; default: that of this program");
ABSL_FLAG(std::vector<std::string>, service_flag, {},
          "more flags for services, as service:--flag=value, separated by commas");
ABSL_FLAG(bool, purge, false, "delete the cluster's folder, too");

namespace tessera::cli {

namespace {

absl::Status NoArguments(const std::vector<std::string>& arguments) {
  if (arguments.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("unexpected argument \"", arguments[0], "\""));
}

std::string OwnFolder() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error).parent_path().string();
}

void PrintServices(const ClusterFile& cluster) {
  Table table({"SERVICE", "PID", "GRPC", "HTTP", "RESTARTS", "STATE"});
  for (const ServiceRecord& record : cluster.services) {
    const bool runs = ProcessStartTime(record.pid) != 0;
    table.Add({record.name, runs ? absl::StrCat(record.pid) : "-", record.grpc_address,
               record.http_address, absl::StrCat(record.restarts), runs ? "running" : "down"});
  }
  std::cout << table.Format();
}

// The supervisor's process: a session of its own, its output in a file.
[[noreturn]] void BecomeSupervisor(const LocalClusterOptions& options, int ready_fd) {
  setsid();
  const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  const int log = open((options.dir + "/supervisor.log").c_str(),
                       O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (null >= 0) dup2(null, STDIN_FILENO);
  if (log >= 0) {
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
  }
  _exit(Supervise(options, ready_fd));
}

// Ends all frameworks, so that no container outlives the cluster. Best effort: what cannot be ended
// is counted.
int EndFrameworks() {
  const auto frameworks = ListFrameworks();
  if (!frameworks.ok()) return 0;
  int left = 0;
  for (const auto& view : *frameworks) {
    if (view.framework().state() == model::v1::FRAMEWORK_STATE_COMPLETED) continue;
    if (!TeardownFramework(view.framework().info().id()).ok()) ++left;
  }
  return left;
}

int LiveContainers(const ClusterFile& cluster) {
  int containers = 0;
  for (const ServiceRecord& record : cluster.services) {
    if (record.name.rfind("agent-", 0) != 0) continue;
    const auto listed = ListContainers(record.grpc_address);
    if (!listed.ok()) continue;
    for (const auto& container : *listed) {
      if (container.state() != agent::v1::Container::ENDED) ++containers;
    }
  }
  return containers;
}

}  // namespace

absl::StatusOr<int> ClusterUp(const std::vector<std::string>& arguments) {
  RETURN_IF_ERROR(NoArguments(arguments));
  LocalClusterOptions options;
  options.dir = ClusterDir();
  options.bin_dir = absl::GetFlag(FLAGS_bin_dir);
  if (options.bin_dir.empty()) options.bin_dir = OwnFolder();
  options.agents = absl::GetFlag(FLAGS_agents);
  options.agent_resources = absl::GetFlag(FLAGS_agent_resources);
  options.service_flags = absl::GetFlag(FLAGS_service_flag);
  RETURN_IF_ERROR(ValidateOptions(options));

  const auto present = ReadClusterFile(options.dir);
  if (present.ok() && SupervisorRuns(*present)) {
    return absl::AlreadyExistsError(
        absl::StrCat("a local cluster runs already in ", options.dir,
                     ": see `tessera cluster status`, or stop it with `tessera cluster down`"));
  }
  RETURN_IF_ERROR(base::MakeDirectories(options.dir));
  RETURN_IF_ERROR(base::CheckWritableDirectory(options.dir));
  RemoveClusterFile(options.dir);
  unlink((options.dir + "/error").c_str());

  int ready[2];
  if (pipe2(ready, O_CLOEXEC) != 0) return base::ErrnoStatus(errno, "pipe for", "the supervisor");
  const pid_t pid = fork();
  if (pid < 0) return base::ErrnoStatus(errno, "fork for", "the supervisor");
  if (pid == 0) {
    close(ready[0]);
    BecomeSupervisor(options, ready[1]);
  }
  close(ready[1]);
  char byte = 0;
  const ssize_t got = read(ready[0], &byte, 1);
  close(ready[0]);
  if (got != 1) {
    waitpid(pid, nullptr, 0);
    const auto error = base::ReadFile(options.dir + "/error");
    return absl::InternalError(
        absl::StrCat("the cluster did not start: ", error.ok() ? absl::StripAsciiWhitespace(*error)
                                                               : "the supervisor ended early"));
  }
  ASSIGN_OR_RETURN(const ClusterFile cluster, ReadClusterFile(options.dir));
  PrintServices(cluster);
  return 0;
}

absl::StatusOr<int> ClusterDown(const std::vector<std::string>& arguments) {
  RETURN_IF_ERROR(NoArguments(arguments));
  UseOnlyLocalCluster();
  const std::string dir = ClusterDir();
  const auto cluster = ReadClusterFile(dir);
  if (!cluster.ok() || !SupervisorRuns(*cluster)) {
    if (absl::GetFlag(FLAGS_purge)) std::filesystem::remove_all(dir);
    std::cout << "no local cluster runs in " << dir << "\n";
    return 0;
  }
  const int frameworks_left = EndFrameworks();
  const absl::Time deadline = absl::Now() + CommandTimeout();
  int containers = LiveContainers(*cluster);
  while (containers > 0 && absl::Now() < deadline) {
    absl::SleepFor(absl::Milliseconds(50));
    containers = LiveContainers(*cluster);
  }
  kill(cluster->supervisor_pid, SIGTERM);
  while (SupervisorRuns(*cluster) && absl::Now() < deadline + absl::Seconds(60)) {
    absl::SleepFor(absl::Milliseconds(20));
  }
  if (SupervisorRuns(*cluster)) {
    return absl::DeadlineExceededError(
        absl::StrCat("the supervisor (process ", cluster->supervisor_pid, ") does not end"));
  }
  if (frameworks_left > 0 || containers > 0) {
    std::cerr << "tessera: " << frameworks_left << " frameworks and " << containers
              << " containers could not be ended; containers go on without the cluster and are "
                 "found again by the next `tessera cluster up` in "
              << dir << "\n";
    return 1;
  }
  if (absl::GetFlag(FLAGS_purge)) {
    std::error_code error;
    std::filesystem::remove_all(dir, error);
    if (error) {
      return absl::InternalError(
          absl::StrCat("the cluster is down, but ", dir, " cannot be deleted: ", error.message()));
    }
  }
  std::cout << "the local cluster in " << dir << " is down\n";
  return 0;
}

absl::StatusOr<int> ClusterStatus(const std::vector<std::string>& arguments) {
  RETURN_IF_ERROR(NoArguments(arguments));
  ASSIGN_OR_RETURN(const bool json, WantsJson());
  const auto cluster = ReadClusterFile(ClusterDir());
  if (!cluster.ok() || !SupervisorRuns(*cluster)) {
    return absl::NotFoundError(absl::StrCat("no local cluster runs in ", ClusterDir(),
                                            ": start one with `tessera cluster up`"));
  }
  bool all_run = true;
  nlohmann::json services = nlohmann::json::array();
  for (const ServiceRecord& record : cluster->services) {
    const bool runs = ProcessStartTime(record.pid) != 0;
    all_run = all_run && runs;
    services.push_back({{"name", record.name},
                        {"pid", record.pid},
                        {"running", runs},
                        {"grpc", record.grpc_address},
                        {"http", record.http_address},
                        {"restarts", record.restarts}});
  }
  if (json) {
    std::cout << nlohmann::json{{"dir", ClusterDir()}, {"services", services}}.dump(2) << "\n";
  } else {
    PrintServices(*cluster);
  }
  return all_run ? 0 : 1;
}

}  // namespace tessera::cli
