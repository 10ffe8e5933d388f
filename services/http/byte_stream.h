// What a connection needs of a transport: bytes both ways. TCP and TLS are behind it
// (asio_byte_stream.h), and tests put streams of their own there.
//
// Invariants: at most one read and one write are under way; each callback comes exactly once, on
// the connection's strand and never from inside the call that asked for it; after Close() those
// under way come soon, with an error.
//
// Threads: the connection's strand.
#pragma once

#include <boost/asio/buffer.hpp>
#include <boost/system/error_code.hpp>
#include <cstddef>
#include <functional>
#include <span>

namespace tessera::http {

class ByteStream {
 public:
  using Done = std::function<void(boost::system::error_code error, size_t bytes)>;

  virtual ~ByteStream() = default;
  // Some bytes, at least one; boost::asio::error::eof when the peer sends no more.
  virtual void ReadSome(boost::asio::mutable_buffer into, Done done) = 0;
  // Writes some of the buffers' bytes, at least one, from the first on. The bytes stay until done;
  // the span need not.
  virtual void WriteSome(std::span<const boost::asio::const_buffer> buffers, Done done) = 0;
  // Tells the peer that no more comes. Nothing is being written.
  virtual void ShutdownSend(std::function<void()> done) = 0;
  virtual void Close() = 0;
};

}  // namespace tessera::http
