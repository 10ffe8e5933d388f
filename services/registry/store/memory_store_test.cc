#include "services/registry/store/memory_store.h"

#include <gtest/gtest.h>

#include <random>

#include "services/registry/store/store_conformance.h"

namespace tessera::registry {
namespace {

struct MemoryFixture {
  std::shared_ptr<MemoryDisk> disk = std::make_shared<MemoryDisk>();
  std::mt19937_64 random{1};
  std::unique_ptr<Store> Open() { return std::make_unique<MemoryStore>(disk); }
  void Crash() { disk->Crash(random() % 3); }
};

INSTANTIATE_TYPED_TEST_SUITE_P(Memory, StoreConformance, MemoryFixture);

TEST(MemoryStoreTest, OnlySyncedBytesSurvive) {
  auto disk = std::make_shared<MemoryDisk>();
  MemoryStore store(disk);
  ASSERT_TRUE(store.Append(BatchOf(1, {{"a", MakeValue("1")}})).ok());
  ASSERT_TRUE(store.Sync().ok());
  ASSERT_TRUE(store.Append(BatchOf(2, {{"a", MakeValue("2")}})).ok());
  disk->Crash();
  EXPECT_EQ(MemoryStore(disk).Recover()->version, 1u);
}

TEST(MemoryStoreTest, ABrokenDiskFailsAndACorruptOneIsSeen) {
  auto disk = std::make_shared<MemoryDisk>();
  MemoryStore store(disk);
  disk->failure = absl::ResourceExhaustedError("full");
  EXPECT_FALSE(store.Append(BatchOf(1, {{"a", MakeValue("1")}})).ok());
  EXPECT_FALSE(store.Sync().ok());
  disk->failure = absl::OkStatus();
  ASSERT_TRUE(store.Append(BatchOf(1, {{"a", MakeValue("1")}})).ok());
  disk->log[0].pop_back();
  EXPECT_EQ(MemoryStore(disk).Recover().status().code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace tessera::registry
