// The judges of readers must condemn what is wrong, and only that.
#include "tests/sim/reader_checker.h"

#include <gtest/gtest.h>

namespace tessera::sim {
namespace {

using model::v1::TaskState;
using state::v1::Change;

void Name(model::v1::Incarnation* incarnation, uint64_t number) {
  incarnation->set_epoch(1);
  incarnation->set_number(number);
}

Change Task(uint64_t number, TaskState task_state) {
  Change change;
  auto* task = change.mutable_task_set()->mutable_task();
  task->set_framework_id("f");
  task->mutable_info()->set_id("t");
  task->set_state(task_state);
  task->set_agent_id("a");
  Name(task->mutable_incarnation(), number);
  auto* cpus = task->add_resources();
  cpus->set_name("cpus");
  cpus->mutable_scalar()->set_milli(500);
  change.mutable_task_set()->set_place(state::v1::TASK_PLACE_ACTIVE);
  return change;
}

Change Executor(uint64_t number) {
  Change change;
  auto* executor = change.mutable_executor_set()->mutable_executor();
  executor->set_framework_id("f");
  executor->set_agent_id("a");
  executor->set_executor_id("e");
  Name(executor->mutable_incarnation(), number);
  auto* cpus = executor->add_resources();
  cpus->set_name("cpus");
  cpus->mutable_scalar()->set_milli(100);
  return change;
}

Change Status(uint64_t number, TaskState task_state) {
  Change change;
  auto* added = change.mutable_task_status_added();
  added->set_framework_id("f");
  added->set_task_id("t");
  Name(added->mutable_incarnation(), number);
  added->set_state(task_state);
  added->mutable_status()->set_state(task_state);
  added->mutable_status()->set_uuid("u");
  return change;
}

Change Role(const std::string& name) {
  Change change;
  change.mutable_role_set()->mutable_role()->set_name(name);
  return change;
}

state::v1::Delta DeltaOf(uint64_t version, std::initializer_list<Change> changes) {
  state::v1::Delta delta;
  delta.set_version(version);
  for (const Change& change : changes) *delta.add_changes() = change;
  return delta;
}

state::v1::SnapshotChunk Snapshot(uint64_t version, std::initializer_list<Change> changes) {
  state::v1::SnapshotChunk chunk;
  chunk.set_version(version);
  chunk.set_first(true);
  chunk.set_last(true);
  for (const Change& change : changes) *chunk.add_changes() = change;
  return chunk;
}

TEST(RowsTest, HoldsTwoTasksOfOneIdAndAddsUpWhatIsUsed) {
  Rows rows;
  rows.Reset(1);
  EXPECT_EQ(rows.Apply(Task(1, model::v1::TASK_FINISHED)), "");
  EXPECT_EQ(rows.Apply(Task(2, model::v1::TASK_RUNNING)), "");
  EXPECT_EQ(rows.Apply(Executor(3)), "");
  EXPECT_EQ(rows.tasks().size(), 2u);
  EXPECT_EQ(rows.UsedOn("a").cpus, 600);
}

TEST(RowsTest, FactsDoNotDependOnTheWayThere) {
  Rows one, other;
  one.Reset(1);
  other.Reset(2);
  one.Apply(Task(1, model::v1::TASK_RUNNING));
  one.Apply(Role("r"));
  other.Apply(Role("r"));
  other.Apply(Role("s"));
  other.Apply(Task(1, model::v1::TASK_STAGING));
  other.Apply(Task(1, model::v1::TASK_RUNNING));
  EXPECT_NE(FirstDifference(one, other), "");
  Change removed;
  removed.mutable_role_removed()->set_role("s");
  EXPECT_EQ(other.Apply(removed), "");
  EXPECT_EQ(one.facts(), other.facts());
  EXPECT_EQ(FirstDifference(one, other), "");
}

TEST(RowsTest, SaysWhatDoesNotFit) {
  Rows rows;
  rows.Reset(1);
  EXPECT_NE(rows.Apply(Status(1, model::v1::TASK_RUNNING)), "");
  EXPECT_NE(rows.Apply(Change()), "");
  // To remove what is not there is no harm.
  Change removed;
  removed.mutable_agent_removed()->set_agent_id("a");
  EXPECT_EQ(rows.Apply(removed), "");
}

class ReaderCheckerTest : public testing::Test {
 protected:
  // A master publishes versions 1 to `last` of the epoch, in each of which the task says that it
  // runs, and an executor is there from version 1 on.
  void Publish(uint64_t epoch, uint64_t last) {
    master_.Begin(epoch);
    master_.Delta(epoch, DeltaOf(1, {Task(1, model::v1::TASK_STAGING), Executor(2)}));
    for (uint64_t version = 2; version <= last; ++version) {
      master_.Delta(epoch, DeltaOf(version, {Status(1, model::v1::TASK_RUNNING)}));
    }
    ASSERT_FALSE(verdict_.failed()) << verdict_.failure();
  }
  // What version 2 and all after it are.
  state::v1::SnapshotChunk Running(uint64_t version) {
    return Snapshot(version, {Executor(2), Task(1, model::v1::TASK_STAGING),
                              Status(1, model::v1::TASK_RUNNING)});
  }

