// One HTTP/1 connection: reads a request, hands it to its handler, writes the answer, and again.
//
// Invariants: at most one read, one write and one exchange are under way; every wait of a client
// has a time-out; what is read ahead of its turn is bounded by header_bytes_max; the connection is
// in the table from its admission to its end, and its exchange is over when it has ended.
//
// Threads: a connection runs on its own asio strand.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <memory>
#include <string>

#include "services/http/server_context.h"

namespace tessera::http {

// Serves the socket, whose executor is a strand of the context's io_context, until the client
// leaves, breaks a rule or has to give way. Takes the place `id` of the table.
void ServeConnection(boost::asio::ip::tcp::socket socket, ConnectionTable::Id id,
                     std::shared_ptr<ServerContext> context);

// Says 503 and closes: the server has as many connections as it may.
void RefuseConnection(boost::asio::ip::tcp::socket socket);

}  // namespace tessera::http
