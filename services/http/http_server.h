// The HTTP server beside each service: /healthz, /metrics and whatever the service routes.
//
// Boost.Asio with threads of its own; a handler (exchange.h) is called on one of them, returns at
// once and answers when it can. Each client costs a bounded amount: connections in all and of one
// address, header and body sizes, bytes that wait for it to read, time of a request and of standing
// still all have limits.
//
// Invariants: a handler's exception or a client's garbage ends at most that connection; requests on
// one connection are answered in order, one at a time. When there is no place for a new connection,
// one that asks for nothing gives way.
//
// Threads: handlers may run concurrently when options.threads > 1.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "services/http/exchange.h"
#include "services/http/http_options.h"
#include "services/http/http_types.h"

namespace tessera::http {

class HttpServer {
 public:
  // Starts to serve `routes` and /healthz (200 "ok" unless routed otherwise). INVALID_ARGUMENT: the
  // address is malformed or a route is given twice. ALREADY_EXISTS: the port is in use.
  // PERMISSION_DENIED: it is not ours to bind. Messages name the address and say what to do.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(const HttpOptions& options,
                                                           std::vector<Route> routes);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  int port() const;
  // `host:port` with the real port.
  const std::string& address() const;
  HttpCounters counters() const;

  // Ends all exchanges, closes all connections and joins the threads. No handler or callback runs
  // when it returns. May be repeated.
  void Stop();

 private:
  struct Rep;
  explicit HttpServer(std::unique_ptr<Rep> rep);
  std::unique_ptr<Rep> rep_;
};

}  // namespace tessera::http
