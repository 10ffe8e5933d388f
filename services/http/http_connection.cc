#include "services/http/http_connection.h"

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/bind_handler.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <cctype>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/http/gzip.h"

namespace tessera::http {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
using asio::ip::tcp;
using boost::system::error_code;

// A response is written in pieces of at most this many bytes, each with a time-out of its own, so
// that a large one may take long but a client that stops reading is cut off soon.
constexpr size_t kPieceBytesMax = 16 << 20;
// The kernel takes 1,024 buffers in one writev; asio passes on 64.
constexpr size_t kPieceBuffersMax = 64;
constexpr size_t kReadBytes = 4096;

size_t SizeOf(const std::vector<Chunk>& chunks) {
  size_t size = 0;
  for (const Chunk& chunk : chunks) size += chunk->size();
  return size;
}

bool IsSafeInHeader(const std::string& text) {
  return std::none_of(text.begin(), text.end(),
                      [](char c) { return c == '\r' || c == '\n' || c == '\0'; });
}

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(tcp::socket socket, std::shared_ptr<ConnectionContext> context)
      : stream_(std::move(socket)), context_(std::move(context)), buffer_(BufferMax()) {
    context_->connections_open.fetch_add(1);
    error_code ignored;
    stream_.socket().set_option(tcp::no_delay(true), ignored);
    const auto peer = stream_.socket().remote_endpoint(ignored);
    peer_ = absl::StrCat(peer.address().to_string(), ":", peer.port());
  }
  ~Connection() { context_->connections_open.fetch_sub(1); }

  void Begin() {
    asio::dispatch(stream_.get_executor(), [self = shared_from_this()] { self->AwaitRequest(); });
  }

 private:
  size_t BufferMax() const {
    return context_->options.header_bytes_max + context_->options.body_bytes_max + kReadBytes;
  }

  // Between requests a connection may idle; from a request's first byte on, it may not.
  void AwaitRequest() {
    parser_.emplace();
    parser_->header_limit(context_->options.header_bytes_max);
    parser_->body_limit(context_->options.body_bytes_max);
    if (buffer_.size() > 0) return ReadRequest();
    stream_.expires_after(absl::ToChronoNanoseconds(context_->options.idle_timeout));
    stream_.async_read_some(buffer_.prepare(kReadBytes),
                            [self = shared_from_this()](error_code error, size_t bytes) {
                              if (error) return self->Close();
                              self->buffer_.commit(bytes);
                              self->ReadRequest();
                            });
  }

  void ReadRequest() {
    stream_.expires_after(absl::ToChronoNanoseconds(context_->options.request_timeout));
    beast::http::async_read_header(stream_, buffer_, *parser_,
                                   [self = shared_from_this()](error_code error, size_t) {
                                     if (error) return self->Refuse(error);
                                     self->ReadBody();
                                   });
  }

  void ReadBody() {
    const auto& message = parser_->get();
    if (beast::iequals(message[beast::http::field::expect], "100-continue")) {
      head_ = "HTTP/1.1 100 Continue\r\n\r\n";
      asio::async_write(stream_, asio::buffer(head_),
                        [self = shared_from_this()](error_code error, size_t) {
                          if (error) return self->Close();
                          self->ReadRest();
                        });
      return;
    }
    ReadRest();
  }

  void ReadRest() {
    beast::http::async_read(stream_, buffer_, *parser_,
                            [self = shared_from_this()](error_code error, size_t) {
                              if (error) return self->Refuse(error);
                              self->AnswerRequest();
                            });
  }

  void AnswerRequest() {
    context_->requests.fetch_add(1, std::memory_order_relaxed);
    auto message = parser_->release();
    const bool keep_alive = message.keep_alive();
    HttpRequest request;
    request.peer = peer_;
    switch (message.method()) {
      case beast::http::verb::get:
        request.method = Method::kGet;
        break;
      case beast::http::verb::head:
        request.method = Method::kHead;
        break;
      case beast::http::verb::post:
        request.method = Method::kPost;
        break;
      default: {
        HttpResponse response = HttpResponse::Text(405, "only GET, HEAD and POST are served\n");
        response.headers.emplace_back("Allow", "GET, HEAD, POST");
        return Write(std::move(response), false, false, keep_alive);
      }
    }
    const bool head_only = request.method == Method::kHead;
    const auto target = message.target();
    if (!ParseTarget({target.data(), target.size()}, &request.path, &request.query)) {
      return Write(HttpResponse::Text(400, "the request's path or query is malformed\n"), false,
                   head_only, keep_alive);
    }
    for (const auto& field : message) {
      std::string name(field.name_string());
      std::transform(name.begin(), name.end(), name.begin(),
                     [](unsigned char c) { return std::tolower(c); });
      request.headers.emplace(std::move(name), std::string(field.value()));
    }
    request.body = std::move(message.body());
    Write(context_->router.Answer(request), AcceptsGzip(request.Header("accept-encoding")),
          head_only, keep_alive);
  }

