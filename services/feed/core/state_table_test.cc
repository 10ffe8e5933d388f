#include "services/feed/core/state_table.h"

#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "services/base/rng.h"
#include "services/feed/core/change_cursor.h"
#include "services/feed/core/random_changes.h"
#include "services/feed/core/recompute.h"

namespace tessera::feed {
namespace {

std::vector<v1::Change> Tell(const SnapshotPtr& snapshot, size_t chunk) {
  std::vector<v1::Change> told;
  ChangeCursor cursor(snapshot);
  bool more = true;
  while (more) {
    google::protobuf::RepeatedPtrField<v1::Change> changes;
    more = cursor.Next(chunk, &changes);
    EXPECT_LE(static_cast<size_t>(changes.size()), chunk);
    for (v1::Change& change : changes) told.push_back(std::move(change));
  }
  return told;
}

v1::Change Agent(const std::string& id, pb::AgentState state = pb::AGENT_STATE_CONNECTED) {
  v1::Change change;
  auto* agent = change.mutable_agent_set()->mutable_agent();
  agent->mutable_info()->set_id(id);
  agent->set_state(state);
  return change;
}

v1::Change Framework(const std::string& id, pb::FrameworkState state = pb::FRAMEWORK_STATE_ACTIVE) {
  v1::Change change;
  auto* framework = change.mutable_framework_set()->mutable_framework();
  framework->mutable_info()->set_id(id);
  framework->mutable_info()->add_roles("eng");
  framework->set_state(state);
  return change;
}

void AddPorts(uint64_t begin, uint64_t end,
              google::protobuf::RepeatedPtrField<pb::Resource>* resources) {
  auto* ports = resources->Add();
  ports->set_name("ports");
  ports->set_allocation_role("eng");
  auto* range = ports->mutable_ranges()->add_range();
  range->set_begin(begin);
  range->set_end(end);
}

v1::Change Task(const std::string& framework, const std::string& id, const std::string& agent,
                int64_t cpus_milli, uint64_t port = 0) {
  v1::Change change;
  auto* task = change.mutable_task_set()->mutable_task();
  task->set_framework_id(framework);
  task->set_state(pb::TASK_RUNNING);
  task->mutable_info()->set_id(id);
  task->mutable_info()->set_agent_id(agent);
  auto* cpus = task->mutable_info()->add_resources();
  cpus->set_name("cpus");
  cpus->set_allocation_role("eng");
  cpus->mutable_scalar()->set_milli(cpus_milli);
  if (port != 0) AddPorts(port, port, task->mutable_info()->mutable_resources());
  change.mutable_task_set()->set_place(v1::TASK_PLACE_ACTIVE);
  return change;
}

v1::Change Status(const std::string& framework, const std::string& id, pb::TaskState state,
                  const std::string& uuid = "") {
  v1::Change change;
  auto* added = change.mutable_task_status_added();
  added->set_framework_id(framework);
  added->set_task_id(id);
  added->set_state(state);
  added->mutable_status()->set_state(state);
  added->mutable_status()->set_uuid(uuid);
  return change;
}

v1::Change Offer(const std::string& id, const std::string& framework, const std::string& agent,
                 uint64_t port = 31000) {
  v1::Change change;
  auto* offer = change.mutable_offer_set()->mutable_offer();
  offer->set_id(id);
  offer->set_framework_id(framework);
  offer->set_agent_id(agent);
  AddPorts(port, port + 5, offer->mutable_resources());
  return change;
}

class StateTableTest : public testing::Test {
 protected:
  void Apply(v1::Change change) {
    table_.Apply(std::move(change));
    EXPECT_EQ(FindDisagreement(table_.state()), "");
  }

