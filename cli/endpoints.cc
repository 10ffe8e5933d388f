#include "cli/endpoints.h"

#include <cstdlib>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "cli/cluster_file.h"
#include "services/base/status_macros.h"

ABSL_FLAG(
    std::string, master, "",
    "masters as host:port, separated by commas; default: TESSERA_MASTER, or the local cluster");
ABSL_FLAG(std::string, state, "",
          "state servers as host:port, separated by commas; default: TESSERA_STATE, or the local "
          "cluster");
ABSL_FLAG(std::string, state_http, "",
          "HTTP address of a state server as host:port; default: TESSERA_STATE_HTTP, or the local "
          "cluster");
ABSL_FLAG(std::string, cluster_dir, "",
          "folder of the local cluster; default: tessera/cluster in XDG_STATE_HOME or "
          "~/.local/state");
ABSL_FLAG(std::string, output, "table", "format of answers: table (for people) or json");
ABSL_FLAG(absl::Duration, timeout, absl::Seconds(30),
          "duration (e.g. 30s) for which to try to reach the cluster before giving up");

namespace tessera::cli {

namespace {

std::vector<std::string> Split(const std::string& text) {
  return absl::StrSplit(text, ',', absl::SkipWhitespace());
}

bool only_local_cluster = false;

// The value of the flag, else of the variable, else of the local cluster.
absl::StatusOr<std::string> Find(const std::string& flag_value, const std::string& flag,
                                 const char* variable, const std::string& service, bool http) {
  if (!only_local_cluster) {
    if (!flag_value.empty()) return flag_value;
    if (const char* value = std::getenv(variable); value != nullptr && *value != '\0') {
      return std::string(value);
    }
  }
  const absl::StatusOr<ClusterFile> cluster = ReadClusterFile(ClusterDir());
  if (cluster.ok()) {
    for (const ServiceRecord& record : cluster->services) {
      if (record.name == service) return http ? record.http_address : record.grpc_address;
    }
  }
  return absl::NotFoundError(absl::StrCat("no cluster to talk to: name one with --", flag, " or ",
                                          variable,
                                          ", or start a local one with `tessera cluster up`"));
}

}  // namespace

std::string ClusterDir() {
  const std::string flag = absl::GetFlag(FLAGS_cluster_dir);
  if (!flag.empty()) return flag;
  if (const char* state = std::getenv("XDG_STATE_HOME"); state != nullptr && *state != '\0') {
    return absl::StrCat(state, "/tessera/cluster");
  }
  const char* home = std::getenv("HOME");
  return absl::StrCat(home != nullptr ? home : "/root", "/.local/state/tessera/cluster");
}

void UseOnlyLocalCluster() { only_local_cluster = true; }

absl::StatusOr<std::vector<std::string>> MasterAddresses() {
  ASSIGN_OR_RETURN(const std::string found,
                   Find(absl::GetFlag(FLAGS_master), "master", "TESSERA_MASTER", "master", false));
  return Split(found);
}

absl::StatusOr<std::vector<std::string>> StateAddresses() {
  ASSIGN_OR_RETURN(const std::string found,
                   Find(absl::GetFlag(FLAGS_state), "state", "TESSERA_STATE", "state", false));
  return Split(found);
}

absl::StatusOr<std::string> StateHttpAddress() {
  return Find(absl::GetFlag(FLAGS_state_http), "state_http", "TESSERA_STATE_HTTP", "state", true);
}

absl::StatusOr<bool> WantsJson() {
  const std::string output = absl::GetFlag(FLAGS_output);
  if (output == "json") return true;
  if (output == "table") return false;
  return absl::InvalidArgumentError(
      absl::StrCat("--output=", output, " is not known: use table or json"));
}

absl::Duration CommandTimeout() { return absl::GetFlag(FLAGS_timeout); }

}  // namespace tessera::cli
