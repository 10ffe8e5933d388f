// registry-svc put together: store, persister, core on its strand, gRPC and HTTP.
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
  RegistryConfig core;
};

// What is wrong with the options, and what to do; OK when they fit together.
absl::Status Validate(const RegistryServerOptions& options);

class RegistryServer {
 public:
  // Reads the store and serves. Fails as Validate, Store::Recover, rpc::Server::Start and
  // http::HttpServer::Start do. `on_halt` comes at most once, on another thread, when the store has
  // failed and the process must end; it must not stop the server itself.
  static absl::StatusOr<std::unique_ptr<RegistryServer>> Start(
      const RegistryServerOptions& options, std::unique_ptr<Store> store,
      std::function<void(const std::string& reason)> on_halt);
  // Answers what waits, ends streams with UNAVAILABLE, stops all threads.
  ~RegistryServer();

  // `host:port` with the real ports.
  const std::string& address() const;
  const std::string& http_address() const;

 private:
  struct Rep;
  explicit RegistryServer(std::unique_ptr<Rep> rep);
  std::unique_ptr<Rep> rep_;
};

}  // namespace tessera::registry
