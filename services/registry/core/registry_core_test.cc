#include "services/registry/core/registry_core.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "services/registry/core/core_fixture.h"

namespace tessera::registry {
namespace {

TEST_F(RegistryCoreTest, ACommitIsAnsweredOnlyWhenSynced) {
  Step(Put(1, "weights/a", "1"));
  EXPECT_TRUE(All<CommitAnswer>().empty());
  EXPECT_EQ(core_->table().size(), 0u);
  Sync();
  const auto answer = One<CommitAnswer>();
  EXPECT_EQ(answer.call, 1u);
  EXPECT_EQ(answer.refusal, Refusal::kNone);
  EXPECT_EQ(answer.version, 1u);
  EXPECT_EQ(core_->table().VersionOf("weights/a"), 1u);
}

TEST_F(RegistryCoreTest, WhatComesDuringAWriteIsOneGroupBehindIt) {
  Step(Put(1, "a", "1"));
  const Persist first = One<Persist>();
  for (CallId call = 2; call <= 5; ++call) {
    Step(Put(call, "k" + std::to_string(call), "x"));
    EXPECT_TRUE(All<Persist>().empty());
  }
  effects_ = {first};
  Sync();
  EXPECT_EQ(One<CommitAnswer>().call, 1u);
  EXPECT_EQ(One<Persist>().batch.commits.size(), 4u);
  Sync();
  EXPECT_EQ(All<CommitAnswer>().size(), 4u);
  EXPECT_EQ(All<CommitAnswer>()[3].version, 5u);
  EXPECT_EQ(core_->counters().persists, 3u) << "with the one that took the store over";
}

TEST_F(RegistryCoreTest, ConditionsLookAtWhatIsAcceptedNotOnlyAtWhatIsSynced) {
  CommitRequested create = Put(1, "quotas/r", "1");
  create.conditions = {{"quotas/r", 0}};
  Step(create);
  const Persist first = One<Persist>();
  create.call = 2;
  Step(create);
  EXPECT_EQ(One<CommitAnswer>().refusal, Refusal::kVersionConflict);
  CommitRequested update = Put(3, "quotas/r", "2");
  update.conditions = {{"quotas/r", 1}};
  Step(update);
  EXPECT_TRUE(All<CommitAnswer>().empty());
  effects_ = {first};
  Sync();
  CommitRequested stale = Put(4, "quotas/r", "3");
  stale.conditions = {{"quotas/r", 1}};
  Step(stale);
  EXPECT_EQ(One<CommitAnswer>().refusal, Refusal::kVersionConflict);
}

TEST_F(RegistryCoreTest, ADeletedKeyMustNotExistAndCanComeBack) {
  Step(Put(1, "a", "1"));
  Sync();
  Step(CommitRequested{.call = 2, .conditions = {{"a", 1}}, .writes = {{"a", nullptr}}});
  CommitRequested again = Put(3, "a", "2");
  again.conditions = {{"a", 0}};
  const Persist deletion = One<Persist>();
  Step(again);
  EXPECT_TRUE(All<CommitAnswer>().empty());
  effects_ = {deletion};
  Sync();
  EXPECT_EQ(core_->table().VersionOf("a"), 0u);
  EXPECT_EQ(One<Persist>().batch.commits.at(0)->version, 3u);
}

TEST_F(RegistryCoreTest, MalformedCommitsAreRefusedOneByOne) {
  config_.value_bytes_max = 10;
  config_.commit_bytes_max = 30;
  config_.writes_per_commit_max = 4;
  Restart();
  const auto refused = [&](CommitRequested request) {
    Step(std::move(request));
    EXPECT_TRUE(All<Persist>().empty());
    const auto answer = One<CommitAnswer>();
    EXPECT_FALSE(answer.message.empty());
    return answer.refusal;
  };
  EXPECT_EQ(refused({.call = 1}), Refusal::kMalformed);
  for (const std::string& key :
       {std::string(), std::string("A"), std::string("/a"), std::string("a\nb"),
        std::string("a\0b", 3), std::string(2000, 'a'), std::string("1")}) {
    EXPECT_EQ(refused(Put(2, key, "x")), Refusal::kMalformed) << key;
  }
  EXPECT_EQ(refused(Put(3, "a", std::string(11, 'x'))), Refusal::kMalformed);
  CommitRequested twice = Put(4, "a", "1");
  twice.writes.push_back({"a", nullptr});
  EXPECT_EQ(refused(twice), Refusal::kMalformed);
  CommitRequested many = Put(5, "a", "1");
  for (char c = 'b'; c < 'f'; ++c) many.writes.push_back({std::string(1, c), nullptr});
  EXPECT_EQ(refused(many), Refusal::kMalformed);
  CommitRequested heavy = Put(6, "a", std::string(10, 'x'));
  heavy.writes.push_back({"b", MakeValue(std::string(10, 'x'))});
  heavy.writes.push_back({"c", MakeValue(std::string(10, 'x'))});
  EXPECT_EQ(refused(heavy), Refusal::kMalformed);
  EXPECT_EQ(core_->counters().commits, 0u);
  Step(Put(7, "roles/a/b c\xc3\xa9", "x"));
  EXPECT_EQ(All<Persist>().size(), 1u);
}

TEST_F(RegistryCoreTest, BoundsRefuseInsteadOfGrowing) {
  config_.pending_commits_max = 3;
  config_.keys_max = 5;
  Restart();
  Step(Put(1, "k1", "x"));
  const Persist first = One<Persist>();
  for (CallId call = 2; call <= 3; ++call) Step(Put(call, "k" + std::to_string(call), "x"));
  Step(Put(4, "k4", "x"));
  EXPECT_EQ(One<CommitAnswer>().refusal, Refusal::kOverloaded);
  effects_ = {first};
  Sync();
  Sync();
  for (CallId call = 5; call <= 6; ++call) {
    Step(Put(call, "k" + std::to_string(call), "x"));
    Sync();
  }
  Step(Put(7, "k7", "x"));
  EXPECT_EQ(One<CommitAnswer>().refusal, Refusal::kOverloaded);
  Step(CommitRequested{.call = 8, .writes = {{"k1", nullptr}}});
  EXPECT_EQ(All<Persist>().size(), 1u) << "a full table must still take deletions";
}

TEST_F(RegistryCoreTest, PagesOfOneReadAreOfOneVersion) {
  for (CallId call = 1; call <= 5; ++call) {
    Step(Put(call, "a/" + std::to_string(call), "old"));
    Sync();
  }
  Step(ReadRequested{.call = 10, .prefixes = {"a/"}, .page_size = 2});
  ReadAnswer page = One<ReadAnswer>();
  EXPECT_EQ(page.records.size(), 2u);
  EXPECT_EQ(page.version, 5u);
  Step(Put(11, "a/3", "new"));
  Sync();
  Step(CommitRequested{.call = 12, .writes = {{"a/4", nullptr}}});
  Sync();
  Step(Put(13, "a/31", "new"));
  Sync();
  std::vector<std::string> seen;
  while (!page.next_page_token.empty()) {
    Step(ReadRequested{
        .call = 14, .prefixes = {"a/"}, .page_size = 2, .page_token = page.next_page_token});
    page = One<ReadAnswer>();
    EXPECT_EQ(page.version, 5u);
    for (const Record& record : page.records) seen.push_back(record.key + *record.value);
  }
  EXPECT_EQ(seen, (std::vector<std::string>{"a/3old", "a/4old", "a/5old"}));
}

TEST_F(RegistryCoreTest, APageOfAForgottenVersionOrAStrangeTokenIsRefused) {
  config_.history.commits_max = 2;
  Restart();
  for (CallId call = 1; call <= 3; ++call) {
    Step(Put(call, "k" + std::to_string(call), "x"));
    Sync();
  }
  Step(ReadRequested{.call = 4, .page_size = 1});
  const std::string token = One<ReadAnswer>().next_page_token;
  for (CallId call = 5; call <= 8; ++call) {
    Step(Put(call, "k1", "x"));
    Sync();
  }
  Step(ReadRequested{.call = 9, .page_token = token});
  EXPECT_EQ(One<ReadAnswer>().refusal, Refusal::kSnapshotRequired);
  for (const char* strange : {"x", ":", "1", "-1:k", "99999:k", "99999999999999999999999:k"}) {
    Step(ReadRequested{.call = 10, .page_token = strange});
    EXPECT_NE(One<ReadAnswer>().refusal, Refusal::kNone) << strange;
  }
}

TEST_F(RegistryCoreTest, AWatcherSeesEachSyncedCommitOnceAndInOrder) {
  for (CallId call = 1; call <= 3; ++call) {
    Step(Put(call, call % 2 ? "a/x" : "b/x", std::to_string(call)));
    Sync();
  }
  Step(WatchRequested{.stream = 1, .prefixes = {}, .after_version = 1});
  ASSERT_EQ(One<WatchSend>().commits.size(), 2u);
  EXPECT_EQ(One<WatchSend>().commits[0]->version, 2u);
  Step(WatchRequested{.stream = 2, .prefixes = {"b/"}, .after_version = 3});
  EXPECT_TRUE(All<WatchSend>().empty());
  CommitRequested both = Put(4, "a/y", "4");
  both.writes.push_back({"b/y", MakeValue("4")});
  Step(both);
  EXPECT_TRUE(All<WatchSend>().empty()) << "not synced yet";
  Sync();
  auto sends = All<WatchSend>();
  ASSERT_EQ(sends.size(), 2u);
  EXPECT_EQ(sends[0].commits[0]->writes.size(), 2u);
  EXPECT_EQ(sends[1].commits[0]->writes.size(), 1u);
  EXPECT_EQ(sends[1].commits[0]->writes[0].key, "b/y");
  Step(Put(5, "a/z", "5"));
  Sync();
  EXPECT_EQ(One<WatchSend>().stream, 1u);
  Step(StreamEnded{1});
  Step(Put(6, "a/z", "6"));
  Sync();
  EXPECT_TRUE(All<WatchSend>().empty());
  EXPECT_EQ(core_->watchers(), 1u);
}

TEST_F(RegistryCoreTest, AWatcherTooFarBehindMustReadAgain) {
  config_.history.commits_max = 2;
  Restart();
  for (CallId call = 1; call <= 5; ++call) {
    Step(Put(call, "k", "x"));
    Sync();
  }
  Step(WatchRequested{.stream = 1, .after_version = 2});
  EXPECT_EQ(One<EndStream>().refusal, Refusal::kSnapshotRequired);
  Step(WatchRequested{.stream = 2, .after_version = 6});
  EXPECT_EQ(One<EndStream>().refusal, Refusal::kSnapshotRequired);
  Step(WatchRequested{.stream = 3, .after_version = 3});
  EXPECT_EQ(One<WatchSend>().commits.size(), 2u);
  Restart();
  Step(WatchRequested{.stream = 4, .after_version = 4});
  EXPECT_EQ(One<EndStream>().refusal, Refusal::kSnapshotRequired);
  Step(WatchRequested{.stream = 5, .after_version = 5});
  EXPECT_TRUE(All<EndStream>().empty());
}

TEST_F(RegistryCoreTest, ALongHistoryIsSentInPieces) {
  config_.page_bytes_max = 1000;
  Restart();
  for (CallId call = 1; call <= 10; ++call) {
    Step(Put(call, "k", std::string(300, 'x')));
    Sync();
  }
  Step(WatchRequested{.stream = 1, .after_version = 0});
  size_t commits = 0;
  for (const WatchSend& send : All<WatchSend>()) {
    EXPECT_LE(send.commits.size(), 3u);
    commits += send.commits.size();
  }
  EXPECT_EQ(commits, 10u);
}

TEST_F(RegistryCoreTest, AGrantIsToldOnlyWhenSynced) {
  Step(Run(1, "m1"));
  EXPECT_FALSE(One<CampaignSend>().leader.has_value());
  Sync();
  const auto won = One<CampaignSend>();
  EXPECT_EQ(won.leader->epoch, 1u);
  EXPECT_EQ(won.leader->address, "m1:1");
  EXPECT_EQ(won.won_for, kTtl);
  Step(Run(2, "m2"));
  EXPECT_EQ(One<CampaignSend>().leader->candidate_id, "m1");
  EXPECT_FALSE(One<CampaignSend>().won_for.has_value());
}

TEST_F(RegistryCoreTest, ALeaseThatIsRenewedStaysAndOneThatIsNotGoesToTheNext) {
  EXPECT_EQ(Win(1, "m1"), 1u);
  Step(Run(2, "m2"));
  for (int i = 0; i < 10; ++i) {
    now_ += kTtl - absl::Seconds(1);
    Step(RenewRequested{.call = 1, .candidate_id = "m1", .epoch = 1});
    EXPECT_EQ(One<RenewAnswer>().refusal, Refusal::kNone);
    EXPECT_EQ(One<RenewAnswer>().expires_in, kTtl);
  }
  EXPECT_EQ(core_->NextDeadline(), now_ + kTtl);
  now_ += kTtl - absl::Nanoseconds(1);
  Step(Wake{});
  EXPECT_TRUE(effects_.empty());
  now_ += absl::Nanoseconds(1);
  Step(Wake{});
  EXPECT_FALSE(All<CampaignSend>().at(0).leader.has_value());
  Sync();
  for (const CampaignSend& send : All<CampaignSend>()) {
    EXPECT_EQ(send.leader->candidate_id, "m2");
    EXPECT_EQ(send.leader->epoch, 2u);
    EXPECT_EQ(send.won_for.has_value(), send.stream == 2);
  }
  Step(RenewRequested{.call = 2, .candidate_id = "m1", .epoch = 1});
  EXPECT_EQ(One<RenewAnswer>().refusal, Refusal::kStaleEpoch);
}

TEST_F(RegistryCoreTest, ALateRenewalIsRefusedThoughNobodyElseLeads) {
  Win(1, "m1");
  Step(StreamEnded{1});
  now_ += kTtl;
  Step(RenewRequested{.call = 1, .candidate_id = "m1", .epoch = 1});
  EXPECT_EQ(One<RenewAnswer>().refusal, Refusal::kStaleEpoch);
}

TEST_F(RegistryCoreTest, CommitsAreFencedByTheEpoch) {
  Win(1, "m1");
  Step(Put(1, "a", "1", /*epoch=*/1));
  Sync();
  EXPECT_EQ(One<CommitAnswer>().refusal, Refusal::kNone);
  for (const Epoch wrong : {Epoch{2}, Epoch{99}}) {
    Step(Put(2, "a", "2", wrong));
    EXPECT_EQ(One<CommitAnswer>().refusal, Refusal::kStaleEpoch);
  }
  Step(Run(2, "m2"));
  now_ += kTtl;
  Step(Put(3, "a", "3", /*epoch=*/1));
  EXPECT_EQ(One<CommitAnswer>().refusal, Refusal::kStaleEpoch);
  Sync();
  Step(Put(4, "a", "4", /*epoch=*/1));
  EXPECT_EQ(One<CommitAnswer>().refusal, Refusal::kStaleEpoch);
  Step(Put(5, "a", "5", /*epoch=*/2));
  Sync();
  EXPECT_EQ(One<CommitAnswer>().refusal, Refusal::kNone);
  Step(Put(6, "a", "6", /*epoch=*/0));
  Sync();
  EXPECT_EQ(One<CommitAnswer>().refusal, Refusal::kNone);
}

TEST_F(RegistryCoreTest, ARestartGivesTheHolderItsWholeTimeAgainAndNobodyElse) {
  Win(1, "m1");
  now_ += kTtl / 2;
  Restart();
  Step(Run(2, "m2"));
  EXPECT_EQ(One<CampaignSend>().leader->candidate_id, "m1");
  EXPECT_TRUE(All<Persist>().empty());
  now_ += kTtl - absl::Seconds(1);
  Step(RenewRequested{.call = 1, .candidate_id = "m1", .epoch = 1});
  EXPECT_EQ(One<RenewAnswer>().refusal, Refusal::kNone);
  now_ += kTtl;
  Step(Wake{});
  Sync();
  EXPECT_EQ(One<CampaignSend>().leader->epoch, 2u);
}

TEST_F(RegistryCoreTest, AShorterTimeAfterARestartDoesNotShortenAnOldPromise) {
  Win(1, "m1");
  config_.lease_ttl = absl::Seconds(1);
  Restart();
  Step(Run(2, "m2"));
  now_ += kTtl - absl::Seconds(1);
  Step(RenewRequested{.call = 1, .candidate_id = "m1", .epoch = 1});
  EXPECT_EQ(One<RenewAnswer>().expires_in, absl::Seconds(1));
  EXPECT_TRUE(All<Persist>().empty());
  now_ += absl::Seconds(1);
  Step(Wake{});
  EXPECT_EQ(All<Persist>().size(), 1u);
}

TEST_F(RegistryCoreTest, ACrashBeforeTheGrantIsSyncedForgetsItAndNobodyWasTold) {
  Step(Run(1, "m1"));
  ASSERT_EQ(All<Persist>().size(), 1u);
  Restart();
  EXPECT_EQ(Win(2, "m2"), 1u);
}

TEST_F(RegistryCoreTest, AResignationFreesTheLeaseAtOnceAlsoOverARestart) {
  Win(1, "m1");
  Step(Run(2, "m2"));
  Step(ResignRequested{.call = 1, .candidate_id = "m1", .epoch = 1});
  EXPECT_TRUE(All<ResignAnswer>().empty()) << "not synced yet";
  const Persist resignation = One<Persist>();
  Step(ResignRequested{.call = 9, .candidate_id = "m1", .epoch = 1});
  EXPECT_TRUE(effects_.empty()) << "a repeat waits for the same sync";
  effects_ = {resignation};
  Sync();
  ASSERT_EQ(All<ResignAnswer>().size(), 2u);
  EXPECT_EQ(All<ResignAnswer>()[1].call, 9u);
  EXPECT_EQ(core_->lease().leader()->candidate_id, "m2");
  EXPECT_EQ(core_->lease().leader()->epoch, 2u);
  Step(ResignRequested{.call = 2, .candidate_id = "m1", .epoch = 1});
  EXPECT_EQ(One<ResignAnswer>().refusal, Refusal::kNone) << "safe to repeat";
  Step(StreamEnded{1});
  Step(StreamEnded{2});
  Step(ResignRequested{.call = 3, .candidate_id = "m2", .epoch = 2});
  Sync();
  Restart();
  EXPECT_EQ(Win(3, "m3"), 3u) << "a lease that was given up need not run out";
}

TEST_F(RegistryCoreTest, AWinnerWhoLeftBeforeItWasToldCostsOnlyAnEpoch) {
  Step(Run(1, "m1"));
  const Persist grant = One<Persist>();
  Step(StreamEnded{1});
  Step(Run(2, "m2"));
  effects_ = {grant};
  Sync();
  EXPECT_TRUE(All<CampaignSend>().empty());
  Sync();
  EXPECT_EQ(One<CampaignSend>().leader->candidate_id, "m2");
  EXPECT_EQ(One<CampaignSend>().leader->epoch, 2u);
}

TEST_F(RegistryCoreTest, ANewerCampaignOfTheSameCandidateReplacesTheOlder) {
  Win(1, "m1");
  Step(Run(2, "m1"));
  EXPECT_EQ(One<EndStream>().stream, 1u);
  EXPECT_EQ(One<EndStream>().refusal, Refusal::kReplaced);
  EXPECT_EQ(One<CampaignSend>().stream, 2u);
  EXPECT_FALSE(One<CampaignSend>().won_for.has_value()) << "the lease is renewed, not won again";
  EXPECT_EQ(core_->lease().candidates(), 1u);
}

TEST_F(RegistryCoreTest, AHolderThatHangsIsNotGrantedTheLeaseAgainBeforeOthers) {
  Win(1, "m1");
  Step(Run(2, "m2"));
  now_ += kTtl;
  Step(Wake{});
  Sync();
  EXPECT_EQ(core_->lease().leader()->candidate_id, "m2");
  now_ += kTtl;
  Step(Wake{});
  Sync();
  EXPECT_EQ(core_->lease().leader()->candidate_id, "m1");
  EXPECT_EQ(core_->lease().leader()->epoch, 3u);
}

TEST_F(RegistryCoreTest, CandidatesAreCheckedAndBounded) {
  config_.candidates_max = 2;
  Restart();
  Step(CampaignRequested{.stream = 1});
  EXPECT_EQ(One<EndStream>().refusal, Refusal::kMalformed);
  Step(Run(2, "m2"));
  Step(Run(3, "m3"));
  Step(Run(4, "m4"));
  EXPECT_EQ(One<EndStream>().refusal, Refusal::kOverloaded);
}

TEST_F(RegistryCoreTest, AnEpochRaisedByHandIsNobodysAndTheNextIsAboveIt) {
  disk_.lease = {.leader = {.epoch = 41}, .ttl = kTtl};
  Restart();
  Step(Run(1, "m1"));
  EXPECT_FALSE(One<CampaignSend>().leader.has_value());
  Step(Put(1, "a", "1", /*epoch=*/41));
  EXPECT_EQ(One<CommitAnswer>().refusal, Refusal::kStaleEpoch);
  EXPECT_TRUE(All<Persist>().empty()) << "who held a lease that was lost has its time";
  now_ += kTtl;
  Step(Wake{});
  EXPECT_EQ(One<Persist>().batch.lease->leader.epoch, 42u);
}

TEST_F(RegistryCoreTest, VersionsGoOnAfterARestart) {
  for (CallId call = 1; call <= 3; ++call) {
    Step(Put(call, "k" + std::to_string(call), "x"));
    Sync();
  }
  Step(Put(4, "lost", "x"));
  Restart();
  EXPECT_EQ(core_->table().size(), 3u);
  EXPECT_EQ(core_->table().VersionOf("lost"), 0u);
  Step(Put(5, "k5", "x"));
  Sync();
  EXPECT_EQ(One<CommitAnswer>().version, 4u);
}

}  // namespace
}  // namespace tessera::registry
