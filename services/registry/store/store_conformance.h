// What every store must do; each store's test runs it.
//
// A Fixture has a disk, and
//   std::unique_ptr<Store> New()    another store before that disk
//   void Crash()                    no store is there: the next one finds what a crash leaves
//   void Evict()                    the owner's ownership ends behind its back
//   void LoseNext(bool done)        the next Commit is not answered; it is done or it is not
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "services/registry/store/store.h"

namespace tessera::registry {

inline std::shared_ptr<const Commit> CommitOf(Version version, std::vector<Write> writes) {
  return std::make_shared<const Commit>(Commit{.version = version, .writes = std::move(writes)});
}

inline StoreBatch BatchOf(Version version, std::vector<Write> writes) {
  return {.commits = {CommitOf(version, std::move(writes))}};
}

using Contents = std::map<std::string, std::pair<std::string, Version>>;

inline Contents AsMap(const StoreContents& contents) {
  Contents map;
  std::string last;
  for (const Record& record : contents.records) {
    EXPECT_TRUE(map.empty() || record.key > last) << "records come ordered by key";
    last = record.key;
    map[record.key] = {*record.value, record.version};
  }
  return map;
}

// A store's campaign, won or not.
inline std::optional<Won> TryToWin(Store* store, const std::string& address = "here:1") {
  auto result = store->Campaign(address, absl::ZeroDuration());
  if (!result.ok() || !std::holds_alternative<Won>(*result)) return std::nullopt;
  return std::get<Won>(*std::move(result));
}

template <typename Fixture>
class StoreConformance : public testing::Test {
 protected:
  // Takes the store over with a new one.
  Won Reopen() {
    store_.reset();
    store_ = fixture_.New();
    auto result = store_->Campaign("here:1", absl::ZeroDuration());
    EXPECT_TRUE(result.ok()) << result.status();
    if (!result.ok() || !std::holds_alternative<Won>(*result)) {
      ADD_FAILURE() << "the store is not free";
      return {};
    }
    Won won = std::get<Won>(*std::move(result));
    EXPECT_GT(won.ownership.term, 0u);
    guard_ = {.term = won.ownership.term, .number = won.ownership.last_batch};
    return won;
  }
  Guard Next() {
    ++guard_.number;
    return guard_;
  }
  void Write(const StoreBatch& batch) {
    const CommitResult result = store_->Commit(batch, Next());
    ASSERT_EQ(result.outcome, CommitOutcome::kDone) << result.reason;
  }

