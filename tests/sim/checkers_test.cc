// The judges must condemn what is wrong: each gets a story that breaks its rule, and one that does
// not.
#include "tests/sim/checkers.h"

#include <gtest/gtest.h>

namespace tessera::sim {
namespace {

model::v1::TaskStatus Status(const std::string& task, model::v1::TaskState state,
                             const std::string& uuid = "u") {
  model::v1::TaskStatus status;
  status.set_task_id(task);
  status.set_state(state);
  status.set_uuid(uuid);
  return status;
}

TEST(MachineCheckerTest, CondemnsOverload) {
  Verdict verdict;
  MachineChecker checker(&verdict);
  checker.SetTotal("m", 1000, 100);
  checker.Started("m", "c1", 600, 50);
  checker.Ended("m", "c1");
  checker.Started("m", "c1", 600, 50);
  EXPECT_FALSE(verdict.failed());
  checker.Started("m", "c2", 600, 10);
  EXPECT_TRUE(verdict.failed());
}

TEST(OfferCheckerTest, CondemnsOverlapAndReuse) {
  Verdict verdict;
  OfferChecker checker(&verdict);
  checker.SetTotal("m", 1000, 1000);
  checker.NewEpoch(1);
  checker.Offered(1, 1, "o1", "m", "r", 700, 100);
  checker.Gone("o1");
  checker.Offered(1, 2, "o2", "m", "r", 700, 100);
  checker.SessionEnded(2);
  checker.Offered(1, 3, "o3", "m", "r", 700, 100);
  EXPECT_FALSE(verdict.failed());
  EXPECT_EQ(checker.OfferedByRole().at("r").cpus, 700);
  checker.Offered(1, 3, "o4", "m", "r", 700, 100);
  EXPECT_TRUE(verdict.failed());
}

TEST(LeaderCheckerTest, CondemnsTwoLeadersAndAnOldEpoch) {
  Verdict verdict;
  LeaderChecker checker(&verdict);
  checker.Began("a", 1);
  checker.Ended("a");
  checker.Began("b", 2);
  EXPECT_FALSE(verdict.failed());
  checker.Began("c", 3);
  EXPECT_TRUE(verdict.failed());

  Verdict again;
  LeaderChecker second(&again);
  second.Began("a", 2);
  second.Ended("a");
  second.Began("b", 2);
  EXPECT_TRUE(again.failed());
}

class DurabilityCheckerTest : public testing::Test {
 protected:
  using Content = std::map<std::string, std::string>;
  using Value = std::optional<std::string>;
  // A commit that is answered.
  void Commit(uint64_t version, const std::string& key, Value value) {
    checker_.Requested(++call_, {{key, std::move(value)}});
    checker_.Acknowledged(call_, version);
  }
  // One that is not.
  void Ask(const std::string& key, Value value) {
    checker_.Requested(++call_, {{key, std::move(value)}});
  }

