// What a server is told and what it tells: options with its bounds, routes, counters.
//
// Threads: values.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "services/http/exchange.h"
#include "services/http/http_types.h"

namespace tessera::http {

class Transport;

struct HttpOptions {
  // `host:port` or `[v6]:port`; port 0 takes a free one.
  std::string listen = "127.0.0.1:0";
  int threads = 1;
  int connections_max = 1024;
  // Of one address.
  int connections_per_peer_max = 512;
  size_t header_bytes_max = 16 << 10;
  // Of a request; a route may say otherwise.
  size_t body_bytes_max = 4 << 20;
  // From the first byte of a request to the end of its head; between two pieces of its body.
  absl::Duration request_timeout = absl::Seconds(30);
  // Between two requests of one connection.
  absl::Duration idle_timeout = absl::Seconds(60);
  // From the whole head to the beginning of the answer; a route may say otherwise. Then 504.
  absl::Duration answer_timeout = absl::Seconds(60);
  // A client takes 64 KiB of its answer, or all that is there, in this time, or is cut off.
  absl::Duration stall_timeout = absl::Seconds(30);
  // A body of at least this many bytes is compressed when the client accepts it.
  size_t gzip_bytes_min = 1024;
  // What may wait to be written to the reader of one stream.
  size_t stream_bytes_max = 4 << 20;
  // What may wait to be written to all clients together, but for shared bodies. Beyond it answers
  // of more than 64 KiB are 503, streams are cut off, and a client that stands still is closed to
  // make room.
  size_t body_bytes_waiting_max = 128 << 20;
  // Null: plain TCP.
  std::shared_ptr<Transport> transport = nullptr;
};

// Routes are matched by the longest prefix that ends at a '/' or at the path's end: "/files" serves
// "/files" and "/files/a/b"; an exact route serves its path only.
struct Route {
  std::string path;
  Handler handler;
  // HEAD comes with GET; its body is not sent.
  std::vector<Method> methods = {Method::kGet};
  bool prefix = false;
  // Instead of the server's.
  std::optional<size_t> body_bytes_max = std::nullopt;
  std::optional<absl::Duration> answer_timeout = std::nullopt;
};

// Plain counters for metrics.
struct HttpCounters {
  uint64_t requests = 0;
  uint64_t connections = 0;
  uint64_t connections_open = 0;
  // Answered with 503, all places being taken by requests.
  uint64_t connections_refused = 0;
  // Closed in favour of new ones.
  uint64_t connections_evicted = 0;
  // Cut off because they did not take their answers.
  uint64_t readers_cut = 0;
  // Answered with 503, too much waiting to be read already.
  uint64_t answers_refused = 0;
  uint64_t bytes_sent = 0;
  // That wait to be written now, but for shared bodies.
  uint64_t bytes_waiting = 0;
};

}  // namespace tessera::http
