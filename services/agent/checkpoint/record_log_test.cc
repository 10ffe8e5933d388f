#include "services/agent/checkpoint/record_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "absl/synchronization/mutex.h"
#include "services/agent/checkpoint/crc32c.h"
#include "services/agent/checkpoint/log_writer.h"
#include "services/agent/checkpoint/memory_log_store.h"
#include "services/base/rng.h"

namespace tessera::agent {
namespace {

using checkpoint::Record;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

Record Epoch(uint64_t epoch) {
  Record record;
  record.mutable_epoch()->set_highest(epoch);
  return record;
}

std::vector<uint64_t> EpochsIn(MemoryLogStore& store) {
  RecordLog log(&store);
  auto records = log.Recover();
  EXPECT_TRUE(records.ok()) << records.status();
  std::vector<uint64_t> epochs;
  if (records.ok()) {
    for (const Record& record : *records) epochs.push_back(record.epoch().highest());
  }
  return epochs;
}

TEST(Crc32cTest, KnownValues) {
  EXPECT_EQ(Crc32c(""), 0u);
  EXPECT_EQ(Crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8a9136aau);
}

TEST(RecordLogTest, RecordsComeBackInOrder) {
  MemoryLogStore store;
  {
    RecordLog log(&store);
    EXPECT_THAT(*log.Recover(), IsEmpty());
    ASSERT_TRUE(log.Append({Epoch(1), Epoch(2)}).ok());
    ASSERT_TRUE(log.Append({Epoch(3)}).ok());
  }
  store.Crash();
  EXPECT_THAT(EpochsIn(store), ElementsAre(1, 2, 3));
}

TEST(RecordLogTest, ReplaceLeavesNothingElse) {
  MemoryLogStore store;
  RecordLog log(&store);
  ASSERT_TRUE(log.Recover().ok());
  ASSERT_TRUE(log.Append({Epoch(1), Epoch(2)}).ok());
  ASSERT_TRUE(log.Replace({Epoch(9)}).ok());
  ASSERT_TRUE(log.Append({Epoch(10)}).ok());
  EXPECT_THAT(EpochsIn(store), ElementsAre(9, 10));
}

TEST(RecordLogTest, TornLastFrameIsCutOffWhereverItIsTorn) {
  MemoryLogStore whole;
  RecordLog log(&whole);
  ASSERT_TRUE(log.Recover().ok());
  ASSERT_TRUE(log.Append({Epoch(1)}).ok());
  const size_t good = whole.bytes().size();
  ASSERT_TRUE(log.Append({Epoch(2), Epoch(3)}).ok());
  for (size_t size = good; size < whole.bytes().size(); ++size) {
    MemoryLogStore torn;
    ASSERT_TRUE(torn.Replace(whole.bytes().substr(0, size)).ok());
    ASSERT_THAT(EpochsIn(torn), ElementsAre(1)) << "torn at byte " << size;
    // What is written next follows what counts.
    RecordLog again(&torn);
    ASSERT_TRUE(again.Recover().ok());
    ASSERT_TRUE(again.Append({Epoch(4)}).ok());
    ASSERT_THAT(EpochsIn(torn), ElementsAre(1, 4)) << "torn at byte " << size;
  }
}

TEST(RecordLogTest, ZerosAtTheEndAreSpaceAndNothingTorn) {
  MemoryLogStore store;
  RecordLog log(&store);
  ASSERT_TRUE(log.Recover().ok());
  ASSERT_TRUE(log.Append({Epoch(1)}).ok());
  store.bytes().append(100, '\0');
  RecordLog again(&store);
  EXPECT_THAT(*again.Recover(), SizeIs(1));
  EXPECT_EQ(again.torn_bytes(), 0);
  ASSERT_TRUE(again.Append({Epoch(2)}).ok());
  store.bytes().append(100, '\0');
  EXPECT_THAT(EpochsIn(store), ElementsAre(1, 2));
}

TEST(RecordLogTest, AFrameTornInTheMiddleOfTheSpaceIsTakenAway) {
  MemoryLogStore store;
  RecordLog log(&store);
  ASSERT_TRUE(log.Recover().ok());
  ASSERT_TRUE(log.Append({Epoch(1)}).ok());
  const size_t good = store.bytes().size();
  ASSERT_TRUE(log.Append({Epoch(2)}).ok());
  store.bytes()[good + 13] = '\0';
  store.bytes().append(100, '\0');
  RecordLog again(&store);
  EXPECT_THAT(*again.Recover(), SizeIs(1));
  EXPECT_GT(again.torn_bytes(), 0);
  EXPECT_THAT(EpochsIn(store), ElementsAre(1));
}

TEST(RecordLogTest, DamageInTheMiddleIsRefusedWithWhatToDo) {
  MemoryLogStore whole;
  RecordLog log(&whole);
  ASSERT_TRUE(log.Recover().ok());
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(log.Append({Epoch(100 + i)}).ok());
  const size_t frame = (whole.bytes().size() - 8) / 4;
  for (size_t at = 8; at < 8 + 3 * frame; ++at) {
    MemoryLogStore damaged;
    ASSERT_TRUE(damaged.Replace(whole.bytes()).ok());
    damaged.bytes()[at] ^= 0x10;
    RecordLog damaged_log(&damaged);
    const auto records = damaged_log.Recover();
    ASSERT_EQ(records.status().code(), absl::StatusCode::kDataLoss) << "byte " << at;
    ASSERT_THAT(std::string(records.status().message()), HasSubstr("move the file away"));
  }
}

TEST(RecordLogTest, OtherFormatsAreRefusedEachWithItsOwnWords) {
  for (const auto& [magic, words] : {std::pair{"TSRALOG1", "written by an agent of version 0.1"},
                                     std::pair{"TSRALOG3", "in a newer format"}}) {
    MemoryLogStore other;
    RecordLog log(&other);
    ASSERT_TRUE(log.Recover().ok());
    ASSERT_TRUE(log.Append({Epoch(1)}).ok());
    other.bytes().replace(0, 8, magic);
    const std::string before = other.bytes();
    RecordLog again(&other);
    const auto records = again.Recover();
    EXPECT_EQ(records.status().code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(records.status().message()), HasSubstr(words));
    EXPECT_EQ(other.bytes(), before) << "the file is the other agent's";
  }
}

TEST(RecordLogTest, AForeignFileIsLeftAlone) {
  MemoryLogStore store;
  ASSERT_TRUE(store.Replace("#!/bin/sh\necho this is no log\n").ok());
  RecordLog log(&store);
  EXPECT_EQ(log.Recover().status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(store.bytes(), HasSubstr("echo"));
}

TEST(RecordLogTest, FailedAppendLeavesNoTraceAndMayBeRepeated) {
  MemoryLogStore store;
  RecordLog log(&store);
  ASSERT_TRUE(log.Recover().ok());
  ASSERT_TRUE(log.Append({Epoch(1)}).ok());
  store.FailWith(absl::ResourceExhaustedError("disk full"));
  EXPECT_FALSE(log.Append({Epoch(2)}).ok());
  EXPECT_FALSE(log.Append({Epoch(2)}).ok());
  store.FailWith(absl::OkStatus());
  ASSERT_TRUE(log.Append({Epoch(2)}).ok());
  ASSERT_TRUE(log.Append({Epoch(3)}).ok());
  EXPECT_THAT(EpochsIn(store), ElementsAre(1, 2, 3));
}

// At any crash, what was acknowledged is there, in order, and nothing that was not written.
TEST(RecordLogTest, AcknowledgedRecordsSurviveAnyCrash) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    base::Rng rng(seed);
    MemoryLogStore store;
    uint64_t next = 1;
    uint64_t acknowledged = 0;
    for (int life = 0; life < 4; ++life) {
      RecordLog log(&store);
      auto records = log.Recover();
      ASSERT_TRUE(records.ok()) << records.status() << " seed " << seed;
      const uint64_t last = records->empty() ? 0 : records->back().epoch().highest();
      ASSERT_GE(last, acknowledged) << "seed " << seed;
      ASSERT_LT(last, next) << "seed " << seed;
      for (uint64_t i = 0; i < rng.Below(6); ++i) {
        std::vector<Record> batch;
        for (uint64_t j = 0; j <= rng.Below(3); ++j) batch.push_back(Epoch(next++));
        ASSERT_TRUE((rng.Chance(0.2) ? log.Replace(batch) : log.Append(batch)).ok());
        acknowledged = next - 1;
      }
      // One more write is under way when the machine stops.
      MemoryLogStore shadow = store;
      RecordLog unfinished(&shadow);
      ASSERT_TRUE(unfinished.Recover().ok());
      const size_t before = shadow.bytes().size();
      ASSERT_TRUE(unfinished.Append({Epoch(next++), Epoch(next++)}).ok());
      const std::string tail = shadow.bytes().substr(before);
      ASSERT_TRUE(store.Write(before, tail.substr(0, rng.Below(tail.size()))).ok());
      store.Crash(tail.size());
    }
  }
}

TEST(LogWriterTest, EverythingAcceptedIsWrittenInOrder) {
  MemoryLogStore store;
  RecordLog log(&store);
  ASSERT_TRUE(log.Recover().ok());
  std::vector<uint64_t> durable;
  {
    LogWriter writer(
        &log, [&](uint64_t id) { durable.push_back(id); }, [](bool) {});
    for (uint64_t id = 1; id <= 1000; ++id) writer.Write(id, {Epoch(id)}, id == 500);
  }
  ASSERT_THAT(durable, ::testing::Not(IsEmpty()));
  EXPECT_EQ(durable.back(), 1000);
  const auto epochs = EpochsIn(store);
  ASSERT_THAT(epochs, SizeIs(501));
  EXPECT_EQ(epochs.front(), 500);
  EXPECT_EQ(epochs.back(), 1000);
}

// A disk that gives no space ahead while the test says so; what is written still finds its place.
class FullLogStore final : public MemoryLogStore {
 public:
  absl::Status KeepSpace(uint64_t) override {
    return full ? absl::ResourceExhaustedError("the disk is full") : absl::OkStatus();
  }
  std::atomic<bool> full{true};
};

TEST(LogWriterTest, SaysWhenTheDiskGivesNoMoreSpaceAndWhenItDoesAgain) {
  FullLogStore store;
  RecordLog log(&store);
  ASSERT_TRUE(log.Recover().ok());
  absl::Mutex mu;
  std::vector<bool> said;
  uint64_t durable = 0;
  LogWriter writer(
      &log,
      [&](uint64_t id) {
        absl::MutexLock lock(&mu);
        durable = id;
      },
      [&](bool low) {
        absl::MutexLock lock(&mu);
        said.push_back(low);
      });
  writer.Write(1, {Epoch(1)}, false);
  const auto written = [&] { return durable == 1 && said.size() == 1; };
  {
    absl::MutexLock lock(&mu);
    mu.Await(absl::Condition(&written));
    EXPECT_THAT(said, ElementsAre(true)) << "and goes on writing in what it has";
  }
  // Nobody writes meanwhile: it finds out by itself.
  store.full = false;
  const auto again = [&] { return said.size() == 2; };
  absl::MutexLock lock(&mu);
  mu.Await(absl::Condition(&again));
  EXPECT_THAT(said, ElementsAre(true, false));
}

}  // namespace
}  // namespace tessera::agent
