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

TEST(MachineCheckerTest, CondemnsOverloadAndASecondStart) {
  Verdict verdict;
  MachineChecker checker(&verdict);
  checker.SetTotal("m", 1000, 100);
  checker.Started("m", "c1", "f/t1", 600, 50);
  EXPECT_FALSE(verdict.failed());
  checker.Started("m", "c2", "f/t2", 600, 10);
  EXPECT_TRUE(verdict.failed());

  Verdict again;
  MachineChecker second(&again);
  second.SetTotal("m", 1000, 100);
  second.Started("m", "c1", "f/t1", 100, 1);
  second.Ended("m", "c1");
  second.Started("m", "c2", "f/t1", 100, 1);
  EXPECT_TRUE(again.failed());
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

TEST(DurabilityCheckerTest, CondemnsALostCommitAndAChangedValue) {
  Verdict verdict;
  DurabilityChecker checker(&verdict);
  checker.Acknowledged(1, {{"k", "1"}});
  checker.Acknowledged(2, {{"k", "2"}});
  checker.Recovered(2, {{"k", "2"}});
  EXPECT_FALSE(verdict.failed());
  checker.Recovered(1, {{"k", "1"}});
  EXPECT_TRUE(verdict.failed());

  Verdict again;
  DurabilityChecker second(&again);
  second.Acknowledged(1, {{"k", "1"}});
  second.Recovered(1, {{"k", "other"}});
  EXPECT_TRUE(again.failed());
}

TEST(TaskCheckerTest, CondemnsTwoEndsUntruthsAndSilence) {
  Verdict fine;
  TaskChecker checker(&fine);
  checker.Launched("f", "t");
  checker.Heard("f", Status("t", model::v1::TASK_RUNNING));
  checker.Truth("f", "t", true, false);
  checker.Heard("f", Status("t", model::v1::TASK_FINISHED));
  checker.Heard("f", Status("t", model::v1::TASK_FINISHED));
  checker.CheckAllEnded();
  EXPECT_FALSE(fine.failed()) << fine.failure();
  checker.Heard("f", Status("t", model::v1::TASK_FAILED));
  EXPECT_TRUE(fine.failed());

  Verdict untrue;
  TaskChecker liar(&untrue);
  liar.Launched("f", "t");
  liar.Heard("f", Status("t", model::v1::TASK_FINISHED));
  EXPECT_TRUE(untrue.failed());

  Verdict late;
  TaskChecker disorder(&late);
  disorder.Launched("f", "t");
  disorder.Heard("f", Status("t", model::v1::TASK_RUNNING));
  disorder.Heard("f", Status("t", model::v1::TASK_STARTING));
  EXPECT_TRUE(late.failed());

  Verdict silent;
  TaskChecker forgotten(&silent);
  forgotten.Launched("f", "t");
  forgotten.CheckAllEnded();
  EXPECT_TRUE(silent.failed());
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
