// The whole service over loopback: a master's stream, a scrape, the refusals that end a stream.
#include "services/allocator/server/allocator_server.h"

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>
#include <utility>

#include "gtest/gtest.h"
#include "protos/tessera/allocator/v1/allocator_service.grpc.pb.h"
#include "services/model/parse.h"
#include "services/model/wire/resources.h"
#include "services/rpc/status.h"

namespace tessera::allocator {
namespace {

using model::v1::ErrorDetail;

// A master's side of one stream, blocking.
class Master {
 public:
  explicit Master(const std::string& address)
      : stub_(v1::AllocatorService::NewStub(
            grpc::CreateChannel(address, grpc::InsecureChannelCredentials()))) {
    context_.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
    stream_ = stub_->Allocate(&context_);
  }
  void Send(v1::AllocateRequest request, uint64_t epoch = 1) {
    request.set_epoch(epoch);
    request.set_sequence(++sequence_);
    stream_->Write(request);
  }
  bool Receive(v1::AllocateResponse* response) { return stream_->Read(response); }
  absl::Status Status() {
    v1::AllocateResponse response;
    while (stream_->Read(&response)) {
    }
    return rpc::FromGrpc(stream_->Finish());
  }
  // The next request has the number of the last one.
  void Rewind() { --sequence_; }
  void HalfClose() { stream_->WritesDone(); }
  v1::AllocatorService::Stub& stub() { return *stub_; }

