// A gRPC server as every Tessera service runs it: health, reflection, keepalive, message limits.
//
// The owner keeps the services alive until Stop() has returned. A message above the limit is
// answered with RESOURCE_EXHAUSTED by gRPC itself and harms nobody else.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace grpc {
class Service;
}

namespace tessera::rpc {

struct ServerOptions {
  // `host:port`, `[v6]:port` or `unix:/path`. Port 0 takes a free one; see Server::port().
  std::string listen = "127.0.0.1:0";
  // Largest message taken from a client, in bytes, whatever the rpc: gRPC has one bound for a port.
  // A service that takes large messages on some rpcs checks the size of the others itself.
  int receive_bytes_max = 4 << 20;
  // Largest message sent, in bytes.
  int send_bytes_max = 64 << 20;
  // Finds dead peers; see ChannelOptions.
  absl::Duration keepalive_time = absl::Seconds(20);
  absl::Duration keepalive_timeout = absl::Seconds(10);
  // Clients that ping more often than this are disconnected.
  absl::Duration client_ping_interval_min = absl::Seconds(5);
  // Streams that one connection may have open.
  int streams_per_connection_max = 4096;
};

class Server {
 public:
  // Starts to serve. INVALID_ARGUMENT: the address is malformed. ALREADY_EXISTS: the port is in
  // use. PERMISSION_DENIED: the port or path is not ours to bind. Each message names the address
  // and says what to do. The health service answers NOT_SERVING until SetServing(true).
  static absl::StatusOr<std::unique_ptr<Server>> Start(const ServerOptions& options,
                                                       const std::vector<grpc::Service*>& services);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // The port bound, 0 for a unix socket.
  int port() const;
  // `host:port` with the real port.
  const std::string& address() const;

  // What the health service says of the whole server (service name "").
  void SetServing(bool serving);

  // Refuses new calls, waits up to `grace` for running ones, then cancels those. Returns when no
  // callback runs any more. May be repeated.
  void Stop(absl::Duration grace);

 private:
  struct Rep;
  explicit Server(std::unique_ptr<Rep> rep);
  std::unique_ptr<Rep> rep_;
};

}  // namespace tessera::rpc
