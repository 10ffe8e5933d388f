// Standing by, taking over, acting, being fenced: who may answer what, and when.
#include <gtest/gtest.h>

#include "services/registry/core/core_fixture.h"

namespace tessera::registry {
namespace {

class PhasesTest : public RegistryCoreTest {
 protected:
  void SetUp() override {
    Begin();
    Step(Started{});
  }

  // One request of each kind; each is refused for the same reason, with the same hint.
  Refusal RefusalOfEverything(std::string* acting) {
    std::vector<std::pair<Refusal, std::string>> refusals;
    Step(Put(1, "a", "1"));
    refusals.emplace_back(One<CommitAnswer>().refusal, One<CommitAnswer>().acting);
    Step(ReadRequested{.call = 2});
    refusals.emplace_back(One<ReadAnswer>().refusal, One<ReadAnswer>().acting);
    Step(RenewRequested{.call = 3, .candidate_id = "m1", .epoch = 1});
    refusals.emplace_back(One<RenewAnswer>().refusal, One<RenewAnswer>().acting);
    Step(ResignRequested{.call = 4, .candidate_id = "m1", .epoch = 1});
    refusals.emplace_back(One<ResignAnswer>().refusal, One<ResignAnswer>().acting);
    Step(WatchRequested{.stream = 5});
    refusals.emplace_back(One<EndStream>().refusal, One<EndStream>().acting);
    Step(Run(6, "m1"));
    refusals.emplace_back(One<EndStream>().refusal, One<EndStream>().acting);
    for (const auto& refusal : refusals) EXPECT_EQ(refusal, refusals.front());
    *acting = refusals.front().second;
    return refusals.front().first;
  }

