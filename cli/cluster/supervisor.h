// The process behind `tessera cluster up`: starts the services of a local cluster, starts again
// what ends by itself, and stops all of them on SIGTERM.
//
// What systemd does for a real cluster, for one machine and no installation. Services keep their
// addresses over restarts, so their neighbours find them again.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace tessera::cli {

struct LocalClusterOptions {
  std::string dir;
  // Where the services' binaries are.
  std::string bin_dir;
  int agents = 1;
  // The resources of each agent as agent-svc takes them; empty: this machine's, divided by agents.
  std::string agent_resources;
  // More flags for services, each "service:--flag=value", where service is a name without number.
  std::vector<std::string> service_flags;
  // How long a service may take until it serves.
  absl::Duration start_timeout = absl::Seconds(30);
};

// INVALID_ARGUMENT names what is wrong: agents out of range, binaries missing, an ill-formed flag.
absl::Status ValidateOptions(const LocalClusterOptions& options);

// Runs the cluster until SIGTERM or SIGINT; returns 0, or 1 when a service could not be started
// (what it said is then in <dir>/error). Writes cluster.json once every service serves. `ready_fd`
// gets one byte then and is closed; it is closed without a byte on failure. Must run in a process
// with a single thread.
int Supervise(const LocalClusterOptions& options, int ready_fd);

}  // namespace tessera::cli
