// Where the cluster is: masters and state servers, from flags, the environment or the local
// cluster.
//
// In that order: --master / --state, TESSERA_MASTER / TESSERA_STATE, the cluster file that
// `tessera cluster up` wrote below --cluster_dir.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace tessera::cli {

// The folder of the local cluster: --cluster_dir, or tessera/cluster below the user's state folder.
std::string ClusterDir();

// From here on only the local cluster counts, whatever flags and environment say: what ends a local
// cluster must not reach another one.
void UseOnlyLocalCluster();

// `host:port` of each. NOT_FOUND says which flags and variables would name one.
absl::StatusOr<std::vector<std::string>> MasterAddresses();
absl::StatusOr<std::vector<std::string>> StateAddresses();
// `host:port` of a state-svc's HTTP server: --state_http, TESSERA_STATE_HTTP or the local cluster.
absl::StatusOr<std::string> StateHttpAddress();

// True when --output=json was asked for. INVALID_ARGUMENT for a format that is not known.
absl::StatusOr<bool> WantsJson();

// How long a command tries to reach the cluster: --timeout.
absl::Duration CommandTimeout();

}  // namespace tessera::cli
