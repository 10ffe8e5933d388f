// agent-svc: one machine of the cluster.
//
// Order: flags, lock of the work directory, log, then the runtime, whose launcher is started before
// this process has any thread; then the core on its strand, and last the servers.

#include <fcntl.h>
#include <glog/logging.h>
#include <sys/file.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "services/agent/checkpoint/file_log_store.h"
#include "services/agent/runtime/linux_container_runtime.h"
#include "services/agent/server/agent_metrics.h"
#include "services/agent/server/agent_service.h"
#include "services/agent/server/agent_settings.h"
#include "services/agent/server/agent_shell.h"
#include "services/agent/server/containers_route.h"
#include "services/agent/server/machine.h"
#include "services/base/file_io.h"
#include "services/base/flags.h"
#include "services/base/log_setup.h"
#include "services/base/shutdown_signal.h"
#include "services/base/status_macros.h"
#include "services/base/systemd_notify.h"
#include "services/http/http_server.h"
#include "services/http/metrics_route.h"
#include "services/rpc/server.h"

ABSL_FLAG(std::string, master, "",
          "Masters that may lead, host:port separated by commas. The agent follows the leader.");
ABSL_FLAG(std::string, listen, "127.0.0.1:5090",
          "Where AgentService is served, host:port; port 0 "
          "takes a free one.");
ABSL_FLAG(
    std::string, http_listen, "127.0.0.1:5091",
    "Where /metrics, /healthz and /containers are served, host:port; port 0 takes a free one.");
ABSL_FLAG(std::string, advertise, "",
          "host:port under which others reach --listen. Empty: the address bound, or --hostname "
          "and its port where that is a wildcard (0.0.0.0, [::]).");
ABSL_FLAG(std::string, http_advertise, "",
          "host:port under which others reach --http_listen. Empty: as with --advertise.");
ABSL_FLAG(std::string, work_dir, "",
          "Absolute folder for sandboxes and the agent's log; must "
          "survive reboots. One agent each.");
ABSL_FLAG(std::string, runtime_dir, "/run/tessera/agent",
          "Absolute folder for what a reboot may erase; best on a tmpfs. One agent each.");
ABSL_FLAG(
    std::string, resources, "",
    "What is offered, e.g. \"cpus:4;mem:1024;ports:[31000-32000]\" (mem and disk in MiB). cpus, "
    "mem, disk and ports that are not named are found out.");
ABSL_FLAG(std::string, attributes, "",
          "Facts that frameworks choose by, e.g. \"rack:r1;zone:eu-1\".");
ABSL_FLAG(std::string, default_role, "*", "Role to which resources without a role are reserved.");
ABSL_FLAG(std::string, hostname, "",
          "Name of this machine in offers, by which others reach it. Empty: the system's.");
ABSL_FLAG(std::string, region, "", "Region of the fault domain; needs --zone.");
ABSL_FLAG(std::string, zone, "", "Zone of the fault domain; needs --region.");
ABSL_FLAG(std::string, launcher, "", "Path of agent-launcher. Empty: beside this program.");
ABSL_FLAG(
    std::string, cgroups_root, "",
    "Cgroup below each hierarchy in which containers are made, e.g. tessera/agent-1; one agent "
    "each. Empty: tessera/ and a name made of --work_dir.");
ABSL_FLAG(std::string, isolation, tessera::agent::kDefaultIsolation,
          "Isolators in use, separated by commas.");
ABSL_FLAG(int, launch_workers, 4, "Number of container operations that run at once (threads).");
ABSL_FLAG(int, parked_containers, 8,
          "Number of container inits kept ready (processes); 0 makes each on demand.");
ABSL_FLAG(
    absl::Duration, gc_delay, absl::Hours(24 * 7),
    "Duration (e.g. 168h) for which the sandbox of an ended container is kept; less on a full "
    "disk.");
ABSL_FLAG(absl::Duration, registration_backoff, absl::Milliseconds(250),
          "Duration (e.g. 250ms) before the second try to reach a master; doubles, with jitter.");
ABSL_FLAG(absl::Duration, registration_backoff_max, absl::Seconds(5),
          "Duration (e.g. 5s). Longest wait between two tries to reach a master.");
ABSL_FLAG(
    absl::Duration, status_retry, absl::Seconds(10),
    "Duration (e.g. 10s) before a status without acknowledgement is sent again; doubles up to "
    "10m.");
