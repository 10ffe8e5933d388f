// A ByteStream on any of asio's streams: boost::asio::ip::tcp::socket, ssl::stream<tcp::socket>.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "services/http/byte_stream.h"

namespace tessera::http {

// Stream's executor is the connection's strand.
template <typename Stream>
class AsioByteStream final : public ByteStream {
 public:
  explicit AsioByteStream(Stream stream) : stream_(std::move(stream)) {}

  void ReadSome(boost::asio::mutable_buffer into, Done done) override {
    stream_.async_read_some(boost::asio::mutable_buffers_1(into), std::move(done));
  }

  void WriteSome(std::span<const boost::asio::const_buffer> buffers, Done done) override {
    gathered_.assign(buffers.begin(), buffers.end());
    stream_.async_write_some(gathered_, std::move(done));
  }

  void ShutdownSend(std::function<void()> done) override {
    if constexpr (std::is_same_v<Stream, boost::asio::ip::tcp::socket>) {
      boost::system::error_code ignored;
      stream_.shutdown(boost::asio::ip::tcp::socket::shutdown_send, ignored);
      done();
    } else {
      // Waits for the peer's own end too, which may not come: the connection closes in time.
      stream_.async_shutdown([done = std::move(done)](boost::system::error_code) { done(); });
    }
  }

  void Close() override {
    boost::system::error_code ignored;
    stream_.lowest_layer().close(ignored);
  }

 private:
  Stream stream_;
  std::vector<boost::asio::const_buffer> gathered_;
};

}  // namespace tessera::http
