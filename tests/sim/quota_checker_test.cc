// The judges of quotas must condemn what is wrong: each gets a story that breaks its rule, and one
// that does not.
#include "tests/sim/quota_checker.h"

#include <gtest/gtest.h>

#include "protos/tessera/registry/v1/records.pb.h"

namespace tessera::sim {
namespace {

using allocator::v1::AllocateRequest;
using allocator::v1::AllocateResponse;

constexpr uint64_t kStream = 7;

model::v1::Resource Cpus(int64_t milli, const std::string& role) {
  model::v1::Resource resource;
  resource.set_name("cpus");
  resource.mutable_scalar()->set_milli(milli);
  if (!role.empty()) resource.set_allocation_role(role);
  return resource;
}

// A history of the allocator: two agents of 4 cpus each, and what happens to them.
class History {
 public:
  History() {
    AddAgent("m1", {});
    AddAgent("m2", {});
  }

  void SetQuota(const std::string& role, int64_t guarantee, int64_t limit) {
    auto* set = Event()->mutable_quota_set();
    set->set_role(role);
    if (guarantee >= 0)
      (*set->mutable_guarantees()->mutable_amounts())["cpus"].set_milli(guarantee);
    if (limit >= 0) (*set->mutable_limits()->mutable_amounts())["cpus"].set_milli(limit);
    Tell();
  }
  // With what a framework "f" holds there in a role.
  void AddAgent(const std::string& agent, const std::map<std::string, int64_t>& held) {
    auto* added = Event()->mutable_agent_added();
    added->mutable_info()->set_id(agent);
    *added->add_total() = Cpus(4000, "");
    added->set_active(true);
    for (const auto& [role, milli] : held) {
      auto* holding = added->add_holdings();
      holding->set_framework_id("f");
      *holding->add_resources() = Cpus(milli, role);
    }
    Tell();
  }
  void RemoveAgent(const std::string& agent) {
    Event()->mutable_agent_removed()->set_agent_id(agent);
    Tell();
  }
  void SetActive(const std::string& agent, bool active) {
    if (active) {
      Event()->mutable_agent_activated()->set_agent_id(agent);
    } else {
      Event()->mutable_agent_deactivated()->set_agent_id(agent);
    }
    Tell();
  }
  void Recover(const std::string& agent, const std::string& role, int64_t milli) {
    auto* recovered = Event()->mutable_recovered();
    recovered->set_framework_id("f");
    recovered->set_agent_id(agent);
    *recovered->add_resources() = Cpus(milli, role);
    Tell();
  }
  void Allocate(const std::string& agent, const std::string& role, int64_t milli) {
    AllocateResponse response;
    auto* allocation = response.add_allocations();
    allocation->set_framework_id("f");
    allocation->set_agent_id(agent);
    allocation->set_role(role);
    *allocation->add_resources() = Cpus(milli, role);
    checker.Allocated(kStream, response);
  }

  Verdict verdict;
  QuotaChecker checker{&verdict};

 private:
  allocator::v1::ClusterEvent* Event() { return request_.add_events(); }
  void Tell() {
    request_.set_epoch(3);
    checker.Told(kStream, request_);
    request_.Clear();
  }