  Verdict verdict_;
  DurabilityChecker checker_{&verdict_};
  uint64_t call_ = 0;
};

TEST_F(DurabilityCheckerTest, AcceptsWhatWasAcknowledgedThroughManyCrashes) {
  Commit(1, "k", "1");
  Commit(2, "k", "2");
  Commit(3, "gone", "x");
  Commit(4, "gone", std::nullopt);
  checker_.Recovered(4, {{"k", "2"}});
  Commit(5, "l", "1");
  Ask("l", "2");
  Ask("m", "3");
  // One of the two survived, it does not matter which.
  checker_.Recovered(6, {{"k", "2"}, {"l", "1"}, {"m", "3"}});
  Commit(7, "l", std::nullopt);
  checker_.Recovered(7, {{"k", "2"}, {"m", "3"}});
  EXPECT_FALSE(verdict_.failed()) << verdict_.failure();
  EXPECT_EQ(checker_.survived(), 1u);
  EXPECT_EQ(checker_.lost(), 1u);
}

TEST_F(DurabilityCheckerTest, CondemnsALostCommit) {
  Commit(1, "k", "1");
  Commit(2, "k", "2");
  checker_.Recovered(1, {{"k", "1"}});
  EXPECT_TRUE(verdict_.failed());
}

TEST_F(DurabilityCheckerTest, CondemnsAChangedValue) {
  Commit(1, "k", "1");
  checker_.Recovered(1, {{"k", "other"}});
  EXPECT_TRUE(verdict_.failed());
}

TEST_F(DurabilityCheckerTest, CondemnsAKeyThatIsLostInTheRecoveryThatKeepsAnUnansweredCommit) {
  Commit(1, "k", "1");
  Ask("l", "1");
  checker_.Recovered(2, {{"l", "1"}});
  EXPECT_TRUE(verdict_.failed());
  EXPECT_NE(verdict_.failure().find("key k was lost"), std::string::npos) << verdict_.failure();
}

TEST_F(DurabilityCheckerTest, CondemnsAKeyThatIsLostLongAfterAnUnansweredCommit) {
  Commit(1, "k", "1");
  Ask("l", "1");
  checker_.Recovered(2, {{"k", "1"}, {"l", "1"}});
  Commit(3, "m", "1");
  EXPECT_FALSE(verdict_.failed()) << verdict_.failure();
  checker_.Recovered(3, {{"k", "1"}, {"m", "1"}});
  EXPECT_TRUE(verdict_.failed());
  EXPECT_NE(verdict_.failure().find("key l was lost"), std::string::npos) << verdict_.failure();
}

TEST_F(DurabilityCheckerTest, CondemnsAValueThatAnUnansweredCommitDidNotAskFor) {
  Commit(1, "k", "1");
  Ask("k", "2");
  checker_.Recovered(2, {{"k", "3"}});
  EXPECT_TRUE(verdict_.failed());
}

TEST_F(DurabilityCheckerTest, CondemnsMoreCommitsThanWereAskedFor) {
  Commit(1, "k", "1");
  Ask("k", "2");
  checker_.Recovered(3, {{"k", "2"}});
  EXPECT_TRUE(verdict_.failed());
}

TEST_F(DurabilityCheckerTest, CondemnsACommitThatWasRefusedAndMadeAllTheSame) {
  Commit(1, "k", "1");
  Ask("k", "2");
  checker_.Refused(call_);
  checker_.Recovered(1, {{"k", "2"}});
  EXPECT_TRUE(verdict_.failed());
}

class TaskCheckerTest : public testing::Test {
 protected:
  Verdict verdict_;
  TaskChecker checker_{&verdict_};
};

TEST_F(TaskCheckerTest, AcceptsALaunchThatEndsAndOneOfTheSameIdAfterIt) {
  for (const char* mark : {"#1", "#2"}) {
    checker_.Launched("f", "t", mark);
    EXPECT_EQ(checker_.open(), 1u);
    checker_.Started("m", mark);
    checker_.Heard("f", Status("t", model::v1::TASK_RUNNING));
    EXPECT_EQ(checker_.running(), 1u);
    checker_.Ended(mark, true, false);
    checker_.Heard("f", Status("t", model::v1::TASK_FINISHED));
    checker_.Heard("f", Status("t", model::v1::TASK_FINISHED));
  }
  checker_.CheckAllEnded();
  EXPECT_FALSE(verdict_.failed()) << verdict_.failure();
  EXPECT_EQ(checker_.ended(), 2u);
}

TEST_F(TaskCheckerTest, AcceptsATaskThatOutlivesItsAgentsRemoval) {
  checker_.Launched("f", "t", "#1");
  checker_.Started("m", "#1");
  checker_.Heard("f", Status("t", model::v1::TASK_GONE, ""));
  checker_.Ended("#1", false, true);
  EXPECT_FALSE(verdict_.failed()) << verdict_.failure();
}

TEST_F(TaskCheckerTest, CondemnsTwoEnds) {
  checker_.Launched("f", "t", "#1");
  checker_.Started("m", "#1");
  checker_.Ended("#1", true, false);
  checker_.Heard("f", Status("t", model::v1::TASK_FINISHED));
  checker_.Heard("f", Status("t", model::v1::TASK_FAILED));
  EXPECT_TRUE(verdict_.failed());
}

TEST_F(TaskCheckerTest, CondemnsAnUntrueEnd) {
  checker_.Launched("f", "t", "#1");
  checker_.Heard("f", Status("t", model::v1::TASK_FINISHED));
  EXPECT_TRUE(verdict_.failed());
}

TEST_F(TaskCheckerTest, CondemnsAnEndOfWhatRuns) {
  checker_.Launched("f", "t", "#1");
  checker_.Started("m", "#1");
  checker_.Heard("f", Status("t", model::v1::TASK_KILLED));
  EXPECT_NE(verdict_.failure().find("runs after its end"), std::string::npos) << verdict_.failure();
}

TEST_F(TaskCheckerTest, CondemnsAStartOfWhatWasDropped) {
  checker_.Launched("f", "t", "#1");
  checker_.Heard("f", Status("t", model::v1::TASK_DROPPED, ""));
  EXPECT_FALSE(verdict_.failed()) << verdict_.failure();
  checker_.Started("m", "#1");
  EXPECT_NE(verdict_.failure().find("runs after its end"), std::string::npos) << verdict_.failure();
}

TEST_F(TaskCheckerTest, CondemnsASecondStart) {
  checker_.Launched("f", "t", "#1");
  checker_.Started("m", "#1");
  checker_.Ended("#1", true, false);
  checker_.Started("n", "#1");
  EXPECT_NE(verdict_.failure().find("at most once"), std::string::npos) << verdict_.failure();
}

TEST_F(TaskCheckerTest, CondemnsWhatNobodyLaunched) {
  checker_.Started("m", "#1");
  EXPECT_TRUE(verdict_.failed());
}

TEST_F(TaskCheckerTest, CondemnsDisorder) {
  checker_.Launched("f", "t", "#1");
  checker_.Started("m", "#1");
  checker_.Heard("f", Status("t", model::v1::TASK_RUNNING));
  checker_.Heard("f", Status("t", model::v1::TASK_STARTING));
  EXPECT_TRUE(verdict_.failed());
}

TEST_F(TaskCheckerTest, CondemnsSilence) {
  checker_.Launched("f", "t", "#1");
  checker_.CheckAllEnded();
  EXPECT_TRUE(verdict_.failed());
}

TEST(WishCheckerTest, CondemnsAWishThatTakesTooLongInQuietTimes) {
  const absl::Time now = absl::UnixEpoch();
  Verdict fine;
  WishChecker checker(&fine);
  for (int wish = 0; wish < 2; ++wish) {
    checker.Stated("f", 3, now);
    for (int run = 0; run < 3; ++run) checker.RanOverAll(now);
    checker.Fulfilled("f", now + absl::Seconds(3));
  }
  for (int run = 0; run < 9; ++run) checker.RanOverAll(now);  // nobody wants anything
  checker.Stated("f", 3, now);
  checker.Withdrawn("f");
  for (int run = 0; run < 9; ++run) checker.RanOverAll(now);
  EXPECT_FALSE(fine.failed()) << fine.failure();
  EXPECT_EQ(checker.worst().runs, 3);
  EXPECT_EQ(checker.worst().time, absl::Seconds(3));
  EXPECT_EQ(checker.fulfilled(), 2);

  // Two of the runs were before something broke, some while it was broken or had just been mended.
  checker.Stated("f", 3, now);
  for (int run = 0; run < 2; ++run) checker.RanOverAll(now);
  checker.Broke("master");
  checker.Broke("registry");
  for (int run = 0; run < 9; ++run) checker.RanOverAll(now);
  checker.Mended("master", now + absl::Seconds(2));
  for (int run = 0; run < 9; ++run) checker.RanOverAll(now + absl::Seconds(5));
  checker.Mended("registry", now + absl::Seconds(10));
  for (int run = 0; run < 9; ++run) checker.RanOverAll(now + absl::Seconds(9));
  for (int run = 0; run < 3; ++run) checker.RanOverAll(now + absl::Seconds(10));
  EXPECT_FALSE(fine.failed()) << fine.failure();
  checker.RanOverAll(now + absl::Seconds(10));
  EXPECT_TRUE(fine.failed());
  EXPECT_NE(fine.failure().find("f has not got"), std::string::npos) << fine.failure();
}

}  // namespace
}  // namespace tessera::sim
