// Streams over loopback, between gRPC's generic service (bidi, raw bytes), the registry's Watch
// (typed server stream) and its Commit (unary).

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "protos/tessera/registry/v1/registry_service.grpc.pb.h"
#include "services/rpc/bytes.h"
#include "services/rpc/channel.h"
#include "services/rpc/client_call.h"
#include "services/rpc/client_stream.h"
#include "services/rpc/reply_table.h"
#include "services/rpc/server.h"
#include "services/rpc/server_stream.h"

namespace tessera::rpc {
namespace {

using grpc::ByteBuffer;
using model::v1::ErrorDetail;
using registry::v1::CommitRequest;
using registry::v1::CommitResponse;
using registry::v1::RegistryService;
using registry::v1::WatchRequest;
using registry::v1::WatchResponse;

constexpr absl::Duration kPatience = absl::Seconds(20);

// What one end of a stream has seen, for tests to wait on.
struct Seen {
  absl::Mutex mu;
  std::vector<std::string> messages;
  bool done = false;
  absl::Status status;

  bool WaitForMessages(size_t count) {
    absl::MutexLock lock(&mu);
    auto enough = [&] { return messages.size() >= count; };
    return mu.AwaitWithTimeout(absl::Condition(&enough), kPatience);
  }
  absl::Status WaitForDone() {
    absl::MutexLock lock(&mu);
    if (!mu.AwaitWithTimeout(absl::Condition(&done), kPatience)) {
      return absl::DeadlineExceededError("the stream has not ended");
    }
    return status;
  }
};

std::string Text(ByteBuffer bytes) {
  WatchRequest message;
  EXPECT_TRUE(FromBytes(&bytes, &message).ok());
  return message.prefixes(0);
}

ByteBuffer Bytes(const std::string& text) {
  WatchRequest message;
  message.add_prefixes(text);
  const grpc::Slice slice(message.SerializeAsString());
  return ByteBuffer(&slice, 1);
}

// `refuse`: on_message answers with this when it is not OK.
StreamHandlers<ByteBuffer> Recorder(std::shared_ptr<Seen> seen,
                                    absl::Status refuse = absl::OkStatus()) {
  return {.on_message =
              [seen, refuse](ByteBuffer message) {
                if (!refuse.ok()) return refuse;
                absl::MutexLock lock(&seen->mu);
                seen->messages.push_back(Text(std::move(message)));
                return absl::OkStatus();
              },
          .on_done =
              [seen](const absl::Status& status) {
                absl::MutexLock lock(&seen->mu);
                seen->done = true;
                seen->status = status;
              }};
}

// Every bidi call to the server comes here, whatever its method.
class LinkService : public grpc::CallbackGenericService {
 public:
  StreamOptions options;
  absl::Status refuse;
  std::shared_ptr<Seen> seen = std::make_shared<Seen>();

  grpc::ServerGenericBidiReactor* CreateReactor(
      grpc::GenericCallbackServerContext* context) override {
    return AcceptBidi<ByteBuffer, ByteBuffer>(context, options, [&](StreamPtr<ByteBuffer> stream) {
      absl::MutexLock lock(&mu_);
      stream_ = stream;
      return Recorder(seen, refuse);
    });
  }

  StreamPtr<ByteBuffer> WaitForStream() {
    absl::MutexLock lock(&mu_);
    auto there = [&] { return stream_ != nullptr; };
    EXPECT_TRUE(mu_.AwaitWithTimeout(absl::Condition(&there), kPatience));
    return stream_;
  }

 private:
  absl::Mutex mu_;
  StreamPtr<ByteBuffer> stream_;
};

// Calls whose peer is the test itself: what was on its way when a call is cancelled may come still.
class PlayedBidi final : public grpc::ClientCallbackReaderWriter<ByteBuffer, ByteBuffer> {
 public:
  explicit PlayedBidi(grpc::ClientBidiReactor<ByteBuffer, ByteBuffer>* reactor)
      : reactor_(reactor) {
    BindReactor(reactor);
  }
  void Deliver(const std::string& text) {
    *into_ = Bytes(text);
    reactor_->OnReadDone(true);
  }
  void End() {
    reactor_->OnReadDone(false);
    reactor_->OnDone(grpc::Status::CANCELLED);
  }

