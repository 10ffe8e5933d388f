// The agent's log on a disk that others have filled. Needs root; skips, saying so, without.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include "services/agent/checkpoint/file_log_store.h"
#include "services/agent/checkpoint/record_log.h"
#include "services/base/testing/small_disk.h"

namespace tessera::agent {
namespace {

using checkpoint::Record;
using ::testing::ElementsAreArray;

Record Entry(uint64_t number) {
  Record record;
  record.mutable_running()->set_container_id(std::string(1000, 'c'));
  record.mutable_running()->set_init_pid(static_cast<uint32_t>(number));
  return record;
}

class LogDiskTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = "/tmp/tessera-log-disk-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
    disk_.emplace(folder_, 16);
    if (!disk_->why_not().empty()) {
      std::cout << "SKIPPED: " << disk_->why_not() << std::endl;
      GTEST_SKIP() << disk_->why_not();
    }
    Open();
  }
  void TearDown() override {
    log_.reset();
    store_.reset();
    disk_.reset();
    ::rmdir(folder_.c_str());
  }

  // The numbers that the log holds.
  std::vector<uint64_t> Open() {
    log_.reset();
    auto store = FileLogStore::Open(folder_ + "/log");
    EXPECT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
    log_.emplace(store_.get());
    const auto records = log_->Recover();
    EXPECT_TRUE(records.ok()) << records.status();
    std::vector<uint64_t> numbers;
    for (const Record& record : *records) numbers.push_back(record.running().init_pid());
    return numbers;
  }

  std::string folder_;
  std::optional<base::SmallDisk> disk_;
  std::unique_ptr<FileLogStore> store_;
  std::optional<RecordLog> log_;
};

TEST_F(LogDiskTest, WhatWasKeptAheadIsThereWhenTheDiskIsFull) {
  ASSERT_TRUE(log_->KeepSpace().ok());
  ASSERT_TRUE(disk_->Fill());
  std::vector<uint64_t> numbers;
  for (uint64_t number = 1; log_->size() + 2000 < FileLogStore::kSegment; ++number) {
    ASSERT_TRUE(log_->Append({Entry(number)}).ok()) << number;
    ASSERT_TRUE(log_->KeepSpace().ok()) << "one segment is still ahead";
    numbers.push_back(number);
  }
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(log_->Append({Entry(numbers.size() + 1)}).ok());
    numbers.push_back(numbers.size() + 1);
  }
  EXPECT_FALSE(log_->KeepSpace().ok()) << "and it says when it is not any more";
  EXPECT_THAT(Open(), ElementsAreArray(numbers)) << "the next agent finds all of it";
  EXPECT_FALSE(log_->KeepSpace().ok());
}

TEST_F(LogDiskTest, TheLogIsReplacedAgainAndAgainOnAFullDisk) {
  ASSERT_TRUE(log_->KeepSpace().ok());
  ASSERT_TRUE(disk_->Fill());
  for (uint64_t round = 1; round <= 5; ++round) {
    std::vector<uint64_t> numbers = {1000 * round};
    for (uint64_t i = 1; i <= 600; ++i) {
      ASSERT_TRUE(log_->Append({Entry(1000 * round + i)}).ok()) << round << " " << i;
    }
    ASSERT_TRUE(log_->Replace({Entry(1000 * round)}).ok()) << round;
    ASSERT_TRUE(log_->KeepSpace().ok()) << round;
    for (uint64_t i = 1; i <= round; ++i) {
      ASSERT_TRUE(log_->Append({Entry(i)}).ok());
      numbers.push_back(i);
    }
    ASSERT_THAT(Open(), ElementsAreArray(numbers));
  }
}

TEST_F(LogDiskTest, ItGoesOnWhenSpaceIsThereAgain) {
  ASSERT_TRUE(log_->KeepSpace().ok());
  ASSERT_TRUE(disk_->Fill());
  std::vector<uint64_t> numbers;
  absl::Status refused;
  while (refused.ok()) {
    refused = log_->Append({Entry(numbers.size() + 1)});
    if (refused.ok()) numbers.push_back(numbers.size() + 1);
    ASSERT_LT(numbers.size(), 10'000u);
  }
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted) << refused;
  EXPECT_FALSE(log_->Append({Entry(numbers.size() + 1)}).ok());
  disk_->Free();
  EXPECT_TRUE(log_->KeepSpace().ok());
  ASSERT_TRUE(log_->Append({Entry(numbers.size() + 1)}).ok());
  numbers.push_back(numbers.size() + 1);
  EXPECT_THAT(Open(), ElementsAreArray(numbers));
}

}  // namespace
}  // namespace tessera::agent

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  if (::geteuid() != 0) {
    std::cout << "SKIPPED: a disk of its own needs root" << std::endl;
    return 0;
  }
  return RUN_ALL_TESTS();
}