  // What cannot be read as a request gets a status if one fits, and the connection ends.
  void Refuse(error_code why) {
    using HttpError = beast::http::error;
    if (why == HttpError::end_of_stream || why == beast::error::timeout ||
        why == asio::error::operation_aborted || why == asio::error::connection_reset ||
        why == HttpError::partial_message || why == asio::error::eof) {
      return Close();
    }
    if (why == HttpError::header_limit || why == HttpError::buffer_overflow) {
      return Write(HttpResponse::Text(431, "the request's headers are too large\n"), false, false,
                   false);
    }
    if (why == HttpError::body_limit) {
      return Write(HttpResponse::Text(413, "the request's body is too large\n"), false, false,
                   false);
    }
    Write(HttpResponse::Text(400, absl::StrCat("malformed request: ", why.message(), "\n")), false,
          false, false);
  }

  void Write(HttpResponse response, bool gzip, bool head_only, bool keep_alive) {
    bool compressed = false;
    if (gzip && !response.gzip_body.empty()) {
      response.body = std::move(response.gzip_body);
      compressed = true;
    } else if (gzip && SizeOf(response.body) >= context_->options.gzip_bytes_min) {
      std::vector<Chunk> smaller = Gzip(response.body);
      compressed = !smaller.empty();
      if (compressed) response.body = std::move(smaller);
    }
    const size_t size = SizeOf(response.body);
    const auto reason =
        beast::http::obsolete_reason(static_cast<beast::http::status>(response.status));
    head_ = absl::StrCat("HTTP/1.1 ", response.status, " ",
                         absl::string_view(reason.data(), reason.size()),
                         "\r\nServer: tessera\r\nContent-Length: ", size, "\r\n");
    if (IsSafeInHeader(response.content_type)) {
      absl::StrAppend(&head_, "Content-Type: ", response.content_type, "\r\n");
    }
    if (compressed) absl::StrAppend(&head_, "Content-Encoding: gzip\r\n");
    absl::StrAppend(&head_, "Vary: Accept-Encoding\r\n");
    for (const auto& [name, value] : response.headers) {
      if (IsSafeInHeader(name) && IsSafeInHeader(value)) {
        absl::StrAppend(&head_, name, ": ", value, "\r\n");
      }
    }
    absl::StrAppend(&head_, keep_alive ? "Connection: keep-alive" : "Connection: close",
                    "\r\n\r\n");
    if (head_only) response.body.clear();
    chunks_ = std::move(response.body);
    next_chunk_ = 0;
    offset_ = 0;
    head_sent_ = false;
    keep_alive_ = keep_alive;
    WritePiece();
  }

  // Gathers what comes next of head and chunks into one write.
  void WritePiece() {
    std::vector<asio::const_buffer> piece;
    size_t bytes = 0;
    if (!head_sent_) {
      piece.push_back(asio::buffer(head_));
      bytes += head_.size();
      head_sent_ = true;
    }
    while (next_chunk_ < chunks_.size() && piece.size() < kPieceBuffersMax &&
           bytes < kPieceBytesMax) {
      const std::string& chunk = *chunks_[next_chunk_];
      const size_t part = std::min(chunk.size() - offset_, kPieceBytesMax - bytes);
      if (part > 0) piece.emplace_back(chunk.data() + offset_, part);
      bytes += part;
      offset_ += part;
      if (offset_ == chunk.size()) {
        ++next_chunk_;
        offset_ = 0;
      }
    }
    if (piece.empty()) return Written();
    stream_.expires_after(absl::ToChronoNanoseconds(context_->options.request_timeout));
    asio::async_write(stream_, piece, [self = shared_from_this()](error_code error, size_t sent) {
      self->context_->bytes_sent.fetch_add(sent, std::memory_order_relaxed);
      if (error) return self->Close();
      self->WritePiece();
    });
  }

  void Written() {
    chunks_.clear();
    if (keep_alive_) {
      AwaitRequest();
    } else {
      Linger();
    }
  }

  // Closing a socket with unread input resets it, and the client would lose the answer. So the
  // rest of what it sends is read and dropped, for a short time.
  void Linger() {
    error_code ignored;
    stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
    stream_.expires_after(std::chrono::seconds(2));
    DropInput();
  }

  void DropInput() {
    buffer_.clear();
    stream_.async_read_some(buffer_.prepare(kReadBytes),
                            [self = shared_from_this()](error_code error, size_t) {
                              if (error) return self->Close();
                              self->DropInput();
                            });
  }

  void Close() { stream_.close(); }

  beast::tcp_stream stream_;
  std::shared_ptr<ConnectionContext> context_;
  beast::flat_buffer buffer_;
  std::optional<beast::http::request_parser<beast::http::string_body>> parser_;
  std::string peer_;
  // The response that is being written.
  std::string head_;
  std::vector<Chunk> chunks_;
  size_t next_chunk_ = 0;
  size_t offset_ = 0;
  bool head_sent_ = false;
  bool keep_alive_ = false;
};

}  // namespace

void ServeConnection(tcp::socket socket, std::shared_ptr<ConnectionContext> context) {
  std::make_shared<Connection>(std::move(socket), std::move(context))->Begin();
}

void RefuseConnection(tcp::socket socket) {
  static const std::string kRefusal =
      "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nContent-Length: 29\r\n"
      "Retry-After: 1\r\nConnection: close\r\n\r\ntoo many connections are open";
  auto kept = std::make_shared<tcp::socket>(std::move(socket));
  asio::async_write(*kept, asio::buffer(kRefusal), [kept](error_code, size_t) {
    error_code ignored;
    kept->shutdown(tcp::socket::shutdown_send, ignored);
  });
}

}  // namespace tessera::http
