// What is between a TCP connection and HTTP on it: nothing, or TLS.
//
// Threads: as of Accept.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <functional>
#include <memory>

#include "services/auth/caller.h"
#include "services/http/byte_stream.h"

namespace tessera::http {

class Transport {
 public:
  // The stream, null when the handshake failed; and who the peer has proven to be: principal,
  // groups and proof of the facts, the rest is the server's.
  using Ready = std::function<void(std::unique_ptr<ByteStream> stream, auth::CallerFacts peer)>;

  virtual ~Transport() = default;

  // Calls `ready` once, on the socket's executor, which is the connection's strand. Returns what
  // ends a handshake that takes too long; it may be called at any time, on that strand.
  virtual std::function<void()> Accept(boost::asio::ip::tcp::socket socket, Ready ready) = 0;
};

// Plain TCP.
std::shared_ptr<Transport> PlainTransport();

}  // namespace tessera::http
