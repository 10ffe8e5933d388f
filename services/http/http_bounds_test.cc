// What clients that do not ask, do not read or ask for too much can cost, over loopback.

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cstdint>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "services/http/http_server.h"
#include "services/http/testing/raw_client.h"

namespace tessera::http {
namespace {

constexpr size_t kAnswerBytes = 4 << 20;

int64_t ResidentBytes() {
  int64_t all = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> all >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

class HttpBoundsTest : public testing::Test {
 protected:
  void SetUp() override {
    // Both ends of thousands of connections are in this process.
    rlimit files{};
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }

  void Start(HttpOptions options = {}) {
    auto whole = Whole(
        [](const HttpRequest&) { return HttpResponse::Text(200, std::string(kAnswerBytes, 'w')); });
    auto pieces = Whole([](const HttpRequest&) {
      HttpResponse response;
      response.next = [left = kAnswerBytes]() mutable -> Chunk {
        if (left == 0) return nullptr;
        left -= 64 << 10;
        return MakeChunk(std::string(64 << 10, 'p'));
      };
      return response;
    });
    auto hang = [this](RequestHead, BodyReader, Responder responder) {
      absl::MutexLock lock(&mu_);
      hanging_.push_back(responder);
    };
    auto server = HttpServer::Start(options, {{.path = "/whole", .handler = whole},
                                              {.path = "/pieces", .handler = pieces},
                                              {.path = "/hang", .handler = hang}});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  int port() const { return server_->port(); }

  // `count` connections that have sent `request` and read nothing.
  std::vector<std::unique_ptr<Client>> Silent(int count, const std::string& request) {
    std::vector<std::unique_ptr<Client>> clients;
    for (int i = 0; i < count; ++i) {
      clients.push_back(std::make_unique<Client>(port()));
      EXPECT_TRUE(clients.back()->connected());
      clients.back()->Send(request);
    }
    return clients;
  }
  void WaitForRequests(uint64_t count) {
    for (int i = 0; i < 2000 && server_->counters().requests < count; ++i) {
      absl::SleepFor(absl::Milliseconds(10));
    }
    EXPECT_GE(server_->counters().requests, count);
  }
  void WaitForHanging(size_t count) {
    absl::MutexLock lock(&mu_);
    const auto there = [&] { return hanging_.size() >= count; };
    EXPECT_TRUE(mu_.AwaitWithTimeout(absl::Condition(&there), absl::Seconds(20)));
  }

  absl::Mutex mu_;
  std::vector<Responder> hanging_ ABSL_GUARDED_BY(mu_);
  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpBoundsTest, OnesThatAskForNothingGiveWayToOneThatAsks) {
  Start();
  const auto idle = Silent(1100, "");
  EXPECT_EQ(Client(port()).Get("/healthz").body, "ok\n");
  EXPECT_LE(server_->counters().connections_open, 512u);
  EXPECT_GE(server_->counters().connections_evicted, 1100u - 512u);
  EXPECT_EQ(server_->counters().connections_refused, 0u);
  EXPECT_TRUE(idle.front()->AtEnd());
}

TEST_F(HttpBoundsTest, OnesThatAskHalfAQuestionGiveWay) {
  Start({.connections_max = 8, .connections_per_peer_max = 8});
  const auto half = Silent(20, "GET /healthz HTTP/1.1\r\nX: ");
  EXPECT_EQ(Client(port()).Get("/healthz").body, "ok\n");
}

TEST_F(HttpBoundsTest, TheOneThatWasAnsweredLongestAgoGivesWay) {
  Start({.connections_max = 2, .connections_per_peer_max = 2});
  Client first(port()), second(port());
  EXPECT_EQ(first.Get("/healthz").status, 200);
  EXPECT_EQ(second.Get("/healthz").status, 200);
  EXPECT_EQ(first.Get("/healthz").status, 200);
  EXPECT_EQ(Client(port()).Get("/healthz").status, 200);
  EXPECT_TRUE(second.AtEnd());
}

TEST_F(HttpBoundsTest, WhenAllAreBeingAnsweredANewOneIsRefused) {
  Start({.connections_max = 2, .connections_per_peer_max = 2});
  const auto busy = Silent(2, "GET /hang HTTP/1.1\r\nHost: x\r\n\r\n");
  WaitForHanging(2);
  Client third(port());
  const Reply refused = third.Read();
  EXPECT_EQ(refused.status, 503);
  EXPECT_TRUE(absl::StrContains(refused.head, "Retry-After"));
  EXPECT_EQ(server_->counters().connections_refused, 1u);
  {
    absl::MutexLock lock(&mu_);
    for (const Responder& responder : hanging_) responder.Respond(HttpResponse::Text(200, "done"));
  }
  for (const auto& client : busy) EXPECT_EQ(client->Read().body, "done");
}

TEST_F(HttpBoundsTest, ReadersThatDoNotReadCostWhatIsInTheirHands) {
  Start();
  const int64_t before = ResidentBytes();
  const auto readers = Silent(200, "GET /pieces HTTP/1.1\r\nHost: x\r\n\r\n");
  WaitForRequests(200);
  // 800 MiB were asked for. A piece of 64 KiB, what is written of it, and the connection itself.
  EXPECT_LT(ResidentBytes() - before, int64_t{200} * (256 << 10));
  EXPECT_LE(server_->counters().bytes_waiting, uint64_t{200} * (256 << 10));
  // Who reads gets all of it.
  const Reply reply = readers.back()->Read();
  EXPECT_TRUE(reply.whole);
  EXPECT_EQ(reply.body.size(), kAnswerBytes);
  EXPECT_EQ(Client(port()).Get("/healthz").status, 200);
}

TEST_F(HttpBoundsTest, WholeAnswersThatNobodyReadsAreBoundedTogether) {
  constexpr size_t kWaitingMax = 64 << 20;
  Start({.body_bytes_waiting_max = kWaitingMax});
  const int64_t before = ResidentBytes();
  const auto readers = Silent(200, "GET /whole HTTP/1.1\r\nHost: x\r\n\r\n");
  WaitForRequests(200);
  EXPECT_LE(server_->counters().bytes_waiting, kWaitingMax);
  EXPECT_LT(ResidentBytes() - before, static_cast<int64_t>(kWaitingMax + (48 << 20)));
  EXPECT_GT(server_->counters().answers_refused, 100u);
  EXPECT_EQ(readers.back()->Read().status, 503);
  EXPECT_TRUE(readers.front()->connected());
  // What is small is served all the time.
  EXPECT_EQ(Client(port()).Get("/healthz").status, 200);
}

TEST_F(HttpBoundsTest, AReaderThatStandsStillIsCutOff) {
  Start({.stall_timeout = absl::Milliseconds(300)});
  const auto readers = Silent(3, "GET /whole HTTP/1.1\r\nHost: x\r\n\r\n");
  for (int i = 0; i < 2000 && server_->counters().readers_cut < 3; ++i) {
    absl::SleepFor(absl::Milliseconds(10));
  }
  EXPECT_EQ(server_->counters().readers_cut, 3u);
  EXPECT_EQ(server_->counters().bytes_waiting, 0u);
  EXPECT_FALSE(readers.front()->Read().whole);
}

TEST_F(HttpBoundsTest, AReaderThatIsSlowButReadsGetsItsAnswer) {
  Start({.stall_timeout = absl::Milliseconds(500)});
  Client client(port());
  client.Send("GET /whole HTTP/1.1\r\nHost: x\r\n\r\n");
  size_t got = 0;
  client.ReadHead();
  for (size_t piece = 1; piece > 0 && got < kAnswerBytes; got += piece) {
    piece = client.ReadSome(256 << 10);
    absl::SleepFor(absl::Milliseconds(40));
  }
  EXPECT_EQ(got, kAnswerBytes);
  EXPECT_EQ(server_->counters().readers_cut, 0u);
}

TEST_F(HttpBoundsTest, AHeadWithoutAnEndIsRefusedEarly) {
  Start();
  Client client(port());
  client.Send("GET / HTTP/1.1\r\n");
  // Lines without an end: refused long before all of it is sent.
  for (int i = 0; i < 1000; ++i)
    client.Send(absl::StrCat("X-", i, ": ", std::string(100, 'x'), "\r\n"));
  EXPECT_EQ(client.Read().status, 431);
  Client target(port());
  target.Send(absl::StrCat("GET /", std::string(1 << 20, 'a')));
  EXPECT_EQ(target.Read().status, 431);
}

TEST_F(HttpBoundsTest, WhatIsSentAheadOfALongAnswerIsBounded) {
  Start();
  Client client(port());
  client.Send("GET /hang HTTP/1.1\r\nHost: x\r\n\r\n");
  WaitForHanging(1);
  const int64_t before = ResidentBytes();
  size_t sent = 0, last = 1;
  while (sent != last) {
    last = sent;
    sent += client.SendWithoutWaiting(64 << 20);
    absl::SleepFor(absl::Milliseconds(50));
  }
  EXPECT_LT(sent, size_t{64} << 20);
  EXPECT_LT(ResidentBytes() - before, int64_t{8} << 20);
}

}  // namespace
}  // namespace tessera::http
