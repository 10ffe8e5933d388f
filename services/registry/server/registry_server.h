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
  // The next leader's epoch is above this, durably; below what is there it changes nothing. For a
  // registry that has lost its epochs: agents refuse those below what they have obeyed.
  uint64_t epoch_at_least = 0;
  // Opens the store anew after it failed. Null: a failure ends the registry.
  StoreOpener reopen_store;
};

// What is wrong with the options, and what to do; OK when they fit together.
absl::Status Validate(const RegistryServerOptions& options);

class RegistryServer {
 public:
  // Reads the store and serves. Fails as Validate, Store::Recover, rpc::Server::Start and
  // http::HttpServer::Start do. `on_halt` comes at most once, on another thread, when the store is
  // lost and the process must end; it must not stop the server itself.
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
