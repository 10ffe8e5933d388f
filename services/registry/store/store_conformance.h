// What every store must do; each store's test runs it.
//
// A Fixture has `std::unique_ptr<Store> Open()`, which opens the same disk again and again, and
// `void Crash()`, which makes the next Open find what a crash leaves behind.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "services/registry/store/store.h"

namespace tessera::registry {

inline std::shared_ptr<const Commit> CommitOf(Version version, std::vector<Write> writes) {
  return std::make_shared<const Commit>(Commit{.version = version, .writes = std::move(writes)});
}

inline StoreBatch BatchOf(Version version, std::vector<Write> writes) {
  return {.commits = {CommitOf(version, std::move(writes))}};
}

inline std::map<std::string, std::pair<std::string, Version>> AsMap(const StoreContents& contents) {
  std::map<std::string, std::pair<std::string, Version>> map;
  std::string last;
  for (const Record& record : contents.records) {
    EXPECT_TRUE(map.empty() || record.key > last) << "records come ordered by key";
    last = record.key;
    map[record.key] = {*record.value, record.version};
  }
  return map;
}

template <typename Fixture>
class StoreConformance : public testing::Test {
 protected:
  StoreContents Reopen() {
    store_.reset();
    store_ = fixture_.Open();
    auto contents = store_->Recover();
    EXPECT_TRUE(contents.ok()) << contents.status();
    return contents.ok() ? *std::move(contents) : StoreContents{};
  }
  void Write(const StoreBatch& batch) {
    ASSERT_TRUE(store_->Append(batch).ok());
    ASSERT_TRUE(store_->Sync().ok());
  }

  Fixture fixture_;
  std::unique_ptr<Store> store_;
};

TYPED_TEST_SUITE_P(StoreConformance);

TYPED_TEST_P(StoreConformance, ANewStoreIsEmpty) {
  const StoreContents contents = this->Reopen();
  EXPECT_TRUE(contents.records.empty());
  EXPECT_EQ(contents.version, 0u);
  EXPECT_EQ(contents.lease, LeaseRecord());
}

TYPED_TEST_P(StoreConformance, WhatIsSyncedIsThereAgain) {
  this->Reopen();
  const std::string binary("\x00\xff\n\x01", 4);
  this->Write(BatchOf(1, {{"a/1", MakeValue("one")}, {"b", MakeValue(binary)}}));
  this->Write(BatchOf(2, {{"a/1", MakeValue("")}, {"c", MakeValue(std::string(1 << 20, 'x'))}}));
  this->Write(BatchOf(3, {{"b", nullptr}, {"not there", nullptr}}));
  const StoreContents contents = this->Reopen();
  EXPECT_EQ(contents.version, 3u);
  const auto records = AsMap(contents);
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records.at("a/1"), std::make_pair(std::string(), Version{2}));
  EXPECT_EQ(records.at("c").first.size(), size_t{1} << 20);
}

TYPED_TEST_P(StoreConformance, AGroupOfCommitsIsAppliedInOrder) {
  this->Reopen();
  StoreBatch group;
  group.commits = {CommitOf(1, {{"a", MakeValue("1")}, {"b", MakeValue("1")}}),
                   CommitOf(2, {{"a", nullptr}, {"b", MakeValue("2")}}),
                   CommitOf(3, {{"a", MakeValue("3")}})};
  this->Write(group);
  const StoreContents contents = this->Reopen();
  EXPECT_EQ(contents.version, 3u);
  EXPECT_EQ(AsMap(contents).at("a"), std::make_pair(std::string("3"), Version{3}));
  EXPECT_EQ(AsMap(contents).at("b"), std::make_pair(std::string("2"), Version{2}));
}

TYPED_TEST_P(StoreConformance, TheLeaseIsTheNewestOne) {
  this->Reopen();
  LeaseRecord lease{.leader = {"m1", "host:1", "host:2", 7}, .ttl = absl::Seconds(10)};
  this->Write({.commits = {}, .lease = std::make_shared<const LeaseRecord>(lease)});
  EXPECT_EQ(this->Reopen().lease, lease);
  lease.resigned = true;
  lease.leader.epoch = 8;
  this->Write({.commits = {CommitOf(1, {{"a", MakeValue("1")}})},
               .lease = std::make_shared<const LeaseRecord>(lease)});
  const StoreContents contents = this->Reopen();
  EXPECT_EQ(contents.lease, lease);
  EXPECT_EQ(contents.version, 1u);
}

// After a crash the contents are those after some prefix of the batches, all synced ones included.
TYPED_TEST_P(StoreConformance, ACrashKeepsAllThatWasSynced) {
  using Map = std::map<std::string, std::pair<std::string, Version>>;
  std::mt19937_64 random(7);
  this->Reopen();
  Map state;
  Version version = 0;
  for (int round = 0; round < 10; ++round) {
    std::vector<Map> possible;
    const int synced = random() % 5, unsynced = random() % 4;
    for (int i = 0; i < synced + unsynced; ++i) {
      const std::string key = "k" + std::to_string(random() % 10);
      ++version;
      if (random() % 4 == 0) {
        state.erase(key);
        ASSERT_TRUE(this->store_->Append(BatchOf(version, {{key, nullptr}})).ok());
      } else {
        state[key] = {std::to_string(random()), version};
        ASSERT_TRUE(
            this->store_->Append(BatchOf(version, {{key, MakeValue(state[key].first)}})).ok());
      }
      if (i + 1 == synced) {
        ASSERT_TRUE(this->store_->Sync().ok());
        possible.clear();
      }
      possible.push_back(state);
    }
    const Version newest = version;
    this->store_.reset();
    this->fixture_.Crash();
    const StoreContents contents = this->Reopen();
    ASSERT_LE(contents.version, newest);
    ASSERT_GE(contents.version, newest - unsynced);
    version = contents.version;
    state = AsMap(contents);
    const size_t lost = newest - version;
    if (!possible.empty() && lost < possible.size()) {
      ASSERT_EQ(state, possible[possible.size() - 1 - lost]);
    }
  }
}

REGISTER_TYPED_TEST_SUITE_P(StoreConformance, ANewStoreIsEmpty, WhatIsSyncedIsThereAgain,
                            AGroupOfCommitsIsAppliedInOrder, TheLeaseIsTheNewestOne,
                            ACrashKeepsAllThatWasSynced);

}  // namespace tessera::registry
