// state-svc: flags, wiring, run, stop.
#include <glog/logging.h>

#include <cstdint>
#include <iostream>
#include <random>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "services/base/bytes.h"
#include "services/base/flags.h"
#include "services/base/log_setup.h"
#include "services/base/shutdown_signal.h"
#include "services/base/systemd_notify.h"
#include "services/state/server/state_server.h"
#include "services/state/server/state_settings.h"

using tessera::base::Bytes;
using tessera::base::MiB;

ABSL_FLAG(std::string, listen, "127.0.0.1:5080",
          "host:port of gRPC: the state feed for further followers, and reads. Port 0 takes a free "
          "one.");
ABSL_FLAG(std::string, http_listen, "127.0.0.1:5081",
          "host:port of /state and the other read endpoints, /metrics and /healthz. Port 0 takes a "
          "free one.");
ABSL_FLAG(std::string, http_advertise, "",
          "host:port at which browsers reach the read endpoints; /state names it as the leader's. "
          "Empty: the address listened at, or the machine's name where that is a wildcard.");
ABSL_FLAG(std::vector<std::string>, feed, {},
          "host:port of each master that may lead, or of other state-svcs, separated by commas. "
          "The leader is found by itself.");
ABSL_FLAG(Bytes, history_size, MiB(64),
          "Size of the changes kept for followers that lag or come back, e.g. 64MiB. One that "
          "falls out of it gets a new snapshot.");
ABSL_FLAG(uint64_t, followers_max, 4096,
          "Number of streams (followers and watchers) that may be open; more are refused.");
ABSL_FLAG(absl::Duration, feed_timeout, absl::Seconds(20),
          "Duration (e.g. 20s). A feed that brings nothing newer of the leading master for so long "
          "is given up for the next one; the master makes a heartbeat every 5s.");
ABSL_FLAG(absl::Duration, slow_consumer_timeout, absl::Seconds(30),
          "Duration (e.g. 30s). A stream that does not take one message for so long is ended.");
ABSL_FLAG(absl::Duration, state_max_age, absl::Milliseconds(50),
          "Duration (e.g. 50ms). /state is put together anew at most this often, so that pollers "
          "cost a bounded amount; 0: whenever something has changed.");
ABSL_FLAG(int, http_threads, 2, "Number of threads that answer HTTP requests.");
ABSL_FLAG(int, read_threads, 2, "Number of threads that answer gRPC reads.");

int main(int argc, char** argv) {
  using namespace tessera;
  const base::ProgramInfo info{
      .name = "state-svc",
      .purpose =
          "Follows the cluster's state and serves every read of it: /state, lists, watches."};
  const std::vector<std::string> rest = base::ParseCommandLineOrExit(argc, argv, info);
  if (!rest.empty()) {
    base::ExitWithUsageError(info, absl::InvalidArgumentError(absl::StrCat(
                                       "unexpected argument '", rest[0], "': see --help")));
  }
  state::StateSettings settings;
  settings.listen = absl::GetFlag(FLAGS_listen);
  settings.http_listen = absl::GetFlag(FLAGS_http_listen);
  settings.http_advertise = absl::GetFlag(FLAGS_http_advertise);
  settings.feed = absl::GetFlag(FLAGS_feed);
  settings.history_size = absl::GetFlag(FLAGS_history_size);
  settings.followers_max = absl::GetFlag(FLAGS_followers_max);
  settings.feed_timeout = absl::GetFlag(FLAGS_feed_timeout);
  settings.slow_consumer_timeout = absl::GetFlag(FLAGS_slow_consumer_timeout);
  settings.state_max_age = absl::GetFlag(FLAGS_state_max_age);
  settings.http_threads = absl::GetFlag(FLAGS_http_threads);
  settings.read_threads = absl::GetFlag(FLAGS_read_threads);
  settings.seed = std::random_device()();
  const auto options = state::OptionsFromSettings(settings);
  if (!options.ok()) base::ExitWithUsageError(info, options.status());

  base::StartLogging("state-svc");
  base::ShutdownSignal shutdown;
  const auto server = state::StateServer::Start(*options);
  if (!server.ok()) {
    LOG(ERROR) << "cannot start: " << server.status().message();
    return 1;
  }
  std::cout << "listening grpc=" << (*server)->address() << " http=" << (*server)->http_address()
            << std::endl;
  base::NotifyReady(absl::StrCat("serving reads at ", (*server)->http_address()));
  shutdown.Wait();
  base::NotifyStopping();
  LOG(INFO) << "stopping";
  (*server)->Stop();
  return 0;
}
