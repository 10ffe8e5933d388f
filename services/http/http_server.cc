#include "services/http/http_server.h"

#include <glog/logging.h>
#include <pthread.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <chrono>
#include <exception>
#include <random>
#include <thread>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "services/http/http_connection.h"
#include "services/http/router.h"
#include "services/http/server_context.h"

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
  explicit Rep(std::shared_ptr<ServerContext> shared)
      : context(std::move(shared)),
        acceptor(asio::make_strand(context->io())),
        pause(acceptor.get_executor()) {}

  std::shared_ptr<ServerContext> context;
  tcp::acceptor acceptor;
  asio::steady_timer pause;
  std::vector<std::thread> threads;
  std::string address;
  int port = 0;
  bool stopped = false;

  void Run() {
    pthread_setname_np(pthread_self(), "http");
    while (true) {
      try {
        context->io().run();
        return;
      } catch (const std::exception& error) {
        // Out of memory for one connection, say. The others go on.
        LOG(ERROR) << "an HTTP connection failed: " << error.what();
      }
    }
  }

  void Accept() {
    acceptor.async_accept(
        asio::make_strand(context->io()),
        [this](error_code error, tcp::socket socket) { OnAccept(error, std::move(socket)); });
  }

  void OnAccept(error_code error, tcp::socket socket) {
    if (error == asio::error::operation_aborted || !acceptor.is_open()) return;
    if (error) {
      // Out of file descriptors, most likely: one that waits gives way, and the next attempt comes
      // after a pause.
      LOG(WARNING) << "cannot accept an HTTP connection: " << error.message();
      context->EvictOne();
      pause.expires_after(std::chrono::milliseconds(100));
      pause.async_wait([this](error_code waited) {
        if (!waited) Accept();
      });
      return;
    }
    context->connections.fetch_add(1);
    error_code gone;
    const tcp::endpoint peer = socket.remote_endpoint(gone);
    if (!gone) {
      if (const auto id = context->Admit(HostOf(peer))) {
        ServeConnection(std::move(socket), *id, context);
      } else {
        context->connections_refused.fetch_add(1);
        // Before a handshake nothing can be said.
        if (context->plain()) RefuseConnection(std::move(socket));
      }
    }
    Accept();
  }

  static std::string HostOf(const tcp::endpoint& peer) {
    const asio::ip::address host = peer.address();
    if (host.is_v6() && host.to_v6().is_v4_mapped()) {
      return asio::ip::make_address_v4(asio::ip::v4_mapped, host.to_v6()).to_string();
    }
    return host.to_string();
  }
};

HttpServer::HttpServer(std::unique_ptr<Rep> rep) : rep_(std::move(rep)) {}
HttpServer::~HttpServer() { Stop(); }

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(const HttpOptions& options,
                                                              std::vector<Route> routes) {
  auto router = Router::Make(std::move(routes));
  if (!router.ok()) return router.status();
  std::random_device device;
  auto rep = std::make_unique<Rep>(std::make_shared<ServerContext>(
      options, *std::move(router), uint64_t{device()} << 32 | device()));
  auto endpoint = ParseListen(rep->context->io(), options.listen);
  if (!endpoint.ok()) return endpoint.status();

  error_code error;
  rep->acceptor.open(endpoint->protocol(), error);
  if (!error) rep->acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) rep->acceptor.bind(*endpoint, error);
  if (!error) rep->acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) return WhyNotBound(options.listen, error);

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
  const ServerContext& context = *rep_->context;
  return {.requests = context.requests.load(),
          .connections = context.connections.load(),
          .connections_open = context.connections_open(),
          .connections_refused = context.connections_refused.load(),
          .connections_evicted = context.connections_evicted.load(),
          .readers_cut = context.readers_cut.load(),
          .answers_refused = context.answers_refused.load(),
          .bytes_sent = context.bytes_sent.load(),
          .bytes_waiting = context.bytes_waiting.load()};
}

void HttpServer::Stop() {
  if (rep_->stopped) return;
  rep_->stopped = true;
  asio::post(rep_->acceptor.get_executor(), [rep = rep_.get()] {
    error_code ignored;
    rep->acceptor.close(ignored);
    rep->pause.cancel();
  });
  for (const auto& open : rep_->context->Stop()) {
    if (auto connection = open.lock()) connection->CloseSoon();
  }
  // The threads return when nothing is left to do.
  for (std::thread& thread : rep_->threads) thread.join();
}

}  // namespace tessera::http