  Verdict verdict_;
  FeedTruth truth_{&verdict_};
  ReaderChecker master_{&verdict_, &truth_, "master", ReaderChecker::Role::kMaster};
  ReaderChecker reader_{&verdict_, &truth_, "reader", ReaderChecker::Role::kReader};
};

TEST_F(ReaderCheckerTest, AcceptsAReaderThatFollows) {
  Publish(1, 20);
  Publish(2, 5);
  reader_.Chunk(1, Running(14));
  reader_.Delta(1, DeltaOf(15, {Status(1, model::v1::TASK_RUNNING)}));
  reader_.Chunk(1, Running(20));
  reader_.Chunk(2, Running(3));
  reader_.Restarted();
  reader_.Chunk(2, Running(2));
  EXPECT_FALSE(verdict_.failed()) << verdict_.failure();
  EXPECT_EQ(truth_.compared(), 5u);
}

TEST_F(ReaderCheckerTest, CondemnsAGap) {
  Publish(1, 20);
  reader_.Chunk(1, Running(10));
  reader_.Delta(1, DeltaOf(12, {Status(1, model::v1::TASK_RUNNING)}));
  EXPECT_TRUE(verdict_.failed());
}

TEST_F(ReaderCheckerTest, CondemnsAnOlderVersionOfTheSameEpoch) {
  Publish(1, 20);
  reader_.Chunk(1, Running(10));
  reader_.Chunk(1, Running(9));
  EXPECT_TRUE(verdict_.failed());
}

TEST_F(ReaderCheckerTest, CondemnsAnOlderEpoch) {
  Publish(1, 20);
  Publish(2, 20);
  reader_.Chunk(2, Running(10));
  reader_.Chunk(1, Running(20));
  EXPECT_TRUE(verdict_.failed());
}

TEST_F(ReaderCheckerTest, CondemnsWhatNoMasterPublished) {
  Publish(1, 20);
  reader_.Chunk(1, Running(21));
  EXPECT_TRUE(verdict_.failed());
}

TEST_F(ReaderCheckerTest, CondemnsAnotherStateThanTheMasterHad) {
  Publish(1, 20);
  reader_.Chunk(1, Snapshot(16, {Executor(2), Task(1, model::v1::TASK_STAGING)}));
  EXPECT_TRUE(verdict_.failed());
}

// A table that drops a kind of rows drops it wherever it is used: on the side that publishes, and
// on the side that shows. Whoever compares the two sees nothing.
TEST_F(ReaderCheckerTest, CondemnsARowThatIsDroppedOnBothSides) {
  Publish(1, 20);
  reader_.Chunk(
      1, Snapshot(16, {Task(1, model::v1::TASK_STAGING), Status(1, model::v1::TASK_RUNNING)}));
  EXPECT_TRUE(verdict_.failed());
}

TEST_F(ReaderCheckerTest, CondemnsAChangeThatNamesSomethingUnknown) {
  Publish(1, 20);
  reader_.Chunk(1, Running(10));
  reader_.Delta(1, DeltaOf(11, {Status(7, model::v1::TASK_RUNNING)}));
  EXPECT_TRUE(verdict_.failed());
}

TEST_F(ReaderCheckerTest, CondemnsHalfASnapshot) {
  Publish(1, 20);
  state::v1::SnapshotChunk chunk = Running(10);
  chunk.set_first(false);
  reader_.Chunk(1, chunk);
  EXPECT_TRUE(verdict_.failed());
}

TEST_F(ReaderCheckerTest, CondemnsATaskThatComesBackFromItsEnd) {
  master_.Begin(1);
  master_.Delta(1, DeltaOf(1, {Task(1, model::v1::TASK_FINISHED)}));
  // Another launch of the same id is another task.
  master_.Delta(1, DeltaOf(2, {Task(2, model::v1::TASK_RUNNING)}));
  // Another leader may not have heard of the end yet.
  master_.Begin(2);
  master_.Delta(2, DeltaOf(1, {Task(1, model::v1::TASK_RUNNING)}));
  master_.Delta(2, DeltaOf(2, {Status(1, model::v1::TASK_FINISHED)}));
  EXPECT_FALSE(verdict_.failed()) << verdict_.failure();
  master_.Delta(2, DeltaOf(3, {Status(1, model::v1::TASK_RUNNING)}));
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

}  // namespace
}  // namespace tessera::sim
