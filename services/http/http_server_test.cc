// The HTTP server over loopback, spoken to with raw sockets so that garbage can be sent, too.

#include "services/http/http_server.h"

#include <gtest/gtest.h>
#include <prometheus/counter.h>
#include <prometheus/registry.h>
#include <zlib.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "services/base/bug.h"
#include "services/base/version.h"
#include "services/http/metrics_route.h"
#include "services/http/testing/raw_client.h"

namespace tessera::http {
namespace {

std::string Gunzip(const std::string& compressed) {
  z_stream stream{};
  inflateInit2(&stream, 15 + 16);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(compressed.data()));
  stream.avail_in = compressed.size();
  std::string out;
  int result = Z_OK;
  while (result == Z_OK) {
    char piece[65536];
    stream.next_out = reinterpret_cast<Bytef*>(piece);
    stream.avail_out = sizeof(piece);
    result = inflate(&stream, Z_NO_FLUSH);
    out.append(piece, sizeof(piece) - stream.avail_out);
  }
  inflateEnd(&stream);
  EXPECT_EQ(result, Z_STREAM_END);
  return out;
}

// A large body in shared chunks of many sizes.
std::vector<Chunk> Fragments() {
  std::vector<Chunk> chunks;
  for (int i = 0; i < 5000; ++i) {
    chunks.push_back(MakeChunk(absl::StrCat("fragment ", i, " ", std::string(i % 977, 'f'), "\n")));
  }
  return chunks;
}

std::string Joined(const std::vector<Chunk>& chunks) {
  std::string joined;
  for (const Chunk& chunk : chunks) joined += *chunk;
  return joined;
}

class HttpServerTest : public testing::Test {
 protected:
  void Start(HttpOptions options = {}) {
    fragments_ = Fragments();
    auto echo = Whole([](const HttpRequest& request) {
      return HttpResponse::Text(
          200, absl::StrCat(request.path, "|", std::string(request.Param("q")), "|",
                            std::string(request.Header("x-test")), "|", request.body));
    });
    std::vector<Route> routes = {
        {.path = "/echo",
         .handler = echo,
         .methods = {Method::kGet, Method::kPost},
         .prefix = true},
        {.path = "/large", .handler = Whole([this](const HttpRequest&) {
                             HttpResponse response;
                             response.body = fragments_;
                             return response;
                           })},
        {.path = "/precompressed", .handler = Whole([](const HttpRequest&) {
                                     HttpResponse response = HttpResponse::Text(200, "plain");
                                     response.gzip_body = {MakeChunk("as"), MakeChunk("is")};
                                     return response;
                                   })},
        {.path = "/injection", .handler = Whole([](const HttpRequest&) {
                                 HttpResponse response = HttpResponse::Text(200, "x");
                                 response.headers = {{"X-Good", "1"}, {"X-Bad", "1\r\nX-Evil: 2"}};
                                 return response;
                               })},
    };
    auto server = HttpServer::Start(options, std::move(routes));
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }

