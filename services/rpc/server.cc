#include "services/rpc/server.h"

#include <glog/logging.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <mutex>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "services/rpc/callback_threads.h"
#include "services/rpc/credentials.h"

namespace tessera::rpc {
namespace {

struct HostPort {
  std::string host;
  int port = -1;
};

absl::StatusOr<HostPort> SplitAddress(const std::string& address) {
  const size_t colon = address.rfind(':');
  HostPort split;
  if (colon == std::string::npos || !absl::SimpleAtoi(address.substr(colon + 1), &split.port) ||
      split.port < 0 || split.port > 65535) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", address, "\" is no address to listen on; give host:port"));
  }
  split.host = address.substr(0, colon);
  if (absl::StartsWith(split.host, "[") && absl::EndsWith(split.host, "]")) {
    split.host = split.host.substr(1, split.host.size() - 2);
  }
  return split;
}

// gRPC says only that it could not listen. Trying the same bind says why.
absl::Status WhyNotBound(const std::string& address, const HostPort& split) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  const int resolved = getaddrinfo(split.host.empty() ? nullptr : split.host.c_str(),
                                   std::to_string(split.port).c_str(), &hints, &found);
  if (resolved != 0) {
    return absl::InvalidArgumentError(absl::StrCat("cannot listen on ", address, ": ",
                                                   gai_strerror(resolved),
                                                   "; give a local address as host:port"));
  }
  const int fd = socket(found->ai_family, found->ai_socktype | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  const int bound = bind(fd, found->ai_addr, found->ai_addrlen);
  const int error = bound == 0 && listen(fd, 1) == 0 ? 0 : errno;
  close(fd);
  freeaddrinfo(found);
  if (error == EADDRINUSE) {
    return absl::AlreadyExistsError(
        absl::StrCat("port ", split.port, " of ", address,
                     " is in use; stop what listens there or choose another port"));
  }
  if (error == EACCES || error == EPERM) {
    return absl::PermissionDeniedError(absl::StrCat(
        "not allowed to listen on ", address, "; ports below 1024 need CAP_NET_BIND_SERVICE"));
  }
  return absl::InvalidArgumentError(
      absl::StrCat("cannot listen on ", address, ": ",
                   error == 0 ? "gRPC refused the address" : std::strerror(error)));
}

void InstallPluginsOnce() {
  static std::once_flag once;
  std::call_once(once, [] {
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  });
}

}  // namespace

struct Server::Rep {
  std::unique_ptr<grpc::Server> server;
  std::string address;
  int port = 0;
  bool stopped = false;
};

Server::Server(std::unique_ptr<Rep> rep) : rep_(std::move(rep)) {}
Server::~Server() { Stop(absl::ZeroDuration()); }

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const ServerOptions& options,
                                                      const std::vector<grpc::Service*>& services) {
  InstallPluginsOnce();
  KeepCallbackThreads();
  const bool is_unix = absl::StartsWith(options.listen, "unix:");
  HostPort split;
  if (!is_unix) {
    auto parsed = SplitAddress(options.listen);
    if (!parsed.ok()) return parsed.status();
    split = *std::move(parsed);
  }

  grpc::ServerBuilder builder;
  int bound_port = 0;
  builder.AddListeningPort(options.listen, ProcessCredentials()->ForServer(), &bound_port);
  builder.SetMaxReceiveMessageSize(options.receive_bytes_max);
  builder.SetMaxSendMessageSize(options.send_bytes_max);
  // Without this, a second server could share the port and take half of the connections.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS,
                             static_cast<int>(absl::ToInt64Milliseconds(options.keepalive_time)));
  builder.AddChannelArgument(
      GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
      static_cast<int>(absl::ToInt64Milliseconds(options.keepalive_timeout)));
  builder.AddChannelArgument(
      GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
      static_cast<int>(absl::ToInt64Milliseconds(options.client_ping_interval_min)));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, options.streams_per_connection_max);
  for (grpc::Service* service : services) builder.RegisterService(service);

  auto rep = std::make_unique<Rep>();
  rep->server = builder.BuildAndStart();
  if (rep->server == nullptr || (!is_unix && bound_port <= 0)) {
    if (is_unix) {
      return absl::PermissionDeniedError(
          absl::StrCat("cannot listen on ", options.listen,
                       "; is its directory there and writable, and the path below 108 bytes?"));
    }
    return WhyNotBound(options.listen, split);
  }
  rep->port = is_unix ? 0 : bound_port;
  rep->address =
      is_unix ? options.listen
              : absl::StrCat(options.listen.substr(0, options.listen.rfind(':')), ":", bound_port);
  std::unique_ptr<Server> server(new Server(std::move(rep)));
  server->SetServing(false);
  return server;
}

int Server::port() const { return rep_->port; }
const std::string& Server::address() const { return rep_->address; }

void Server::SetServing(bool serving) {
  if (auto* health = rep_->server->GetHealthCheckService()) health->SetServingStatus(serving);
}

void Server::Stop(absl::Duration grace) {
  if (rep_->stopped) return;
  rep_->stopped = true;
  rep_->server->Shutdown(absl::ToChronoTime(absl::Now() + grace));
  rep_->server->Wait();
}

}  // namespace tessera::rpc
