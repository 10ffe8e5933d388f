// Handlers that answer later, streams and uploads, over loopback.

#include "services/http/exchange.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "services/http/http_server.h"
#include "services/http/testing/raw_client.h"

namespace tessera::http {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(20);

// The exchanges that handlers were given, in order, and how they ended.
class Exchanges {
 public:
  struct One {
    RequestHead head;
    BodyReader body;
    Responder responder;
  };

  Handler Keep() {
    return [this](RequestHead head, BodyReader body, Responder responder) {
      responder.OnEnd([this](const absl::Status& status) {
        absl::MutexLock lock(&mu_);
        ends_.push_back(status);
      });
      absl::MutexLock lock(&mu_);
      begun_.push_back({std::move(head), std::move(body), std::move(responder)});
    };
  }

  // The exchange with this number; the test fails when it does not come.
  One Wait(size_t number = 0) {
    absl::MutexLock lock(&mu_);
    const auto there = [&] { return begun_.size() > number; };
    if (!mu_.AwaitWithTimeout(absl::Condition(&there), kPatience)) {
      throw std::runtime_error("no request came");
    }
    return begun_[number];
  }
  absl::Status WaitForEnd(size_t number = 0) {
    absl::MutexLock lock(&mu_);
    const auto there = [&] { return ends_.size() > number; };
    if (!mu_.AwaitWithTimeout(absl::Condition(&there), kPatience)) {
      return absl::UnknownError("it has not ended");
    }
    return ends_[number];
  }
  size_t ends() {
    absl::MutexLock lock(&mu_);
    return ends_.size();
  }
  void Forget() {
    absl::MutexLock lock(&mu_);
    begun_.clear();
  }

 private:
  absl::Mutex mu_;
  std::vector<One> begun_ ABSL_GUARDED_BY(mu_);
  std::vector<absl::Status> ends_ ABSL_GUARDED_BY(mu_);
};

// Waits for something that a callback brings.
template <typename T>
class Arrival {
 public:
  void Set(T value) {
    absl::MutexLock lock(&mu_);
    value_ = std::move(value);
  }
  std::optional<T> Wait() {
    absl::MutexLock lock(&mu_);
    const auto there = [&] { return value_.has_value(); };
    mu_.AwaitWithTimeout(absl::Condition(&there), kPatience);
    return std::exchange(value_, std::nullopt);
  }
  bool there() {
    absl::MutexLock lock(&mu_);
    return value_.has_value();
  }

