// Strands, streams and HTTP, each by itself. See README.md for each figure.

#include <glog/logging.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/generic/generic_stub.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "services/base/flags.h"
#include "services/http/http_server.h"
#include "services/rpc/callback_threads.h"
#include "services/rpc/channel.h"
#include "services/rpc/client_stream.h"
#include "services/rpc/server_stream.h"
#include "services/rpc/strand.h"

ABSL_FLAG(absl::Duration, time, absl::Seconds(2), "How long each workload runs.");

namespace tessera::rpc {
namespace {

using grpc::ByteBuffer;

void Figure(const std::string& name, double value, const char* unit) {
  std::printf("figure %s %.6g %s\n", name.c_str(), value, unit);
  std::fflush(stdout);
}

double Seconds(absl::Time since) { return absl::ToDoubleSeconds(absl::Now() - since); }

// ---- strand ----

struct CountingCore {
  uint64_t events = 0;
  void Step(absl::Time, const uint64_t& event, std::vector<uint64_t>* effects) {
    ++events;
    if (event % 16 == 0) effects->push_back(event);
  }
  absl::Time NextDeadline() const { return absl::InfiniteFuture(); }
};

void MeasureStrand(int pushers) {
  CountingCore core;
  uint64_t effects = 0;
  Strand<CountingCore, uint64_t, uint64_t> strand(
      {}, &core, MonotonicClock(), 0,
      [&](absl::Time, std::vector<uint64_t> batch) { effects += batch.size(); });
  strand.Start();
  const absl::Time began = absl::Now(), until = began + absl::GetFlag(FLAGS_time);
  std::vector<std::thread> threads;
  for (int pusher = 0; pusher < pushers; ++pusher) {
    threads.emplace_back([&] {
      for (uint64_t event = 1;; ++event) {
        while (!strand.Push(event)) std::this_thread::yield();
        if (event % 1024 == 0 && absl::Now() >= until) return;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  strand.Stop();
  CHECK_GT(effects, 0u);
  const std::string suffix = absl::StrCat(pushers, "_pushers");
  Figure("rpc.strand." + suffix, core.events / Seconds(began), "events/s");
  Figure("rpc.strand.batch." + suffix,
         static_cast<double>(core.events) / strand.metrics().batches_total.load(), "events");
}

// ---- streams ----

// Counts what comes; sends it back when asked to.
class Echo : public grpc::CallbackGenericService {
 public:
  std::atomic<bool> echo{false};
  std::atomic<uint64_t> received{0};

  grpc::ServerGenericBidiReactor* CreateReactor(
      grpc::GenericCallbackServerContext* context) override {
    return AcceptBidi<ByteBuffer, ByteBuffer>(context, {}, [this](StreamPtr<ByteBuffer> stream) {
      return StreamHandlers<ByteBuffer>{.on_message = [this, stream](ByteBuffer message) {
        received.fetch_add(1);
        if (echo) stream->Send(std::move(message));
        return absl::OkStatus();
      }};
    });
  }
};

ByteBuffer Bytes(size_t size) {
  const grpc::Slice slice(std::string(size, 'x'));
  return ByteBuffer(&slice, 1);
}

class StreamBench {
 public:
  StreamBench() {
    KeepCallbackThreads();
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterCallbackGenericService(&service_);
    server_ = builder.BuildAndStart();
    CHECK(server_ != nullptr);
    stub_ = std::make_unique<grpc::GenericStub>(MakeChannel(absl::StrCat("127.0.0.1:", port)));
    stream_ = OpenBidi<ByteBuffer, ByteBuffer>({.outgoing_max = 1 << 20},
                                               {.on_message =
                                                    [this](ByteBuffer) {
                                                      absl::MutexLock lock(&mu_);
                                                      ++answers_;
                                                      return absl::OkStatus();
                                                    },
                                                .on_done =
                                                    [this](const absl::Status&) {
                                                      absl::MutexLock lock(&mu_);
                                                      done_ = true;
                                                    }},
                                               [&](auto* context, auto* reactor) {
                                                 stub_->PrepareBidiStreamingCall(
                                                     context, "/bench.Link/Link", {}, reactor);
                                               });
  }
  ~StreamBench() {
    stream_->Close(absl::OkStatus());
    {
      absl::MutexLock lock(&mu_);
      mu_.Await(absl::Condition(&done_));
    }
    server_->Shutdown();
    server_->Wait();
  }

  void OneWay(size_t bytes) {
    const ByteBuffer message = Bytes(bytes);
    const uint64_t before = service_.received;
    const absl::Time began = absl::Now(), until = began + absl::GetFlag(FLAGS_time);
    uint64_t sent = 0;
    while (absl::Now() < until) {
      if (stream_->queued() > 256) {
        std::this_thread::yield();
        continue;
      }
      for (int i = 0; i < 64; ++i, ++sent) CHECK(stream_->Send(message));
    }
    while (service_.received - before < sent) std::this_thread::yield();
    Figure(absl::StrCat("rpc.stream.messages.", bytes), sent / Seconds(began), "1/s");
  }

  void RoundTrips() {
    service_.echo = true;
    const absl::Time began = absl::Now(), until = began + absl::GetFlag(FLAGS_time);
    uint64_t trips = 0;
    while (absl::Now() < until) {
      CHECK(stream_->Send(Bytes(100)));
      ++trips;
      absl::MutexLock lock(&mu_);
      const auto back = [&] { return answers_ == trips; };
      mu_.Await(absl::Condition(&back));
    }
    Figure("rpc.stream.round_trip", Seconds(began) / trips * 1e6, "us");
  }

 private:
  Echo service_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<grpc::GenericStub> stub_;
  StreamPtr<ByteBuffer> stream_;
  absl::Mutex mu_;
  uint64_t answers_ = 0;
  bool done_ = false;
};

// ---- HTTP ----

class HttpClient {
 public:
  explicit HttpClient(int port) : socket_(io_) {
    socket_.connect({boost::asio::ip::address_v4::loopback(), static_cast<uint16_t>(port)});
    socket_.set_option(boost::asio::ip::tcp::no_delay(true));
  }
  // Asks for a page and reads `bytes` of answer, head included.
  void Get(const std::string& path, size_t bytes) {
    const std::string ask = absl::StrCat("GET ", path, " HTTP/1.1\r\nHost: x\r\n\r\n");
    boost::asio::write(socket_, boost::asio::buffer(ask));
    buffer_.resize(64 << 10);
    while (bytes > 0) {
      bytes -= boost::asio::read(
          socket_, boost::asio::buffer(buffer_.data(), std::min(bytes, buffer_.size())));
    }
  }
  // The size of an answer, head included: read until its body is there.
  size_t SizeOf(const std::string& path, size_t body) {
    const std::string ask = absl::StrCat("GET ", path, " HTTP/1.1\r\nHost: x\r\n\r\n");
    boost::asio::write(socket_, boost::asio::buffer(ask));
    std::string head;
    char c;
    while (head.size() < 4 || head.compare(head.size() - 4, 4, "\r\n\r\n") != 0) {
      boost::asio::read(socket_, boost::asio::buffer(&c, 1));
      head.push_back(c);
    }
    std::string rest(body, '\0');
    boost::asio::read(socket_, boost::asio::buffer(rest));
    return head.size() + body;
  }

 private:
  boost::asio::io_context io_;
  boost::asio::ip::tcp::socket socket_;
  std::string buffer_;
};

void MeasureHttp() {
  constexpr size_t kChunk = 4096, kChunks = 4096;
  http::HttpResponse small = http::HttpResponse::Text(200, std::string(200, 's'));
  http::HttpResponse large;
  large.shared = true;
  for (size_t i = 0; i < kChunks; ++i) {
    large.body.push_back(http::MakeChunk(std::string(kChunk, 'l')));
  }
  auto server = http::HttpServer::Start(
      {},
      {{.path = "/small", .handler = http::Whole([&](const http::HttpRequest&) { return small; })},
       {.path = "/large",
        .handler = http::Whole([&](const http::HttpRequest&) { return large; })}});
  CHECK(server.ok()) << server.status();
  const int port = (*server)->port();
  const size_t small_size = HttpClient(port).SizeOf("/small", 200);
  const size_t large_size = HttpClient(port).SizeOf("/large", kChunk * kChunks);

  std::atomic<uint64_t> requests{0};
  absl::Time began = absl::Now(), until = began + absl::GetFlag(FLAGS_time);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      HttpClient client(port);
      for (; absl::Now() < until; ++requests) client.Get("/small", small_size);
    });
  }
  for (std::thread& thread : threads) thread.join();
  Figure("http.requests", requests / Seconds(began), "1/s");

  HttpClient client(port);
  uint64_t bytes = 0;
  began = absl::Now(), until = began + absl::GetFlag(FLAGS_time);
  for (; absl::Now() < until; bytes += large_size) client.Get("/large", large_size);
  Figure("http.shared_body", bytes / Seconds(began) / (1 << 20), "MiB/s");
}

void Main() {
  for (const int pushers : {1, 4}) MeasureStrand(pushers);
  {
    StreamBench bench;
    for (const size_t bytes : {100, 10000}) bench.OneWay(bytes);
    bench.RoundTrips();
  }
  MeasureHttp();
}

}  // namespace
}  // namespace tessera::rpc

int main(int argc, char** argv) {
  tessera::base::ParseCommandLineOrExit(
      argc, argv, {.name = "rpc_bench", .purpose = "Measures strands, streams and HTTP."});
  FLAGS_logtostderr = true;
  google::InitGoogleLogging("rpc_bench");
  tessera::rpc::Main();
}
