#include "services/feed/core/state_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "services/base/rng.h"
#include "services/feed/core/change_cursor.h"
#include "services/feed/core/kinds.h"
#include "services/feed/core/random_changes.h"
#include "services/feed/core/recompute.h"
#include "services/feed/wire/codec.h"

namespace tessera::feed {
namespace {

std::vector<Change> TellIn(const SnapshotPtr& snapshot, size_t chunk) {
  std::vector<Change> told;
  ChangeCursor cursor(snapshot);
  bool more = true;
  while (more) {
    std::vector<Change> changes;
    more = cursor.Next(chunk, &changes);
    EXPECT_LE(changes.size(), chunk);
    for (Change& change : changes) told.push_back(std::move(change));
  }
  return told;
}

Change Agent(const std::string& id, pb::AgentState state = pb::AGENT_STATE_CONNECTED) {
  auto agent = std::make_shared<pb::AgentRecord>();
  agent->mutable_info()->set_id(id);
  agent->set_state(state);
  return AgentSet{std::move(agent)};
}

Change Framework(const std::string& id, pb::FrameworkState state = pb::FRAMEWORK_STATE_ACTIVE) {
  v1::Change change;
  auto* framework = change.mutable_framework_set()->mutable_framework();
  framework->mutable_info()->set_id(id);
  framework->mutable_info()->add_roles("eng");
  framework->set_state(state);
  return *FromPublic(change);
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

Change Task(const std::string& framework, const std::string& id, const std::string& agent,
            int64_t cpus_milli, uint64_t port = 0, uint64_t number = 1,
            TaskPlace place = TASK_PLACE_ACTIVE) {
  v1::Change change;
  auto* task = change.mutable_task_set()->mutable_task();
  task->set_framework_id(framework);
  task->set_state(pb::TASK_RUNNING);
  task->mutable_info()->set_id(id);
  task->mutable_incarnation()->set_epoch(1);
  task->mutable_incarnation()->set_number(number);
  task->set_agent_id(agent);
  auto* cpus = task->add_resources();
  cpus->set_name("cpus");
  cpus->set_allocation_role("eng");
  cpus->mutable_scalar()->set_milli(cpus_milli);
  if (port != 0) AddPorts(port, port, task->mutable_resources());
  change.mutable_task_set()->set_place(place);
  return *FromPublic(change);
}

Change Status(const std::string& framework, const std::string& id, pb::TaskState state,
              const std::string& uuid = "", uint64_t number = 1) {
  pb::TaskStatus status;
  status.set_state(state);
  status.set_uuid(uuid);
  return TaskStatusAdded{framework, id, {1, number}, MakeStatus(status), state};
}

Change Executor(const std::string& framework, const std::string& id, const std::string& agent,
                uint64_t number) {
  v1::Change change;
  auto* executor = change.mutable_executor_set()->mutable_executor();
  executor->set_framework_id(framework);
  executor->set_executor_id(id);
  executor->set_agent_id(agent);
  executor->mutable_incarnation()->set_epoch(1);
  executor->mutable_incarnation()->set_number(number);
  AddPorts(number, number, executor->mutable_resources());
  return *FromPublic(change);
}

Change Offer(const std::string& id, const std::string& framework, const std::string& agent,
             uint64_t port = 31000) {
  v1::Change change;
  auto* offer = change.mutable_offer_set()->mutable_offer();
  offer->set_id(id);
  offer->set_framework_id(framework);
  offer->set_agent_id(agent);
  AddPorts(port, port + 5, offer->mutable_resources());
  return *FromPublic(change);
}

class StateTableTest : public testing::Test {
 protected:
  void Apply(Change change) {
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
  EXPECT_EQ(table_.state().frameworks.Find("f")->row->state, pb::FRAMEWORK_STATE_RECOVERED);
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
  const auto* task = table_.state().FindTask("f", "t", {1, 1});
  ASSERT_EQ(task->statuses.size(), 2u);
  EXPECT_EQ(task->statuses[0]->uuid(), "2");
  EXPECT_EQ(task->statuses[1]->uuid(), "3");
  EXPECT_EQ(task->status_update_uuid, "3");
}

TEST_F(StateTableTest, AHistoryOfStatusesIsBounded) {
  Apply(Framework("f"));
  Apply(Task("f", "t", "a", 1000));
  for (int i = 0; i < 1000; ++i) {
    Apply(Status("f", "t", i % 2 == 0 ? pb::TASK_RUNNING : pb::TASK_UNREACHABLE,
                 "uuid" + std::to_string(i)));
  }
  EXPECT_LE(table_.state().FindTask("f", "t", {1, 1})->statuses.size(), 64u);
}

TEST_F(StateTableTest, RemovingAnAgentKeepsItsTasksAndDropsItsExecutors) {
  Apply(Agent("a"));
  Apply(Framework("f"));
  Apply(Task("f", "t", "a", 1000));
  Apply(Executor("f", "e", "a", 1));
  EXPECT_EQ(table_.state().frameworks.Find("f")->executors.size(), 1u);
  Apply(AgentRemoved{"a"});
  EXPECT_EQ(table_.state().frameworks.Find("f")->executors.size(), 0u);
  EXPECT_EQ(table_.state().frameworks.Find("f")->tasks.size(), 1u);
  EXPECT_EQ(table_.state().agents.Find("a")->record, nullptr);
}

// A completed task and a live one of the same id are two rows, and what is told of one leaves the
// other alone.
TEST_F(StateTableTest, LaunchesOfOneIdAreRowsOfTheirOwn) {
  Apply(Agent("a"));
  Apply(Framework("f"));
  Apply(Task("f", "t", "a", 1000, 0, 7));
  Apply(Status("f", "t", pb::TASK_FINISHED, "1", 7));
  Apply(TaskMoved{"f", "t", {1, 7}, TASK_PLACE_COMPLETED});
  Apply(Task("f", "t", "a", 2000, 0, 300));
  const auto& framework = *table_.state().frameworks.Find("f");
  EXPECT_EQ(framework.tasks.size(), 1u);
  EXPECT_EQ(framework.completed_tasks.size(), 1u);
  EXPECT_EQ(framework.Used().SumOf("cpus"), model::Scalar::FromUnits(2));
  // A late message about the first one.
  Apply(Status("f", "t", pb::TASK_FAILED, "2", 7));
  EXPECT_EQ(table_.state().FindTask("f", "t", {1, 300})->state, pb::TASK_RUNNING);
  Apply(TaskRemoved{"f", "t", {1, 7}});
  EXPECT_EQ(table_.state().FindTask("f", "t", {1, 7}), nullptr);
  EXPECT_NE(table_.state().FindTask("f", "t", {1, 300}), nullptr);
  const uint64_t ignored = table_.ignored();
  Apply(Status("f", "t", pb::TASK_FAILED, "3", 7));
  EXPECT_EQ(table_.ignored(), ignored + 1);
}

TEST_F(StateTableTest, TwoExecutorsOfOneIdHoldTheirOwn) {
  Apply(Agent("a"));
  Apply(Framework("f"));
  Apply(Executor("f", "e", "a", 1));
  Apply(Executor("f", "e", "a", 2));
  EXPECT_EQ(table_.state().agents.Find("a")->used.RangesOf("ports").ToString(), "[1-2]");
  Apply(ExecutorRemoved{"f", "e", {1, 1}});
  EXPECT_EQ(table_.state().agents.Find("a")->used.RangesOf("ports").ToString(), "[2-2]");
}

// An id that is the beginning of another has neighbours, and they are not its launches.
TEST_F(StateTableTest, TheLaunchesOfAnIdAreFoundByItOldestFirst) {
  Apply(Framework("f"));
  for (const char* id : {"t1", "t-", "s", "u"}) Apply(Task("f", id, "", 1, 0, 5));
  for (const uint64_t number : {70'000, 5, 255}) Apply(Task("f", "t", "", 1, 0, number));
  const auto& tasks = table_.state().frameworks.Find("f")->tasks;
  std::vector<uint64_t> numbers;
  std::string second;
  const auto note = [&](const auto& entry) {
    EXPECT_EQ(entry.value.facts->task_id, "t");
    numbers.push_back(entry.value.facts->incarnation.number);
    if (numbers.size() == 2) second = entry.key;
    return true;
  };
  EXPECT_TRUE(ForEachOfId(tasks, "t", nullptr, note));
  EXPECT_EQ(numbers, (std::vector<uint64_t>{5, 255, 70'000}));
  // From a key on, as a page does, and until there is enough.
  numbers.clear();
  EXPECT_TRUE(ForEachOfId(tasks, "t", &second, note));
  EXPECT_EQ(numbers, std::vector<uint64_t>{70'000});
  numbers.clear();
  EXPECT_FALSE(ForEachOfId(tasks, "t", nullptr, [&](const auto& entry) {
    note(entry);
    return false;
  }));
  EXPECT_EQ(numbers, std::vector<uint64_t>{5});
  numbers.clear();
  for (const char* id : {"", "r", "t0", "v"}) EXPECT_TRUE(ForEachOfId(tasks, id, nullptr, note));
  EXPECT_TRUE(numbers.empty());
}

TEST(IncarnationKeyTest, OrdersByIdThenByAge) {
  std::vector<std::string> keys;
  for (const char* id : {"a", "a!", "ab"}) {
    for (const model::Incarnation incarnation :
         {model::Incarnation{1, 1}, {1, 255}, {1, 256}, {1, 70'000}, {2, 1}, {300, 1}}) {
      keys.push_back(IncarnationKey(id, incarnation));
    }
  }
  EXPECT_TRUE(std::is_sorted(keys.begin(), keys.end()));
}

TEST_F(StateTableTest, WhatIsUnknownIsCountedAndHarmsNothing) {
  Apply(Status("f", "t", pb::TASK_RUNNING));
  Apply(Agent(""));
  Apply(AgentRemoved{"a"});
  Apply(FrameworkRemoved{"f"});
  Apply(TaskMoved{"f", "t", {1, 1}, TASK_PLACE_COMPLETED});
  Apply(TaskRemoved{"f", "t", {1, 1}});
  Apply(Executor("f", "e", "a", 1));
  Apply(ExecutorRemoved{"f", "e", {1, 1}});
  Apply(Offer("o", "f", "a"));
  Apply(OfferRemoved{"o"});
  Apply(RoleRemoved{"r"});
  EXPECT_EQ(table_.ignored(), 11u);
  EXPECT_EQ(ChangesOf(table_.Publish()).size(), 0u);
}

// Whom a change concerns is known although it does not say it, as long as the table knows.
TEST_F(StateTableTest, ChangesConcernAgentsThatTheyDoNotName) {
  Apply(Agent("a"));
  Apply(Framework("f"));
  Apply(Task("f", "t", "a", 1000));
  Apply(Executor("f", "e", "a", 2));
  Apply(Offer("o", "f", "a"));
  for (const Change& change :
       {Status("f", "t", pb::TASK_FINISHED), Change(TaskMoved{"f", "t", {1, 1}}),
        Change(TaskRemoved{"f", "t", {1, 1}}), Change(ExecutorRemoved{"f", "e", {1, 2}}),
        Change(OfferRemoved{"o"}), Task("f", "t", "a", 1), Executor("f", "e", "a", 2),
        Offer("o", "f", "a")}) {
    const ChangeScope scope = ScopeOf(table_.state(), change);
    EXPECT_TRUE(scope.Concerns("f", "a")) << change.index();
    EXPECT_TRUE(scope.Concerns("", "a")) << change.index();
    EXPECT_TRUE(scope.Concerns("", "")) << change.index();
    EXPECT_FALSE(scope.Concerns("f", "b")) << change.index();
    EXPECT_FALSE(scope.Concerns("g", "")) << change.index();
  }
  const ChangeScope agent = ScopeOf(table_.state(), Agent("a"));
  EXPECT_TRUE(agent.Concerns("", "a"));
  EXPECT_FALSE(agent.Concerns("f", "a"));
  const ChangeScope framework = ScopeOf(table_.state(), Framework("f"));
  EXPECT_TRUE(framework.Concerns("f", ""));
  EXPECT_FALSE(framework.Concerns("f", "a"));
  EXPECT_TRUE(ScopeOf(table_.state(), RoleRemoved{"r"}).Concerns("f", "a"));
}

TEST_F(StateTableTest, APieceOfASnapshotIsBoundedByItsBytes) {
  for (int i = 0; i < 40; ++i) {
    v1::Change change;
    auto* framework = change.mutable_framework_set()->mutable_framework();
    framework->mutable_info()->set_id("f" + std::to_string(i));
    framework->mutable_info()->set_name(std::string(256 << 10, 'x'));
    table_.Apply(*FromPublic(change));
  }
  ChangeCursor cursor(table_.Publish());
  int pieces = 0;
  bool more = true;
  while (more) {
    SnapshotPart part;
    more = cursor.Next(10'000, &part.changes);
    EXPECT_LT(Encode(1, part).size(), size_t{5} << 20);
    ++pieces;
  }
  EXPECT_GE(pieces, 3);
}

// What is kept incrementally equals what is computed anew, after any sequence of changes.
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
    for (Change& change : TellIn(snapshot, 1 + rng.Below(50))) {
      follower.Apply(std::move(change));
    }
    EXPECT_EQ(follower.ignored(), 0u) << "seed " << seed;
    ASSERT_EQ(Describe(follower.Publish()), Describe(snapshot)) << "seed " << seed;
    for (int step = 0; step < 500; ++step) {
      Change change = RandomChange(rng);
      Change same = change;
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
      Change change = RandomChange(rng);
      Change again = change;
      table.Apply(std::move(change));
      const std::string once = Describe(table.Publish());
      table.Apply(std::move(again));
      ASSERT_EQ(Describe(table.Publish()), once) << "seed " << seed << " step " << step;
    }
  }
}

}  // namespace
}  // namespace tessera::feed