  void StartCall() override {}
  void Write(const ByteBuffer*, grpc::WriteOptions) override {}
  void WritesDone() override {}
  void Read(ByteBuffer* into) override { into_ = into; }
  void AddHold(int) override {}
  void RemoveHold() override {}

 private:
  grpc::ClientBidiReactor<ByteBuffer, ByteBuffer>* const reactor_;
  ByteBuffer* into_ = nullptr;
};

class PlayedServerStream final : public grpc::ClientCallbackReader<ByteBuffer> {
 public:
  explicit PlayedServerStream(grpc::ClientReadReactor<ByteBuffer>* reactor) : reactor_(reactor) {
    BindReactor(reactor);
  }
  void Deliver(const std::string& text) {
    *into_ = Bytes(text);
    reactor_->OnReadDone(true);
  }
  void End() {
    reactor_->OnReadDone(false);
    reactor_->OnDone(grpc::Status::CANCELLED);
  }

  void StartCall() override {}
  void Read(ByteBuffer* into) override { into_ = into; }
  void AddHold(int) override {}
  void RemoveHold() override {}

 private:
  grpc::ClientReadReactor<ByteBuffer>* const reactor_;
  ByteBuffer* into_ = nullptr;
};

// Takes all messages but "2".
StreamHandlers<ByteBuffer> RefuserOfTwo(std::shared_ptr<Seen> seen) {
  StreamHandlers<ByteBuffer> handlers = Recorder(seen);
  handlers.on_message = [take = handlers.on_message](ByteBuffer message) {
    return Text(message) == "2" ? Overloaded("events") : take(std::move(message));
  };
  return handlers;
}

template <typename Played>
void ExpectNothingBehindARefusedMessage(Played& call, Seen& seen) {
  for (const char* text : {"1", "2", "3", "4"}) call.Deliver(text);
  call.End();
  EXPECT_EQ(ReasonOf(seen.WaitForDone()), ErrorDetail::OVERLOADED);
  absl::MutexLock lock(&seen.mu);
  EXPECT_EQ(seen.messages, std::vector<std::string>{"1"});
}

TEST(RefusedMessageTest, NothingIsDeliveredBehindItOnABidiStream) {
  auto seen = std::make_shared<Seen>();
  std::unique_ptr<PlayedBidi> call;
  auto stream = OpenBidi<ByteBuffer, ByteBuffer>({}, RefuserOfTwo(seen), [&](auto*, auto* reactor) {
    call = std::make_unique<PlayedBidi>(reactor);
  });
  ExpectNothingBehindARefusedMessage(*call, *seen);
}

TEST(RefusedMessageTest, NothingIsDeliveredBehindItOnAServerStream) {
  auto seen = std::make_shared<Seen>();
  std::unique_ptr<PlayedServerStream> call;
  auto stream = OpenServerStream<ByteBuffer>(RefuserOfTwo(seen), [&](auto*, auto* reactor) {
    call = std::make_unique<PlayedServerStream>(reactor);
  });
  ExpectNothingBehindARefusedMessage(*call, *seen);
}

class BidiTest : public testing::Test {
 protected:
  void SetUp() override {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterCallbackGenericService(&service_);
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
    channel_ = MakeChannel(absl::StrCat("127.0.0.1:", port));
    stub_ = std::make_unique<grpc::GenericStub>(channel_);
  }
  void TearDown() override {
    server_->Shutdown(std::chrono::system_clock::now());
    server_->Wait();
  }

  StreamPtr<ByteBuffer> Open(StreamOptions options = {}, absl::Status refuse = absl::OkStatus()) {
    return OpenBidi<ByteBuffer, ByteBuffer>(
        options, Recorder(seen_, refuse), [&](auto* context, auto* reactor) {
          stub_->PrepareBidiStreamingCall(context, "/test.Link/Link", {}, reactor);
        });
  }