  Fixture fixture_;
  std::unique_ptr<Store> store_;
  // The last one that was used.
  Guard guard_;
};

TYPED_TEST_SUITE_P(StoreConformance);

TYPED_TEST_P(StoreConformance, ANewStoreIsEmpty) {
  const Won won = this->Reopen();
  EXPECT_TRUE(won.contents.records.empty());
  EXPECT_EQ(won.contents.version, 0u);
  EXPECT_EQ(won.contents.lease, LeaseRecord());
  EXPECT_EQ(won.ownership.last_batch, 0u);
}

TYPED_TEST_P(StoreConformance, WhatIsCommittedIsThereAgain) {
  this->Reopen();
  const std::string binary("\x00\xff\n\x01", 4);
  this->Write(BatchOf(1, {{"a/1", MakeValue("one")}, {"b", MakeValue(binary)}}));
  this->Write(BatchOf(2, {{"a/1", MakeValue("")}, {"c", MakeValue(std::string(1 << 20, 'x'))}}));
  this->Write(BatchOf(3, {{"b", nullptr}, {"not there", nullptr}}));
  const Won won = this->Reopen();
  EXPECT_EQ(won.contents.version, 3u);
  EXPECT_EQ(won.ownership.last_batch, 3u);
  const auto records = AsMap(won.contents);
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
  const StoreContents contents = this->Reopen().contents;
  EXPECT_EQ(contents.version, 3u);
  EXPECT_EQ(AsMap(contents).at("a"), std::make_pair(std::string("3"), Version{3}));
  EXPECT_EQ(AsMap(contents).at("b"), std::make_pair(std::string("2"), Version{2}));
}

TYPED_TEST_P(StoreConformance, AGroupAsLargeAsTheLimitIsTaken) {
  const Won won = this->Reopen();
  const size_t writes = won.ownership.limits.writes_max;
  ASSERT_GE(writes, 1u);
  ASSERT_GE(won.ownership.limits.bytes_max, 8 * writes);
  StoreBatch group;
  for (size_t i = 0; i < writes; ++i) {
    const std::string key = "k" + std::to_string(i);
    group.commits.push_back(CommitOf(i + 1, {{key, MakeValue("v")}}));
  }
  group.lease = std::make_shared<const LeaseRecord>(
      LeaseRecord{.leader = {"m1", "host:1", "host:2", 7}, .ttl = absl::Seconds(10)});
  this->Write(group);
  const Won again = this->Reopen();
  EXPECT_EQ(again.contents.records.size(), writes);
  EXPECT_EQ(again.ownership.last_batch, 1u);
}

TYPED_TEST_P(StoreConformance, TheLeaseIsTheNewestOne) {
  this->Reopen();
  LeaseRecord lease{.leader = {"m1", "host:1", "host:2", 7}, .ttl = absl::Seconds(10)};
  this->Write({.commits = {}, .lease = std::make_shared<const LeaseRecord>(lease)});
  EXPECT_EQ(this->Reopen().contents.lease, lease);
  lease.resigned = true;
  lease.leader.epoch = 8;
  this->Write({.commits = {CommitOf(1, {{"a", MakeValue("1")}})},
               .lease = std::make_shared<const LeaseRecord>(lease)});
  const StoreContents contents = this->Reopen().contents;
  EXPECT_EQ(contents.lease, lease);
  EXPECT_EQ(contents.version, 1u);
}

TYPED_TEST_P(StoreConformance, AnEmptyBatchProvesOwnershipAndHasANumber) {
  this->Reopen();
  this->Write(BatchOf(1, {{"a", MakeValue("1")}}));
  this->Write({});
  const Won won = this->Reopen();
  EXPECT_EQ(won.ownership.last_batch, 2u);
  EXPECT_EQ(won.contents.version, 1u);
}

TYPED_TEST_P(StoreConformance, ARepeatIsHarmless) {
  this->Reopen();
  const StoreBatch batch = BatchOf(1, {{"a", MakeValue("1")}});
  const Guard guard = this->Next();
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(this->store_->Commit(batch, guard).outcome, CommitOutcome::kDone);
  }
  this->Write(BatchOf(2, {{"a", MakeValue("2")}}));
  const Won won = this->Reopen();
  EXPECT_EQ(won.ownership.last_batch, 2u);
  EXPECT_EQ(AsMap(won.contents), (Contents{{"a", {"2", 2}}}));
}

TYPED_TEST_P(StoreConformance, ABatchThatDoesNotFollowTheLastIsNotWritten) {
  this->Reopen();
  this->Write(BatchOf(1, {{"a", MakeValue("1")}}));
  this->Write(BatchOf(2, {{"a", MakeValue("2")}}));
  for (const BatchNumber wrong : {BatchNumber{0}, BatchNumber{1}, BatchNumber{4}}) {
    const Guard guard{.term = this->guard_.term, .number = wrong};
    EXPECT_EQ(this->store_->Commit(BatchOf(3, {{"a", MakeValue("x")}}), guard).outcome,
              CommitOutcome::kFenced)
        << wrong;
  }
  EXPECT_EQ(AsMap(this->Reopen().contents), (Contents{{"a", {"2", 2}}}));
}

TYPED_TEST_P(StoreConformance, TermsGrowAndOneAtATimeOwns) {
  Term last = 0;
  for (int i = 0; i < 3; ++i) {
    const Won won = this->Reopen();
    EXPECT_GT(won.ownership.term, last);
    last = won.ownership.term;
  }
  std::unique_ptr<Store> standby = this->fixture_.New();
  const auto found = standby->Campaign("there:1", absl::Milliseconds(20));
  ASSERT_TRUE(found.ok()) << found.status();
  ASSERT_TRUE(std::holds_alternative<OwnedByOther>(*found));
  EXPECT_EQ(std::get<OwnedByOther>(*found).address, "here:1");
  this->Write(BatchOf(1, {{"a", MakeValue("1")}}));
  this->store_.reset();
  const std::optional<Won> won = TryToWin(standby.get(), "there:1");
  ASSERT_TRUE(won.has_value());
  EXPECT_GT(won->ownership.term, last);
  EXPECT_EQ(won->contents.version, 1u);
}