 private:
  absl::Mutex mu_;
  std::optional<T> value_ ABSL_GUARDED_BY(mu_);
};

class ExchangeTest : public testing::Test {
 protected:
  void Start(HttpOptions options = {}, std::optional<absl::Duration> answer_timeout = {}) {
    std::vector<Route> routes;
    routes.push_back({.path = "/later",
                      .handler = exchanges_.Keep(),
                      .methods = {Method::kGet, Method::kPost},
                      .body_bytes_max = 64 << 20,
                      .answer_timeout = answer_timeout});
    routes.push_back({.path = "/throws", .handler = [](RequestHead, BodyReader, Responder) {
                        throw std::runtime_error("secret");
                      }});
    routes.push_back({.path = "/drops", .handler = [](RequestHead, BodyReader, Responder) {}});
    routes.push_back({.path = "/twice", .handler = [](RequestHead, BodyReader, Responder answer) {
                        EXPECT_TRUE(answer.Respond(HttpResponse::Text(200, "first")));
                        EXPECT_FALSE(answer.Respond(HttpResponse::Text(200, "second")));
                      }});
    auto server = HttpServer::Start(options, std::move(routes));
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  int port() const { return server_->port(); }

  static std::string Get(const char* target) {
    return absl::StrCat("GET ", target, " HTTP/1.1\r\nHost: x\r\n\r\n");
  }

  Exchanges exchanges_;
  std::unique_ptr<HttpServer> server_;
};

// What a read of the body brought.
absl::StatusOr<std::string> Read(const BodyReader& body, bool all = false) {
  auto arrival = std::make_shared<Arrival<absl::StatusOr<std::string>>>();
  const auto taken = [arrival](absl::StatusOr<std::string> part) { arrival->Set(std::move(part)); };
  if (all) {
    body.ReadAll(taken);
  } else {
    body.Read(taken);
  }
  auto part = arrival->Wait();
  return part.has_value() ? *std::move(part) : absl::UnknownError("nothing came");
}

TEST_F(ExchangeTest, AnAnswerMayComeLaterAndHoldsNobodyElseUp) {
  Start();
  Client waits(port()), other(port());
  waits.Send(Get("/later"));
  const auto exchange = exchanges_.Wait();
  EXPECT_EQ(other.Get("/healthz").status, 200);
  EXPECT_TRUE(exchange.responder.Respond(HttpResponse::Text(200, "late")));
  EXPECT_EQ(waits.Read().body, "late");
  EXPECT_TRUE(exchanges_.WaitForEnd().ok());
  EXPECT_FALSE(exchange.responder.Respond(HttpResponse::Text(200, "again")));
  // The connection goes on.
  EXPECT_EQ(waits.Get("/healthz").status, 200);
  EXPECT_EQ(exchanges_.ends(), 1u);
}

TEST_F(ExchangeTest, WhatIsSentAheadWaitsForItsTurn) {
  Start();
  Client client(port());
  client.Send(Get("/later") + Get("/later") + Get("/healthz"));
  exchanges_.Wait(0).responder.Respond(HttpResponse::Text(200, "one"));
  EXPECT_EQ(client.Read().body, "one");
  exchanges_.Wait(1).responder.Respond(HttpResponse::Text(200, "two"));
  EXPECT_EQ(client.Read().body, "two");
  EXPECT_EQ(client.Read().body, "ok\n");
}

TEST_F(ExchangeTest, TheHeadSaysWhoAsks) {
  Start();
  Client client(port());
  client.Send("GET /later HTTP/1.1\r\nHost: x\r\nX-Request-Id: deploy-7\r\n\r\n");
  const auto exchange = exchanges_.Wait();
  EXPECT_EQ(exchange.head.caller.request_id(), "deploy-7");
  EXPECT_TRUE(absl::StartsWith(exchange.head.caller.address(), "127.0.0.1:"));
  EXPECT_FALSE(exchange.head.caller.authenticated());
  EXPECT_LT(exchange.head.deadline, absl::InfiniteFuture());
  exchange.responder.Respond(HttpResponse::Text(200, ""));
}

TEST_F(ExchangeTest, AHandlerThatThrowsDropsOrAnswersTwiceAnswersOnce) {
  Start();
  Client client(port());
  const Reply thrown = client.Get("/throws");
  EXPECT_EQ(thrown.status, 500);
  EXPECT_FALSE(absl::StrContains(thrown.body, "secret"));
  EXPECT_EQ(client.Get("/drops").status, 500);
  EXPECT_EQ(client.Get("/twice").body, "first");
  EXPECT_EQ(client.Get("/healthz").status, 200);
}

TEST_F(ExchangeTest, AClientThatIsGoneIsToldToTheHandler) {
  Start();
  auto client = std::make_unique<Client>(port());
  client->Send(Get("/later"));
  const auto exchange = exchanges_.Wait();
  client->Reset();
  EXPECT_EQ(exchanges_.WaitForEnd().code(), absl::StatusCode::kCancelled);
  EXPECT_FALSE(exchange.responder.Respond(HttpResponse::Text(200, "to nobody")));
}

TEST_F(ExchangeTest, AClientThatIsGoneDuringALongAnswerIsToldToTheHandler) {
  Start();
  auto client = std::make_unique<Client>(port());
  client->Send(Get("/later"));
  const auto exchange = exchanges_.Wait();
  const ResponseStream stream = exchange.responder.Begin(HttpResponse::Text(200, "begins"));
  EXPECT_EQ(client->ReadHead().status, 200);
  client->Reset();
  EXPECT_EQ(exchanges_.WaitForEnd().code(), absl::StatusCode::kCancelled);
  EXPECT_TRUE(stream.ended());
  Arrival<absl::Status> written;
  EXPECT_FALSE(stream.Send("more", [&](const absl::Status& status) { written.Set(status); }));
  EXPECT_EQ(written.Wait()->code(), absl::StatusCode::kCancelled);
}

TEST_F(ExchangeTest, AClientThatOnlyEndedItsSendingGetsItsAnswer) {
  Start();
  Client client(port());
  client.Send(Get("/later"));
  client.EndSending();
  const auto exchange = exchanges_.Wait();
  EXPECT_TRUE(exchange.responder.Respond(HttpResponse::Text(200, "still there")));
  EXPECT_EQ(client.Read().body, "still there");
  EXPECT_TRUE(exchanges_.WaitForEnd().ok());
  EXPECT_TRUE(client.AtEnd());
}

TEST_F(ExchangeTest, AnAnswerThatDoesNotComeIsGivenAtTheDeadline) {
  Start({}, absl::Milliseconds(100));
  Client client(port());
  client.Send(Get("/later"));
  const auto exchange = exchanges_.Wait();
  EXPECT_EQ(client.Read().status, 504);
  EXPECT_EQ(exchanges_.WaitForEnd().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_FALSE(exchange.responder.Respond(HttpResponse::Text(200, "too late")));
  EXPECT_EQ(client.Get("/healthz").status, 200);
  EXPECT_EQ(exchanges_.ends(), 1u);
}

TEST_F(ExchangeTest, AHandlerMayAnswerWithWhatItHasAtTheDeadline) {
  auto server =
      HttpServer::Start({}, {{.path = "/partly",
                              .handler =
                                  [](RequestHead, BodyReader, Responder responder) {
                                    responder.OnEnd([responder](const absl::Status& status) {
                                      if (absl::IsDeadlineExceeded(status)) {
                                        responder.Respond(HttpResponse::Text(200, "a part"));
                                      }
                                    });
                                  },
                              .answer_timeout = absl::Milliseconds(50)}});
  ASSERT_TRUE(server.ok());
  EXPECT_EQ(Client((*server)->port()).Get("/partly").body, "a part");
}

TEST_F(ExchangeTest, AStreamGoesOutAsItIsSent) {
  Start();
  Client client(port());
  client.Send(Get("/later"));
  const ResponseStream stream =
      exchanges_.Wait().responder.Begin({.content_type = "text/event-stream"});
  const Reply head = client.ReadHead();
  EXPECT_TRUE(absl::StrContains(head.head, "Transfer-Encoding: chunked"));
  EXPECT_TRUE(absl::StrContains(head.head, "text/event-stream"));
  for (const char* text : {"one", "two", "three"}) {
    Arrival<absl::Status> written;
    EXPECT_TRUE(stream.Send(text, [&](const absl::Status& status) { written.Set(status); }));
    EXPECT_EQ(client.ReadChunk(), text);
    EXPECT_EQ(written.Wait(), absl::OkStatus());
  }
  EXPECT_EQ(stream.queued_bytes(), 0u);
  stream.End();
  EXPECT_EQ(client.ReadChunk(), "");
  EXPECT_TRUE(exchanges_.WaitForEnd().ok());
  EXPECT_FALSE(stream.Send("after the end"));
  EXPECT_EQ(client.Get("/healthz").status, 200);
}

TEST_F(ExchangeTest, AStreamWithoutAnOwnerOrAbortedIsSeenToBeCut) {
  Start();
  for (const bool abort : {true, false}) {
    Client client(port());
    client.Send(Get("/later"));
    {
      const ResponseStream stream =
          exchanges_.Wait().responder.Begin(HttpResponse::Text(200, "first"));
      EXPECT_EQ(client.ReadHead().status, 200);
      EXPECT_EQ(client.ReadChunk(), "first");
      if (abort) stream.Abort();
      exchanges_.Forget();
    }
    EXPECT_TRUE(client.AtEnd());
  }
}

TEST_F(ExchangeTest, OldClientsGetStreamsToTheEndOfTheConnection) {
  Start();
  Client client(port());
  client.Send("GET /later HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  const ResponseStream stream = exchanges_.Wait().responder.Begin(HttpResponse::Text(200, "a"));
  stream.Send("b");
  stream.End();
  const Reply head = client.ReadHead();
  EXPECT_FALSE(absl::StrContains(head.head, "chunked"));
  EXPECT_TRUE(absl::StrContains(head.head, "Connection: close"));
  EXPECT_EQ(client.ReadToEnd(), "ab");
}

TEST_F(ExchangeTest, AReaderOfAStreamThatStandsStillIsCutOff) {
  Start({.stream_bytes_max = 1 << 20});
  Client client(port());
  client.Send(Get("/later"));
  const ResponseStream stream = exchanges_.Wait().responder.Begin(HttpResponse::Text(200, ""));
  const std::string piece(64 << 10, 's');
  size_t sent = 0;
  // More than any kernel keeps for it.
  while (sent < (size_t{256} << 20) && stream.Send(piece)) sent += piece.size();
  EXPECT_LT(sent, size_t{256} << 20);
  EXPECT_EQ(exchanges_.WaitForEnd().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(server_->counters().readers_cut, 1u);
}

TEST_F(ExchangeTest, AnUploadComesAsFastAsItIsRead) {
  Start();
  Client client(port());
  constexpr size_t kBytes = 32 << 20;
  client.Send(
      absl::StrCat("POST /later HTTP/1.1\r\nHost: x\r\nContent-Length: ", kBytes, "\r\n\r\n"));
  const auto exchange = exchanges_.Wait();
  EXPECT_EQ(exchange.head.content_length, kBytes);
  // Nobody reads: the kernel takes some, the server nothing.
  size_t sent = 0, before = 1;
  while (sent != before) {
    before = sent;
    sent += client.SendWithoutWaiting(kBytes - sent);
    absl::SleepFor(absl::Milliseconds(50));
  }
  EXPECT_LT(sent, kBytes);
  size_t received = 0;
  while (true) {
    const auto part = Read(exchange.body);
    ASSERT_TRUE(part.ok()) << part.status();
    if (part->empty()) break;
    EXPECT_LE(part->size(), size_t{64} << 10);
    received += part->size();
    sent += client.SendWithoutWaiting(kBytes - sent);
  }
  EXPECT_EQ(received, kBytes);
  EXPECT_EQ(*Read(exchange.body), "");  // the end stays the end
  exchange.responder.Respond(HttpResponse::Text(200, "taken"));
  EXPECT_EQ(client.Read().body, "taken");
  EXPECT_EQ(client.Get("/healthz").status, 200);
}

TEST_F(ExchangeTest, AChunkedUploadIsReadWithoutItsFrames) {
  Start();
  Client client(port());
  client.Send("POST /later HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
  const auto exchange = exchanges_.Wait();
  EXPECT_FALSE(exchange.head.content_length.has_value());
  client.Send("5\r\nhello\r\n");
  EXPECT_EQ(*Read(exchange.body), "hello");
  client.Send("6;x=y\r\n world\r\n0\r\n\r\n");
  EXPECT_EQ(*Read(exchange.body, /*all=*/true), " world");
  exchange.responder.Respond(HttpResponse::Text(200, "taken"));
  EXPECT_EQ(client.Read().body, "taken");
  EXPECT_EQ(client.Get("/healthz").status, 200);
}

TEST_F(ExchangeTest, AMalformedOrBrokenUploadIsAnError) {
  Start();
  Client malformed(port());
  malformed.Send("POST /later HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n");
  const auto first = exchanges_.Wait(0);
  EXPECT_EQ(Read(first.body).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Read(first.body).status().code(), absl::StatusCode::kInvalidArgument);
  first.responder.Respond(HttpResponse::Text(400, "bad"));
  EXPECT_EQ(malformed.Read().status, 400);
  EXPECT_TRUE(malformed.AtEnd());

  Client broken(port());
  broken.Send("POST /later HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf");
  broken.EndSending();
  const auto second = exchanges_.Wait(1);
  EXPECT_EQ(*Read(second.body), "half");
  EXPECT_EQ(Read(second.body).status().code(), absl::StatusCode::kCancelled);
}

TEST_F(ExchangeTest, AnUploadThatStandsStillRunsOutOfTime) {
  Start({.request_timeout = absl::Milliseconds(200)});
  Client client(port());
  client.Send("POST /later HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n");
  const auto exchange = exchanges_.Wait();
  EXPECT_EQ(Read(exchange.body).status().code(), absl::StatusCode::kDeadlineExceeded);
  exchange.responder.Respond(HttpResponse::Text(408, ""));
  EXPECT_EQ(client.Read().status, 408);
  EXPECT_TRUE(client.AtEnd());
}

TEST_F(ExchangeTest, AClientIsToldToGoOnWhenItsBodyIsWanted) {
  Start();
  Client client(port());
  client.Send(
      "POST /later HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
  const auto exchange = exchanges_.Wait();
  auto part = std::make_shared<Arrival<std::string>>();
  exchange.body.ReadAll([part](absl::StatusOr<std::string> all) { part->Set(all.value_or("?")); });
  EXPECT_EQ(client.ReadHead().status, 100);
  client.Send("body");
  EXPECT_EQ(part->Wait(), "body");
  exchange.responder.Respond(HttpResponse::Text(200, "done"));
  EXPECT_EQ(client.Read().body, "done");

  // Refused without a look at the body: it is never sent, and the connection ends.
  Client refused(port());
  refused.Send(
      "POST /later HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
  exchanges_.Wait(1).responder.Respond(HttpResponse::Text(403, "no"));
  EXPECT_EQ(refused.Read().status, 403);
  EXPECT_TRUE(refused.AtEnd());
}

TEST_F(ExchangeTest, ABodyThatNobodyReadIsPassedOver) {
  Start();
  Client client(port());
  client.Send("POST /later HTTP/1.1\r\nHost: x\r\nContent-Length: 40000\r\n\r\n");
  exchanges_.Wait().responder.Respond(HttpResponse::Text(200, "not wanted"));
  EXPECT_EQ(client.Read().body, "not wanted");
  client.Send(std::string(40000, 'x') + Get("/healthz"));
  EXPECT_EQ(client.Read().body, "ok\n");
}

TEST_F(ExchangeTest, HandlesOutliveTheServer) {
  Start();
  Client client(port()), streaming(port());
  client.Send(Get("/later"));
  const auto exchange = exchanges_.Wait(0);
  streaming.Send(Get("/later"));
  const ResponseStream stream =
      exchanges_.Wait(1).responder.Begin(HttpResponse::Text(200, "begins"));
  server_.reset();
  EXPECT_EQ(exchanges_.WaitForEnd(0).code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(exchanges_.WaitForEnd(1).code(), absl::StatusCode::kCancelled);
  EXPECT_FALSE(exchange.responder.Respond(HttpResponse::Text(200, "to nobody")));
  EXPECT_FALSE(stream.Send("to nobody"));
  EXPECT_EQ(Read(exchange.body).status().code(), absl::StatusCode::kCancelled);
  Arrival<absl::Status> told;
  exchange.responder.OnEnd([&](const absl::Status& status) { told.Set(status); });
  EXPECT_EQ(told.Wait()->code(), absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace tessera::http