  LinkService service_;
  std::unique_ptr<grpc::Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<grpc::GenericStub> stub_;
  std::shared_ptr<Seen> seen_ = std::make_shared<Seen>();
};

TEST_F(BidiTest, MessagesArriveInOrderBothWaysAndTheEndIsOrderly) {
  auto client = Open();
  auto server = service_.WaitForStream();
  for (int i = 0; i < 500; ++i) {
    ASSERT_TRUE(client->Send(Bytes(absl::StrCat("up", i))));
    ASSERT_TRUE(server->Send(Bytes(absl::StrCat("down", i))));
  }
  ASSERT_TRUE(service_.seen->WaitForMessages(500));
  ASSERT_TRUE(seen_->WaitForMessages(500));
  EXPECT_EQ(service_.seen->messages[499], "up499");
  EXPECT_EQ(seen_->messages[499], "down499");
  client->Close(absl::OkStatus());
  EXPECT_TRUE(seen_->WaitForDone().ok());
  EXPECT_TRUE(service_.seen->WaitForDone().ok());
  EXPECT_FALSE(client->Send(Bytes("late")));
  EXPECT_FALSE(server->Send(Bytes("late")));
  EXPECT_TRUE(client->closed());
  EXPECT_TRUE(server->closed());
}

TEST_F(BidiTest, CloseSendsWhatIsQueuedAndTheStatusWithItsReason) {
  auto client = Open();
  auto server = service_.WaitForStream();
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(server->Send(Bytes("x")));
  server->Close(NotLeader("leader:1"));
  EXPECT_FALSE(server->Send(Bytes("late")));
  const absl::Status status = seen_->WaitForDone();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(DetailOf(status)->leader_address(), "leader:1");
  EXPECT_EQ(seen_->messages.size(), 100u);
  EXPECT_EQ(service_.seen->WaitForDone().code(), absl::StatusCode::kUnavailable);
}

TEST_F(BidiTest, AClientThatCancelsIsSeenAsCancelled) {
  auto client = Open();
  auto server = service_.WaitForStream();
  client->Cancel(absl::AbortedError("changed my mind"));
  EXPECT_EQ(seen_->WaitForDone().code(), absl::StatusCode::kAborted);
  EXPECT_EQ(service_.seen->WaitForDone().code(), absl::StatusCode::kCancelled);
}

TEST_F(BidiTest, AMessageThatIsRefusedEndsTheStreamWithItsStatus) {
  service_.refuse = Overloaded("agents");
  auto client = Open();
  ASSERT_TRUE(client->Send(Bytes("hello")));
  EXPECT_EQ(ReasonOf(seen_->WaitForDone()), ErrorDetail::OVERLOADED);
  EXPECT_EQ(ReasonOf(service_.seen->WaitForDone()), ErrorDetail::OVERLOADED);
}

TEST_F(BidiTest, AClientMayRefuseToo) {
  auto client = Open({}, absl::ResourceExhaustedError("my queue is full"));
  service_.WaitForStream()->Send(Bytes("hello"));
  EXPECT_EQ(seen_->WaitForDone().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(service_.seen->WaitForDone().code(), absl::StatusCode::kCancelled);
}

TEST_F(BidiTest, AnOverflowEndsTheStreamInsteadOfGrowing) {
  service_.options.outgoing_max = 8;
  service_.options.outgoing_bytes_max = 8 << 20;
  service_.options.linger = absl::Milliseconds(200);
  // A client that reads nothing: its first message holds the reader until the test lets go.
  absl::Notification let_go;
  StreamHandlers<ByteBuffer> handlers = Recorder(seen_);
  handlers.on_message = [&](ByteBuffer) {
    let_go.WaitForNotification();
    return absl::OkStatus();
  };
  auto client = OpenBidi<ByteBuffer, ByteBuffer>({}, handlers, [&](auto* context, auto* reactor) {
    stub_->PrepareBidiStreamingCall(context, "/test.Link/Link", {}, reactor);
  });
  auto server = service_.WaitForStream();
  const std::string block(1 << 20, 'x');
  int sent = 0;
  while (server->Send(Bytes(block))) ASSERT_LT(++sent, 1000);
  EXPECT_EQ(ReasonOf(service_.seen->WaitForDone()), ErrorDetail::SLOW_CONSUMER);
  let_go.Notify();
  EXPECT_FALSE(seen_->WaitForDone().ok());
}

TEST_F(BidiTest, AServerThatDiesEndsTheCallWithUnavailable) {
  auto client = Open();
  auto server = service_.WaitForStream();
  std::thread stopper([&] { server_->Shutdown(std::chrono::system_clock::now()); });
  EXPECT_FALSE(seen_->WaitForDone().ok());
  stopper.join();
  EXPECT_FALSE(client->Send(Bytes("late")));
}

TEST_F(BidiTest, NobodyThereIsUnavailable) {
  auto channel = MakeChannel("127.0.0.1:1");
  grpc::GenericStub stub(channel);
  auto client =
      OpenBidi<ByteBuffer, ByteBuffer>({}, Recorder(seen_), [&](auto* context, auto* reactor) {
        stub.PrepareBidiStreamingCall(context, "/test.Link/Link", {}, reactor);
      });
  client->Send(Bytes("hello"));
  EXPECT_EQ(seen_->WaitForDone().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(WaitForConnected(*channel, "127.0.0.1:1", absl::Milliseconds(50)).code(),
            absl::StatusCode::kDeadlineExceeded);
}

TEST_F(BidiTest, ManyStreamsThatCloseFromManyThreadsAllEndOnce) {
  std::vector<std::shared_ptr<Seen>> ends;
  std::vector<StreamPtr<ByteBuffer>> clients;
  for (int i = 0; i < 100; ++i) {
    ends.push_back(std::make_shared<Seen>());
    clients.push_back(OpenBidi<ByteBuffer, ByteBuffer>(
        {}, Recorder(ends.back()), [&](auto* context, auto* reactor) {
          stub_->PrepareBidiStreamingCall(context, "/test.Link/Link", {}, reactor);
        }));
  }
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (size_t i = 0; i < clients.size(); ++i) {
        for (int n = 0; n < 10; ++n) clients[i]->Send(Bytes("x"));
        if (static_cast<int>(i % 4) == t) clients[i]->Close(absl::OkStatus());
        if (i % 7 == 0) clients[i]->Cancel(absl::AbortedError("enough"));
      }
    });
  }
  for (auto& thread : threads) thread.join();
  for (size_t i = 0; i < ends.size(); ++i) {
    const absl::Status status = ends[i]->WaitForDone();
    EXPECT_TRUE(status.ok() || status.code() == absl::StatusCode::kAborted) << status;
  }
}

// The registry's service with its Watch as a typed server stream and Commit answered by a table.
class WatchService : public RegistryService::CallbackService {
 public:
  explicit WatchService(size_t calls_max) : commits(calls_max) {}
  ReplyTable<CommitResponse> commits;
  std::function<void(StreamPtr<WatchResponse>)> on_watch;
  std::function<void(uint64_t id, const CommitRequest&)> on_commit;
  std::shared_ptr<Seen> seen = std::make_shared<Seen>();

