// The judges of readers must condemn what is wrong, and only that.
#include "tests/sim/reader_checker.h"

#include <gtest/gtest.h>

#include "services/state/core/state_table.h"

namespace tessera::sim {
namespace {

// One framework with one task, of this state, at this version.
state::Snapshot Cluster(uint64_t epoch, uint64_t version, model::v1::TaskState task_state) {
  state::StateTable table;
  table.Reset(epoch);
  state::v1::Change framework;
  framework.mutable_framework_set()->mutable_framework()->mutable_info()->set_id("f");
  table.Apply(std::move(framework));
  state::v1::Change task;
  task.mutable_task_set()->mutable_task()->set_framework_id("f");
  task.mutable_task_set()->mutable_task()->mutable_info()->set_id("t");
  task.mutable_task_set()->mutable_task()->set_state(task_state);
  table.Apply(std::move(task));
  table.set_version(version);
  return table.state();
}

const std::vector<TaskName> kTheTask = {{"f", "t"}};

class ReaderCheckerTest : public testing::Test {
 protected:
  // A master publishes versions 1 to `last` of the epoch, with the task running.
  void Publish(uint64_t epoch, uint64_t last) {
    master_.Replaced(Cluster(epoch, 0, model::v1::TASK_RUNNING));
    for (uint64_t version = 1; version <= last; ++version) {
      master_.Advanced(Cluster(epoch, version, model::v1::TASK_RUNNING), kTheTask);
    }
    ASSERT_FALSE(verdict_.failed()) << verdict_.failure();
  }

  Verdict verdict_;
  FeedTruth truth_{&verdict_};
  ReaderChecker master_{&verdict_, &truth_, "master", ReaderChecker::Role::kMaster};
  ReaderChecker reader_{&verdict_, &truth_, "reader", ReaderChecker::Role::kReader};
};

TEST_F(ReaderCheckerTest, AcceptsAReaderThatFollows) {
  Publish(1, 20);
  Publish(2, 5);
  reader_.Replaced(Cluster(1, 14, model::v1::TASK_RUNNING));
  reader_.Advanced(Cluster(1, 15, model::v1::TASK_RUNNING), kTheTask);
  reader_.Advanced(Cluster(1, 16, model::v1::TASK_RUNNING), kTheTask);
  reader_.Replaced(Cluster(1, 20, model::v1::TASK_RUNNING));
  reader_.Replaced(Cluster(2, 3, model::v1::TASK_RUNNING));
  reader_.Restarted();
  reader_.Replaced(Cluster(2, 1, model::v1::TASK_RUNNING));
  EXPECT_FALSE(verdict_.failed()) << verdict_.failure();
  EXPECT_EQ(truth_.compared(), 1u);
}

TEST_F(ReaderCheckerTest, CondemnsAGap) {
  Publish(1, 20);
  reader_.Replaced(Cluster(1, 10, model::v1::TASK_RUNNING));
  reader_.Advanced(Cluster(1, 12, model::v1::TASK_RUNNING), kTheTask);
  EXPECT_TRUE(verdict_.failed());
}

TEST_F(ReaderCheckerTest, CondemnsAnOlderVersionOfTheSameEpoch) {
  Publish(1, 20);
  reader_.Replaced(Cluster(1, 10, model::v1::TASK_RUNNING));
  reader_.Replaced(Cluster(1, 9, model::v1::TASK_RUNNING));
  EXPECT_TRUE(verdict_.failed());
}

TEST_F(ReaderCheckerTest, CondemnsAnOlderEpoch) {
  Publish(1, 20);
  Publish(2, 20);
  reader_.Replaced(Cluster(2, 10, model::v1::TASK_RUNNING));
  reader_.Replaced(Cluster(1, 20, model::v1::TASK_RUNNING));
  EXPECT_TRUE(verdict_.failed());
}

TEST_F(ReaderCheckerTest, CondemnsWhatNoMasterPublished) {
  Publish(1, 20);
  reader_.Replaced(Cluster(1, 21, model::v1::TASK_RUNNING));
  EXPECT_TRUE(verdict_.failed());
}

TEST_F(ReaderCheckerTest, CondemnsAnotherStateThanTheMasterHad) {
  Publish(1, 20);
  reader_.Replaced(Cluster(1, 16, model::v1::TASK_STAGING));
  EXPECT_TRUE(verdict_.failed());
}

TEST_F(ReaderCheckerTest, CondemnsATaskThatComesBackFromItsEnd) {
  Publish(1, 10);
  Publish(2, 10);
  reader_.Replaced(Cluster(1, 4, model::v1::TASK_FINISHED));
  // Another leader may not have heard of the end yet.
  reader_.Replaced(Cluster(2, 4, model::v1::TASK_RUNNING));
  EXPECT_FALSE(verdict_.failed()) << verdict_.failure();
  reader_.Advanced(Cluster(2, 5, model::v1::TASK_FINISHED), kTheTask);
  EXPECT_FALSE(verdict_.failed()) << verdict_.failure();
  reader_.Advanced(Cluster(2, 6, model::v1::TASK_RUNNING), kTheTask);
  EXPECT_TRUE(verdict_.failed());
}

TEST_F(ReaderCheckerTest, AcceptsAReaderThatIsFreshWhileAMasterIsHeard) {
  const absl::Time start = absl::FromUnixSeconds(1000);
  truth_.HeartbeatMade(start);
  truth_.SaysFresh("reader", start + absl::Milliseconds(10), start + absl::Seconds(20));
  truth_.HeartbeatMade(start + absl::Seconds(30));
  truth_.SaysFresh("reader", start + absl::Seconds(20), start + absl::Seconds(40));
  EXPECT_FALSE(verdict_.failed()) << verdict_.failure();
}

TEST_F(ReaderCheckerTest, CondemnsAReaderThatFollowsNobodyAndSaysItDoes) {
  const absl::Time start = absl::FromUnixSeconds(1000);
  truth_.HeartbeatMade(start);
  truth_.SaysFresh("reader", start, start + absl::Seconds(30));
  EXPECT_TRUE(verdict_.failed());
}

TEST_F(ReaderCheckerTest, CondemnsAReaderThatThinksItselfNewerThanItIs) {
  const absl::Time start = absl::FromUnixSeconds(1000);
  truth_.HeartbeatMade(start);
  truth_.SaysFresh("reader", start + absl::Seconds(10), start + absl::Seconds(15));
  EXPECT_TRUE(verdict_.failed());
}

TEST_F(ReaderCheckerTest, NamesTheFirstDifference) {
  const state::Snapshot running = Cluster(1, 4, model::v1::TASK_RUNNING);
  EXPECT_EQ(FirstDifference(running, Cluster(2, 9, model::v1::TASK_RUNNING)), "");
  EXPECT_NE(FirstDifference(running, Cluster(1, 4, model::v1::TASK_KILLED)), "");
  EXPECT_NE(FirstDifference(running, state::Snapshot()), "");
  EXPECT_NE(FactsOf(running), FactsOf(Cluster(1, 4, model::v1::TASK_KILLED)));
}

}  // namespace
}  // namespace tessera::sim
