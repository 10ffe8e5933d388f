#include "services/http/http_server.h"

#include <glog/logging.h>
#include <pthread.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <chrono>
#include <exception>
#include <thread>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "services/http/http_connection.h"
#include "services/http/router.h"

namespace tessera::http {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

absl::StatusOr<tcp::endpoint> ParseListen(asio::io_context& io, const std::string& listen) {
  const size_t colon = listen.rfind(':');
  int port = -1;
  if (colon == std::string::npos || !absl::SimpleAtoi(listen.substr(colon + 1), &port) ||
      port < 0 || port > 65535) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", listen, "\" is no address to listen on; give host:port"));
  }
  std::string host = listen.substr(0, colon);
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  error_code error;
  tcp::resolver resolver(io);
  const auto found = resolver.resolve(host, std::to_string(port), tcp::resolver::passive, error);
  if (error || found.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "cannot listen on ", listen, ": ", error.message(), "; give a local address as host:port"));
  }
  return found.begin()->endpoint();
}

absl::Status WhyNotBound(const std::string& listen, const error_code& error) {
  if (error == asio::error::address_in_use) {
    return absl::AlreadyExistsError(absl::StrCat(
        "the HTTP port of ", listen, " is in use; stop what listens there or choose another port"));
  }
  if (error == asio::error::access_denied) {
    return absl::PermissionDeniedError(absl::StrCat(
        "not allowed to listen on ", listen, "; ports below 1024 need CAP_NET_BIND_SERVICE"));
  }
  return absl::InvalidArgumentError(
      absl::StrCat("cannot listen on ", listen, ": ", error.message()));
}

}  // namespace

struct HttpServer::Rep {
  asio::io_context io;
  tcp::acceptor acceptor{io};
  asio::steady_timer pause{io};
  std::shared_ptr<ConnectionContext> context;
  std::vector<std::thread> threads;
  std::string address;
  int port = 0;
  bool stopped = false;

  void Run() {
    pthread_setname_np(pthread_self(), "http");
    while (true) {
      try {
        io.run();
        return;
      } catch (const std::exception& error) {
        // Out of memory for one request, say. Its connection went with the handler; the others go
        // on.
        LOG(ERROR) << "an HTTP connection failed: " << error.what();
      }
    }
  }

  void Accept() {
    acceptor.async_accept(asio::make_strand(io), [this](error_code error, tcp::socket socket) {
      if (error == asio::error::operation_aborted || !acceptor.is_open()) return;
      if (error) {
        // Out of file descriptors, most likely: wait for some to come back instead of spinning.
        LOG(WARNING) << "cannot accept an HTTP connection: " << error.message();
        pause.expires_after(std::chrono::milliseconds(100));
        pause.async_wait([this](error_code waited) {
          if (!waited) Accept();
        });
        return;
      }
      context->connections.fetch_add(1);
      if (context->connections_open.load() >=
          static_cast<uint64_t>(context->options.connections_max)) {
        context->connections_refused.fetch_add(1);
        RefuseConnection(std::move(socket));
      } else {
        ServeConnection(std::move(socket), context);
      }
      Accept();
    });
  }
};

HttpServer::HttpServer(std::unique_ptr<Rep> rep) : rep_(std::move(rep)) {}
HttpServer::~HttpServer() { Stop(); }

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(const HttpOptions& options,
                                                              std::vector<Route> routes) {
  auto router = Router::Make(std::move(routes));
  if (!router.ok()) return router.status();
  auto rep = std::make_unique<Rep>();
  auto endpoint = ParseListen(rep->io, options.listen);
  if (!endpoint.ok()) return endpoint.status();

  error_code error;
  rep->acceptor.open(endpoint->protocol(), error);
  if (!error) rep->acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) rep->acceptor.bind(*endpoint, error);
  if (!error) rep->acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) return WhyNotBound(options.listen, error);

  rep->context = std::make_shared<ConnectionContext>();
  rep->context->options = options;
  rep->context->router = *std::move(router);
  rep->port = rep->acceptor.local_endpoint().port();
  rep->address = absl::StrCat(options.listen.substr(0, options.listen.rfind(':')), ":", rep->port);
  rep->Accept();
  for (int i = 0; i < std::max(1, options.threads); ++i) {
    rep->threads.emplace_back([raw = rep.get()] { raw->Run(); });
  }
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(rep)));
}

int HttpServer::port() const { return rep_->port; }
const std::string& HttpServer::address() const { return rep_->address; }

HttpCounters HttpServer::counters() const {
  const ConnectionContext& context = *rep_->context;
  return {.requests = context.requests.load(),
          .connections = context.connections.load(),
          .connections_open = context.connections_open.load(),
          .connections_refused = context.connections_refused.load(),
          .bytes_sent = context.bytes_sent.load()};
}

void HttpServer::Stop() {
  if (rep_->stopped) return;
  rep_->stopped = true;
  rep_->io.stop();
  for (std::thread& thread : rep_->threads) thread.join();
  error_code ignored;
  rep_->acceptor.close(ignored);
}

}  // namespace tessera::http