  grpc::ServerWriteReactor<WatchResponse>* Watch(grpc::CallbackServerContext* context,
                                                 const WatchRequest*) override {
    return AcceptServerStream<WatchResponse>(context, {}, [&](StreamPtr<WatchResponse> stream) {
      on_watch(stream);
      return Recorder(seen).on_done;
    });
  }
  grpc::ServerUnaryReactor* Commit(grpc::CallbackServerContext* context,
                                   const CommitRequest* request,
                                   CommitResponse* response) override {
    const auto [id, reactor] = commits.Add(context, response);
    if (id != 0) on_commit(id, *request);
    return reactor;
  }
};

class ServerTest : public testing::Test {
 protected:
  void Start(size_t calls_max = 16, int receive_bytes_max = 4 << 20) {
    service_ = std::make_unique<WatchService>(calls_max);
    auto server = Server::Start({.receive_bytes_max = receive_bytes_max}, {service_.get()});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    stub_ = RegistryService::NewStub(MakeChannel(server_->address()));
  }
  void TearDown() override {
    if (service_ != nullptr) service_->commits.FailAll(absl::UnavailableError("end of test"));
    if (server_ != nullptr) server_->Stop(absl::ZeroDuration());
  }

  std::unique_ptr<WatchService> service_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<RegistryService::Stub> stub_;