  StateTable table_;
};

TEST_F(StateTableTest, DerivesWhatAgentsAndFrameworksUse) {
  Apply(Agent("a"));
  Apply(Agent("b"));
  Apply(Framework("f"));
  // The same port on two agents is two ports: giving one back leaves the other.
  Apply(Task("f", "t1", "a", 500, 31000));
  Apply(Task("f", "t2", "b", 1500, 31000));
  const auto& framework = *table_.state().frameworks.Find("f");
  EXPECT_EQ(framework.Used().SumOf("cpus"), model::Scalar::FromUnits(2));
  EXPECT_EQ(framework.Used().RangesOf("ports").ToString(), "[31000-31000]");
  Apply(Status("f", "t1", pb::TASK_FINISHED));
  const auto& after = *table_.state().frameworks.Find("f");
  EXPECT_EQ(after.Used().SumOf("cpus"), model::Scalar::FromThousandths(1500));
  EXPECT_EQ(after.Used().RangesOf("ports").ToString(), "[31000-31000]");
  EXPECT_TRUE(table_.state().agents.Find("a")->used.empty());
  EXPECT_EQ(table_.state().agents.Find("a")->active_tasks, 1u);
  EXPECT_EQ(table_.state().task_counts[pb::TASK_FINISHED], 1u);
  EXPECT_EQ(AllocatedToRole(table_.state(), "eng").SumOf("cpus"),
            model::Scalar::FromThousandths(1500));
}

TEST_F(StateTableTest, OffersGoWithTheirAgentAndFramework) {
  Apply(Agent("a"));
  Apply(Agent("b"));
  Apply(Framework("f"));
  Apply(Framework("g"));
  Apply(Offer("o1", "f", "a"));
  Apply(Offer("o2", "f", "b"));
  Apply(Offer("o3", "g", "b", 32000));
  EXPECT_EQ(table_.state().offers.size(), 3u);
  Apply(Agent("a", pb::AGENT_STATE_UNREACHABLE));
  EXPECT_EQ(table_.state().offers.size(), 2u);
  Apply(Framework("g", pb::FRAMEWORK_STATE_COMPLETED));
  EXPECT_EQ(table_.state().offers.size(), 1u);
  // Nothing is offered on what is not there.
  const uint64_t ignored = table_.ignored();
  Apply(Offer("o4", "f", "a"));
  Apply(Offer("o5", "nobody", "b"));
  Apply(Offer("o6", "g", "b"));
  EXPECT_EQ(table_.state().offers.size(), 1u);
  EXPECT_EQ(table_.ignored(), ignored + 3);
}

TEST_F(StateTableTest, TasksMayComeBeforeTheirFramework) {
  Apply(Agent("a"));
  Apply(Task("f", "t", "a", 1000));
  ASSERT_NE(table_.state().frameworks.Find("f"), nullptr);
  EXPECT_EQ(table_.state().frameworks.Find("f")->record->state(), pb::FRAMEWORK_STATE_RECOVERED);
  Apply(Framework("f"));
  EXPECT_EQ(table_.state().frameworks.Find("f")->tasks.size(), 1u);
  EXPECT_EQ(table_.state().frameworks.size(), 1u);
}

TEST_F(StateTableTest, AStatusOfTheSameStateReplacesTheLast) {
  Apply(Framework("f"));
  Apply(Task("f", "t", "a", 1000));
  Apply(Status("f", "t", pb::TASK_RUNNING, "1"));
  Apply(Status("f", "t", pb::TASK_RUNNING, "2"));
  Apply(Status("f", "t", pb::TASK_FINISHED, "3"));
  Apply(Status("f", "t", pb::TASK_FINISHED, "3"));
  const auto* task = table_.state().FindTask("f", "t");
  ASSERT_EQ(task->rest.statuses_size(), 2);
  EXPECT_EQ(task->rest.statuses(0).uuid(), "2");
  EXPECT_EQ(task->rest.statuses(1).uuid(), "3");
}

TEST_F(StateTableTest, AHistoryOfStatusesIsBounded) {
  Apply(Framework("f"));
  Apply(Task("f", "t", "a", 1000));
  for (int i = 0; i < 1000; ++i) {
    Apply(Status("f", "t", i % 2 == 0 ? pb::TASK_RUNNING : pb::TASK_UNREACHABLE,
                 "uuid" + std::to_string(i)));
  }
  EXPECT_LE(table_.state().FindTask("f", "t")->rest.statuses_size(), 64);
}

TEST_F(StateTableTest, RemovingAnAgentKeepsItsTasksAndDropsItsExecutors) {
  Apply(Agent("a"));
  Apply(Framework("f"));
  Apply(Task("f", "t", "a", 1000));
  v1::Change executor;
  executor.mutable_executor_set()->set_agent_id("a");
  executor.mutable_executor_set()->mutable_executor()->set_framework_id("f");
  executor.mutable_executor_set()->mutable_executor()->set_id("e");
  AddPorts(1, 1, executor.mutable_executor_set()->mutable_executor()->mutable_resources());
  Apply(executor);
  EXPECT_EQ(table_.state().frameworks.Find("f")->executors.size(), 1u);
  v1::Change removed;
  removed.mutable_agent_removed()->set_agent_id("a");
  Apply(removed);
  EXPECT_EQ(table_.state().frameworks.Find("f")->executors.size(), 0u);
  EXPECT_EQ(table_.state().frameworks.Find("f")->tasks.size(), 1u);
  EXPECT_EQ(table_.state().agents.Find("a")->record, nullptr);
}

TEST_F(StateTableTest, WhatIsUnknownOrMalformedIsCountedAndHarmsNothing) {
  Apply(v1::Change());
  Apply(Status("f", "t", pb::TASK_RUNNING));
  v1::Change nameless;
  nameless.mutable_task_set();
  Apply(nameless);
  Apply(Agent(""));
  v1::Change strange = Task("f", "t", "a", 1000);
  strange.mutable_task_set()->mutable_task()->set_state(static_cast<pb::TaskState>(99));
  strange.mutable_task_set()->set_place(static_cast<v1::TaskPlace>(77));
  Apply(strange);
  Apply(Framework("f", static_cast<pb::FrameworkState>(55)));
  Apply(Agent("a", static_cast<pb::AgentState>(-3)));
  v1::Change negative = Task("f", "t2", "a", -1000);
  Apply(negative);
  EXPECT_EQ(table_.ignored(), 5u);
}

// What is kept incrementally equals what is computed anew, after any sequence of changes.
TEST_F(StateTableTest, APieceOfASnapshotIsBoundedByItsBytes) {
  for (int i = 0; i < 40; ++i) {
    v1::Change change = Framework("f" + std::to_string(i));
    change.mutable_framework_set()->mutable_framework()->mutable_info()->set_name(
        std::string(256 << 10, 'x'));
    table_.Apply(std::move(change));
  }
  ChangeCursor cursor(table_.Publish());
  int pieces = 0;
  bool more = true;
  while (more) {
    v1::SnapshotChunk chunk;
    more = cursor.Next(10'000, chunk.mutable_changes());
    EXPECT_LT(chunk.ByteSizeLong(), size_t{5} << 20);
    ++pieces;
  }
  EXPECT_GE(pieces, 3);
}

TEST(StateTableProperty, DerivedStateEqualsRecomputed) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    base::Rng rng(seed);
    StateTable table;
    table.Reset(1);
    for (int step = 0; step < 1500; ++step) {
      table.Apply(RandomChange(rng));
      if (step % 50 == 0) {
        ASSERT_EQ(FindDisagreement(table.state()), "") << "seed " << seed << " step " << step;
      }
    }
    ASSERT_EQ(FindDisagreement(table.state()), "") << "seed " << seed;
    ASSERT_GT(table.state().frameworks.size(), 0u);
  }
}

// A snapshot never changes, whatever happens after it.
TEST(StateTableProperty, SnapshotsAreIsolated) {
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    base::Rng rng(seed);
    StateTable table;
    std::vector<std::pair<SnapshotPtr, std::string>> kept;
    for (int step = 0; step < 600; ++step) {
      table.Apply(RandomChange(rng));
      if (rng.Chance(0.1)) {
        const SnapshotPtr snapshot = table.Publish();
        kept.emplace_back(snapshot, Describe(snapshot));
      }
    }
    for (const auto& [snapshot, then] : kept) {
      ASSERT_EQ(Describe(snapshot), then) << "seed " << seed;
      ASSERT_EQ(FindDisagreement(*snapshot), "") << "seed " << seed;
    }
  }
}

