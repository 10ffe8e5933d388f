// What the registry's core does when a write of its store is not answered, and when the store works
// again.
#include <gtest/gtest.h>

#include "services/registry/core/core_fixture.h"

namespace tessera::registry {
namespace {

class FailedStoreTest : public RegistryCoreTest {
 protected:
  // m1 leads, "kept" is there, "doubtful" is on its way to the disk, "b" waits behind it; then no
  // answer comes.
  void LoseAnswer() {
    Win(1, "m1");
    Step(Put(1, "kept", "1"));
    Sync();
    Step(WatchRequested{.stream = 9, .after_version = 1});
    Step(Put(2, "doubtful", "1"));
    doubtful_ = One<Persist>();
    Step(Put(3, "b", "1"));
    Step(PersistUnknown{doubtful_.guard.number, "no answer"});
    EXPECT_EQ(One<Settle>().guard, doubtful_.guard);
  }
  // And the store cannot tell: its disk is full.
  void Fail() {
    LoseAnswer();
    Step(SettleFailed{doubtful_.guard.number, "disk full"});
  }
  // The store is asked again after a while.
  void AwaitSettle() {
    EXPECT_LE(core_->NextDeadline(), now_ + config_.store_retry_max);
    now_ = core_->NextDeadline();
    Step(Wake{});
    EXPECT_EQ(One<Settle>().guard, doubtful_.guard);
  }

