#include "services/allocator/wire/explain.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "services/allocator/wire/stream_core.h"
#include "services/model/parse.h"
#include "services/model/wire/resources.h"
#include "services/rpc/error.h"

namespace tessera::allocator {
namespace {

using model::v1::ErrorDetail;
using Count = v1::ExplainAllocationResponse::Count;

class ExplainWireTest : public testing::Test {
 protected:
  void Send(bool snapshot_complete) {
    request_.set_epoch(1);
    request_.set_sequence(++sequence_);
    request_.set_snapshot_complete(snapshot_complete);
    std::vector<StreamEffect> effects;
    core_.Step(now_,
               RequestArrived{1, std::make_shared<v1::AllocateRequest>(
                                     std::exchange(request_, v1::AllocateRequest()))},
               &effects);
    for (const StreamEffect& effect : effects) {
      ASSERT_FALSE(std::holds_alternative<EndStream>(effect)) << std::get<EndStream>(effect).status;
    }
  }
  void AddFramework(const std::string& id, const std::vector<std::string>& roles) {
    auto* added = request_.add_events()->mutable_framework_added();
    added->mutable_info()->set_id(id);
    added->set_active(true);
    for (const std::string& role : roles) added->mutable_info()->add_roles(role);
  }
  void AddAgent(const std::string& id, const std::string& total, const std::string& holder = "") {
    auto* added = request_.add_events()->mutable_agent_added();
    added->mutable_info()->set_id(id);
    added->mutable_info()->set_hostname("host-" + id);
    added->set_active(true);
    const model::Resources resources = *model::ParseResources(total);
    model::wire::ToProto(resources, added->mutable_total());
    if (holder.empty()) return;
    auto* holding = added->add_holdings();
    holding->set_framework_id(holder);
    model::wire::ToProto(resources.AllocatedCopy("batch"), holding->mutable_resources());
  }
  absl::StatusOr<v1::ExplainAllocationResponse> Ask(const std::string& framework,
                                                    const std::string& role,
                                                    const std::string& needed = "",
                                                    uint32_t max_agents = 0) {
    v1::ExplainAllocationRequest request;
    request.set_framework_id(framework);
    request.set_role(role);
    request.set_max_agents(max_agents);
    model::wire::ToProto(*model::Quantities::Parse(needed), request.mutable_needed());
    return core_.Explain(request);
  }

  StreamCore core_{StreamCoreConfig{}, 1};
  absl::Time now_ = absl::UnixEpoch();
  v1::AllocateRequest request_;
  uint64_t sequence_ = 0;
};

TEST_F(ExplainWireTest, NothingIsExplainedBeforeTheSnapshot) {
  EXPECT_EQ(rpc::ReasonOf(Ask("f", "batch").status()), ErrorDetail::RECOVERING);
  AddFramework("f", {"batch"});
  Send(/*snapshot_complete=*/false);
  const absl::Status half = Ask("f", "batch").status();
  EXPECT_EQ(half.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(rpc::ReasonOf(half), ErrorDetail::RECOVERING);
  Send(/*snapshot_complete=*/true);
  EXPECT_TRUE(Ask("f", "batch").ok());
}

TEST_F(ExplainWireTest, UnknownNamesAreSaid) {
  AddFramework("f", {"batch"});
  AddFramework("g", {"web"});
  Send(true);
  EXPECT_EQ(rpc::ReasonOf(Ask("nobody", "batch").status()), ErrorDetail::UNKNOWN_FRAMEWORK);
  EXPECT_EQ(rpc::ReasonOf(Ask("f", "nothing").status()), ErrorDetail::UNKNOWN_ROLE);
  // A role that others have is none of this framework.
  EXPECT_EQ(rpc::ReasonOf(Ask("f", "web").status()), ErrorDetail::UNKNOWN_ROLE);
  v1::ExplainAllocationRequest request;
  request.set_framework_id("f");
  request.set_role("batch");
  (*request.mutable_needed()->mutable_amounts())["cpus"].set_milli(-1);
  EXPECT_EQ(rpc::ReasonOf(core_.Explain(request).status()), ErrorDetail::INVALID_FIELD);
  for (int i = 0; i < 33; ++i) {
    (*request.mutable_needed()->mutable_amounts())["n" + std::to_string(i)].set_milli(1);
  }
  EXPECT_EQ(rpc::ReasonOf(core_.Explain(request).status()), ErrorDetail::INVALID_FIELD);
}

TEST_F(ExplainWireTest, AnswersInNames) {
  AddFramework("hoarder", {"batch"});
  AddFramework("needy", {"web"});
  AddAgent("a1", "cpus:4;mem:512", "hoarder");
  AddAgent("a2", "cpus:4;mem:512", "hoarder");
  AddAgent("a3", "cpus:1;mem:512");
  Send(true);
  const auto answer = Ask("needy", "web", "cpus:2.5;mem:256", 2);
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->role(), "web");
  EXPECT_EQ(answer->agents(), 3u);
  ASSERT_EQ(answer->counts_size(), 2);
  EXPECT_EQ(answer->counts(0).reason(), Count::TOO_LITTLE_LEFT);
  EXPECT_EQ(answer->counts(0).agents(), 2u);
  EXPECT_EQ(answer->counts(1).reason(), Count::AGENT_TOO_SMALL);
  EXPECT_EQ(answer->counts(1).agents(), 1u);
  ASSERT_EQ(answer->nearest_size(), 2);
  EXPECT_EQ(answer->nearest(0).agent_id(), "a3");
  EXPECT_EQ(answer->nearest(0).hostname(), "host-a3");
  EXPECT_EQ(answer->nearest(0).available().amounts().at("mem").milli(), 512'000);
  EXPECT_EQ(answer->nearest(0).missing().amounts().at("cpus").milli(), 1500);
  EXPECT_EQ(answer->nearest(0).missing().amounts_size(), 1);
  ASSERT_EQ(answer->holders_size(), 1);
  EXPECT_EQ(answer->holders(0).framework_id(), "hoarder");
  EXPECT_EQ(answer->holders(0).role(), "batch");
  EXPECT_EQ(answer->holders(0).agents(), 2u);
  EXPECT_EQ(answer->holders(0).held().amounts().at("cpus").milli(), 8000);
}

}  // namespace
}  // namespace tessera::allocator
