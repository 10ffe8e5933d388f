// The same connections on TLS: a transport of the test's own, with Boost.Asio's SSL streams.

#include <gtest/gtest.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/write.hpp>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "services/auth/testing/test_certificates.h"
#include "services/http/asio_byte_stream.h"
#include "services/http/http_server.h"
#include "services/http/transport.h"

namespace tessera::http {
namespace {

namespace asio = boost::asio;
namespace ssl = boost::asio::ssl;
using asio::ip::tcp;
using TlsStream = ssl::stream<tcp::socket>;

void Load(ssl::context* context, const std::string& authority, const auth::PemPair& own) {
  context->add_certificate_authority(asio::buffer(authority));
  context->use_certificate_chain(asio::buffer(own.certificate));
  context->use_private_key(asio::buffer(own.private_key), ssl::context::pem);
  context->set_verify_mode(ssl::verify_peer | ssl::verify_fail_if_no_peer_cert);
}

class TlsTransport final : public Transport {
 public:
  TlsTransport(const std::string& authority, const auth::PemPair& own)
      : context_(ssl::context::tls_server) {
    Load(&context_, authority, own);
  }

  std::function<void()> Accept(tcp::socket socket, Ready ready) override {
    auto stream = std::make_shared<TlsStream>(std::move(socket), context_);
    stream->async_handshake(ssl::stream_base::server, [stream, ready = std::move(ready)](
                                                          boost::system::error_code error) {
      if (error) return ready(nullptr, {});
      auth::CallerFacts peer;
      peer.principal = NameOf(stream->native_handle());
      peer.proof = auth::Proof::kCertificate;
      ready(std::make_unique<AsioByteStream<TlsStream>>(std::move(*stream)), std::move(peer));
    });
    return [weak = std::weak_ptr<TlsStream>(stream)] {
      boost::system::error_code ignored;
      if (auto open = weak.lock()) open->lowest_layer().close(ignored);
    };
  }

 private:
  static std::string NameOf(SSL* connection) {
    std::unique_ptr<X509, decltype(&X509_free)> certificate(SSL_get1_peer_certificate(connection),
                                                            X509_free);
    char name[256] = "";
    X509_NAME_get_text_by_NID(X509_get_subject_name(certificate.get()), NID_commonName, name,
                              sizeof(name));
    return name;
  }

  ssl::context context_;
};

class TlsTest : public testing::Test {
 protected:
  void SetUp() override {
    auto who = Whole([](const HttpRequest& request) {
      return HttpResponse::Text(200, absl::StrCat(request.caller.principal(), "|", request.body));
    });
    auto pieces = Whole([](const HttpRequest&) {
      HttpResponse response;
      response.next = [left = 100]() mutable -> Chunk {
        return left-- == 0 ? nullptr : MakeChunk(std::string(64 << 10, 'p'));
      };
      return response;
    });
    HttpOptions options;
    options.transport =
        std::make_shared<TlsTransport>(authority_.certificate(), authority_.Issue("server"));
    options.request_timeout = absl::Seconds(2);
    auto server = HttpServer::Start(
        options, {{.path = "/who", .handler = who, .methods = {Method::kGet, Method::kPost}},
                  {.path = "/pieces", .handler = pieces}});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }

  // A connection with the certificate of `own`; null when the handshake fails.
  std::unique_ptr<TlsStream> Connect(const auth::PemPair& own) {
    Load(&client_context_, authority_.certificate(), own);
    auto stream = std::make_unique<TlsStream>(io_, client_context_);
    stream->lowest_layer().connect(
        {asio::ip::address_v4::loopback(), static_cast<uint16_t>(server_->port())});
    boost::system::error_code error;
    stream->handshake(ssl::stream_base::client, error);
    return error ? nullptr : std::move(stream);
  }

  // Everything until the server ends the connection.
  static std::string Ask(TlsStream* stream, const std::string& request) {
    boost::system::error_code error;
    asio::write(*stream, asio::buffer(request), error);
    std::string all;
    char bytes[64 << 10];
    while (!error) all.append(bytes, stream->read_some(asio::buffer(bytes), error));
    return all;
  }

  auth::TestAuthority authority_;
  std::unique_ptr<HttpServer> server_;
  asio::io_context io_;
  ssl::context client_context_{ssl::context::tls_client};
};

TEST_F(TlsTest, ServesTheSameAndKnowsItsCaller) {
  const auto stream = Connect(authority_.Issue("operator-1"));
  ASSERT_NE(stream, nullptr);
  const std::string all =
      Ask(stream.get(),
          "GET /who HTTP/1.1\r\nHost: x\r\n\r\n"
          "POST /who HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody");
  EXPECT_TRUE(absl::StrContains(all, "\r\n\r\noperator-1|HTTP/1.1 200 OK")) << all;
  EXPECT_TRUE(absl::EndsWith(all, "operator-1|body")) << all;
}

TEST_F(TlsTest, LongAnswersComeWhole) {
  const auto stream = Connect(authority_.Issue("operator-1"));
  ASSERT_NE(stream, nullptr);
  const std::string all =
      Ask(stream.get(), "GET /pieces HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_GT(all.size(), size_t{100} * (64 << 10));
  EXPECT_TRUE(absl::EndsWith(all, "\r\n0\r\n\r\n"));
}

TEST_F(TlsTest, PlainTextAndSilenceEndTheirConnectionOnly) {
  tcp::socket plain(io_), silent(io_);
  const tcp::endpoint to(asio::ip::address_v4::loopback(), static_cast<uint16_t>(server_->port()));
  plain.connect(to);
  silent.connect(to);
  asio::write(plain, asio::buffer(std::string("GET /who HTTP/1.1\r\nHost: x\r\n\r\n")));
  for (tcp::socket* socket : {&plain, &silent}) {
    boost::system::error_code error;
    char bytes[4096];
    while (!error) socket->read_some(asio::buffer(bytes), error);
    EXPECT_TRUE(error == asio::error::eof || error == asio::error::connection_reset) << error;
  }
  const auto stream = Connect(authority_.Issue("operator-2"));
  ASSERT_NE(stream, nullptr);
  EXPECT_TRUE(
      absl::EndsWith(Ask(stream.get(), "GET /who HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
                     "operator-2|"));
}

TEST_F(TlsTest, StopEndsHandshakesToo) {
  tcp::socket silent(io_);
  silent.connect({asio::ip::address_v4::loopback(), static_cast<uint16_t>(server_->port())});
  const auto stream = Connect(authority_.Issue("operator-1"));
  server_.reset();
  boost::system::error_code error;
  char byte;
  silent.read_some(asio::buffer(&byte, 1), error);
  EXPECT_TRUE(error);
}

}  // namespace
}  // namespace tessera::http