// A follower that gets a snapshot in chunks of any size and the deltas after it holds the same.
TEST(StateTableProperty, SnapshotAndDeltasGiveTheSameState) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    base::Rng rng(seed);
    StateTable leader;
    for (int step = 0; step < 500; ++step) leader.Apply(RandomChange(rng));
    const SnapshotPtr snapshot = leader.Publish();
    StateTable follower;
    for (v1::Change& change : Tell(snapshot, 1 + rng.Below(50))) {
      follower.Apply(std::move(change));
    }
    EXPECT_EQ(follower.ignored(), 0u) << "seed " << seed;
    ASSERT_EQ(Describe(follower.Publish()), Describe(snapshot)) << "seed " << seed;
    for (int step = 0; step < 500; ++step) {
      v1::Change change = RandomChange(rng);
      v1::Change same = change;
      leader.Apply(std::move(change));
      follower.Apply(std::move(same));
    }
    ASSERT_EQ(Describe(follower.Publish()), Describe(leader.Publish())) << "seed " << seed;
    ASSERT_EQ(FindDisagreement(follower.state()), "") << "seed " << seed;
  }
}

// Changes are absolute: one that comes twice in a row changes nothing the second time.
TEST(StateTableProperty, ApplyingAChangeAgainChangesNothing) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    base::Rng rng(seed);
    StateTable table;
    for (int step = 0; step < 200; ++step) {
      v1::Change change = RandomChange(rng);
      v1::Change again = change;
      table.Apply(std::move(change));
      const std::string once = Describe(table.Publish());
      table.Apply(std::move(again));
      ASSERT_EQ(Describe(table.Publish()), once) << "seed " << seed << " step " << step;
    }
  }
}

}  // namespace
}  // namespace tessera::feed
