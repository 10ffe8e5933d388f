// registry-svc: the durable truth of a cluster, and who leads it.

#include <glog/logging.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "services/base/flags.h"
#include "services/base/log_setup.h"
#include "services/base/shutdown_signal.h"
#include "services/base/systemd_notify.h"
#include "services/registry/server/registry_server.h"
#include "services/registry/store/rocksdb_store.h"

ABSL_FLAG(std::string, listen, "127.0.0.1:5060",
          "host:port of the gRPC server; port 0 takes a free one.");
ABSL_FLAG(std::string, http_listen, "127.0.0.1:5061",
          "host:port of the HTTP server (/metrics, /healthz); port 0 takes a free one.");
ABSL_FLAG(std::string, advertise, "",
          "host:port under which others reach --listen; a standby sends them there. Empty: the "
          "address bound, or this machine's name and its port where that is a wildcard (0.0.0.0, "
          "[::]).");
ABSL_FLAG(std::string, data_dir, "",
          "Directory of the database, on a disk of this machine; made when it is not there. Of "
          "several registry-svc with the same directory one acts, the others stand by. Required.");
ABSL_FLAG(absl::Duration, lease_ttl, absl::Seconds(10),
          "Duration (e.g. 10s) for which a leader's lease lasts without renewal: the time after "
          "which a dead leader is "
          "replaced. Leaders renew several times within it.");
ABSL_FLAG(
    uint64_t, epoch_at_least, 0,
    "Number of an epoch: the next leader's will be higher, durably; lower than what is known it "
    "changes nothing. For one start after the data was lost or restored: the highest epoch that an "
    "agent has obeyed (its metric tessera_agent_epoch).");
ABSL_FLAG(
    uint64_t, history_commits, 16384,
    "Number of commits kept in memory for watches that resume and reads that page; a watch further "
    "behind must read all again.");
ABSL_FLAG(uint64_t, table_bytes_max, uint64_t{2} << 30,
          "Number of bytes of keys and values that the registry holds at most; commits beyond are "
          "refused.");

namespace {

using tessera::registry::RegistryServer;
using tessera::registry::RegistryServerOptions;
using tessera::registry::RocksDbStore;

int Fail(const absl::Status& status) {
  LOG(ERROR) << status.message();
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  const tessera::base::ProgramInfo info{
      .name = "registry-svc",
      .purpose = "Keeps the durable truth of a cluster and grants leadership."};
  tessera::base::ParseCommandLineOrExit(argc, argv, info);
  tessera::base::StartLogging("registry-svc");
  tessera::base::ShutdownSignal shutdown;

  RegistryServerOptions options;
  options.listen = absl::GetFlag(FLAGS_listen);
  options.http_listen = absl::GetFlag(FLAGS_http_listen);
  options.core.lease_ttl = absl::GetFlag(FLAGS_lease_ttl);
  options.core.history.commits_max = absl::GetFlag(FLAGS_history_commits);
  options.core.table_bytes_max = absl::GetFlag(FLAGS_table_bytes_max);
  options.core.epoch_at_least = absl::GetFlag(FLAGS_epoch_at_least);
  options.advertise = absl::GetFlag(FLAGS_advertise);
  const std::string data_dir = absl::GetFlag(FLAGS_data_dir);
  absl::Status valid = Validate(options);
  if (valid.ok() && data_dir.empty()) {
    valid = absl::InvalidArgumentError(
        "--data_dir is missing; name the directory that keeps the cluster's state");
  }
  if (!valid.ok()) tessera::base::ExitWithUsageError(info, valid);

  std::atomic<bool> halted = false;
  auto server = RegistryServer::Start(options, std::make_unique<RocksDbStore>(data_dir),
                                      [&](const std::string&) {
                                        halted = true;
                                        shutdown.Request();
                                      });
  if (!server.ok()) return Fail(server.status());

  // Scripts and the local cluster wait for this line.
  std::printf("listening grpc=%s http=%s\n", (*server)->address().c_str(),
              (*server)->http_address().c_str());
  std::fflush(stdout);
  const bool acts = (*server)->phase() == tessera::registry::Phase::kActing;
  tessera::base::NotifyReady(
      absl::StrCat(acts ? "serving on " : "standing by on ", (*server)->address()));

  const int signal = shutdown.Wait();
  tessera::base::NotifyStopping();
  if (!halted) LOG(INFO) << "stopping after signal " << signal;
  server->reset();
  return halted ? 1 : 0;
}
