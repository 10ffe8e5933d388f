// The registry over loopback gRPC and HTTP, on a store in memory.

#include "services/registry/server/registry_server.h"

#include <arpa/inet.h>
#include <grpcpp/channel.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "protos/tessera/registry/v1/registry_service.grpc.pb.h"
#include "services/registry/store/memory_store.h"
#include "services/rpc/channel.h"
#include "services/rpc/client_call.h"
#include "services/rpc/client_stream.h"
#include "services/rpc/error.h"

namespace tessera::registry {
namespace {

using model::v1::ErrorDetail;
constexpr absl::Duration kPatience = absl::Seconds(20);

// What a stream has brought so far, to wait on.
template <typename Message>
struct Inbox {
  absl::Mutex mu;
  std::vector<Message> messages;
  bool done = false;
  absl::Status status;
  std::shared_ptr<rpc::StreamControl> control;

  rpc::StreamHandlers<Message> Handlers() {
    return {.on_message =
                [this](Message message) {
                  absl::MutexLock lock(&mu);
                  messages.push_back(std::move(message));
                  return absl::OkStatus();
                },
            .on_done =
                [this](const absl::Status& why) {
                  absl::MutexLock lock(&mu);
                  status = why;
                  done = true;
                }};
  }
  // True once some message fits.
  bool WaitFor(std::function<bool(const Message&)> fits) {
    absl::MutexLock lock(&mu);
    const auto there = [&] {
      for (const Message& message : messages) {
        if (fits(message)) return true;
      }
      return false;
    };
    return mu.AwaitWithTimeout(absl::Condition(&there), kPatience);
  }
  absl::Status WaitForEnd() {
    absl::MutexLock lock(&mu);
    if (!mu.AwaitWithTimeout(absl::Condition(&done), kPatience)) {
      return absl::DeadlineExceededError("the stream has not ended");
    }
    return status;
  }
  ~Inbox() {
    if (control != nullptr) control->Cancel(absl::CancelledError("end of test"));
    WaitForEnd().IgnoreError();
  }
};

class RegistryServerTest : public testing::Test {
 protected:
  void SetUp() override { Restart(); }
  void TearDown() override { server_.reset(); }

  void Restart(RegistryServerOptions options = {}) {
    server_.reset();
    options.core.lease_ttl = ttl_;
    auto server = RegistryServer::Start(options, std::make_unique<MemoryStore>(disk_),
                                        [this](const std::string&) { halted_.Notify(); });
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    stub_ = v1::RegistryService::NewStub(
        rpc::MakeChannel(server_->address(), {.own_connection = true}));
  }

  absl::StatusOr<v1::CommitResponse> Commit(const v1::CommitRequest& request) {
    return rpc::Call<v1::CommitResponse>(request, kPatience, [&](auto* c, auto& req, auto* resp) {
      return stub_->Commit(c, req, resp);
    });
  }
  absl::StatusOr<v1::CommitResponse> Put(const std::string& key, const std::string& value,
                                         Epoch epoch = 0) {
    v1::CommitRequest request;
    request.set_epoch(epoch);
    request.add_writes()->set_key(key);
    request.mutable_writes(0)->set_value(value);
    return Commit(request);
  }
  absl::StatusOr<v1::ReadResponse> Read(const v1::ReadRequest& request) {
    return rpc::Call<v1::ReadResponse>(request, kPatience, [&](auto* c, auto& req, auto* resp) {
      return stub_->Read(c, req, resp);
    });
  }
  absl::StatusOr<v1::RenewResponse> Renew(const std::string& candidate, Epoch epoch) {
    v1::RenewRequest request;
    request.set_candidate_id(candidate);
    request.set_epoch(epoch);
    return rpc::Call<v1::RenewResponse>(request, kPatience, [&](auto* c, auto& req, auto* resp) {
      return stub_->Renew(c, req, resp);
    });
  }
  void Watch(Version after, Inbox<v1::WatchResponse>* inbox) {
    v1::WatchRequest request;
    request.set_after_version(after);
    inbox->control = rpc::OpenServerStream<v1::WatchResponse>(
        inbox->Handlers(),
        [&](auto* context, auto* reactor) { stub_->async()->Watch(context, &request, reactor); });
  }
  void Campaign(const std::string& id, Inbox<v1::CampaignResponse>* inbox) {
    v1::CampaignRequest request;
    request.set_candidate_id(id);
    request.set_address(id + ":1");
    inbox->control = rpc::OpenServerStream<v1::CampaignResponse>(
        inbox->Handlers(), [&](auto* context, auto* reactor) {
          stub_->async()->Campaign(context, &request, reactor);
        });
  }
  static bool Won(const v1::CampaignResponse& response) { return response.has_lease(); }