  absl::StatusOr<CommitResponse> Commit(const CommitRequest& request) {
    return Call<CommitResponse>(request, kPatience, [&](auto* context, auto& req, auto* resp) {
      return stub_->Commit(context, req, resp);
    });
  }
};

TEST_F(ServerTest, AServerStreamIsReadToItsEnd) {
  Start();
  service_->on_watch = [](StreamPtr<WatchResponse> stream) {
    for (int i = 1; i <= 50; ++i) {
      WatchResponse response;
      response.add_commits()->set_version(i);
      ASSERT_TRUE(stream->Send(response));
    }
    stream->Close(absl::OkStatus());
  };
  std::vector<uint64_t> versions;
  auto seen = std::make_shared<Seen>();
  WatchRequest request;
  auto control = OpenServerStream<WatchResponse>(
      {.on_message =
           [&](WatchResponse response) {
             versions.push_back(response.commits(0).version());
             return absl::OkStatus();
           },
       .on_done = Recorder(seen).on_done},
      [&](auto* context, auto* reactor) { stub_->async()->Watch(context, &request, reactor); });
  EXPECT_TRUE(seen->WaitForDone().ok());
  ASSERT_EQ(versions.size(), 50u);
  EXPECT_EQ(versions.back(), 50u);
  EXPECT_TRUE(control->closed());
}

TEST_F(ServerTest, AServerStreamThatIsCancelledTellsBothEnds) {
  Start();
  absl::Notification opened;
  service_->on_watch = [&](StreamPtr<WatchResponse> stream) {
    stream->Send(WatchResponse());
    opened.Notify();
  };
  auto seen = std::make_shared<Seen>();
  WatchRequest request;
  auto control = OpenServerStream<WatchResponse>(
      {.on_done = Recorder(seen).on_done},
      [&](auto* context, auto* reactor) { stub_->async()->Watch(context, &request, reactor); });
  opened.WaitForNotification();
  control->Cancel(absl::AbortedError("enough"));
  EXPECT_EQ(seen->WaitForDone().code(), absl::StatusCode::kAborted);
  EXPECT_EQ(service_->seen->WaitForDone().code(), absl::StatusCode::kCancelled);
}

TEST_F(ServerTest, AUnaryCallIsAnsweredFromElsewhere) {
  Start();
  std::thread answerer;
  service_->on_commit = [&](uint64_t id, const CommitRequest& request) {
    answerer = std::thread([this, id, epoch = request.epoch()] {
      CommitResponse response;
      response.set_version(epoch + 1);
      EXPECT_TRUE(service_->commits.Finish(id, response));
      EXPECT_FALSE(service_->commits.Finish(id, response));
    });
  };
  CommitRequest request;
  request.set_epoch(41);
  const auto answer = Commit(request);
  answerer.join();
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->version(), 42u);
}

TEST_F(ServerTest, ACallBeyondTheTablesBoundIsRefused) {
  Start(/*calls_max=*/0);
  const auto answer = Commit(CommitRequest());
  EXPECT_EQ(answer.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(answer.status()), ErrorDetail::OVERLOADED);
}

