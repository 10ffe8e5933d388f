// master-svc without its flags: the gRPC services, the strand around the core, the state feed,
// /metrics.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "services/master/core/master_config.h"

namespace tessera::master {

struct MasterServerOptions {
  // `host:port`; port 0 takes a free one.
  std::string listen = "127.0.0.1:0";
  std::string http_listen = "127.0.0.1:0";
  // `host:port` of each registry that may act, and of the allocator.
  std::vector<std::string> registries;
  std::string allocator;
  // Where `address` and `http_address` are empty the addresses bound are told to others (by the
  // hostname where they are wildcards), and where `candidate_id` is empty it is made of the address
  // and the seed.
  MasterConfig core;
  uint64_t seed = 1;
  // A file of the hostnames whose agents may be offered, see whitelist_file.h; empty: all agents.
  std::string whitelist;
  absl::Duration whitelist_interval = absl::Seconds(5);
  // Frameworks with series of their own on /metrics.
  size_t metrics_frameworks_max = 1000;
};

class MasterServer {
 public:
  // Serves, and strives for leadership, from the moment it returns. Errors as of rpc::Server::Start
  // and http::HttpServer::Start; INVALID_ARGUMENT when the config is wrong.
  static absl::StatusOr<std::unique_ptr<MasterServer>> Start(const MasterServerOptions& options);
  // Resigns, ends all streams and calls, joins all threads.
  ~MasterServer();
  MasterServer(const MasterServer&) = delete;
  MasterServer& operator=(const MasterServer&) = delete;

  // `host:port` with the real ports.
  const std::string& address() const;
  const std::string& http_address() const;

 private:
  struct Rep;
  explicit MasterServer(std::unique_ptr<Rep> rep);
  std::unique_ptr<Rep> rep_;
};

}  // namespace tessera::master