  std::string Scrape() {
    const std::string address = server_->http_address();
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(std::atoi(&address[address.rfind(':') + 1]));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    std::string page;
    if (connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof(to)) == 0) {
      const std::string ask = "GET /metrics HTTP/1.0\r\n\r\n";
      EXPECT_EQ(send(fd, ask.data(), ask.size(), 0), static_cast<ssize_t>(ask.size()));
      char bytes[4096];
      for (ssize_t n; (n = recv(fd, bytes, sizeof(bytes), 0)) > 0;) page.append(bytes, n);
    }
    close(fd);
    return page;
  }

  absl::Duration ttl_ = absl::Seconds(10);
  std::shared_ptr<MemoryDisk> disk_ = std::make_shared<MemoryDisk>();
  absl::Notification halted_;
  std::unique_ptr<RegistryServer> server_;
  std::unique_ptr<v1::RegistryService::Stub> stub_;
};

TEST_F(RegistryServerTest, CommitsAreReadAgainAlsoAfterARestart) {
  EXPECT_EQ(Put("weights/a", "1")->version(), 1u);
  EXPECT_EQ(Put("weights/b", "2")->version(), 2u);
  v1::CommitRequest change;
  change.add_conditions()->set_key("weights/a");
  change.mutable_conditions(0)->set_version(1);
  change.add_writes()->set_key("weights/a");
  EXPECT_EQ(Commit(change)->version(), 3u);
  const auto again = Commit(change);
  EXPECT_EQ(again.status().code(), absl::StatusCode::kAborted);
  EXPECT_EQ(rpc::ReasonOf(again.status()), ErrorDetail::VERSION_CONFLICT);
  Restart();
  v1::ReadRequest read;
  read.add_prefixes("weights/");
  const auto records = Read(read);
  ASSERT_TRUE(records.ok()) << records.status();
  EXPECT_EQ(records->version(), 3u);
  ASSERT_EQ(records->records_size(), 1);
  EXPECT_EQ(records->records(0).key(), "weights/b");
  EXPECT_EQ(records->records(0).value(), "2");
  EXPECT_EQ(records->records(0).version(), 2u);
}

TEST_F(RegistryServerTest, PagesCoverTheWholeTable) {
  for (int i = 0; i < 25; ++i) ASSERT_TRUE(Put(absl::StrCat("k/", i), "v").ok());
  v1::ReadRequest read;
  read.set_page_size(4);
  int records = 0, pages = 0;
  do {
    const auto page = Read(read);
    ASSERT_TRUE(page.ok()) << page.status();
    records += page->records_size();
    read.set_page_token(page->next_page_token());
    ASSERT_LT(++pages, 10);
  } while (!read.page_token().empty());
  EXPECT_EQ(records, 25);
}

TEST_F(RegistryServerTest, BadRequestsAreRefusedWithAReason) {
  EXPECT_EQ(Commit({}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Put("bad\nkey", "x").status().code(), absl::StatusCode::kInvalidArgument);
  const auto large = Put("large", std::string(6 << 20, 'x'));
  EXPECT_EQ(large.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(absl::StrContains(large.status().message(), "bytes")) << large.status();
  EXPECT_EQ(Put("huge", std::string(32 << 20, 'x')).status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(rpc::ReasonOf(Put("k", "v", /*epoch=*/7).status()), ErrorDetail::STALE_EPOCH);
  v1::ReadRequest read;
  read.set_page_token("strange");
  EXPECT_EQ(Read(read).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(Put("k", "v").ok());
}

TEST_F(RegistryServerTest, AWatchBringsWhatWasAndWhatComes) {
  ASSERT_TRUE(Put("a", "1").ok());
  ASSERT_TRUE(Put("a", "2").ok());
  Inbox<v1::WatchResponse> inbox;
  Watch(1, &inbox);
  const auto brings = [](Version version) {
    return [version](const v1::WatchResponse& response) {
      return response.commits_size() > 0 &&
             response.commits(response.commits_size() - 1).version() == version;
    };
  };
  EXPECT_TRUE(inbox.WaitFor(brings(2)));
  ASSERT_TRUE(Put("a", "3").ok());
  EXPECT_TRUE(inbox.WaitFor(brings(3)));
  Inbox<v1::WatchResponse> ahead;
  Watch(99, &ahead);
  EXPECT_EQ(rpc::ReasonOf(ahead.WaitForEnd()), ErrorDetail::SNAPSHOT_REQUIRED);
}

TEST_F(RegistryServerTest, TheLeaseGoesFromOneToTheNextAndFencesCommits) {
  ttl_ = absl::Milliseconds(400);
  Restart();
  Inbox<v1::CampaignResponse> one, two;
  Campaign("m1", &one);
  ASSERT_TRUE(one.WaitFor(Won));
  Campaign("m2", &two);
  ASSERT_TRUE(two.WaitFor([](const auto& response) {
    return response.leader().candidate_id() == "m1" && !response.has_lease();
  }));
  EXPECT_TRUE(Put("a", "1", /*epoch=*/1).ok());
  const absl::Time renewed = absl::Now();
  ASSERT_TRUE(Renew("m1", 1).ok());
  ASSERT_TRUE(two.WaitFor(Won));
  EXPECT_GE(absl::Now() - renewed, ttl_);
  EXPECT_EQ(rpc::ReasonOf(Put("a", "2", /*epoch=*/1).status()), ErrorDetail::STALE_EPOCH);
  EXPECT_EQ(rpc::ReasonOf(Renew("m1", 1).status()), ErrorDetail::STALE_EPOCH);
  EXPECT_TRUE(Put("a", "3", /*epoch=*/2).ok());
}

TEST_F(RegistryServerTest, ARestartGivesTheLeaseToNobodyElseBeforeItsTime) {
  ttl_ = absl::Milliseconds(600);
  Restart();
  {
    Inbox<v1::CampaignResponse> one;
    Campaign("m1", &one);
    ASSERT_TRUE(one.WaitFor(Won));
  }
  server_.reset();
  disk_->Crash();
  Restart();
  const absl::Time restarted = absl::Now();
  EXPECT_TRUE(Renew("m1", 1).ok()) << "the holder goes on over a restart";
  Inbox<v1::CampaignResponse> two;
  Campaign("m2", &two);
  ASSERT_TRUE(two.WaitFor(Won));
  EXPECT_GE(absl::Now() - restarted, ttl_);
  EXPECT_EQ(rpc::ReasonOf(Renew("m1", 1).status()), ErrorDetail::STALE_EPOCH);
  EXPECT_TRUE(Renew("m2", 2).ok());
}

TEST_F(RegistryServerTest, AResignationIsFollowedAtOnce) {
  Inbox<v1::CampaignResponse> one, two;
  Campaign("m1", &one);
  ASSERT_TRUE(one.WaitFor(Won));
  Campaign("m2", &two);
  v1::ResignRequest resign;
  resign.set_candidate_id("m1");
  resign.set_epoch(1);
  const auto answer = rpc::Call<v1::ResignResponse>(
      resign, kPatience,
      [&](auto* c, auto& req, auto* resp) { return stub_->Resign(c, req, resp); });
  EXPECT_TRUE(answer.ok()) << answer.status();
  EXPECT_TRUE(two.WaitFor(Won));
}

TEST_F(RegistryServerTest, ManyWritersShareSyncs) {
  std::vector<std::thread> writers;
  for (int w = 0; w < 8; ++w) {
    writers.emplace_back([&, w] {
      for (int i = 0; i < 50; ++i) EXPECT_TRUE(Put(absl::StrCat("w", w, "/", i), "v").ok());
    });
  }
  for (auto& writer : writers) writer.join();
  EXPECT_EQ(Put("last", "v")->version(), 401u);
}

TEST_F(RegistryServerTest, AStoreThatIsLostRefusesAndHalts) {
  ASSERT_TRUE(Put("a", "1").ok());
  Inbox<v1::WatchResponse> watch;
  Watch(0, &watch);
  disk_->Fail(absl::DataLossError("damaged"));
  const auto refused = Put("a", "2");
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(rpc::ReasonOf(refused.status()), ErrorDetail::STORAGE_FAILED);
  ASSERT_TRUE(halted_.WaitForNotificationWithTimeout(kPatience));
  server_.reset();
  EXPECT_EQ(watch.WaitForEnd().code(), absl::StatusCode::kUnavailable);
  disk_->Fail(absl::OkStatus());
  disk_->Crash();
  Restart();
  EXPECT_EQ(Put("a", "3")->version(), 2u);
}

TEST_F(RegistryServerTest, AFullDiskRefusesCommitsUntilThereIsSpace) {
  ASSERT_TRUE(Put("a", "1").ok());
  disk_->Fail(absl::ResourceExhaustedError("no space left"));
  EXPECT_EQ(rpc::ReasonOf(Put("a", "2").status()), ErrorDetail::STORAGE_FAILED);
  EXPECT_EQ(rpc::ReasonOf(Put("b", "1").status()), ErrorDetail::STORAGE_FAILED);
  EXPECT_EQ(Read({})->records_size(), 1);
  disk_->Fail(absl::OkStatus());
  absl::StatusOr<v1::CommitResponse> again = absl::UnavailableError("");
  const absl::Time deadline = absl::Now() + kPatience;
  while (!again.ok() && absl::Now() < deadline) again = Put("a", "3");
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->version(), 2u);
  EXPECT_FALSE(halted_.HasBeenNotified());
}

TEST_F(RegistryServerTest, AWriteWithoutAnAnswerIsSettledAndTheCallerHearsTheTruth) {
  Version version = 0;
  for (const auto loss : {MemoryDisk::Loss::kAnswer, MemoryDisk::Loss::kBatch}) {
    disk_->LoseNext(loss);
    const auto answer = Put("a", absl::StrCat(version));
    ASSERT_TRUE(answer.ok()) << answer.status();
    EXPECT_EQ(answer->version(), ++version);
    EXPECT_FALSE(disk_->DeliverLate());
  }
  EXPECT_EQ(Put("b", "1")->version(), 3u);
  EXPECT_EQ(disk_->Read()->version, 3u);
}

TEST_F(RegistryServerTest, AStoreThatCannotBeHadAtTheStartIsSaidSo) {
  server_.reset();
  for (const auto& [failure, code] :
       {std::pair{absl::ResourceExhaustedError("no space left"), absl::StatusCode::kUnavailable},
        {absl::DataLossError("damaged"), absl::StatusCode::kFailedPrecondition}}) {
    disk_->Fail(failure);
    const auto server =
        RegistryServer::Start({}, std::make_unique<MemoryStore>(disk_), [](const std::string&) {});
    EXPECT_EQ(server.status().code(), code);
    EXPECT_TRUE(absl::StrContains(server.status().message(), failure.message())) << server.status();
  }
  disk_->Fail(absl::OkStatus());
}

// Two registries before one store: one acts, the other refuses and names it, and takes over.
TEST_F(RegistryServerTest, AStandbyNamesTheOneThatActsAndTakesOver) {
  ASSERT_TRUE(Put("a", "1").ok());
  const std::string first = server_->address();
  auto standby = RegistryServer::Start({}, std::make_unique<MemoryStore>(disk_),
                                       [](const std::string&) { FAIL(); });
  ASSERT_TRUE(standby.ok()) << standby.status();
  EXPECT_EQ((*standby)->phase(), Phase::kStandby);
  std::swap(server_, *standby);
  stub_ =
      v1::RegistryService::NewStub(rpc::MakeChannel(server_->address(), {.own_connection = true}));
  const absl::Status refused = Put("a", "2").status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(rpc::ReasonOf(refused), ErrorDetail::NOT_LEADER);
  EXPECT_EQ(rpc::DetailOf(refused)->leader_address(), first);
  Inbox<v1::CampaignResponse> campaign;
  Campaign("m1", &campaign);
  EXPECT_EQ(rpc::DetailOf(campaign.WaitForEnd())->leader_address(), first);

  *standby = nullptr;
  const absl::Time deadline = absl::Now() + kPatience;
  while (server_->phase() != Phase::kActing && absl::Now() < deadline) {
    absl::SleepFor(absl::Milliseconds(5));
  }
  EXPECT_EQ(Put("a", "2")->version(), 2u);
}

// Who is turned out ends its streams and refuses; the one that took over goes on where it stopped.
TEST_F(RegistryServerTest, WhoLosesTheStoreStandsBy) {
  Inbox<v1::CampaignResponse> campaign;
  Campaign("m1", &campaign);
  ASSERT_TRUE(campaign.WaitFor(Won));
  Inbox<v1::WatchResponse> watch;
  Watch(0, &watch);
  auto other = RegistryServer::Start({}, std::make_unique<MemoryStore>(disk_),
                                     [](const std::string&) { FAIL(); });
  ASSERT_TRUE(other.ok()) << other.status();
  disk_->Evict();
  for (const absl::Status& end : {campaign.WaitForEnd(), watch.WaitForEnd()}) {
    EXPECT_EQ(rpc::ReasonOf(end), ErrorDetail::NOT_LEADER) << end;
  }
  // Either of them gets it next; a client that follows the hints finds out which.
  absl::StatusOr<v1::RenewResponse> renewed = absl::UnavailableError("");
  const absl::Time deadline = absl::Now() + kPatience;
  while (!renewed.ok() && absl::Now() < deadline) {
    renewed = Renew("m1", 1);
    if (renewed.ok()) break;
    std::swap(server_, *other);
    stub_ = v1::RegistryService::NewStub(
        rpc::MakeChannel(server_->address(), {.own_connection = true}));
  }
  EXPECT_TRUE(renewed.ok()) << renewed.status();
  EXPECT_TRUE(Put("a", "1", /*epoch=*/1).ok());
}

// An ownership that runs out unless it is proven is proven without anybody's writing.
TEST_F(RegistryServerTest, AnOwnershipThatLastsIsKeptWhileNothingIsWritten) {
  server_.reset();
  disk_->set_ownership_lasts(absl::Seconds(6));
  Restart();
  const absl::Time deadline = absl::Now() + kPatience;
  while (!absl::StrContains(Scrape(), "\ntessera_registry_persists_total 3\n") &&
         absl::Now() < deadline) {
    absl::SleepFor(absl::Milliseconds(50));
  }
  EXPECT_LT(absl::Now(), deadline);
  EXPECT_EQ(server_->phase(), Phase::kActing);
  EXPECT_EQ(Put("a", "1")->version(), 1u);
}

TEST_F(RegistryServerTest, AnEpochRaisedByHandIsDurableAndNeverLowered) {
  for (const auto& [at_least, found] : {std::pair{41u, 41u}, {7u, 41u}, {0u, 41u}, {50u, 50u}}) {
    RegistryServerOptions options;
    options.core.epoch_at_least = at_least;
    Restart(options);
    server_.reset();
    disk_->Crash();
    EXPECT_EQ(disk_->Read()->lease.leader.epoch, found) << at_least;
  }
  RegistryServerOptions options;
  options.core.epoch_at_least = ~uint64_t{0};
  EXPECT_EQ(Validate(options).code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(RegistryServerTest, MetricsShowWhatHappened) {
  ASSERT_TRUE(Put("a", "1").ok());
  ASSERT_FALSE(Put("A", "1").ok());
  // The snapshot of a batch is published after its answers are sent.
  const absl::Time deadline = absl::Now() + kPatience;
  std::string page;
  do {
    page = Scrape();
  } while (!absl::StrContains(page, "\ntessera_registry_commits_refused_total 1\n") &&
           absl::Now() < deadline);
  for (const char* line :
       {"\ntessera_registry_commits_total 1\n", "\ntessera_registry_keys 1\n",
        "\ntessera_registry_size_bytes 2\n", "\ntessera_registry_commits_refused_total 1\n",
        "\ntessera_registry_persist_seconds_count 2\n", "\ntessera_registry_has_leader 0\n",
        "\ntessera_registry_acting 1\n", "\ntessera_registry_steps_total{kind=\"started\"} 1\n",
        "\ntessera_registry_effects_total{kind=\"halt\"} 0\n",
        "\ntessera_registry_takeovers_total 1\n"}) {
    EXPECT_TRUE(absl::StrContains(page, line)) << line << page;
  }
}

TEST_F(RegistryServerTest, WrongOptionsAreSaidSo) {
  RegistryServerOptions options;
  options.core.lease_ttl = absl::Milliseconds(1);
  EXPECT_EQ(Validate(options).code(), absl::StatusCode::kInvalidArgument);
  options.core.lease_ttl = absl::Hours(1);
  EXPECT_EQ(Validate(options).code(), absl::StatusCode::kInvalidArgument);
  RegistryServerOptions taken;
  taken.listen = server_->address();
  EXPECT_EQ(
      RegistryServer::Start(taken, std::make_unique<MemoryStore>(disk_), nullptr).status().code(),
      absl::StatusCode::kAlreadyExists);
}

}  // namespace
}  // namespace tessera::registry
