// registry-svc put together: store, persister, core on its strand, gRPC and HTTP.
//
// Threads: Start and the destructor from the owner; the rest from any.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "services/registry/core/registry_core.h"
#include "services/registry/store/store.h"

namespace tessera::registry {

struct RegistryServerOptions {
  std::string listen = "127.0.0.1:0";
  std::string http_listen = "127.0.0.1:0";
  // `host:port` under which others reach `listen`; empty: the address bound, or this machine's name
  // and its port where that is a wildcard.
  std::string advertise;
  RegistryConfig core;
};

// What is wrong with the options, and what to do; OK when they fit together.
absl::Status Validate(const RegistryServerOptions& options);

class RegistryServer {
 public:
  // Serves, and strives to own the store; returns when it acts or stands by. Fails as Validate,
  // rpc::Server::Start and http::HttpServer::Start do, and when the store cannot be had though
  // nobody owns it (FAILED_PRECONDITION, UNAVAILABLE; the message says why). `on_halt` comes at
  // most once afterwards, on another thread, when the store is lost and the process must end; it
  // must not stop the server itself.
  static absl::StatusOr<std::unique_ptr<RegistryServer>> Start(
      const RegistryServerOptions& options, std::unique_ptr<Store> store,
      std::function<void(const std::string& reason)> on_halt);
  // Answers what waits, ends streams with UNAVAILABLE, stops all threads.
  ~RegistryServer();

  // `host:port` with the real ports.
  const std::string& address() const;
  const std::string& http_address() const;
  // What it does now: acts or stands by. Any thread.
  Phase phase() const;

 private:
  struct Rep;
  explicit RegistryServer(std::unique_ptr<Rep> rep);
  std::unique_ptr<Rep> rep_;
};

}  // namespace tessera::registry