TYPED_TEST_P(StoreConformance, WhoDoesNotOwnTheStoreWritesNothing) {
  this->Reopen();
  this->Write(BatchOf(1, {{"a", MakeValue("1")}}));
  std::unique_ptr<Store> standby = this->fixture_.New();
  const Guard guard{.term = this->guard_.term, .number = 2};
  EXPECT_FALSE(TryToWin(standby.get()).has_value());
  // Without having won, and whatever it has heard of the term.
  EXPECT_EQ(standby->Commit(BatchOf(2, {{"a", MakeValue("x")}}), {.term = 99, .number = 2}).outcome,
            CommitOutcome::kFenced);
  EXPECT_EQ(*standby->Settle({.term = 99, .number = 2}), SettleOutcome::kFenced);
  EXPECT_EQ(this->store_->Commit(BatchOf(2, {{"a", MakeValue("2")}}), guard).outcome,
            CommitOutcome::kDone);
}

// A is turned out and does not know it; B writes between two of its calls.
TYPED_TEST_P(StoreConformance, AnotherOwnerWritesBetweenTwoCalls) {
  this->Reopen();
  this->Write(BatchOf(1, {{"a", MakeValue("of A")}}));
  const Guard old_guard{.term = this->guard_.term, .number = 2};
  this->fixture_.Evict();
  std::unique_ptr<Store> b = this->fixture_.New();
  std::optional<Won> won = TryToWin(b.get());
  if (!won.has_value()) {
    // A store that lets nobody in before the one that was turned out has noticed.
    EXPECT_EQ(this->store_->Commit(BatchOf(2, {{"a", MakeValue("late")}}), old_guard).outcome,
              CommitOutcome::kFenced);
    won = TryToWin(b.get());
  }
  ASSERT_TRUE(won.has_value());
  EXPECT_GT(won->ownership.term, old_guard.term);
  EXPECT_EQ(AsMap(won->contents), (Contents{{"a", {"of A", 1}}}));
  const Guard new_guard{.term = won->ownership.term, .number = won->ownership.last_batch + 1};
  ASSERT_EQ(b->Commit(BatchOf(2, {{"a", MakeValue("of B")}}), new_guard).outcome,
            CommitOutcome::kDone);

  EXPECT_EQ(this->store_->Commit(BatchOf(2, {{"a", MakeValue("late")}}), old_guard).outcome,
            CommitOutcome::kFenced);
  EXPECT_EQ(*this->store_->Settle(old_guard), SettleOutcome::kFenced);
  EXPECT_FALSE(TryToWin(this->store_.get()).has_value());

  b.reset();
  const Won last = this->Reopen();
  EXPECT_EQ(AsMap(last.contents), (Contents{{"a", {"of B", 2}}}));
  // An owner again, but not by its old term.
  EXPECT_EQ(this->store_
                ->Commit(BatchOf(3, {{"a", MakeValue("late")}}),
                         {.term = old_guard.term, .number = last.ownership.last_batch + 1})
                .outcome,
            CommitOutcome::kFenced);
}

TYPED_TEST_P(StoreConformance, AnUnknownThatWasDoneIsSettledAsDone) {
  this->Reopen();
  this->Write(BatchOf(1, {{"a", MakeValue("1")}}));
  this->fixture_.LoseNext(/*done=*/true);
  const Guard guard = this->Next();
  ASSERT_EQ(this->store_->Commit(BatchOf(2, {{"a", MakeValue("2")}}), guard).outcome,
            CommitOutcome::kUnknown);
  for (int i = 0; i < 2; ++i) {
    const auto settled = this->store_->Settle(guard);
    ASSERT_TRUE(settled.ok()) << settled.status();
    EXPECT_EQ(*settled, SettleOutcome::kDone);
  }
  this->Write(BatchOf(3, {{"b", MakeValue("3")}}));
  EXPECT_EQ(AsMap(this->Reopen().contents), (Contents{{"a", {"2", 2}}, {"b", {"3", 3}}}));
}

