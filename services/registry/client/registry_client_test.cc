#include "services/registry/client/registry_client.h"

#include <grpcpp/support/server_callback.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "services/rpc/error.h"
#include "services/rpc/server.h"
#include "services/rpc/server_stream.h"
#include "services/rpc/status.h"

namespace tessera::registry {
namespace {

using model::v1::ErrorDetail;
constexpr absl::Duration kPatience = absl::Seconds(20);

// A registry that says what the test wants: `refusal` to everything, or acts.
class FakeRegistry final : public v1::RegistryService::CallbackService {
 public:
  FakeRegistry() {
    auto server = rpc::Server::Start({}, {this});
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  ~FakeRegistry() override {
    if (server_ != nullptr) server_->Stop(absl::ZeroDuration());
  }

  const std::string& address() const { return server_->address(); }
  int calls() const { return calls_; }
  void Refuse(absl::Status status) {
    absl::MutexLock lock(&mu_);
    refusal_ = std::move(status);
  }
  void StandBy(const std::string& acting) { Refuse(rpc::NotLeader(acting)); }
  void Act() { Refuse(absl::OkStatus()); }
  // Nobody listens at its address any more.
  void Die() {
    server_->Stop(absl::ZeroDuration());
    server_.reset();
  }

  grpc::ServerUnaryReactor* Commit(grpc::CallbackServerContext* context, const v1::CommitRequest*,
                                   v1::CommitResponse* response) override {
    ++calls_;
    response->set_version(7);
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(rpc::ToGrpc(refusal()));
    return reactor;
  }
  grpc::ServerWriteReactor<v1::CampaignResponse>* Campaign(grpc::CallbackServerContext* context,
                                                           const v1::CampaignRequest*) override {
    return rpc::AcceptServerStream<v1::CampaignResponse>(
        context, {}, [this](rpc::StreamPtr<v1::CampaignResponse> stream) {
          if (absl::Status status = refusal(); !status.ok()) {
            stream->Close(status);
          } else {
            stream->Send({});
          }
          return [](const absl::Status&) {};
        });
  }

 private:
  absl::Status refusal() {
    absl::MutexLock lock(&mu_);
    return refusal_;
  }

  absl::Mutex mu_;
  absl::Status refusal_ ABSL_GUARDED_BY(mu_);
  std::atomic<int> calls_{0};
  std::unique_ptr<rpc::Server> server_;
};

absl::StatusOr<v1::CommitResponse> Commit(RegistryClient* client) {
  absl::StatusOr<v1::CommitResponse> got = absl::UnknownError("no answer");
  absl::Notification done;
  client->Commit({}, kPatience, [&](absl::StatusOr<v1::CommitResponse> answer) {
    got = std::move(answer);
    done.Notify();
  });
  EXPECT_TRUE(done.WaitForNotificationWithTimeout(2 * kPatience));
  return got;
}

TEST(RegistryClientTest, FollowsTheHintOfAStandbyWithinOneCall) {
  FakeRegistry one, two;
  one.StandBy(two.address());
  RegistryClient client({one.address(), two.address()});
  const auto answer = Commit(&client);
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->version(), 7u);
  EXPECT_EQ(client.address(), two.address());
  EXPECT_TRUE(Commit(&client).ok());
  EXPECT_EQ(one.calls(), 1) << "it stays with the one that acts";
}

TEST(RegistryClientTest, AFailedCallIsTheCallersAndTheNextGoesElsewhere) {
  auto one = std::make_unique<FakeRegistry>();
  FakeRegistry two;
  RegistryClient client({one->address(), two.address()});
  ASSERT_TRUE(Commit(&client).ok());
  one->Die();
  // The call may have been done: nobody but the caller knows whether it may be sent again.
  EXPECT_EQ(Commit(&client).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(two.calls(), 0);
  EXPECT_TRUE(Commit(&client).ok());
  EXPECT_EQ(two.calls(), 1);
}

TEST(RegistryClientTest, TheActingOnesOwnTroublesDoNotSendItAway) {
  FakeRegistry one, two;
  RegistryClient client({one.address(), two.address()});
  for (const absl::Status& trouble :
       {rpc::Error(absl::StatusCode::kUnavailable, ErrorDetail::STORAGE_FAILED, "full"),
        rpc::Error(absl::StatusCode::kUnavailable, ErrorDetail::RECOVERING, "taking over"),
        rpc::Error(absl::StatusCode::kFailedPrecondition, ErrorDetail::STALE_EPOCH, "late"),
        rpc::Overloaded("calls")}) {
    one.Refuse(trouble);
    EXPECT_EQ(rpc::ReasonOf(Commit(&client).status()), rpc::ReasonOf(trouble));
    EXPECT_EQ(client.address(), one.address());
  }
  EXPECT_EQ(two.calls(), 0);
}

TEST(RegistryClientTest, StandbysThatNameEachOtherDoNotTrapACallAndNoHintComesOut) {
  FakeRegistry one, two;
  one.StandBy(two.address());
  two.StandBy(one.address());
  RegistryClient client({one.address(), two.address()});
  const absl::Status refused = Commit(&client).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kUnavailable);
  EXPECT_FALSE(rpc::DetailOf(refused).has_value()) << refused;
  EXPECT_LE(one.calls() + two.calls(), 6);
  one.Act();
  two.Act();
  EXPECT_TRUE(Commit(&client).ok());
}

TEST(RegistryClientTest, ACampaignThatAStandbyEndsLeadsTheNextOne) {
  FakeRegistry one, two;
  one.StandBy(two.address());
  RegistryClient client({one.address(), two.address()});
  const auto campaign = [&client](absl::Notification* told, absl::Notification* ended,
                                  absl::Status* status) {
    return client.Campaign({}, {.on_message =
                                    [=](v1::CampaignResponse) {
                                      told->Notify();
                                      return absl::OkStatus();
                                    },
                                .on_done =
                                    [=](const absl::Status& end) {
                                      *status = end;
                                      ended->Notify();
                                    }});
  };
  {
    absl::Notification told, ended;
    absl::Status status;
    campaign(&told, &ended, &status);
    ASSERT_TRUE(ended.WaitForNotificationWithTimeout(kPatience));
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
    EXPECT_FALSE(rpc::DetailOf(status).has_value()) << status;
    EXPECT_FALSE(told.HasBeenNotified());
  }
  EXPECT_EQ(client.address(), two.address());
  absl::Notification told, ended;
  absl::Status status;
  const auto control = campaign(&told, &ended, &status);
  EXPECT_TRUE(told.WaitForNotificationWithTimeout(kPatience));
  control->Cancel(absl::CancelledError("enough"));
  EXPECT_TRUE(ended.WaitForNotificationWithTimeout(kPatience));
  EXPECT_EQ(client.address(), two.address());
}

}  // namespace
}  // namespace tessera::registry