  AllocateRequest request_;
};

TEST(QuotaCheckerTest, CondemnsWhatGoesAboveALimitOfTheRoleOrOneAboveIt) {
  History fine;
  fine.SetQuota("a", -1, 5000);
  fine.Allocate("m1", "a/b", 3000);
  fine.Allocate("m1", "ab", 1000);  // another role
  fine.Allocate("m2", "a", 2000);
  fine.Recover("m1", "a/b", 3000);
  fine.Allocate("m1", "a/c/d", 3000);
  EXPECT_FALSE(fine.verdict.failed()) << fine.verdict.failure();
  EXPECT_EQ(fine.checker.judged(), 4);
  fine.Allocate("m2", "a/b", 1);
  EXPECT_TRUE(fine.verdict.failed());
  EXPECT_NE(fine.verdict.failure().find("limits are not exceeded"), std::string::npos)
      << fine.verdict.failure();
}

TEST(QuotaCheckerTest, WhatWasThereBeforeALimitMayStayButNotGrow) {
  History fine;
  fine.Allocate("m1", "a", 3000);
  fine.SetQuota("a", -1, 1000);
  fine.Allocate("m1", "b", 1000);
  fine.Recover("m1", "a", 2500);
  fine.Allocate("m1", "a", 500);
  // Tasks come back with their agent, and the limit is behind them.
  fine.RemoveAgent("m2");
  fine.AddAgent("m2", {{"a", 2500}});
  fine.AddAgent("m2", {{"a", 2000}, {"b", 1000}});
  fine.Allocate("m2", "b", 900);
  EXPECT_FALSE(fine.verdict.failed()) << fine.verdict.failure();
  fine.Allocate("m2", "a", 100);
  EXPECT_TRUE(fine.verdict.failed());

  // Taken back, a limit is none.
  History lifted;
  lifted.SetQuota("a", -1, 1000);
  lifted.SetQuota("a", -1, -1);
  lifted.Allocate("m1", "a", 4000);
  EXPECT_FALSE(lifted.verdict.failed()) << lifted.verdict.failure();
}

TEST(QuotaCheckerTest, CondemnsOthersWhoTakeWhatIsGuaranteed) {
  History fine;
  fine.SetQuota("a", 5000, -1);
  fine.Allocate("m1", "b", 3000);  // 5 of 8 are left, and all 5 are owed
  EXPECT_FALSE(fine.verdict.failed()) << fine.verdict.failure();
  fine.Allocate("m2", "a/x", 4000);  // who is owed takes
  fine.Allocate("m1", "a", 1000);
  EXPECT_FALSE(fine.verdict.failed()) << fine.verdict.failure();

  History broken;
  broken.SetQuota("a", 5000, -1);
  broken.Allocate("m1", "b", 3001);
  EXPECT_TRUE(broken.verdict.failed());
  EXPECT_NE(broken.verdict.failure().find("guarantees are not broken"), std::string::npos)
      << broken.verdict.failure();

  // The owed takes more than it is owed, at the cost of another that is owed.
  History greedy;
  greedy.SetQuota("a", 2000, -1);
  greedy.SetQuota("b", 5000, -1);
  greedy.Allocate("m1", "a", 3000);
  EXPECT_FALSE(greedy.verdict.failed()) << greedy.verdict.failure();
  greedy.Allocate("m1", "a", 1);
  EXPECT_TRUE(greedy.verdict.failed());
}

TEST(QuotaCheckerTest, WhatCannotBeGuaranteedIsMadeNoWorse) {
  History fine;
  fine.SetQuota("a", 9000, -1);  // of 8
  fine.Allocate("m1", "a", 4000);
  fine.RemoveAgent("m2");
  EXPECT_FALSE(fine.verdict.failed()) << fine.verdict.failure();
  fine.AddAgent("m2", {{"b", 1000}});
  fine.Allocate("m2", "a", 1000);
  EXPECT_FALSE(fine.verdict.failed()) << fine.verdict.failure();
  fine.Allocate("m2", "b", 1);
  EXPECT_TRUE(fine.verdict.failed());
}

TEST(QuotaCheckerTest, WhatIsFreeWhereNothingIsOfferedServesNobody) {
  History fine;
  fine.SetQuota("a", 4000, -1);
  fine.SetActive("m2", false);
  fine.SetActive("m2", true);
  fine.Allocate("m2", "b", 4000);
  fine.Recover("m2", "b", 4000);
  fine.SetActive("m2", false);
  EXPECT_FALSE(fine.verdict.failed()) << fine.verdict.failure();
  fine.Allocate("m1", "b", 1);
  EXPECT_TRUE(fine.verdict.failed());

  History away;
  away.SetActive("m2", false);
  away.Allocate("m2", "b", 1);
  EXPECT_TRUE(away.verdict.failed());
}

TEST(QuotaCheckerTest, WhatIsOwedBeneathIsPartOfWhatIsOwedAbove) {
  History fine;
  fine.SetQuota("a", 5000, -1);
  fine.SetQuota("a/b", 2000, -1);
  fine.SetQuota("a/c", 1000, -1);
  fine.Allocate("m1", "z", 3000);  // 5 are owed, not 8
  fine.Allocate("m2", "a/d", 2000);
  EXPECT_FALSE(fine.verdict.failed()) << fine.verdict.failure();
  // All that `a` still lacks is owed to others beneath it.
  fine.Allocate("m2", "a/d", 1);
  EXPECT_TRUE(fine.verdict.failed());

  // What is guaranteed beneath may come to more than what is guaranteed above.
  History deep;
  deep.SetQuota("a", 1000, -1);
  deep.SetQuota("a/b/c", 3000, -1);
  deep.SetQuota("a/d", 3000, -1);
  deep.Allocate("m1", "z", 2000);
  EXPECT_FALSE(deep.verdict.failed()) << deep.verdict.failure();
  deep.Allocate("m1", "z", 1);
  EXPECT_TRUE(deep.verdict.failed());
}

TEST(QuotaCheckerTest, CondemnsWhatIsGivenTwiceOrIsNotThere) {
  History twice;
  twice.Allocate("m1", "a", 3000);
  EXPECT_FALSE(twice.verdict.failed()) << twice.verdict.failure();
  twice.Allocate("m1", "b", 1001);
  EXPECT_TRUE(twice.verdict.failed());

  History gone;
  gone.RemoveAgent("m1");
  gone.Allocate("m1", "a", 1000);
  EXPECT_TRUE(gone.verdict.failed());
}

TEST(QuotaCheckerTest, KnowsTheQuotasOfTheNewestStream) {
  History history;
  history.SetQuota("a", 1000, 2000);
  ASSERT_NE(history.checker.KnownTo(3), nullptr);
  EXPECT_EQ(history.checker.KnownTo(3)->at("a"), (RoleQuota{{{"cpus", 1000}}, {{"cpus", 2000}}}));
  EXPECT_EQ(history.checker.KnownTo(4), nullptr);
  history.checker.AllEnded();
  EXPECT_EQ(history.checker.KnownTo(3), nullptr);
}

// ---- LimitChecker

TEST(LimitCheckerTest, CondemnsOffersAboveWhatOperatorsWerePromised) {
  const RoleQuota two_cpus{{}, {{"cpus", 2000}}};
  const Quotas known = {{"a", two_cpus}};
  Verdict verdict;
  LimitChecker checker(&verdict);
  checker.Judge({{"a", {{"cpus", 9000}}}}, {{"a", {{"cpus", 9000}}}}, nullptr);
  checker.Promised("a", two_cpus);
  checker.Judge({{"a/b", {{"cpus", 500}}}}, {{"a", {{"cpus", 1500}}}, {"a/b", {{"cpus", 500}}}},
                &known);
  // Nothing new above the limit: tasks were there before it.
  checker.Judge({{"ab", {{"cpus", 500}}}}, {{"a", {{"cpus", 3000}}}, {"ab", {{"cpus", 500}}}},
                &known);
  checker.Judge({{"a", {{"mem", 500}}}}, {{"a", {{"cpus", 3000}, {"mem", 500}}}}, &known);
  EXPECT_FALSE(verdict.failed()) << verdict.failure();
  checker.Judge({{"a/b", {{"cpus", 500}}}}, {{"a", {{"cpus", 1501}}}, {"a/b", {{"cpus", 500}}}},
                &known);
  EXPECT_TRUE(verdict.failed());
}

TEST(LimitCheckerTest, CondemnsALeaderThatForgetsWhatIsStored) {
  registry::v1::Quota record;
  (*record.mutable_limits()->mutable_amounts())["cpus"].set_milli(2000);
  const Quotas known = {{"a", {{}, {{"cpus", 2000}}}}};
  Verdict verdict;
  LimitChecker checker(&verdict);
  checker.Recovered({{"quotas/a", record.SerializeAsString()}, {"weights/a", "x"}});
  checker.Stored("quotas/b", record.SerializeAsString());
  checker.Stored("quotas/b", std::nullopt);
  checker.NewEpoch();
  checker.Judge({}, {}, &known);
  EXPECT_FALSE(verdict.failed()) << verdict.failure();
  const Quotas none;
  checker.Judge({}, {}, &none);
  EXPECT_TRUE(verdict.failed());
}

}  // namespace
}  // namespace tessera::sim