TYPED_TEST_P(StoreConformance, AnUnknownThatWasNotDoneNeverIs) {
  this->Reopen();
  this->Write(BatchOf(1, {{"a", MakeValue("1")}}));
  this->fixture_.LoseNext(/*done=*/false);
  const Guard guard = this->Next();
  ASSERT_EQ(this->store_->Commit(BatchOf(2, {{"a", MakeValue("2")}}), guard).outcome,
            CommitOutcome::kUnknown);
  for (int i = 0; i < 2; ++i) {
    const auto settled = this->store_->Settle(guard);
    ASSERT_TRUE(settled.ok()) << settled.status();
    EXPECT_EQ(*settled, SettleOutcome::kNever);
  }
  // Its number is spent, also for a repeat.
  EXPECT_EQ(this->store_->Commit(BatchOf(2, {{"a", MakeValue("2")}}), guard).outcome,
            CommitOutcome::kFenced);
  this->Write(BatchOf(2, {{"b", MakeValue("2")}}));
  const Won won = this->Reopen();
  EXPECT_EQ(won.ownership.last_batch, 3u);
  EXPECT_EQ(AsMap(won.contents), (Contents{{"a", {"1", 1}}, {"b", {"2", 2}}}));
}

// After a crash the contents are those after some prefix of the batches, all that were answered
// included.
TYPED_TEST_P(StoreConformance, ACrashKeepsAllThatWasDone) {
  std::mt19937_64 random(7);
  this->Reopen();
  Contents state;
  Version version = 0;
  int lost = 0;
  for (int round = 0; round < 12; ++round) {
    for (int i = random() % 5; i > 0; --i) {
      const std::string key = "k" + std::to_string(random() % 10);
      ++version;
      if (random() % 4 == 0) {
        state.erase(key);
        this->Write(BatchOf(version, {{key, nullptr}}));
      } else {
        state[key] = {std::to_string(random()), version};
        this->Write(BatchOf(version, {{key, MakeValue(state[key].first)}}));
      }
    }
    // One more, whose answer the writer did not live to see.
    Contents with_doubtful = state;
    with_doubtful["doubtful"] = {std::to_string(round), version + 1};
    this->fixture_.LoseNext(random() % 2 == 0);
    EXPECT_EQ(this->store_
                  ->Commit(BatchOf(version + 1, {{"doubtful", MakeValue(std::to_string(round))}}),
                           this->Next())
                  .outcome,
              CommitOutcome::kUnknown);
    this->store_.reset();
    this->fixture_.Crash();
    const Won won = this->Reopen();
    const Contents found = AsMap(won.contents);
    if (won.contents.version == version) {
      EXPECT_EQ(found, state);
      ++lost;
    } else {
      EXPECT_EQ(won.contents.version, version + 1);
      EXPECT_EQ(found, with_doubtful);
    }
    version = won.contents.version;
    state = found;
  }
  EXPECT_GT(lost, 0) << "nothing was ever lost: this shows nothing";
}

REGISTER_TYPED_TEST_SUITE_P(StoreConformance, ANewStoreIsEmpty, WhatIsCommittedIsThereAgain,
                            AGroupOfCommitsIsAppliedInOrder, AGroupAsLargeAsTheLimitIsTaken,
                            TheLeaseIsTheNewestOne, AnEmptyBatchProvesOwnershipAndHasANumber,
                            ARepeatIsHarmless, ABatchThatDoesNotFollowTheLastIsNotWritten,
                            TermsGrowAndOneAtATimeOwns, WhoDoesNotOwnTheStoreWritesNothing,
                            AnotherOwnerWritesBetweenTwoCalls, AnUnknownThatWasDoneIsSettledAsDone,
                            AnUnknownThatWasNotDoneNeverIs, ACrashKeepsAllThatWasDone);

}  // namespace tessera::registry