  void Act() {
    Acquire();
    Sync();
    ASSERT_EQ(core_->phase(), Phase::kActing);
  }
  // The store is asked for again, after `wait` at most.
  void AwaitAcquire(absl::Duration wait) {
    ASSERT_LE(core_->NextDeadline(), now_ + wait);
    now_ = std::max(now_, core_->NextDeadline());
    Step(Wake{});
    EXPECT_EQ(All<AcquireStore>().size(), 1u);
  }
};

TEST_F(PhasesTest, AStandbyRefusesEverythingAndNamesTheOneThatActs) {
  EXPECT_EQ(All<AcquireStore>().size(), 1u);
  std::string acting = "?";
  EXPECT_EQ(RefusalOfEverything(&acting), Refusal::kNotActing);
  EXPECT_EQ(acting, "") << "nobody is known yet";
  Step(StoreOwnedByOther{"other:1"});
  EXPECT_EQ(One<Note>().severity, base::Severity::kInfo);
  EXPECT_EQ(RefusalOfEverything(&acting), Refusal::kNotActing);
  EXPECT_EQ(acting, "other:1");
  EXPECT_EQ(core_->counters().refused_not_acting, 12u);
  for (int i = 0; i < 3; ++i) {
    AwaitAcquire(config_.standby_interval);
    Step(StoreOwnedByOther{"other:1"});
    EXPECT_TRUE(All<Note>().empty()) << "people read it once";
    EXPECT_EQ(core_->phase(), Phase::kStandby);
  }
  AwaitAcquire(config_.standby_interval);
  Step(StoreOwnedByOther{"third:1"});
  EXPECT_EQ(All<Note>().size(), 1u);
  RefusalOfEverything(&acting);
  EXPECT_EQ(acting, "third:1");
}

TEST_F(PhasesTest, AStoreThatCannotBeHadIsAskedForAgainEverMoreSlowly) {
  absl::Duration last = absl::ZeroDuration();
  for (int i = 0; i < 8; ++i) {
    Step(StoreUnavailable{"no space"});
    EXPECT_EQ(All<Note>().size(), i == 0 ? 1u : 0u);
    const absl::Time before = now_;
    AwaitAcquire(config_.store_retry_max);
    EXPECT_GE(now_ - before, last);
    last = now_ - before;
  }
  EXPECT_EQ(last, config_.store_retry_max);
  Act();
}

TEST_F(PhasesTest, AStoreThatIsUselessHaltsAtOnce) {
  Step(StoreLost{"damaged"});
  EXPECT_EQ(All<Halt>().size(), 1u);
  EXPECT_EQ(core_->phase(), Phase::kHalted);
}

TEST_F(PhasesTest, NothingIsServedBeforeAWriteHasProvenTheTakeOver) {
  disk_.records = {{"a", MakeValue("1"), 1}};
  disk_.version = 1;
  Acquire();
  const Persist proof = One<Persist>();
  EXPECT_TRUE(proof.batch.empty());
  EXPECT_EQ(core_->phase(), Phase::kTakingOver);
  std::string acting;
  EXPECT_EQ(RefusalOfEverything(&acting), Refusal::kTakingOver);
  effects_ = {proof};
  Sync();
  EXPECT_EQ(core_->phase(), Phase::kActing);
  EXPECT_EQ(core_->counters().takeovers, 1u);
  Step(ReadRequested{.call = 1});
  EXPECT_EQ(One<ReadAnswer>().records.size(), 1u);
}

TEST_F(PhasesTest, ATakeOverWhoseProofIsInDoubtGoesOnWhenItIsSettled) {
  Acquire();
  Persist proof = One<Persist>();
  Step(PersistUnknown{proof.guard.number, "no answer"});
  EXPECT_EQ(One<Settle>().guard, proof.guard);
  SettleAs(/*done=*/false, proof);
  proof = One<Persist>();
  Step(PersistUnknown{proof.guard.number, "no answer"});
  SettleAs(/*done=*/true, proof);
  EXPECT_EQ(core_->phase(), Phase::kActing);
}

TEST_F(PhasesTest, ATakeOverThatTheStoreDoesNotTakeIsGivenUpForAWhile) {
  Acquire();
  const Persist proof = One<Persist>();
  Step(PersistUnknown{proof.guard.number, "no answer"});
  Step(SettleFailed{proof.guard.number, "disk full"});
  EXPECT_EQ(core_->phase(), Phase::kStandby);
  EXPECT_TRUE(All<AcquireStore>().empty());
  AwaitAcquire(config_.store_retry_max);
  Act();
}

TEST_F(PhasesTest, ANewActingRegistryTakesRenewalsOfTheHolderAtOnceAndOfNobodyElse) {
  Act();
  EXPECT_EQ(Win(1, "m1"), 1u);
  now_ += kTtl - absl::Seconds(1);
  Step(RenewRequested{.call = 1, .candidate_id = "m1", .epoch = 1});
  // This one dies; another one, which has never seen m1, takes over a while later.
  now_ += kTtl - absl::Seconds(1);
  Begin();
  Step(Started{});
  Act();
  for (const auto& [candidate, epoch] : {std::pair{"m2", 1}, {"m1", 2}, {"m1", 0}}) {
    Step(RenewRequested{.call = 2, .candidate_id = candidate, .epoch = static_cast<Epoch>(epoch)});
    EXPECT_EQ(One<RenewAnswer>().refusal, Refusal::kStaleEpoch) << candidate << epoch;
  }
  Step(RenewRequested{.call = 3, .candidate_id = "m1", .epoch = 1});
  EXPECT_EQ(One<RenewAnswer>().refusal, Refusal::kNone);
  EXPECT_EQ(One<RenewAnswer>().expires_in, kTtl);
  Step(Put(4, "a", "1", /*epoch=*/1));
  EXPECT_EQ(All<Persist>().size(), 1u) << "its commits are taken, too";
  Sync();
  // Who campaigns meanwhile is told of the holder, and waits its whole time.
  Step(Run(2, "m2"));
  EXPECT_EQ(One<CampaignSend>().leader->candidate_id, "m1");
  now_ += kTtl - absl::Nanoseconds(1);
  Step(Wake{});
  EXPECT_TRUE(All<Persist>().empty());
}

TEST_F(PhasesTest, AGrantThatWasNotSyncedByTheOneBeforeIsNotHonoured) {
  Act();
  Win(1, "m1");
  now_ += kTtl;
  Step(Run(2, "m2"));
  const Persist grant = One<Persist>();
  EXPECT_EQ(grant.batch.lease->leader.candidate_id, "m1") << "it was first in the line again";
  Begin();
  Step(Started{});
  Act();
  Step(RenewRequested{.call = 1, .candidate_id = "m1", .epoch = 2});
  EXPECT_EQ(One<RenewAnswer>().refusal, Refusal::kStaleEpoch);
  Step(RenewRequested{.call = 1, .candidate_id = "m1", .epoch = 1});
  EXPECT_EQ(One<RenewAnswer>().refusal, Refusal::kNone);
}

TEST_F(PhasesTest, WhoIsFencedRefusesWhatWaitsEndsStreamsAndStrivesAnew) {
  Act();
  Win(1, "m1");
  Step(WatchRequested{.stream = 2});
  Step(Put(1, "sent", "1"));
  const Persist sent = One<Persist>();
  Step(Put(2, "waiting", "1"));
  Step(ResignRequested{.call = 3, .candidate_id = "m1", .epoch = 1});
  Step(StoreFenced{.term = term_, .answers = sent.guard.number, .reason = "taken"});
  const auto answers = All<CommitAnswer>();
  ASSERT_EQ(answers.size(), 2u);
  EXPECT_EQ(answers[0].refusal, Refusal::kStorageFailed) << "it may have been done";
  EXPECT_EQ(answers[1].refusal, Refusal::kNotActing) << "it was not, and may be sent elsewhere";
  EXPECT_EQ(One<ResignAnswer>().refusal, Refusal::kNotActing);
  std::vector<StreamId> ended;
  for (const EndStream& end : All<EndStream>()) {
    EXPECT_EQ(end.refusal, Refusal::kNotActing);
    ended.push_back(end.stream);
  }
  EXPECT_EQ(ended, (std::vector<StreamId>{2, 1}));
  EXPECT_EQ(core_->phase(), Phase::kStandby);
  EXPECT_EQ(All<AcquireStore>().size(), 1u);
  EXPECT_EQ(core_->table().size(), 0u) << "it shows nothing that may be old";
  Step(StreamEnded{1});
  Step(StreamEnded{2});
  Step(StoreOwnedByOther{"other:1"});
  AwaitAcquire(config_.standby_interval);
  Act();
  EXPECT_EQ(core_->counters().fencings, 1u);
  EXPECT_EQ(core_->counters().takeovers, 2u);
}

TEST_F(PhasesTest, WhoIsFencedUnaskedWaitsForTheAnswerThatIsDue) {
  Act();
  const std::vector<Event> late = {PersistUnknown{0, "no answer"}, Persisted{0},
                                   StoreFenced{.term = term_, .answers = 1, .reason = "taken"}};
  for (Event answer : late) {
    Step(Put(1, "a", "1"));
    const Persist sent = One<Persist>();
    Step(StoreFenced{.term = term_, .reason = "the lease ran out"});
    EXPECT_EQ(One<CommitAnswer>().refusal, Refusal::kStorageFailed);
    EXPECT_EQ(core_->phase(), Phase::kFenced);
    EXPECT_TRUE(All<AcquireStore>().empty()) << "the store does one thing at a time";
    EXPECT_EQ(core_->NextDeadline(), absl::InfiniteFuture());
    std::string acting;
    EXPECT_EQ(RefusalOfEverything(&acting), Refusal::kNotActing);
    if (auto* unknown = std::get_if<PersistUnknown>(&answer)) unknown->number = sent.guard.number;
    if (auto* done = std::get_if<Persisted>(&answer)) done->number = sent.guard.number;
    if (auto* fenced = std::get_if<StoreFenced>(&answer)) fenced->answers = sent.guard.number;
    Step(answer);
    EXPECT_TRUE(All<CommitAnswer>().empty()) << "it was answered already";
    EXPECT_EQ(All<AcquireStore>().size(), 1u);
    Step(StoreFenced{.term = term_, .reason = "old news"});
    EXPECT_EQ(Acts(), 0u);
    Act();
  }
}

TEST_F(PhasesTest, AnOwnershipThatLastsIsProvenAgainInTimeOrIsOver) {
  lasts_ = absl::Seconds(9);
  Act();
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(core_->NextDeadline(), now_ + absl::Seconds(3));
    now_ = core_->NextDeadline();
    Step(Wake{});
    EXPECT_TRUE(One<Persist>().batch.empty());
    Sync();
  }
  // A write of somebody's proves as much, counted from when it was sent.
  now_ += absl::Seconds(2);
  Step(Put(1, "a", "1"));
  const Persist put = One<Persist>();
  now_ += absl::Seconds(1);
  effects_ = {put};
  Sync();
  EXPECT_EQ(core_->NextDeadline(), now_ + absl::Seconds(2));
  // An answer that takes too long does not: meanwhile another one may act.
  Step(Put(2, "b", "1"));
  const Persist slow = One<Persist>();
  now_ += absl::Seconds(8) - absl::Nanoseconds(1);
  Step(ReadRequested{.call = 3});
  EXPECT_EQ(One<ReadAnswer>().refusal, Refusal::kNone);
  now_ += absl::Nanoseconds(1);
  Step(RenewRequested{.call = 4, .candidate_id = "m1", .epoch = 1});
  EXPECT_EQ(One<RenewAnswer>().refusal, Refusal::kNotActing);
  EXPECT_EQ(One<CommitAnswer>().refusal, Refusal::kStorageFailed);
  EXPECT_EQ(core_->phase(), Phase::kFenced);
  Step(Persisted{slow.guard.number});
  EXPECT_EQ(All<AcquireStore>().size(), 1u);
}

TEST_F(PhasesTest, TheEpochNeverGoesBack) {
  // By the operator's word, after the data was restored from a backup.
  disk_.lease = {.leader = {"m1", "m1:1", "", 7}, .ttl = kTtl};
  config_.epoch_at_least = 40;
  Begin();
  Step(Started{});
  Acquire();
  EXPECT_EQ(One<Persist>().batch.lease->leader.epoch, 40u) << "durable before it acts";
  Sync();
  EXPECT_EQ(core_->phase(), Phase::kActing);
  Step(RenewRequested{.call = 1, .candidate_id = "m1", .epoch = 7});
  EXPECT_EQ(One<RenewAnswer>().refusal, Refusal::kStaleEpoch);
  Step(Run(1, "m2"));
  now_ += kTtl;
  Step(Wake{});
  Sync();
  EXPECT_EQ(core_->lease().leader()->epoch, 41u);
  // By its own memory: an older state is put in place while it stands by.
  Step(StoreFenced{.term = term_, .reason = "taken"});
  disk_.lease.leader.epoch = 8;
  Acquire();
  EXPECT_EQ(One<Persist>().batch.lease->leader.epoch, 41u);
  disk_.lease.leader.epoch = 41;
}

TEST_F(PhasesTest, AStoreThatLacksWhatWasAcknowledgedHalts) {
  Act();
  Step(Put(1, "a", "1"));
  Sync();
  Step(StoreFenced{.term = term_, .reason = "taken"});
  disk_ = {};
  Acquire();
  EXPECT_EQ(All<Halt>().size(), 1u);
  EXPECT_EQ(core_->phase(), Phase::kHalted);
}

// What a store takes at a time bounds groups, and commits.
class GroupLimitsTest : public PhasesTest {
 protected:
  void SetUp() override {
    limits_ = {.writes_max = 3, .bytes_max = 100};
    PhasesTest::SetUp();
    Act();
  }
  CommitRequested Puts(CallId call, int writes, size_t bytes = 1) {
    CommitRequested request{.call = call};
    for (int i = 0; i < writes; ++i) {
      request.writes.push_back(
          {std::string(1, static_cast<char>('a' + i)), MakeValue(std::string(bytes, 'x'))});
    }
    return request;
  }
};

TEST_F(GroupLimitsTest, ACommitThatDoesNotFitIntoAGroupIsRefused) {
  Step(Puts(1, 4));
  EXPECT_EQ(One<CommitAnswer>().refusal, Refusal::kMalformed);
  Step(Puts(2, 1, 100));
  EXPECT_EQ(One<CommitAnswer>().refusal, Refusal::kMalformed);
  Step(Puts(3, 3));
  EXPECT_EQ(All<Persist>().size(), 1u);
}

TEST_F(GroupLimitsTest, GroupsKeepTheLimitsAndTheOrder) {
  Step(Puts(1, 1));
  const Persist first = One<Persist>();
  for (CallId call = 2; call <= 8; ++call) Step(Puts(call, 1 + call % 2));
  Step(Puts(9, 1, 99));
  Step(Puts(10, 1));
  EXPECT_EQ(core_->pending_commits(), 10u);
  effects_ = {first};
  std::vector<CallId> answered;
  Version version = 0;
  while (!All<Persist>().empty()) {
    size_t writes = 0, bytes = 0;
    for (const auto& commit : One<Persist>().batch.commits) {
      EXPECT_EQ(commit->version, ++version);
      for (const Write& write : commit->writes) {
        ++writes;
        bytes += SizeOf(write);
      }
    }
    EXPECT_LE(writes, 3u);
    EXPECT_LE(bytes, 100u);
    Sync();
    for (const CommitAnswer& answer : All<CommitAnswer>()) answered.push_back(answer.call);
  }
  EXPECT_EQ(answered, (std::vector<CallId>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}));
  EXPECT_EQ(core_->pending_commits(), 0u);
}

// What an epoch has written is on disk before the next one is told, however many groups wait.
TEST_F(GroupLimitsTest, AChangeOfTheLeaseComesBehindTheCommitsOfTheEpochBefore) {
  Win(1, "m1");
  Step(Run(2, "m2"));
  Step(Put(1, "a", "1", 1));
  const Persist first = One<Persist>();
  for (CallId call = 2; call <= 8; ++call) Step(Put(call, "a", "1", 1));
  Step(ResignRequested{.call = 9, .candidate_id = "m1", .epoch = 1});
  effects_ = {first};
  size_t commits = 0;
  while (!All<Persist>().empty()) {
    const StoreBatch batch = One<Persist>().batch;
    commits += batch.commits.size();
    EXPECT_EQ(batch.lease != nullptr, commits == 8);
    Sync();
  }
  EXPECT_EQ(core_->lease().leader()->epoch, 2u);
  EXPECT_EQ(One<ResignAnswer>().refusal, Refusal::kNone);
  Step(Put(10, "a", "1", 1));
  EXPECT_EQ(One<CommitAnswer>().refusal, Refusal::kStaleEpoch);
}

}  // namespace
}  // namespace tessera::registry