  Persist doubtful_;
};

TEST_F(FailedStoreTest, CallersWaitWhileTheStoreIsAskedAndHearThatItWasDone) {
  LoseAnswer();
  EXPECT_TRUE(All<CommitAnswer>().empty());
  EXPECT_FALSE(core_->suspended());
  Step(Put(4, "c", "1"));
  EXPECT_TRUE(All<CommitAnswer>().empty()) << "it waits, too";
  SettleAs(/*done=*/true, doubtful_);
  EXPECT_EQ(One<CommitAnswer>().call, 2u);
  EXPECT_EQ(One<CommitAnswer>().version, 2u);
  EXPECT_EQ(One<WatchSend>().commits[0]->version, 2u);
  EXPECT_EQ(One<Persist>().batch.commits.size(), 2u);
  Sync();
  EXPECT_EQ(All<CommitAnswer>().size(), 2u);
  EXPECT_EQ(core_->counters().settled_done, 1u);
}

TEST_F(FailedStoreTest, WhatWasNotDoneIsWrittenAgainWithTheNextNumber) {
  LoseAnswer();
  SettleAs(/*done=*/false, doubtful_);
  EXPECT_TRUE(All<CommitAnswer>().empty());
  const Persist again = One<Persist>();
  EXPECT_EQ(again.guard.number, doubtful_.guard.number + 1);
  ASSERT_EQ(again.batch.commits.size(), 1u);
  EXPECT_EQ(again.batch.commits[0]->version, 2u);
  Sync();
  EXPECT_EQ(One<CommitAnswer>().version, 2u);
  EXPECT_EQ(core_->counters().settled_never, 1u);
}

TEST_F(FailedStoreTest, AStoreThatTakesNoWriteIsNotTriedForEver) {
  LoseAnswer();
  SettleAs(/*done=*/false, doubtful_);
  doubtful_ = One<Persist>();
  Step(PersistUnknown{doubtful_.guard.number, "no answer"});
  SettleAs(/*done=*/false, doubtful_);
  const auto answers = All<CommitAnswer>();
  ASSERT_EQ(answers.size(), 2u);
  for (const auto& answer : answers) EXPECT_EQ(answer.refusal, Refusal::kStorageFailed);
  EXPECT_TRUE(All<Persist>().empty());
  EXPECT_TRUE(core_->suspended());
  AwaitSettle();
  Step(Settled{doubtful_.guard.number, /*done=*/false});
  EXPECT_FALSE(core_->suspended());
  Step(Put(5, "c", "1"));
  Sync();
  EXPECT_EQ(One<CommitAnswer>().version, 2u);
}

TEST_F(FailedStoreTest, AnswersAllWaitingWhenTheStoreCannotTellAndAsksAgain) {
  Fail();
  const auto answers = All<CommitAnswer>();
  ASSERT_EQ(answers.size(), 2u);
  for (const auto& answer : answers) EXPECT_EQ(answer.refusal, Refusal::kStorageFailed);
  EXPECT_TRUE(All<Halt>().empty());
  EXPECT_TRUE(core_->suspended());
  EXPECT_EQ(core_->phase(), Phase::kActing);
  Step(Put(5, "c", "1"));
  EXPECT_EQ(One<CommitAnswer>().refusal, Refusal::kStorageFailed);
  Step(ResignRequested{.call = 6, .candidate_id = "m1", .epoch = 1});
  EXPECT_EQ(One<ResignAnswer>().refusal, Refusal::kStorageFailed);
  EXPECT_TRUE(All<Persist>().empty());
  absl::Duration last = absl::ZeroDuration();
  for (int i = 0; i < 6; ++i) {
    const absl::Time before = now_;
    AwaitSettle();
    EXPECT_GE(now_ - before, last);
    last = now_ - before;
    Step(SettleFailed{doubtful_.guard.number, "disk full"});
    EXPECT_TRUE(All<Note>().empty()) << "people read it once";
    EXPECT_TRUE(All<CommitAnswer>().empty());
  }
  EXPECT_EQ(last, config_.store_retry_max);
}

TEST_F(FailedStoreTest, AResignationThatWaitsIsRefused) {
  Win(1, "m1");
  Step(Put(1, "a", "1"));
  const Persist persist = One<Persist>();
  Step(ResignRequested{.call = 2, .candidate_id = "m1", .epoch = 1});
  Step(PersistUnknown{persist.guard.number, "no answer"});
  EXPECT_TRUE(All<ResignAnswer>().empty());
  Step(SettleFailed{persist.guard.number, "disk full"});
  EXPECT_EQ(One<ResignAnswer>().refusal, Refusal::kStorageFailed);
}

TEST_F(FailedStoreTest, ReadsAndRenewalsGoOn) {
  Fail();
  for (int i = 0; i < 10; ++i) {
    now_ += kTtl / 2;
    Step(RenewRequested{.call = 5, .candidate_id = "m1", .epoch = 1});
    EXPECT_EQ(One<RenewAnswer>().refusal, Refusal::kNone);
    if (!All<Settle>().empty()) Step(SettleFailed{doubtful_.guard.number, "disk full"});
  }
  Step(ReadRequested{.call = 6});
  EXPECT_EQ(One<ReadAnswer>().records.size(), 1u) << "nothing that is not synced is shown";
}

TEST_F(FailedStoreTest, WhatDidNotReachTheDiskNeverWas) {
  Fail();
  AwaitSettle();
  SettleAs(/*done=*/false, doubtful_);
  EXPECT_TRUE(All<WatchSend>().empty());
  EXPECT_TRUE(All<CommitAnswer>().empty());
  EXPECT_FALSE(core_->suspended());
  Step(Put(5, "c", "1", /*epoch=*/1));
  Sync();
  EXPECT_EQ(One<CommitAnswer>().version, 2u);
  EXPECT_EQ(core_->table().VersionOf("doubtful"), 0u);
  EXPECT_EQ(core_->table().VersionOf("c"), 2u);
}

TEST_F(FailedStoreTest, WhatDidReachTheDiskIsShown) {
  Fail();
  AwaitSettle();
  SettleAs(/*done=*/true, doubtful_);
  const WatchSend sent = One<WatchSend>();
  ASSERT_EQ(sent.commits.size(), 1u);
  EXPECT_EQ(sent.commits[0]->writes[0].key, "doubtful");
  EXPECT_EQ(core_->table().VersionOf("doubtful"), 2u);
  EXPECT_EQ(core_->table().VersionOf("b"), 0u);
  Step(Put(5, "c", "1"));
  EXPECT_EQ(One<Persist>().batch.commits[0]->version, 3u);
  Sync();
  EXPECT_EQ(One<CommitAnswer>().version, 3u);
}

TEST_F(FailedStoreTest, AStoreThatIsLostHalts) {
  LoseAnswer();
  Step(StoreLost{"damaged"});
  EXPECT_NE(One<Halt>().reason.find("damaged"), std::string::npos);
  EXPECT_EQ(All<CommitAnswer>().size(), 2u);
  EXPECT_EQ(core_->phase(), Phase::kHalted);
  Step(Put(5, "c", "1"));
  EXPECT_EQ(One<CommitAnswer>().refusal, Refusal::kStorageFailed);
  Step(StoreFenced{.term = term_, .reason = "late"});
  EXPECT_EQ(core_->phase(), Phase::kHalted);
  EXPECT_EQ(core_->NextDeadline(), absl::InfiniteFuture()) << "it does nothing any more";
}

TEST_F(FailedStoreTest, AGrantOnItsWayIsNobodysAndItsEpochIsNotGivenAgain) {
  Step(Run(1, "m1"));
  doubtful_ = One<Persist>();
  EXPECT_EQ(doubtful_.batch.lease->leader.epoch, 1u);
  Step(PersistUnknown{doubtful_.guard.number, "no answer"});
  Step(SettleFailed{doubtful_.guard.number, "disk full"});
  Step(RenewRequested{.call = 1, .candidate_id = "m1", .epoch = 1});
  EXPECT_EQ(One<RenewAnswer>().refusal, Refusal::kStaleEpoch);
  AwaitSettle();
  SettleAs(/*done=*/false, doubtful_);
  EXPECT_EQ(One<Persist>().batch.lease->leader.epoch, 2u);
  Sync();
  EXPECT_EQ(One<CampaignSend>().leader->epoch, 2u);
}

TEST_F(FailedStoreTest, AGrantThatTurnsOutToBeOnTheDiskIsTold) {
  Step(Run(1, "m1"));
  doubtful_ = One<Persist>();
  Step(PersistUnknown{doubtful_.guard.number, "no answer"});
  now_ += absl::Seconds(1);
  SettleAs(/*done=*/true, doubtful_);
  EXPECT_EQ(One<CampaignSend>().leader->epoch, 1u);
  EXPECT_EQ(One<CampaignSend>().won_for, kTtl);
}

}  // namespace
}  // namespace tessera::registry
