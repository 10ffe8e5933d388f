// The HTTP server beside each service: /healthz, /metrics and whatever the service routes.
//
// Boost.Beast with threads of its own; a handler runs on one of them, takes an immutable snapshot
// and answers. Each client costs a bounded amount: connections, header and body sizes, time of a
// request and idle time all have limits.
//
// Invariants: a handler's exception or a client's garbage ends at most that connection; requests on
// one connection are answered in order.
//
// Threads: handlers may run concurrently when options.threads > 1.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "services/http/http_types.h"

namespace tessera::http {

using Handler = std::function<HttpResponse(const HttpRequest&)>;

struct HttpOptions {
  // `host:port` or `[v6]:port`; port 0 takes a free one.
  std::string listen = "127.0.0.1:0";
  int threads = 1;
  int connections_max = 1024;
  size_t header_bytes_max = 16 << 10;
  size_t body_bytes_max = 4 << 20;
  // From the first byte of a request to its last, and the same for writing a response, once for
  // each 16 MiB of it.
  absl::Duration request_timeout = absl::Seconds(30);
  // Between two requests of one connection.
  absl::Duration idle_timeout = absl::Seconds(60);
  // A body of at least this many bytes is compressed when the client accepts it.
  size_t gzip_bytes_min = 1024;
};

// Routes are matched by the longest prefix that ends at a '/' or at the path's end: "/files" serves
// "/files" and "/files/a/b"; an exact route serves its path only.
struct Route {
  std::string path;
  Handler handler;
  // HEAD comes with GET; its body is not sent.
  bool get = true;
  bool post = false;
  bool prefix = false;
};

// Plain counters for metrics.
struct HttpCounters {
  uint64_t requests = 0;
  uint64_t connections = 0;
  uint64_t connections_open = 0;
  uint64_t connections_refused = 0;
  uint64_t bytes_sent = 0;
};

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

  // Closes all connections and joins the threads. No handler runs when it returns. May be repeated.
  void Stop();

 private:
  struct Rep;
  explicit HttpServer(std::unique_ptr<Rep> rep);
  std::unique_ptr<Rep> rep_;
};

}  // namespace tessera::http