TEST_F(ServerTest, ACallThatNobodyAnswersFailsWhenTheTableSaysSo) {
  Start();
  service_->on_commit = [&](uint64_t, const CommitRequest&) {
    service_->commits.FailAll(absl::UnavailableError("stopping"));
  };
  EXPECT_EQ(Commit(CommitRequest()).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(service_->commits.size(), 0u);
}

TEST_F(ServerTest, AnAsynchronousCallGetsItsAnswerOrItsTimeOut) {
  Start();
  service_->on_commit = [&](uint64_t id, const CommitRequest& request) {
    if (request.epoch() == 1) service_->commits.Finish(id, CommitResponse());
  };
  for (uint64_t epoch : {1, 2}) {
    absl::Notification answered;
    absl::Status status;
    CommitRequest request;
    request.set_epoch(epoch);
    CallAsync<CommitResponse>(
        request, epoch == 1 ? kPatience : absl::Milliseconds(50),
        [&](auto* context, auto* req, auto* resp, auto done) {
          stub_->async()->Commit(context, req, resp, done);
        },
        [&](absl::StatusOr<CommitResponse> answer) {
          status = answer.status();
          answered.Notify();
        });
    answered.WaitForNotification();
    EXPECT_EQ(status.code(),
              epoch == 1 ? absl::StatusCode::kOk : absl::StatusCode::kDeadlineExceeded);
  }
}

TEST_F(ServerTest, ATooLargeMessageIsRefusedAndHarmsNobody) {
  Start(16, /*receive_bytes_max=*/64 << 10);
  service_->on_commit = [&](uint64_t id, const CommitRequest&) {
    service_->commits.Finish(id, CommitResponse());
  };
  CommitRequest large;
  large.add_writes()->set_value(std::string(1 << 20, 'x'));
  EXPECT_EQ(Commit(large).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(Commit(CommitRequest()).ok());
}

TEST_F(ServerTest, APortInUseIsSaidSo) {
  Start();
  WatchService other(1);
  const auto second = Server::Start({.listen = server_->address()}, {&other});
  EXPECT_EQ(second.status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_NE(second.status().message().find("in use"), std::string::npos) << second.status();
}

TEST_F(ServerTest, AWrongAddressIsSaidSo) {
  WatchService service(1);
  for (const char* wrong :
       {"nonsense", "127.0.0.1:99999", "127.0.0.1:", "no.such.host.invalid:0", "192.0.2.1:0"}) {
    const auto server = Server::Start({.listen = wrong}, {&service});
    EXPECT_EQ(server.status().code(), absl::StatusCode::kInvalidArgument) << wrong;
    EXPECT_NE(server.status().message().find(wrong), std::string::npos) << server.status();
  }
}

TEST_F(ServerTest, AUnixSocketServesAndABadPathIsSaidSo) {
  WatchService service(1);
  service.on_commit = [&](uint64_t id, const CommitRequest&) {
    service.commits.Finish(id, CommitResponse());
  };
  // Not in TempDir(): a build tree's path may be longer than the 107 bytes that a socket's may
  // have.
  char directory[] = "/tmp/tessera.XXXXXX";
  ASSERT_NE(mkdtemp(directory), nullptr);
  absl::Cleanup remove = [&] { std::filesystem::remove_all(directory); };
  auto server = Server::Start({.listen = absl::StrCat("unix:", directory, "/s")}, {&service});
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_EQ((*server)->port(), 0);
  stub_ = RegistryService::NewStub(MakeChannel((*server)->address()));
  EXPECT_TRUE(Commit(CommitRequest()).ok());
  (*server)->Stop(absl::ZeroDuration());
  EXPECT_EQ(Server::Start({.listen = "unix:/no/such/dir/s"}, {&service}).status().code(),
            absl::StatusCode::kPermissionDenied);
}

TEST(BytesTest, CopiesShareTheirBytesAndGarbageIsRefused) {
  ByteBuffer bytes = Bytes(std::string(100000, 'x'));
  ByteBuffer copy = bytes;
  std::vector<grpc::Slice> one, two;
  ASSERT_TRUE(bytes.Dump(&one).ok());
  ASSERT_TRUE(copy.Dump(&two).ok());
  EXPECT_EQ(one[0].begin(), two[0].begin());
  grpc::Slice slice("\xff\xff\xff");
  ByteBuffer garbage(&slice, 1);
  WatchRequest message;
  EXPECT_EQ(FromBytes(&garbage, &message).code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace tessera::rpc
