// One HTTP connection: reads a request, has it answered, writes the response, and again.
//
// Invariants: one operation is in flight; every wait has a time-out; the connection lives in the
// callbacks of its operations and is counted from its making to its destruction.
//
// Threads: a connection runs on its own asio strand.
#pragma once

#include <atomic>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/strand.hpp>
#include <functional>
#include <memory>

#include "services/http/http_server.h"
#include "services/http/router.h"

namespace tessera::http {

// What all connections of a server share.
struct ConnectionContext {
  HttpOptions options;
  Router router;
  std::atomic<uint64_t> requests{0};
  std::atomic<uint64_t> connections{0};
  std::atomic<uint64_t> connections_open{0};
  std::atomic<uint64_t> connections_refused{0};
  std::atomic<uint64_t> bytes_sent{0};
};

// Serves the socket until the client leaves, breaks a rule, or `context` closes it. The connection
// keeps itself alive; dropping the io_context's work destroys it.
void ServeConnection(boost::asio::ip::tcp::socket socket,
                     std::shared_ptr<ConnectionContext> context);

// Says 503 and closes: the server has as many connections as it may.
void RefuseConnection(boost::asio::ip::tcp::socket socket);

}  // namespace tessera::http
