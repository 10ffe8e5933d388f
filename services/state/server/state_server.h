// state-svc as a whole: follows a feed, publishes what it hears to further followers, and answers
// reads over gRPC and HTTP.
//
// Threads: the core's strand, the publisher's two, a pool for lists, those of gRPC and HTTP.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "services/feed/server/feed_publisher.h"
#include "services/state/core/state_core.h"
#include "services/state/server/http_routes.h"

namespace tessera::state {

struct StateServerOptions {
  std::string listen = "127.0.0.1:0";
  std::string http_listen = "127.0.0.1:0";
  // `host:port` that clients of the read endpoints are told; empty: the HTTP address listened at,
  // or the machine's name where that is a wildcard.
  std::string http_advertise;
  int http_threads = 2;
  int read_threads = 2;
  StateConfig core;
  feed::FeedOptions feed;
  HttpReadOptions reads;
};

class StateServer {
 public:
  // Starts to serve and to follow. Errors are those of rpc::Server and http::HttpServer: the
  // address is malformed, in use, or not ours to bind.
  static absl::StatusOr<std::unique_ptr<StateServer>> Start(const StateServerOptions& options);
  // Stop()s.
  ~StateServer();
  StateServer(const StateServer&) = delete;
  StateServer& operator=(const StateServer&) = delete;

  // `host:port` with the real ports.
  const std::string& address() const;
  const std::string& http_address() const;

  feed::FeedPublisher& publisher();
  const HttpReads& reads() const;

  // Ends streams, answers what runs, joins every thread. May be repeated.
  void Stop();

 private:
  class Rep;
  explicit StateServer(std::unique_ptr<Rep> rep);
  std::unique_ptr<Rep> rep_;
};

}  // namespace tessera::state
