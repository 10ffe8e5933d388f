#include "services/state/core/watch_cursor.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "services/base/rng.h"
#include "services/feed/core/feed_state.h"
#include "services/feed/core/random_changes.h"
#include "services/rpc/error.h"

namespace tessera::state {
namespace {

using feed::StreamStep;

v1::WatchRequest Request(const std::string& framework, const std::string& agent,
                         bool with_state = true, uint64_t epoch = 0, uint64_t version = 0) {
  v1::WatchRequest request;
  request.set_framework_id(framework);
  request.set_agent_id(agent);
  request.set_with_state(with_state);
  request.set_epoch(epoch);
  request.set_after_version(version);
  return request;
}

class WatchCursorTest : public testing::Test {
 protected:
  WatchCursorTest() { state_.KeepScopes(); }

  void Publish(std::vector<feed::Change> changes, bool reset = false) {
    if (reset) version_ = 0;
    feed::FeedEffects effects;
    state_.Publish(1, reset, feed::Delta{++version_, std::move(changes)}, &effects);
    state_.Flush(&effects);
    for (feed::FeedEffect& effect : effects) log_.Take(std::move(effect));
  }
  void PublishRandom(int count, bool reset = false) {
    std::vector<feed::Change> changes;
    for (int i = 0; i < count; ++i) changes.push_back(feed::RandomChange(rng_));
    Publish(std::move(changes), reset);
  }

  // All that the watcher gets now.
  std::vector<v1::WatchResponse> Take(WatchCursor* cursor) {
    std::vector<v1::WatchResponse> taken;
    while (true) {
      StreamStep step = cursor->Take(&log_, absl::UnixEpoch());
      feed::EncodedPtr message = step.message;
      switch (step.kind) {
        case StreamStep::Kind::kEnd:
          end_ = step.end;
          return taken;
        case StreamStep::Kind::kLater:
          return taken;
        case StreamStep::Kind::kMake:
          step.bytes->MakeUpTo(step.index);
          continue;
        case StreamStep::Kind::kDelta:
          message = cursor->Message(step.delta);
          break;
        case StreamStep::Kind::kMessage:
          break;
      }
      if (message == nullptr) continue;
      taken.emplace_back();
      EXPECT_TRUE(taken.back().ParseFromString(*message));
    }
  }

  base::Rng rng_{5};
  uint64_t version_ = 0;
  feed::FeedState state_;
  feed::FeedLog log_{feed::FeedLogOptions{.history_bytes_max = 1 << 20, .chunk_changes = 9}};
  absl::Status end_;
};

TEST_F(WatchCursorTest, TheStateComesFirstAndThenWhatConcerns) {
  PublishRandom(400, true);
  WatchCursor cursor(Request("framework-1", ""));
  size_t tasks = 0;
  for (const v1::WatchResponse& response : Take(&cursor)) {
    EXPECT_TRUE(response.initial());
    EXPECT_EQ(response.version(), 1u);
    for (const v1::Change& change : response.changes()) {
      EXPECT_FALSE(change.has_agent_set());
      if (!change.has_task_set()) continue;
      EXPECT_EQ(change.task_set().task().framework_id(), "framework-1");
      ++tasks;
    }
  }
  const feed::Framework& framework = *log_.snapshot()->frameworks.Find("framework-1");
  EXPECT_EQ(tasks, framework.tasks.size() + framework.unreachable_tasks.size() +
                       framework.completed_tasks.size());
  for (int i = 0; i < 100; ++i) PublishRandom(3);
  uint64_t last = 1;
  for (const v1::WatchResponse& response : Take(&cursor)) {
    EXPECT_FALSE(response.initial());
    EXPECT_GT(response.version(), last);
    last = response.version();
    EXPECT_GT(response.changes_size(), 0);
  }
  EXPECT_GT(last, 50u);
}

// Changes that name no agent reach who watches it all the same.
TEST_F(WatchCursorTest, WatchersOfAnAgentHearOfItsTasks) {
  PublishRandom(600, true);
  const feed::TaskFacts* facts = nullptr;
  log_.snapshot()->frameworks.ForEach([&](const auto& entry) {
    entry.value.tasks.ForEach([&](const auto& task) {
      if (!task.value.facts->agent_id.empty()) facts = task.value.facts.get();
    });
  });
  ASSERT_NE(facts, nullptr);
  WatchCursor same(Request("", facts->agent_id, false));
  WatchCursor other(Request("", "agent-none", false));
  EXPECT_TRUE(Take(&same).empty());
  EXPECT_TRUE(Take(&other).empty());
  Publish({feed::TaskMoved{facts->framework_id, facts->task_id, facts->incarnation,
                           feed::TASK_PLACE_COMPLETED}});
  const std::vector<v1::WatchResponse> taken = Take(&same);
  ASSERT_EQ(taken.size(), 1u);
  EXPECT_EQ(taken[0].changes(0).task_moved().task_id(), facts->task_id);
  EXPECT_TRUE(Take(&other).empty());
}

TEST_F(WatchCursorTest, WithoutAFilterEverythingComesWithoutGaps) {
  PublishRandom(100, true);
  WatchCursor cursor(Request("", "", false, 1, 1));
  for (int i = 0; i < 20; ++i) PublishRandom(4);
  const std::vector<v1::WatchResponse> taken = Take(&cursor);
  ASSERT_EQ(taken.size(), 20u);
  for (size_t i = 0; i < taken.size(); ++i) {
    EXPECT_EQ(taken[i].version(), i + 2);
    EXPECT_EQ(taken[i].changes_size(), 4);
  }
}

TEST_F(WatchCursorTest, WhatIsNotAtHandNeedsTheState) {
  PublishRandom(100, true);
  for (const auto& [epoch, version] : {std::pair{7, 1}, std::pair{1, 99}}) {
    WatchCursor gone(Request("", "", false, epoch, version));
    EXPECT_TRUE(Take(&gone).empty());
    EXPECT_EQ(rpc::ReasonOf(end_), model::v1::ErrorDetail::SNAPSHOT_REQUIRED);
  }
  WatchCursor slow(Request("", "", false));
  Take(&slow);
  while (log_.counters().history_deltas == version_) PublishRandom(100);
  PublishRandom(100);
  Take(&slow);
  EXPECT_EQ(rpc::ReasonOf(end_), model::v1::ErrorDetail::SLOW_CONSUMER);
}

}  // namespace
}  // namespace tessera::state
