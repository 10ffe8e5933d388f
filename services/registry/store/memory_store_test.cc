#include "services/registry/store/memory_store.h"

#include <gtest/gtest.h>

#include <thread>

#include "services/registry/store/store_conformance.h"

namespace tessera::registry {
namespace {

struct MemoryFixture {
  MemoryFixture() { disk->set_limits({.writes_max = 128, .bytes_max = 3 << 19}); }
  std::shared_ptr<MemoryDisk> disk = std::make_shared<MemoryDisk>();
  std::unique_ptr<Store> New() { return std::make_unique<MemoryStore>(disk); }
  void Crash() { disk->Crash(); }
  void Evict() { disk->Evict(); }
  void LoseNext(bool done) {
    disk->LoseNext(done ? MemoryDisk::Loss::kAnswer : MemoryDisk::Loss::kBatch);
  }
};

INSTANTIATE_TYPED_TEST_SUITE_P(Memory, StoreConformance, MemoryFixture);

class MemoryStoreTest : public testing::Test {
 protected:
  void SetUp() override { Win(&store_); }
  void Win(Store* store) {
    const std::optional<Won> won = TryToWin(store);
    ASSERT_TRUE(won.has_value());
    guard_ = {won->ownership.term, won->ownership.last_batch + 1};
  }
  Version OnDisk() { return disk_->Read()->version; }

  std::shared_ptr<MemoryDisk> disk_ = std::make_shared<MemoryDisk>();
  MemoryStore store_{disk_};
  Guard guard_;
};

TEST_F(MemoryStoreTest, OfABatchThatIsBegunACrashKeepsAllOrNothing) {
  for (const bool kept : {false, true}) {
    const Version before = OnDisk();
    store_.Begin(BatchOf(before + 1, {{"a", MakeValue("1")}}), guard_);
    EXPECT_EQ(OnDisk(), before);
    disk_->Crash(kept);
    EXPECT_EQ(OnDisk(), before + (kept ? 1 : 0));
    EXPECT_EQ(store_.Finish().outcome, CommitOutcome::kUnknown);
    EXPECT_EQ(OnDisk(), before + (kept ? 1 : 0));
    Win(&store_);
  }
}

TEST_F(MemoryStoreTest, ABatchThatArrivesLateCountsUnlessItWasSettledOrItsTermIsOver) {
  const auto send = [&] {
    disk_->LoseNext(MemoryDisk::Loss::kBatch);
    EXPECT_EQ(store_.Commit(BatchOf(OnDisk() + 1, {{"a", MakeValue("1")}}), guard_).outcome,
              CommitOutcome::kUnknown);
  };
  send();
  EXPECT_TRUE(disk_->DeliverLate());
  EXPECT_EQ(OnDisk(), 1u);
  EXPECT_EQ(*store_.Settle(guard_), SettleOutcome::kDone);
  ++guard_.number;

  send();
  EXPECT_EQ(*store_.Settle(guard_), SettleOutcome::kNever);
  EXPECT_FALSE(disk_->DeliverLate()) << "what was settled stays so";
  EXPECT_EQ(OnDisk(), 1u);
  ++guard_.number;

  send();
  disk_->Evict();
  EXPECT_FALSE(disk_->DeliverLate()) << "also before anybody has taken over";
  MemoryStore other(disk_);
  Win(&other);
  EXPECT_EQ(OnDisk(), 1u);
}

TEST_F(MemoryStoreTest, WhoIsTurnedOutHearsOfItOnce) {
  std::vector<Term> fenced;
  MemoryStore listening(disk_);
  listening.set_on_fenced([&](Term term, const std::string&) { fenced.push_back(term); });
  disk_->Evict();
  EXPECT_TRUE(fenced.empty()) << "it did not own the disk";
  Win(&listening);
  disk_->Evict();
  disk_->Evict();
  EXPECT_EQ(fenced, std::vector<Term>{guard_.term});
  EXPECT_FALSE(disk_->owned());
}

TEST_F(MemoryStoreTest, ACampaignWaitsForTheDisk) {
  auto standby = std::make_unique<MemoryStore>(disk_);
  std::thread waiting([&] {
    const auto result = standby->Campaign("there:1", absl::Seconds(60));
    EXPECT_TRUE(result.ok() && std::holds_alternative<Won>(*result));
  });
  disk_->Crash();
  waiting.join();
}

TEST_F(MemoryStoreTest, ABrokenDiskFailsAndADamagedOneIsSeen) {
  disk_->Fail(absl::ResourceExhaustedError("full"));
  EXPECT_EQ(store_.Commit(BatchOf(1, {{"a", MakeValue("1")}}), guard_).outcome,
            CommitOutcome::kUnknown);
  EXPECT_TRUE(absl::IsResourceExhausted(store_.Settle(guard_).status()));
  EXPECT_TRUE(absl::IsResourceExhausted(store_.Campaign("", absl::ZeroDuration()).status()));
  disk_->Fail(absl::OkStatus());
  Win(&store_);
  ASSERT_EQ(store_.Commit(BatchOf(1, {{"a", MakeValue("1")}}), guard_).outcome,
            CommitOutcome::kDone);
  disk_->Damage();
  EXPECT_TRUE(absl::IsDataLoss(store_.Campaign("", absl::ZeroDuration()).status()));
}

}  // namespace
}  // namespace tessera::registry