ABSL_FLAG(bool, switch_user, true,
          "Run commands as the user that their task or framework names; otherwise as the agent's.");
ABSL_FLAG(bool, limit_cpu_to_request, false,
          "Hold each task to the cpus it asked for even when others idle (CFS quota).");

namespace tessera::agent {
namespace {

const base::ProgramInfo kProgram{
    .name = "agent-svc",
    .purpose = "Runs the tasks of a Tessera cluster on this machine, each in a container."};

AgentSettings SettingsFromFlags() {
  AgentSettings settings;
  settings.master = absl::GetFlag(FLAGS_master);
  settings.listen = absl::GetFlag(FLAGS_listen);
  settings.http_listen = absl::GetFlag(FLAGS_http_listen);
  settings.advertise = absl::GetFlag(FLAGS_advertise);
  settings.http_advertise = absl::GetFlag(FLAGS_http_advertise);
  settings.work_dir = absl::GetFlag(FLAGS_work_dir);
  settings.runtime_dir = absl::GetFlag(FLAGS_runtime_dir);
  settings.resources = absl::GetFlag(FLAGS_resources);
  settings.attributes = absl::GetFlag(FLAGS_attributes);
  settings.default_role = absl::GetFlag(FLAGS_default_role);
  settings.hostname = absl::GetFlag(FLAGS_hostname);
  settings.region = absl::GetFlag(FLAGS_region);
  settings.zone = absl::GetFlag(FLAGS_zone);
  settings.cgroups_root = absl::GetFlag(FLAGS_cgroups_root);
  settings.isolation = absl::GetFlag(FLAGS_isolation);
  settings.launch_workers = absl::GetFlag(FLAGS_launch_workers);
  settings.parked_containers = absl::GetFlag(FLAGS_parked_containers);
  settings.gc_delay = absl::GetFlag(FLAGS_gc_delay);
  settings.registration_backoff = absl::GetFlag(FLAGS_registration_backoff);
  settings.registration_backoff_max = absl::GetFlag(FLAGS_registration_backoff_max);
  settings.status_retry = absl::GetFlag(FLAGS_status_retry);
  settings.switch_user = absl::GetFlag(FLAGS_switch_user);
  settings.limit_cpu_to_request = absl::GetFlag(FLAGS_limit_cpu_to_request);
  return settings;
}

// Held until the process ends, however it ends.
absl::StatusOr<base::UniqueFd> LockWorkDir(const std::string& work_dir) {
  const std::string path = absl::StrCat(work_dir, "/lock");
  base::UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd.valid()) return base::ErrnoStatus(errno, "cannot open", path);
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    return absl::FailedPreconditionError(absl::StrCat("another agent uses the work directory ",
                                                      work_dir,
                                                      "; give each agent its own --work_dir"));
  }
  return fd;
}

// The runtime removes its own cgroup when it is empty; this removes the one around it, which agents
// of one machine share. What is not empty stays.
void RemoveEmptyParents(const std::string& cgroups_root) {
  const size_t slash = cgroups_root.rfind('/');
  if (slash == std::string::npos) return;
  const std::string parent = cgroups_root.substr(0, slash);
  ::rmdir(("/sys/fs/cgroup/" + parent).c_str());
  std::error_code ignored;
  for (const auto& hierarchy : std::filesystem::directory_iterator("/sys/fs/cgroup", ignored)) {
    ::rmdir((hierarchy.path().string() + "/" + parent).c_str());
  }
}

