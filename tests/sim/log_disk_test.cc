#include "tests/sim/log_disk.h"

#include <gtest/gtest.h>

#include "services/agent/checkpoint/record_log.h"
#include "services/agent/checkpoint/testing/log_store_conformance.h"

namespace tessera {

// A place whose processes end in an orderly way: all that was written is there.
class SlowPlace {
 public:
  agent::LogStore& store() { return disk_; }
  void Reopen() { disk_.Settle(); }

 private:
  sim::LogDisk disk_;
};

namespace agent {
INSTANTIATE_TYPED_TEST_SUITE_P(Slow, LogStoreConformance, SlowPlace);
}  // namespace agent

namespace sim {
namespace {

std::vector<agent::checkpoint::Record> Epoch(uint64_t epoch) {
  std::vector<agent::checkpoint::Record> records(1);
  records.front().mutable_epoch()->set_highest(epoch);
  return records;
}

// The newest epoch that the log holds; 0: none.
uint64_t Recovered(LogDisk* disk, uint64_t* torn) {
  agent::RecordLog log(disk);
  const auto records = log.Recover();
  EXPECT_TRUE(records.ok()) << records.status();
  disk->Settle();
  *torn += log.torn_bytes() > 0;
  return !records.ok() || records->empty() ? 0 : records->back().epoch().highest();
}

TEST(LogDiskTest, ACrashKeepsWhatWasSettledAndMaybeWhatWasNot) {
  base::Rng rng(1);
  int kept = 0;
  uint64_t torn = 0;
  for (int i = 0; i < 200; ++i) {
    LogDisk disk;
    agent::RecordLog log(&disk);
    ASSERT_TRUE(log.Recover().ok());
    ASSERT_TRUE(log.Append(Epoch(1)).ok());
    disk.Settle();
    ASSERT_TRUE(log.Append(Epoch(2)).ok());
    disk.Crash(&rng);
    const uint64_t newest = Recovered(&disk, &torn);
    ASSERT_GE(newest, 1u);
    kept += newest == 2;
  }
  EXPECT_GT(kept, 20);
  EXPECT_LT(kept, 180);
  EXPECT_GT(torn, 20u);
}

TEST(LogDiskTest, AReplacementIsThereOrIsNot) {
  base::Rng rng(1);
  int replaced = 0;
  uint64_t torn = 0;
  for (int i = 0; i < 100; ++i) {
    LogDisk disk;
    agent::RecordLog log(&disk);
    ASSERT_TRUE(log.Recover().ok());
    ASSERT_TRUE(log.Append(Epoch(1)).ok());
    disk.Settle();
    ASSERT_TRUE(log.Replace(Epoch(2)).ok());
    disk.Crash(&rng);
    const uint64_t newest = Recovered(&disk, &torn);
    ASSERT_GE(newest, 1u);
    replaced += newest == 2;
  }
  EXPECT_GT(replaced, 10);
  EXPECT_LT(replaced, 90);
  EXPECT_EQ(torn, 0u);
}

}  // namespace
}  // namespace sim
}  // namespace tessera
