// allocator-svc without its flags: the strand around the core, the gRPC service, /metrics.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "services/allocator/wire/stream_core.h"

namespace tessera::allocator {

struct AllocatorServerOptions {
  // `host:port`; port 0 takes a free one.
  std::string listen = "127.0.0.1:0";
  std::string http_listen = "127.0.0.1:0";
  StreamCoreConfig core;
  uint64_t seed = 1;
  // Requests of masters that may wait for the core.
  size_t queue_max = 4096;
};

class AllocatorServer {
 public:
  // Serves from the moment it returns. Errors as of rpc::Server::Start and http::HttpServer::Start.
  static absl::StatusOr<std::unique_ptr<AllocatorServer>> Start(
      const AllocatorServerOptions& options);
  // Ends all streams, answers nothing more and joins all threads.
  ~AllocatorServer();
  AllocatorServer(const AllocatorServer&) = delete;
  AllocatorServer& operator=(const AllocatorServer&) = delete;

  // `host:port` with the real ports.
  const std::string& address() const;
  const std::string& http_address() const;

 private:
  struct Rep;
  explicit AllocatorServer(std::unique_ptr<Rep> rep);
  std::unique_ptr<Rep> rep_;
};

}  // namespace tessera::allocator