absl::Status Run(AgentSettings settings, base::ShutdownSignal& shutdown) {
  RETURN_IF_ERROR(base::MakeDirectories(settings.work_dir));
  RETURN_IF_ERROR(base::CheckWritableDirectory(settings.work_dir));
  RETURN_IF_ERROR(base::MakeDirectories(settings.runtime_dir));
  ASSIGN_OR_RETURN(const base::UniqueFd lock, LockWorkDir(settings.work_dir));
  if (settings.hostname.empty()) {
    ASSIGN_OR_RETURN(settings.hostname, ReadHostName());
  }
  ASSIGN_OR_RETURN(AgentConfig config, MakeConfig(settings, ReadMachineFacts(settings.work_dir)));
  RETURN_IF_ERROR(base::MakeDirectories(config.sandbox_root));
  const std::string sandbox_root = config.sandbox_root;

  ASSIGN_OR_RETURN(const std::unique_ptr<FileLogStore> store,
                   FileLogStore::Open(absl::StrCat(settings.work_dir, "/agent.log")));
  RecordLog log(store.get());
  AgentShell::Options options;
  ASSIGN_OR_RETURN(options.records, log.Recover());
  if (log.torn_bytes() > 0) {
    LOG(WARNING) << "Cut " << log.torn_bytes() << " bytes of an unfinished write off the log";
  }
  const std::string boot_id = ReadBootId();
  const std::string boot_id_path = absl::StrCat(settings.work_dir, "/boot_id");
  const auto last_boot_id = base::ReadFile(boot_id_path);
  options.rebooted = last_boot_id.ok() && *last_boot_id != boot_id;
  const bool noted = last_boot_id.ok() && *last_boot_id == boot_id;
  options.on_recovered = [boot_id, boot_id_path, noted] {
    if (noted) return;
    const absl::Status written = base::WriteFileDurably(boot_id_path, boot_id);
    if (!written.ok()) LOG(ERROR) << written.ToString();
  };

  // The launcher is forked off here, while this process has one thread.
  AgentMetrics metrics;
  AgentShell shell(&metrics);
  LinuxRuntimeOptions runtime_options;
  runtime_options.runtime_dir = settings.runtime_dir;
  runtime_options.durable_dir = settings.work_dir;
  runtime_options.cgroups_root = CgroupsRootOf(settings);
  runtime_options.isolation = settings.isolation;
  runtime_options.launcher_path = absl::GetFlag(FLAGS_launcher);
  runtime_options.workers = static_cast<size_t>(settings.launch_workers);
  runtime_options.parked_containers = static_cast<size_t>(settings.parked_containers);
  ASSIGN_OR_RETURN(std::unique_ptr<LinuxContainerRuntime> runtime,
                   LinuxContainerRuntime::Create(runtime_options,
                                                 [&shell](const ContainerTermination& termination) {
                                                   shell.OnTerminated(termination);
                                                 }));

  // The servers listen before the core begins, because it tells the master their addresses.
  const auto service = AgentServiceServer::Make(&shell, sandbox_root);
  http::HttpOptions http_options;
  http_options.listen = settings.http_listen;
  http_options.threads = 2;
  const std::shared_ptr<prometheus::Collectable> collectable(&metrics, [](auto*) {});
  ASSIGN_OR_RETURN(const auto http_server,
                   http::HttpServer::Start(
                       http_options, {http::MetricsRoute(collectable), ContainersRoute(&shell)}));
  rpc::ServerOptions server_options;
  server_options.listen = settings.listen;
  ASSIGN_OR_RETURN(const auto server, rpc::Server::Start(server_options, {service->service()}));
  TellAddresses(settings, server->address(), http_server->address(), &config.info);

  std::atomic<bool> failed{false};
  options.on_fatal = [&failed, &shutdown](const std::string& message) {
    LOG(ERROR) << message;
    failed = true;
    shutdown.Request();
  };
  options.config = std::move(config);
  shell.Start(std::move(options), &log, runtime.get());
  server->SetServing(true);

  // Scripts and the local cluster wait for this line.
  std::printf("listening grpc=%s http=%s\n", server->address().c_str(),
              http_server->address().c_str());
  std::fflush(stdout);
  base::NotifyReady(absl::StrCat("serving on ", server->address()));

  const int signal = shutdown.Wait();
  base::NotifyStopping();
  if (!failed) LOG(INFO) << "Stopping after signal " << signal << "; containers run on";
  server->Stop(absl::Seconds(1));
  http_server->Stop();
  shell.Stop();
  runtime.reset();
  RemoveEmptyParents(runtime_options.cgroups_root);
  if (failed) return absl::AbortedError("the agent could not go on; see above");
  return absl::OkStatus();
}

}  // namespace
}  // namespace tessera::agent

int main(int argc, char** argv) {
  using namespace tessera;
  base::ParseCommandLineOrExit(argc, argv, agent::kProgram);
  base::StartLogging("agent-svc");
  base::ShutdownSignal shutdown;
  const agent::AgentSettings settings = agent::SettingsFromFlags();
  if (const absl::Status valid = agent::CheckSettings(settings); !valid.ok()) {
    base::ExitWithUsageError(agent::kProgram, valid);
  }
  const absl::Status ran = agent::Run(settings, shutdown);
  if (ran.ok()) return 0;
  LOG(ERROR) << std::string(ran.message());
  return 1;
}