  std::vector<Chunk> fragments_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpServerTest, OneConnectionServesManyRequests) {
  Start();
  Client client(server_->port());
  EXPECT_EQ(client.Get("/healthz").body, "ok\n");
  EXPECT_EQ(client.Get("/echo/a%20b?q=1+2", "X-Test: t\r\n").body, "/echo/a b|1 2|t|");
  client.Send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody");
  EXPECT_EQ(client.Read().body, "/echo|||body");
  EXPECT_EQ(client.Get("/none").status, 404);
  client.Send("POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(client.Read().status, 405);
  client.Send("DELETE /echo HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(client.Read().status, 405);
  EXPECT_EQ(client.Get("/%zz").status, 400);
  EXPECT_EQ(client.Get("/healthz").status, 200);
  EXPECT_EQ(server_->counters().requests, 8u);
  EXPECT_EQ(server_->counters().connections, 1u);
}

TEST_F(HttpServerTest, RequestsSentAheadAreAnsweredInOrder) {
  Start();
  Client client(server_->port());
  std::string ahead;
  for (int i = 0; i < 50; ++i) {
    absl::StrAppend(&ahead, "GET /echo?q=", i, " HTTP/1.1\r\nHost: x\r\n\r\n");
  }
  client.Send(ahead);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(client.Read().body, absl::StrCat("/echo|", i, "||"));
}

TEST_F(HttpServerTest, HeadHasTheLengthAndNoBody) {
  Start();
  Client client(server_->port());
  client.Send("HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
  const Reply reply = client.Read(/*head_only=*/true);
  EXPECT_EQ(reply.status, 200);
  EXPECT_TRUE(absl::StrContains(reply.head, "Content-Length: 3\r\n"));
  EXPECT_EQ(client.Get("/healthz").body, "ok\n");
}

TEST_F(HttpServerTest, ManyChunksArriveWholePlainAndCompressed) {
  Start();
  Client client(server_->port());
  const std::string expected = Joined(fragments_);
  ASSERT_GT(expected.size(), 2u << 20);
  const Reply plain = client.Get("/large");
  EXPECT_TRUE(plain.body == expected);
  EXPECT_FALSE(absl::StrContains(plain.head, "Content-Encoding"));
  const Reply compressed = client.Get("/large", "Accept-Encoding: gzip\r\n");
  EXPECT_TRUE(absl::StrContains(compressed.head, "Content-Encoding: gzip"));
  EXPECT_LT(compressed.body.size(), expected.size() / 4);
  EXPECT_TRUE(Gunzip(compressed.body) == expected);
  EXPECT_FALSE(absl::StrContains(client.Get("/healthz", "Accept-Encoding: gzip\r\n").head,
                                 "Content-Encoding"));
}

TEST_F(HttpServerTest, PrecompressedChunksAreSentAsTheyAre) {
  Start();
  Client client(server_->port());
  EXPECT_EQ(client.Get("/precompressed").body, "plain");
  const Reply reply = client.Get("/precompressed", "Accept-Encoding: gzip\r\n");
  EXPECT_EQ(reply.body, "asis");
  EXPECT_TRUE(absl::StrContains(reply.head, "Content-Encoding: gzip"));
}

TEST_F(HttpServerTest, AHeaderCannotBeSmuggledIn) {
  Start();
  Client client(server_->port());
  const Reply reply = client.Get("/injection");
  EXPECT_TRUE(absl::StrContains(reply.head, "X-Good: 1"));
  EXPECT_FALSE(absl::StrContains(reply.head, "X-Evil"));
}

TEST_F(HttpServerTest, GarbageEndsItsConnectionOnly) {
  Start();
  Client good(server_->port());
  EXPECT_EQ(good.Get("/healthz").status, 200);
  for (const std::string& garbage :
       {std::string("garbage\r\n\r\n"), std::string("GET / HTTP/9.9\r\n\r\n"),
        std::string("\x16\x03\x01\x02\x00\x01\r\n\r\n"),
        std::string("POST /echo HTTP/1.1\r\nContent-Length: minus\r\n\r\n")}) {
    Client bad(server_->port());
    bad.Send(garbage);
    EXPECT_EQ(bad.Read().status, 400) << garbage;
    EXPECT_TRUE(bad.AtEnd());
  }
  EXPECT_EQ(good.Get("/healthz").status, 200);
}

TEST_F(HttpServerTest, TooLargeHeadersAndBodiesAreRefused) {
  Start({.header_bytes_max = 2048, .body_bytes_max = 4096});
  Client headers(server_->port());
  headers.Send(absl::StrCat("GET / HTTP/1.1\r\nX: ", std::string(4000, 'x'), "\r\n\r\n"));
  EXPECT_EQ(headers.Read().status, 431);
  Client body(server_->port());
  body.Send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n");
  EXPECT_EQ(body.Read().status, 413);
  Client chunked(server_->port());
  chunked.Send("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
  chunked.Send(absl::StrCat("2000\r\n", std::string(0x2000, 'x'), "\r\n0\r\n\r\n"));
  EXPECT_EQ(chunked.Read().status, 413);
  Client fine(server_->port());
  fine.Send(absl::StrCat("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4096\r\n\r\n",
                         std::string(4096, 'x')));
  EXPECT_EQ(fine.Read().status, 200);
}

TEST_F(HttpServerTest, SlowAndIdleClientsAreCutOff) {
  Start({.request_timeout = absl::Milliseconds(300), .idle_timeout = absl::Milliseconds(300)});
  Client idle(server_->port());
  Client slow(server_->port());
  slow.Send("GET /healthz HT");
  const absl::Time began = absl::Now();
  EXPECT_TRUE(idle.AtEnd());
  EXPECT_TRUE(slow.AtEnd());
  EXPECT_LT(absl::Now() - began, absl::Seconds(15));
  EXPECT_EQ(Client(server_->port()).Get("/healthz").status, 200);
}

TEST_F(HttpServerTest, ConnectionCloseIsHonoured) {
  Start();
  Client client(server_->port());
  EXPECT_EQ(client.Get("/healthz", "Connection: close\r\n").status, 200);
  EXPECT_TRUE(client.AtEnd());
  Client old(server_->port());
  old.Send("GET /healthz HTTP/1.0\r\n\r\n");
  EXPECT_EQ(old.Read().body, "ok\n");
  EXPECT_TRUE(old.AtEnd());
}

TEST_F(HttpServerTest, ManyClientsOnSeveralThreads) {
  Start({.threads = 2});
  const std::string expected = Joined(fragments_);
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      Client client(server_->port());
      for (int i = 0; i < 10; ++i) EXPECT_TRUE(client.Get("/large").body == expected);
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(server_->counters().requests, 80u);
}

TEST_F(HttpServerTest, StopEndsOpenConnections) {
  Start();
  Client client(server_->port());
  EXPECT_EQ(client.Get("/healthz").status, 200);
  const int port = server_->port();
  server_.reset();
  EXPECT_TRUE(client.AtEnd());
  EXPECT_FALSE(Client(port).connected());
}

TEST_F(HttpServerTest, WrongAddressesAreSaidSo) {
  Start();
  EXPECT_EQ(HttpServer::Start({.listen = server_->address()}, {}).status().code(),
            absl::StatusCode::kAlreadyExists);
  for (const char* wrong : {"x", "127.0.0.1:99999", "192.0.2.1:0", "no.such.host.invalid:0"}) {
    const auto started = HttpServer::Start({.listen = wrong}, {});
    EXPECT_EQ(started.status().code(), absl::StatusCode::kInvalidArgument) << wrong;
    EXPECT_TRUE(absl::StrContains(started.status().message(), wrong)) << started.status();
  }
}

TEST(MetricsRouteTest, ShowsTheRegistryAndTheProcess) {
  auto registry = std::make_shared<prometheus::Registry>();
  auto& counter = prometheus::BuildCounter()
                      .Name("tessera_test_total")
                      .Help("A test.")
                      .Register(*registry)
                      .Add({{"role", "a\"b"}});
  auto server = HttpServer::Start({}, {MetricsRoute(registry, [&] { counter.Increment(2); })});
  ASSERT_TRUE(server.ok()) << server.status();
  Client client((*server)->port());
  const Reply reply = client.Get("/metrics");
  EXPECT_TRUE(absl::StrContains(reply.head, "text/plain; version=0.0.4"));
  EXPECT_TRUE(absl::StrContains(reply.body, "tessera_test_total{role=\"a\\\"b\"} 2")) << reply.body;
  EXPECT_TRUE(absl::StrContains(client.Get("/metrics").body, "} 4\n"));
  for (const char* name :
       {"process_start_time_seconds", "process_cpu_seconds_total", "process_resident_memory_bytes",
        "process_virtual_memory_bytes", "process_open_fds", "process_max_fds"}) {
    EXPECT_TRUE(absl::StrContains(reply.body, absl::StrCat("# TYPE ", name, " "))) << name;
  }
  EXPECT_TRUE(absl::StrContains(
      reply.body, absl::StrCat("tessera_build_info{version=\"", base::kVersion, "\"} 1\n")))
      << reply.body;
  const size_t at = reply.body.find("\nprocess_start_time_seconds ");
  const double started = std::strtod(&reply.body[at + 28], nullptr);
  EXPECT_NEAR(started, absl::ToDoubleSeconds(absl::Now() - absl::UnixEpoch()), 120);
}

TEST(MetricsRouteTest, CountsTheBugsThatWereFound) {
  auto server = HttpServer::Start({}, {MetricsRoute(std::make_shared<prometheus::Registry>())});
  ASSERT_TRUE(server.ok()) << server.status();
  Client client((*server)->port());
  auto line = [] { return absl::StrCat("\ntessera_bugs_total ", base::BugCount(), "\n"); };
  EXPECT_TRUE(absl::StrContains(client.Get("/metrics").body, line()));
  base::SetBugsAreFatal(false);
  TESSERA_BUG("reported by a test");
  EXPECT_TRUE(absl::StrContains(client.Get("/metrics").body, line()));
}

}  // namespace
}  // namespace tessera::http