 private:
  std::unique_ptr<v1::AllocatorService::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::AllocateRequest, v1::AllocateResponse>> stream_;
  uint64_t sequence_ = 0;
};

v1::AllocateRequest Snapshot() {
  v1::AllocateRequest request;
  auto* framework = request.add_events()->mutable_framework_added();
  framework->mutable_info()->set_id("f");
  framework->mutable_info()->add_roles("eng");
  framework->set_active(true);
  auto* agent = request.add_events()->mutable_agent_added();
  agent->mutable_info()->set_id("a");
  agent->set_active(true);
  model::wire::ToProto(*model::ParseResources("cpus:4;mem:1024"), agent->mutable_total());
  request.set_snapshot_complete(true);
  return request;
}

class AllocatorServerTest : public testing::Test {
 protected:
  void SetUp() override {
    auto server = AllocatorServer::Start({});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  std::unique_ptr<AllocatorServer> server_;
};

TEST_F(AllocatorServerTest, OffersGoRoundTheStream) {
  Master master(server_->address());
  master.Send(Snapshot());
  v1::AllocateResponse response;
  ASSERT_TRUE(master.Receive(&response));
  ASSERT_EQ(response.allocations_size(), 1);
  EXPECT_EQ(response.allocations(0).framework_id(), "f");
  EXPECT_EQ(response.through_sequence(), 1u);
  // Everything comes back, and goes out again.
  for (int round = 2; round < 20; ++round) {
    v1::AllocateRequest request;
    auto* recovered = request.add_events()->mutable_recovered();
    recovered->set_framework_id("f");
    recovered->set_agent_id("a");
    *recovered->mutable_resources() = response.allocations(0).resources();
    master.Send(std::move(request));
    ASSERT_TRUE(master.Receive(&response));
    ASSERT_EQ(response.allocations_size(), 1);
    EXPECT_EQ(response.through_sequence(), static_cast<uint64_t>(round));
  }
  master.HalfClose();
  EXPECT_TRUE(master.Status().ok());
}

// A request after a snapshot of framework `f` and agent `a`.
struct Garbage {
  const char* name;
  void (*spoil)(v1::AllocateRequest* request);
  const char* told;  // a part of the reason
};
class AllocatorServerGarbage : public AllocatorServerTest,
                               public testing::WithParamInterface<Garbage> {};

TEST_P(AllocatorServerGarbage, EndsTheStreamAndANewSnapshotStartsAnew) {
  Master bad(server_->address());
  bad.Send(Snapshot());
  v1::AllocateRequest request;
  GetParam().spoil(&request);
  bad.Send(std::move(request));
  const absl::Status status = bad.Status();
  EXPECT_EQ(status.code(), absl::StatusCode::kOutOfRange) << status;
  EXPECT_EQ(rpc::ReasonOf(status), ErrorDetail::SNAPSHOT_REQUIRED);
  EXPECT_NE(status.message().find(GetParam().told), absl::string_view::npos) << status;

  Master good(server_->address());
  good.Send(Snapshot());
  v1::AllocateResponse response;
  ASSERT_TRUE(good.Receive(&response));
  EXPECT_EQ(response.allocations_size(), 1);
}

INSTANTIATE_TEST_SUITE_P(
    Each, AllocatorServerGarbage,
    testing::Values(
        Garbage{"UnknownAgent",
                [](v1::AllocateRequest* request) {
                  request->add_events()->mutable_agent_removed()->set_agent_id("nobody");
                },
                "unknown agent 'nobody'"},
        Garbage{"UnknownFramework",
                [](v1::AllocateRequest* request) {
                  request->add_events()->mutable_revived()->set_framework_id("nobody");
                },
                "unknown framework 'nobody'"},
        Garbage{"AgentTwice",
                [](v1::AllocateRequest* request) { *request->add_events() = Snapshot().events(1); },
                "duplicate agent: a"},
        Garbage{"FrameworkTwice",
                [](v1::AllocateRequest* request) { *request->add_events() = Snapshot().events(0); },
                "duplicate framework: f"},
        Garbage{"NegativeResources",
                [](v1::AllocateRequest* request) {
                  auto* added = request->add_events()->mutable_agent_added();
                  *added = Snapshot().events(1).agent_added();
                  added->mutable_info()->set_id("b");
                  added->mutable_total(0)->mutable_scalar()->set_milli(-1);
                },
                "negative amount of cpus"},
        Garbage{"MoreGivenBackThanHeld",
                [](v1::AllocateRequest* request) {
                  auto* recovered = request->add_events()->mutable_recovered();
                  recovered->set_framework_id("f");
                  recovered->set_agent_id("a");
                  auto* cpus = recovered->add_resources();
                  cpus->set_name("cpus");
                  cpus->set_allocation_role("eng");
                  cpus->mutable_scalar()->set_milli(1'000'000);
                },
                "not held: framework f gives back cpus:1000"}),
    [](const testing::TestParamInfo<Garbage>& info) { return info.param.name; });

TEST_F(AllocatorServerTest, ReplayedRequestsAndEpochsNeedASnapshot) {
  for (const uint64_t epoch : {1, 2}) {
    Master bad(server_->address());
    bad.Send(Snapshot());
    v1::AllocateResponse response;
    ASSERT_TRUE(bad.Receive(&response));
    // The same request again, or one of another epoch on the same stream.
    if (epoch == 1) bad.Rewind();
    bad.Send(Snapshot(), epoch);
    EXPECT_EQ(rpc::ReasonOf(bad.Status()), ErrorDetail::SNAPSHOT_REQUIRED);
  }
}

TEST_F(AllocatorServerTest, StaleEpochIsTurnedAway) {
  Master leader(server_->address());
  leader.Send(Snapshot(), 5);
  v1::AllocateResponse response;
  ASSERT_TRUE(leader.Receive(&response));
  Master stale(server_->address());
  stale.Send(Snapshot(), 4);
  EXPECT_EQ(rpc::ReasonOf(stale.Status()), ErrorDetail::STALE_EPOCH);
  Master newer(server_->address());
  newer.Send(Snapshot(), 6);
  ASSERT_TRUE(newer.Receive(&response));
  EXPECT_EQ(rpc::ReasonOf(leader.Status()), ErrorDetail::STALE_EPOCH);
}

TEST_F(AllocatorServerTest, ExplainsWhatItDid) {
  Master master(server_->address());
  const auto ask = [&](v1::ExplainAllocationResponse* answer) {
    v1::ExplainAllocationRequest request;
    request.set_framework_id("f");
    request.set_role("eng");
    grpc::ClientContext context;
    return rpc::FromGrpc(master.stub().ExplainAllocation(&context, request, answer));
  };
  v1::ExplainAllocationResponse answer;
  EXPECT_EQ(rpc::ReasonOf(ask(&answer)), ErrorDetail::RECOVERING);
  master.Send(Snapshot());
  v1::AllocateResponse response;
  ASSERT_TRUE(master.Receive(&response));
  const absl::Status status = ask(&answer);
  ASSERT_TRUE(status.ok()) << status;
  ASSERT_EQ(answer.counts_size(), 1);
  EXPECT_EQ(answer.counts(0).reason(), v1::ExplainAllocationResponse::Count::HELD_BY_ITSELF);
  EXPECT_EQ(answer.agents(), 1u);
}

TEST_F(AllocatorServerTest, EndsWithStreamsOpen) {
  Master master(server_->address());
  master.Send(Snapshot());
  v1::AllocateResponse response;
  ASSERT_TRUE(master.Receive(&response));
  server_.reset();
  EXPECT_FALSE(master.Status().ok());
}

}  // namespace
}  // namespace tessera::allocator
