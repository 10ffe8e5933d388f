// The registry, as its program puts it together, on a real disk that is full for a while. Needs
// root and a loop device; skips, saying so, without.

#include <grpcpp/channel.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "protos/tessera/registry/v1/registry_service.grpc.pb.h"
#include "services/base/testing/small_disk.h"
#include "services/registry/server/registry_server.h"
#include "services/registry/store/rocksdb_store.h"
#include "services/rpc/channel.h"
#include "services/rpc/client_call.h"
#include "services/rpc/client_stream.h"
#include "services/rpc/error.h"

namespace tessera::registry {
namespace {

using model::v1::ErrorDetail;
constexpr absl::Duration kPatience = absl::Seconds(60);

class FullDiskTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = "/tmp/tessera-full-disk-XXXXXX";
    folder_ = mkdtemp(pattern.data());
    disk_.emplace(folder_, 64);
    if (!disk_->why_not().empty()) {
      std::cout << "SKIPPED: " << disk_->why_not() << std::endl;
      GTEST_SKIP() << disk_->why_not();
    }
    Start();
  }
  void TearDown() override {
    server_.reset();
    disk_.reset();
    rmdir(folder_.c_str());
  }

  void Start() {
    server_.reset();
    RegistryServerOptions options;
    auto server = RegistryServer::Start(options, std::make_unique<RocksDbStore>(folder_ + "/data"),
                                        [this](const std::string&) { halted_ = true; });
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    stub_ = v1::RegistryService::NewStub(
        rpc::MakeChannel(server_->address(), {.own_connection = true}));
  }

  absl::Status Put(int number, Epoch epoch) {
    v1::CommitRequest request;
    request.set_epoch(epoch);
    request.add_writes()->set_key(absl::StrCat("k/", number));
    request.mutable_writes(0)->set_value(std::string(512 << 10, static_cast<char>('a' + number)));
    return rpc::Call<v1::CommitResponse>(
               request, kPatience,
               [&](auto* c, auto& req, auto* resp) { return stub_->Commit(c, req, resp); })
        .status();
  }
  size_t Keys() {
    v1::ReadRequest request;
    request.add_prefixes("k/");
    size_t keys = 0;
    do {
      const auto page = rpc::Call<v1::ReadResponse>(
          request, kPatience,
          [&](auto* c, auto& req, auto* resp) { return stub_->Read(c, req, resp); });
      EXPECT_TRUE(page.ok()) << page.status();
      if (!page.ok()) return keys;
      keys += static_cast<size_t>(page->records_size());
      request.set_page_token(page->next_page_token());
    } while (!request.page_token().empty());
    return keys;
  }
  absl::Status Renew(Epoch epoch) {
    v1::RenewRequest request;
    request.set_candidate_id("leader");
    request.set_epoch(epoch);
    return rpc::Call<v1::RenewResponse>(
               request, kPatience,
               [&](auto* c, auto& req, auto* resp) { return stub_->Renew(c, req, resp); })
        .status();
  }

  std::string folder_;
  std::optional<base::SmallDisk> disk_;
  std::unique_ptr<RegistryServer> server_;
  std::unique_ptr<v1::RegistryService::Stub> stub_;
  std::atomic<bool> halted_{false};
};

TEST_F(FullDiskTest, CommitsAreRefusedUntilThereIsSpaceAndLeadersStay) {
  absl::Mutex mu;
  Epoch epoch = 0;
  bool done = false;
  v1::CampaignRequest campaign;
  campaign.set_candidate_id("leader");
  campaign.set_address("127.0.0.1:1");
  auto control = rpc::OpenServerStream<v1::CampaignResponse>(
      {.on_message =
           [&](v1::CampaignResponse response) {
             absl::MutexLock lock(&mu);
             if (response.has_lease()) epoch = response.lease().epoch();
             return absl::OkStatus();
           },
       .on_done =
           [&](const absl::Status&) {
             absl::MutexLock lock(&mu);
             done = true;
           }},
      [&](auto* context, auto* reactor) { stub_->async()->Campaign(context, &campaign, reactor); });
  {
    absl::MutexLock lock(&mu);
    const auto won = [&] { return epoch > 0; };
    ASSERT_TRUE(mu.AwaitWithTimeout(absl::Condition(&won), kPatience));
  }

  ASSERT_TRUE(disk_->Fill());
  int written = 0;
  absl::Status refused;
  // The log has some space of its own ahead.
  while (refused.ok() && written < 200) {
    ASSERT_TRUE(Renew(epoch).ok());
    refused = Put(written, epoch);
    if (refused.ok()) ++written;
  }
  EXPECT_EQ(rpc::ReasonOf(refused), ErrorDetail::STORAGE_FAILED) << refused;
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(rpc::ReasonOf(Put(written, epoch)), ErrorDetail::STORAGE_FAILED);
    EXPECT_TRUE(Renew(epoch).ok()) << "what needs no disk goes on";
  }
  EXPECT_EQ(Keys(), static_cast<size_t>(written));

  disk_->Free();
  const absl::Time deadline = absl::Now() + kPatience;
  absl::Status again = refused;
  while (!again.ok() && absl::Now() < deadline) again = Put(written, epoch);
  ASSERT_TRUE(again.ok()) << again;
  EXPECT_TRUE(Renew(epoch).ok()) << "the same leader leads on";
  EXPECT_FALSE(halted_);
  control->Cancel(absl::CancelledError("enough"));
  {
    absl::MutexLock lock(&mu);
    mu.Await(absl::Condition(&done));
  }
  Start();
  EXPECT_EQ(Keys(), static_cast<size_t>(written) + 1) << "all that was acknowledged is there";
}

}  // namespace
}  // namespace tessera::registry

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (geteuid() != 0) {
    std::cout << "SKIPPED: a disk of its own needs root" << std::endl;
    return 0;
  }
  return RUN_ALL_TESTS();
}
