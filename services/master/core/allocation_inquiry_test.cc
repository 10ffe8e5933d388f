// What the master makes of the question why a framework is not offered what it wants.
#include "services/master/core/allocation_inquiry.h"

#include <gtest/gtest.h>

#include <string>

#include "services/master/core/test_master.h"

namespace tessera::master {
namespace {

const absl::Time kStart = absl::FromUnixSeconds(1'700'000'000);

class AllocationInquiryTest : public ::testing::Test {
 protected:
  AllocationInquiryTest() : master_(&registry_, kStart) { master_.Lead(); }

  absl::StatusOr<AllocationInquiry> Ask(const std::string& framework,
                                        const std::string& role = "") {
    ops::ExplainAllocationRequest request;
    request.set_framework_id(framework);
    request.set_role(role);
    request.set_max_agents(7);
    (*request.mutable_needed()->mutable_amounts())["cpus"].set_milli(1500);
    return master_.core().InquireAllocation(request);
  }
  std::string Subscribe(const std::string& name, const std::vector<std::string>& roles) {
    pb::FrameworkInfo info = TestMaster::Info(name);
    info.clear_roles();
    for (const std::string& role : roles) info.add_roles(role);
    return master_.SessionOf(master_.Subscribe(info)).framework_id();
  }

  TestRegistry registry_;
  TestMaster master_;
};

TEST_F(AllocationInquiryTest, OneQuestionForEachRole) {
  const std::string id = Subscribe("batch", {"ops", "eng/web"});
  const auto all = Ask(id);
  ASSERT_TRUE(all.ok()) << all.status();
  ASSERT_EQ(all->questions.size(), 2u);
  EXPECT_EQ(all->questions[0].role(), "eng/web");
  EXPECT_EQ(all->questions[1].role(), "ops");
  EXPECT_EQ(all->questions[1].framework_id(), id);
  EXPECT_EQ(all->questions[1].max_agents(), 7u);
  EXPECT_EQ(all->questions[1].needed().amounts().at("cpus").milli(), 1500);
  EXPECT_EQ(all->answer.framework_name(), "batch");
  const auto one = Ask(id, "ops");
  ASSERT_TRUE(one.ok()) << one.status();
  ASSERT_EQ(one->questions.size(), 1u);
  EXPECT_EQ(one->questions[0].role(), "ops");
}

TEST_F(AllocationInquiryTest, UnknownNamesAreSaid) {
  EXPECT_EQ(rpc::ReasonOf(Ask("nobody").status()), pb::ErrorDetail::UNKNOWN_FRAMEWORK);
  const std::string id = Subscribe("batch", {"ops"});
  const absl::Status no_role = Ask(id, "eng").status();
  EXPECT_EQ(rpc::ReasonOf(no_role), pb::ErrorDetail::UNKNOWN_ROLE);
  EXPECT_NE(no_role.message().find("ops"), absl::string_view::npos) << no_role;
  ops::TeardownFrameworkRequest teardown;
  teardown.set_framework_id(id);
  ASSERT_TRUE(master_.Operate<ops::TeardownFrameworkResponse>(teardown).ok());
  const absl::Status ended = Ask(id).status();
  EXPECT_EQ(rpc::ReasonOf(ended), pb::ErrorDetail::UNKNOWN_FRAMEWORK);
  EXPECT_NE(ended.message().find("has ended"), absl::string_view::npos) << ended;
}

TEST_F(AllocationInquiryTest, AStandbyNamesTheLeader) {
  TestRegistry registry;
  TestMaster standby(&registry, kStart);
  standby.LeadElsewhere("master-2:5050");
  standby.Step(Started{});
  const absl::Status status =
      standby.core().InquireAllocation(ops::ExplainAllocationRequest()).status();
  EXPECT_EQ(rpc::ReasonOf(status), pb::ErrorDetail::NOT_LEADER);
  ASSERT_TRUE(rpc::DetailOf(status).has_value());
  EXPECT_EQ(rpc::DetailOf(status)->leader_address(), "master-2:5050");
}

TEST_F(AllocationInquiryTest, WhoHoldsOffersIsNamed) {
  const std::string modest = Subscribe("modest", {"work"});
  const std::string hoarder = Subscribe("hoarder", {"work"});
  const std::string needy = Subscribe("needy", {"work"});
  const std::string first = master_.AgentId(master_.Register(TestMaster::AgentInfo("host-1")));
  const std::string second = master_.AgentId(master_.Register(TestMaster::AgentInfo("host-2")));
  master_.Allocate(hoarder, first, "cpus:3;mem:64");
  master_.Allocate(hoarder, second, "cpus:3");
  master_.Allocate(modest, second, "cpus:1");
  const auto inquiry = Ask(needy);
  ASSERT_TRUE(inquiry.ok()) << inquiry.status();
  ASSERT_EQ(inquiry->answer.offer_holders_size(), 2);
  const auto& most = inquiry->answer.offer_holders(0);
  EXPECT_EQ(most.framework_id(), hoarder);
  EXPECT_EQ(most.framework_name(), "hoarder");
  EXPECT_EQ(most.offers(), 2u);
  EXPECT_EQ(most.offered().amounts().at("cpus").milli(), 6000);
  EXPECT_EQ(most.offered().amounts().at("mem").milli(), 64'000);
  EXPECT_EQ(inquiry->answer.offer_holders(1).framework_id(), modest);
}

TEST_F(AllocationInquiryTest, AnAllocatorThatIsAwayIsWorthAnotherTry) {
  for (const absl::Status& away :
       {absl::UnavailableError("connection refused"), absl::DeadlineExceededError("late"),
        absl::NotFoundError("the allocator knows no framework")}) {
    const absl::Status told = InquiryFailed(away);
    EXPECT_EQ(told.code(), absl::StatusCode::kUnavailable) << told;
    EXPECT_EQ(rpc::ReasonOf(told), pb::ErrorDetail::RECOVERING) << told;
    EXPECT_NE(told.message().find("the allocator"), absl::string_view::npos) << told;
  }
  const absl::Status wrong = rpc::InvalidField("needed", "negative");
  EXPECT_EQ(InquiryFailed(wrong), wrong);
}

}  // namespace
}  // namespace tessera::master
