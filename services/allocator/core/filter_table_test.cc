#include "services/allocator/core/filter_table.h"

#include <vector>

#include "gtest/gtest.h"

namespace tessera::allocator {
namespace {

constexpr ClientNum kClient{0};
constexpr ClientNum kOther{1};
constexpr AgentNum kAgent{0};
constexpr AgentNum kAgent2{1};

class FilterTableTest : public testing::Test {
 protected:
  Bag CpusMem(double cpus, double mem) {
    Bag bag;
    bag.plain[kCpus] = static_cast<int64_t>(cpus * 1000);
    bag.plain[kMem] = static_cast<int64_t>(mem * 1000);
    return bag;
  }
  Bag With(Bag bag, model::Resource extra) {
    Bag more = *BagOf(model::Resources({std::move(extra)}), &words_);
    AddTo(&bag, more, words_);
    return bag;
  }
  bool IsFiltered(const Bag& candidate) {
    return table_.IsFiltered(kClient, kAgent, candidate, words_);
  }

  Vocabulary words_;
  FilterTable table_{1000, 1000};
  absl::Time t0_ = absl::UnixEpoch();
};

TEST_F(FilterTableTest, ContainmentOfTheRefusedResources) {
  ASSERT_TRUE(table_.Add(kClient, kAgent, CpusMem(2, 1024), t0_, words_));
  EXPECT_TRUE(IsFiltered(CpusMem(2, 1024)));
  EXPECT_TRUE(IsFiltered(CpusMem(1, 0)));
  EXPECT_TRUE(IsFiltered(CpusMem(0, 512)));
  EXPECT_FALSE(IsFiltered(CpusMem(2, 1025)));
  model::Resource ports = model::Resource::OfRanges("ports", model::Ranges::UnionOf({{1, 2}}));
  EXPECT_FALSE(IsFiltered(With(CpusMem(2, 1024), ports)));
  model::Resource reserved = model::Resource::OfScalar("cpus", model::Scalar::FromUnits(1));
  ASSERT_TRUE(reserved.PushReservation({model::ReservationType::kStatic, "eng", {}, {}}).ok());
  EXPECT_FALSE(IsFiltered(With(CpusMem(0, 0), reserved)));
  model::Resource revocable = model::Resource::OfScalar("cpus", model::Scalar::FromUnits(1));
  model::ResourceMetadata metadata;
  metadata.revocable = true;
  revocable.set_metadata(metadata);
  EXPECT_FALSE(IsFiltered(With(CpusMem(0, 0), revocable)));
  EXPECT_FALSE(table_.IsFiltered(kOther, kAgent, CpusMem(1, 0), words_));
  EXPECT_FALSE(table_.IsFiltered(kClient, kAgent2, CpusMem(1, 0), words_));
}

TEST_F(FilterTableTest, TwoFiltersDoNotAddUp) {
  table_.Add(kClient, kAgent, CpusMem(2, 0), t0_, words_);
  table_.Add(kClient, kAgent, CpusMem(0, 1024), t0_, words_);
  EXPECT_FALSE(IsFiltered(CpusMem(2, 1024)));
  EXPECT_TRUE(IsFiltered(CpusMem(2, 0)));
  EXPECT_TRUE(IsFiltered(CpusMem(0, 1024)));
}

TEST_F(FilterTableTest, LivesUntilItsDeadlineIsTakenIn) {
  table_.Add(kClient, kAgent, CpusMem(2, 0), t0_ + absl::Seconds(5), words_);
  table_.Add(kOther, kAgent2, CpusMem(2, 0), t0_ + absl::Seconds(3), words_);
  EXPECT_EQ(table_.NextDeadline(), t0_ + absl::Seconds(3));
  std::vector<ClientNum> removed;
  const auto note = [&](ClientNum client, AgentNum) { removed.push_back(client); };
  table_.Expire(t0_ + absl::Seconds(4), note);
  EXPECT_EQ(removed, std::vector<ClientNum>({kOther}));
  EXPECT_TRUE(IsFiltered(CpusMem(1, 0)));
  EXPECT_EQ(table_.NextDeadline(), t0_ + absl::Seconds(5));
  table_.Expire(t0_ + absl::Seconds(5), note);
  EXPECT_FALSE(IsFiltered(CpusMem(1, 0)));
  EXPECT_FALSE(table_.HasAny(kClient));
  EXPECT_EQ(table_.NextDeadline(), absl::InfiniteFuture());
  EXPECT_EQ(table_.size(), 0u);
}

TEST_F(FilterTableTest, ClearedFiltersLeaveNoDeadlinesBehind) {
  for (int round = 0; round < 1000; ++round) {
    for (int i = 0; i < 10; ++i) {
      ASSERT_TRUE(
          table_.Add(kClient, AgentNum(i), CpusMem(1, 0), t0_ + absl::Hours(24 * 365), words_));
    }
    EXPECT_TRUE(table_.ClearClient(kClient));
  }
  EXPECT_EQ(table_.size(), 0u);
  EXPECT_LE(table_.queued_deadlines(), 128u);
  EXPECT_FALSE(table_.ClearClient(kClient));
}

TEST_F(FilterTableTest, ClearAgentTakesAllClients) {
  table_.Add(kClient, kAgent, CpusMem(1, 0), t0_, words_);
  table_.Add(kClient, kAgent2, CpusMem(1, 0), t0_, words_);
  table_.Add(kOther, kAgent, CpusMem(1, 0), t0_, words_);
  table_.ClearAgent(kAgent);
  EXPECT_EQ(table_.size(), 1u);
  EXPECT_EQ(table_.CountOf(kClient), 1u);
  EXPECT_EQ(table_.CountOf(kOther), 0u);
}

TEST(RefusalHistory, DoublesWhileTheSameIsRefused) {
  RefusalHistory history(10);
  const ClientNum client{3};
  const AgentNum agent{5};
  absl::Time now = absl::UnixEpoch();
  const auto refuse = [&](uint64_t what) {
    const absl::Duration life =
        history.Note(client, agent, what, now, absl::Seconds(5), absl::Seconds(60));
    now += life + absl::Seconds(1);
    return absl::ToInt64Seconds(life);
  };
  for (int64_t expected : {5, 10, 20, 40, 60, 60}) EXPECT_EQ(refuse(1), expected);
  for (int64_t expected : {5, 10}) EXPECT_EQ(refuse(2), expected);
  // Over for as long as it lasted.
  now += absl::Seconds(11);
  EXPECT_EQ(refuse(2), 5);
  EXPECT_EQ(refuse(2), 10);
  history.ForgetAgent(agent);
  EXPECT_EQ(refuse(2), 5);
  history.ForgetClient(client);
  EXPECT_EQ(refuse(2), 5);
  EXPECT_EQ(history.size(), 1u);
  // What is asked for is never cut, nor remembered when nothing could be added.
  EXPECT_EQ(history.Note(client, AgentNum{6}, 1, now, absl::Hours(2), absl::Seconds(60)),
            absl::Hours(2));
  EXPECT_EQ(history.size(), 1u);
}

TEST(RefusalHistory, IsBounded) {
  RefusalHistory history(2);
  absl::Time now = absl::UnixEpoch();
  const auto refuse = [&](uint32_t agent) {
    return history.Note(ClientNum{0}, AgentNum{agent}, 1, now, absl::Seconds(5), absl::Hours(1));
  };
  for (uint32_t agent = 0; agent < 5; ++agent) EXPECT_EQ(refuse(agent), absl::Seconds(5));
  EXPECT_EQ(history.size(), 2u);
  EXPECT_EQ(refuse(1), absl::Seconds(10));
  EXPECT_EQ(refuse(4), absl::Seconds(5));
  // Rows that are over make room.
  now += absl::Minutes(1);
  EXPECT_EQ(refuse(4), absl::Seconds(5));
  EXPECT_EQ(refuse(4), absl::Seconds(10));
  EXPECT_EQ(history.size(), 1u);
}

TEST_F(FilterTableTest, IsBounded) {
  FilterTable small(3, 2);
  EXPECT_TRUE(small.Add(kClient, AgentNum{1}, CpusMem(1, 0), t0_, words_));
  EXPECT_TRUE(small.Add(kClient, AgentNum{2}, CpusMem(1, 0), t0_, words_));
  EXPECT_FALSE(small.Add(kClient, AgentNum{3}, CpusMem(1, 0), t0_, words_)) << "its part is used";
  EXPECT_TRUE(small.Add(kOther, AgentNum{1}, CpusMem(1, 0), t0_, words_));
  EXPECT_FALSE(small.Add(kOther, AgentNum{2}, CpusMem(1, 0), t0_, words_)) << "the table is full";
  EXPECT_EQ(small.size(), 3u);
  EXPECT_EQ(small.CountOf(kOther), 1u);
}

TEST_F(FilterTableTest, WhatIsCoveredForLongerIsReplaced) {
  table_.Add(kClient, kAgent, CpusMem(1, 0), t0_ + absl::Seconds(5), words_);
  table_.Add(kClient, kAgent, CpusMem(0, 64), t0_ + absl::Seconds(60), words_);
  table_.Add(kClient, kAgent, CpusMem(2, 64), t0_ + absl::Seconds(10), words_);
  EXPECT_EQ(table_.size(), 2u) << "the one that holds longer stays";
  EXPECT_TRUE(IsFiltered(CpusMem(2, 64)));
  table_.Expire(t0_ + absl::Seconds(10), [](ClientNum, AgentNum) {});
  EXPECT_EQ(table_.size(), 1u);
  EXPECT_FALSE(IsFiltered(CpusMem(1, 0)));
  EXPECT_TRUE(IsFiltered(CpusMem(0, 64)));
  for (int i = 0; i < 100'000; ++i) {
    table_.Add(kClient, kAgent, CpusMem(1, 0), t0_ + absl::Seconds(60 + i), words_);
  }
  EXPECT_EQ(table_.size(), 2u);
  EXPECT_LE(table_.queued_deadlines(), 128u);
}

TEST_F(FilterTableTest, OneAgentHasAsManyAsAreLookedAt) {
  size_t kept = 0;
  for (int i = 1; i <= 100; ++i) {
    kept += table_.Add(kClient, kAgent, CpusMem(i, 100 - i), t0_, words_);
  }
  EXPECT_EQ(kept, FilterTable::kFiltersOnAgentMax);
  EXPECT_EQ(table_.size(), kept);
}

}  // namespace
}  // namespace tessera::allocator
