// What the registry's core does when its store fails, and when it works again.
#include <gtest/gtest.h>

#include "services/registry/core/core_fixture.h"

namespace tessera::registry {
namespace {

class FailedStoreTest : public RegistryCoreTest {
 protected:
  // m1 leads, "kept" is there, "doubtful" is on its way to the disk, "b" waits behind it; then the
  // disk is full.
  void Fail() {
    Win(1, "m1");
    Step(Put(1, "kept", "1"));
    Sync();
    Step(WatchRequested{.stream = 9, .after_version = 1});
    Step(Put(2, "doubtful", "1"));
    const Persist persist = One<Persist>();
    Step(Put(3, "b", "1"));
    Step(PersistFailed{persist.id, "disk full"});
  }
};

TEST_F(FailedStoreTest, AnswersAllWaitingAndOpensTheStoreAgain) {
  Fail();
  const auto answers = All<CommitAnswer>();
  ASSERT_EQ(answers.size(), 2u);
  for (const auto& answer : answers) EXPECT_EQ(answer.refusal, Refusal::kStorageFailed);
  EXPECT_EQ(All<ReopenStore>().size(), 1u);
  EXPECT_TRUE(All<Halt>().empty());
  EXPECT_TRUE(core_->suspended());
  Step(Put(5, "c", "1"));
  EXPECT_EQ(One<CommitAnswer>().refusal, Refusal::kStorageFailed);
  Step(ResignRequested{.call = 6, .candidate_id = "m1", .epoch = 1});
  EXPECT_EQ(One<ResignAnswer>().refusal, Refusal::kStorageFailed);
  EXPECT_TRUE(All<Persist>().empty());
}

TEST_F(FailedStoreTest, AResignationThatWaitsIsRefused) {
  Win(1, "m1");
  Step(Put(1, "a", "1"));
  const Persist persist = One<Persist>();
  Step(ResignRequested{.call = 2, .candidate_id = "m1", .epoch = 1});
  Step(PersistFailed{persist.id, "disk full"});
  EXPECT_EQ(One<ResignAnswer>().refusal, Refusal::kStorageFailed);
}

TEST_F(FailedStoreTest, ReadsAndRenewalsGoOn) {
  Fail();
  for (int i = 0; i < 10; ++i) {
    now_ += kTtl / 2;
    Step(RenewRequested{.call = 5, .candidate_id = "m1", .epoch = 1});
    EXPECT_EQ(One<RenewAnswer>().refusal, Refusal::kNone);
  }
  Step(ReadRequested{.call = 6});
  EXPECT_EQ(One<ReadAnswer>().records.size(), 1u) << "nothing that is not synced is shown";
}

TEST_F(FailedStoreTest, WhatDidNotReachTheDiskNeverWas) {
  Fail();
  Step(StoreReopened{.version = 1});
  EXPECT_TRUE(All<WatchSend>().empty());
  Step(Put(5, "c", "1", /*epoch=*/1));
  Sync();
  EXPECT_EQ(One<CommitAnswer>().version, 2u);
  EXPECT_EQ(core_->table().VersionOf("doubtful"), 0u);
  EXPECT_EQ(core_->table().VersionOf("c"), 2u);
}

TEST_F(FailedStoreTest, WhatDidReachTheDiskIsShown) {
  Fail();
  Step(StoreReopened{.version = 2});
  const WatchSend sent = One<WatchSend>();
  ASSERT_EQ(sent.commits.size(), 1u);
  EXPECT_EQ(sent.commits[0]->writes[0].key, "doubtful");
  EXPECT_EQ(core_->table().VersionOf("doubtful"), 2u);
  EXPECT_EQ(core_->table().VersionOf("b"), 0u);
  Step(Put(5, "c", "1"));
  EXPECT_EQ(One<Persist>().batch.commits[0]->version, 3u);
}

TEST_F(FailedStoreTest, AStoreThatLacksWhatWasAcknowledgedHalts) {
  for (const Version version : {0, 3}) {
    disk_ = {};
    Restart();
    Fail();
    Step(StoreReopened{.version = version});
    EXPECT_EQ(All<Halt>().size(), 1u) << version;
    EXPECT_TRUE(core_->suspended());
  }
}

TEST_F(FailedStoreTest, AStoreThatIsLostHalts) {
  Fail();
  Step(StoreLost{"damaged"});
  EXPECT_NE(One<Halt>().reason.find("damaged"), std::string::npos);
  Step(Put(5, "c", "1"));
  EXPECT_EQ(One<CommitAnswer>().refusal, Refusal::kStorageFailed);
}

TEST_F(FailedStoreTest, AGrantOnItsWayIsNobodysAndItsEpochIsNotGivenAgain) {
  Step(Run(1, "m1"));
  const Persist persist = One<Persist>();
  EXPECT_EQ(persist.batch.lease->leader.epoch, 1u);
  Step(PersistFailed{persist.id, "disk full"});
  Step(RenewRequested{.call = 1, .candidate_id = "m1", .epoch = 1});
  EXPECT_EQ(One<RenewAnswer>().refusal, Refusal::kStaleEpoch);
  Step(StoreReopened{.version = 0});
  EXPECT_EQ(One<Persist>().batch.lease->leader.epoch, 2u);
  Sync();
  EXPECT_EQ(One<CampaignSend>().leader->epoch, 2u);
}

}  // namespace
}  // namespace tessera::registry
