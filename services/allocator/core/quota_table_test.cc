#include "services/allocator/core/quota_table.h"

#include "gtest/gtest.h"

namespace tessera::allocator {
namespace {

Amounts Cpus(int64_t cpus) {
  Amounts amounts;
  amounts[kCpus] = cpus * 1000;
  return amounts;
}

Quota Guarantee(int64_t cpus) { return {Cpus(cpus), Amounts::Unlimited()}; }
Quota Limit(int64_t cpus) {
  Quota quota;
  quota.limit[kCpus] = cpus * 1000;
  return quota;
}

class QuotaTableTest : public testing::Test {
 protected:
  RoleNum Role(const char* path) { return *words_.InternRole(path); }
  int64_t Required() const { return table_.required_headroom()[kCpus] / 1000; }
  int64_t Guaranteed(RoleNum role) const { return table_.GuaranteeRoom(role)[kCpus] / 1000; }

  Vocabulary words_;
  QuotaTable table_{&words_};
};

TEST_F(QuotaTableTest, UnconsumedGuaranteesAreRequired) {
  const RoleNum q = Role("q");
  table_.Set(q, Guarantee(10));
  EXPECT_EQ(Required(), 10);
  // 4 reserved, of which 1 is allocated; 3 more unreserved ones are allocated.
  table_.Consume(q, Cpus(4));
  table_.Consume(q, Cpus(3));
  EXPECT_EQ(Required(), 3);
  EXPECT_EQ(Guaranteed(q), 3);
  table_.Consume(q, Cpus(9));
  EXPECT_EQ(Required(), 0);
  EXPECT_EQ(Guaranteed(q), 0);
  table_.Release(q, Cpus(9));
  EXPECT_EQ(Required(), 3);
  table_.Set(q, Quota());
  EXPECT_EQ(Required(), 0);
  EXPECT_FALSE(table_.AnyQuota());
}

TEST_F(QuotaTableTest, ConsumptionBeforeTheQuotaCounts) {
  const RoleNum q = Role("q");
  table_.Consume(q, Cpus(4));
  table_.Set(q, Guarantee(10));
  EXPECT_EQ(Required(), 6);
}

TEST_F(QuotaTableTest, SubtreeIsChargedToTheRole) {
  const RoleNum a = Role("a");
  const RoleNum ab = Role("a/b");
  table_.Set(a, Guarantee(10));
  table_.Consume(ab, Cpus(4));
  EXPECT_EQ(Required(), 6);
  EXPECT_EQ(Guaranteed(ab), 6);
  EXPECT_EQ(table_.Consumed(a), Cpus(4));
}

TEST_F(QuotaTableTest, ChildrensGuaranteesArePartOfTheParents) {
  const RoleNum a = Role("a");
  const RoleNum b = Role("a/b");
  const RoleNum c = Role("a/c");
  table_.Set(a, Guarantee(10));
  table_.Set(b, Guarantee(6));
  EXPECT_EQ(Required(), 10);
  EXPECT_EQ(Guaranteed(b), 10);
  EXPECT_EQ(Guaranteed(c), 4);  // 6 are b's
  EXPECT_EQ(Guaranteed(a), 4);
  table_.Consume(c, Cpus(4));
  EXPECT_EQ(Required(), 6);
  EXPECT_EQ(Guaranteed(c), 0);
  // More than its part, by whatever way: b's guarantee is still held back.
  table_.Consume(c, Cpus(4));
  EXPECT_EQ(Required(), 6);
  table_.Consume(b, Cpus(6));
  EXPECT_EQ(Required(), 0);
}

TEST_F(QuotaTableTest, TightestLimitOnThePathCounts) {
  const RoleNum a = Role("a");
  const RoleNum b = Role("a/b");
  EXPECT_EQ(table_.LimitRoom(b)[kCpus], kUnlimited);
  table_.Set(a, Limit(10));
  table_.Set(b, Limit(8));
  EXPECT_EQ(table_.LimitRoom(b)[kCpus], 8000);
  EXPECT_EQ(table_.LimitRoom(b)[kMem], kUnlimited);
  table_.Consume(a, Cpus(5));
  EXPECT_EQ(table_.LimitRoom(b)[kCpus], 5000);
  table_.Consume(b, Cpus(7));
  EXPECT_EQ(table_.LimitRoom(b)[kCpus], 0);
  EXPECT_EQ(table_.LimitRoom(a)[kCpus], 0);
}

TEST_F(QuotaTableTest, RolesThatCameLaterAreBoundByTheirAncestors) {
  const RoleNum a = Role("a");
  Quota both = Guarantee(6);
  both.limit[kCpus] = 9000;
  table_.Set(a, both);
  const RoleNum late = Role("a/late");
  EXPECT_EQ(Guaranteed(late), 6);
  EXPECT_EQ(table_.LimitRoom(late)[kCpus], 9000);
}

TEST_F(QuotaTableTest, WhatIsGuaranteedDeeperDownIsLeftToThose) {
  const RoleNum a = Role("a");
  const RoleNum ab = Role("a/b");
  const RoleNum abe = Role("a/b/e");
  const RoleNum ac = Role("a/c");
  table_.Set(a, Guarantee(10));
  table_.Set(abe, Guarantee(3));
  // In the name of `a`, whoever it is: all but the three of `e`.
  EXPECT_EQ(Guaranteed(ab), 7);
  EXPECT_EQ(Guaranteed(ac), 7);
  EXPECT_EQ(Guaranteed(abe), 10);
  table_.Consume(ab, Cpus(7));
  EXPECT_EQ(Guaranteed(ab), 0);
  EXPECT_EQ(Guaranteed(abe), 3);
  EXPECT_EQ(Required(), 3);
  // What `b` is guaranteed itself is for all beneath it.
  table_.Release(ab, Cpus(7));
  table_.Set(ab, Guarantee(5));
  EXPECT_EQ(Guaranteed(ab), 7);
  EXPECT_EQ(Guaranteed(ac), 5);
}

}  // namespace
}  // namespace tessera::allocator
