#include "services/rpc/strand.h"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"

namespace tessera::rpc {
namespace {

// Writes down what it is stepped through; "alarm" arms a deadline one second ahead.
struct DiaryCore {
  std::vector<std::string> diary;
  std::vector<absl::Time> times;
  absl::Time deadline = absl::InfiniteFuture();

  void Step(absl::Time now, const std::string& event, std::vector<std::string>* effects) {
    diary.push_back(event);
    times.push_back(now);
    if (event == "alarm") deadline = now + absl::Seconds(1);
    if (event == "wake") deadline = absl::InfiniteFuture();
    if (event != "silent") effects->push_back("did " + event);
  }
  absl::Time NextDeadline() const { return deadline; }
};

using DiaryStrand = Strand<DiaryCore, std::string, std::string>;

// A clock that moves by one second whenever it is read.
Clock TickingClock() {
  auto ticks = std::make_shared<std::atomic<int>>(0);
  return [ticks] { return absl::UnixEpoch() + absl::Seconds(ticks->fetch_add(1)); };
}

TEST(StrandTest, WhatGatheredIsOneBatchWithOneTimeAndOneCallOfTheSink) {
  DiaryCore core;
  std::vector<std::vector<std::string>> batches;
  DiaryStrand strand(
      {}, &core, TickingClock(), "wake",
      [&](absl::Time, std::vector<std::string> effects) { batches.push_back(std::move(effects)); });
  ASSERT_TRUE(strand.Push("a"));
  ASSERT_TRUE(strand.Push("silent"));
  ASSERT_TRUE(strand.Push("b"));
  strand.Start();
  strand.Stop();
  EXPECT_EQ(core.diary, (std::vector<std::string>{"a", "silent", "b"}));
  ASSERT_EQ(batches.size(), 1u);
  EXPECT_EQ(batches[0], (std::vector<std::string>{"did a", "did b"}));
  EXPECT_EQ(core.times[0], core.times[2]);
  EXPECT_EQ(strand.metrics().events_total.load(), 3u);
  EXPECT_EQ(strand.metrics().batches_total.load(), 1u);
}

TEST(StrandTest, ALongQueueIsCutIntoBatches) {
  DiaryCore core;
  std::vector<size_t> sizes;
  DiaryStrand strand(
      {.batch_max = 4}, &core, TickingClock(), "wake",
      [&](absl::Time, std::vector<std::string> effects) { sizes.push_back(effects.size()); });
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(strand.Push("x"));
  strand.Start();
  strand.Stop();
  EXPECT_EQ(sizes, (std::vector<size_t>{4, 4, 2}));
}

TEST(StrandTest, ABatchEndsWhenItsTimeIsOver) {
  DiaryCore core;
  std::vector<size_t> sizes;
  // Time that is over at once: each event is a batch of its own.
  DiaryStrand strand(
      {.batch_time_max = absl::ZeroDuration()}, &core, TickingClock(), "wake",
      [&](absl::Time, std::vector<std::string> effects) { sizes.push_back(effects.size()); });
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(strand.Push("x"));
  strand.Start();
  strand.Stop();
  EXPECT_EQ(sizes, (std::vector<size_t>{1, 1, 1}));
  EXPECT_EQ(strand.metrics().events_total.load(), 3u);
}

TEST(StrandTest, WhatIsUrgentWaitsForOneBatchOnly) {
  DiaryCore core;
  DiaryStrand* strand = nullptr;
  DiaryStrand own({.batch_max = 2}, &core, TickingClock(), "wake",
                  [&](absl::Time, std::vector<std::string> effects) {
                    if (effects.front() != "did a") return;
                    EXPECT_TRUE(strand->PushReserved("answer"));
                    EXPECT_TRUE(strand->PushUrgent("first"));
                    EXPECT_TRUE(strand->PushUrgent("second"));
                  });
  strand = &own;
  for (const char* event : {"a", "b", "c", "d", "e"}) ASSERT_TRUE(own.Push(event));
  own.Start();
  while (own.metrics().events_total.load() < 8) std::this_thread::yield();
  own.Stop();
  EXPECT_EQ(core.diary,
            (std::vector<std::string>{"a", "b", "first", "second", "c", "d", "e", "answer"}));
  EXPECT_FALSE(own.PushUrgent("late"));
}

TEST(StrandTest, WhatIsUrgentWakesAStrandThatHasNothingToDo) {
  DiaryCore core;
  absl::Notification done;
  DiaryStrand strand({}, &core, MonotonicClock(), "wake",
                     [&](absl::Time, std::vector<std::string>) { done.Notify(); });
  strand.Start();
  ASSERT_TRUE(strand.PushUrgent("now"));
  done.WaitForNotification();
  strand.Stop();
  EXPECT_EQ(core.diary, (std::vector<std::string>{"now"}));
}

TEST(StrandTest, AFullQueueRefusesButAnswersStillFit) {
  DiaryCore core;
  DiaryStrand strand({.lanes = {{.events_max = 2}}}, &core, TickingClock(), "wake",
                     [](absl::Time, std::vector<std::string>) {});
  EXPECT_TRUE(strand.Push("a"));
  EXPECT_TRUE(strand.Push("b"));
  EXPECT_FALSE(strand.Push("c"));
  EXPECT_TRUE(strand.PushReserved("answer"));
  EXPECT_EQ(strand.metrics().refused_total.load(), 1u);
  EXPECT_EQ(strand.metrics().queue_length.load(), 3u);
  strand.Start();
  strand.Stop();
  EXPECT_EQ(core.diary, (std::vector<std::string>{"a", "b", "answer"}));
  EXPECT_FALSE(strand.Push("late"));
  EXPECT_FALSE(strand.PushReserved("late"));
}

TEST(StrandTest, AFloodOfOneKindKeepsNoOtherOut) {
  DiaryCore core;
  DiaryStrand strand({.lanes = {{.events_max = 2}, {.events_max = 1}}}, &core, TickingClock(),
                     "wake", [](absl::Time, std::vector<std::string>) {});
  EXPECT_TRUE(strand.Push("call", 1));
  EXPECT_FALSE(strand.Push("another call", 1));
  EXPECT_TRUE(strand.Push("agent"));
  EXPECT_TRUE(strand.Push("another agent"));
  EXPECT_FALSE(strand.Push("a third agent"));
  strand.Start();
  strand.Stop();
  EXPECT_EQ(core.diary, (std::vector<std::string>{"call", "agent", "another agent"}));
}

TEST(StrandTest, WhatWaitsIsBoundedByBytes) {
  DiaryCore core;
  absl::Notification stepping, go_on;
  DiaryStrand strand({.lanes = {{.bytes_max = 100}}}, &core, MonotonicClock(), "wake",
                     [&](absl::Time, std::vector<std::string> effects) {
                       if (effects.front() != "did a") return;
                       stepping.Notify();
                       go_on.WaitForNotification();
                     });
  EXPECT_TRUE(strand.Push("a", 0, 60));
  EXPECT_FALSE(strand.Push("b", 0, 60));
  EXPECT_TRUE(strand.Push("c", 0, 40));
  EXPECT_TRUE(strand.Push("of no size"));
  strand.Start();
  stepping.WaitForNotification();
  EXPECT_FALSE(strand.Push("d", 0, 60)) << "what is being stepped through is in memory still";
  go_on.Notify();
  strand.Inspect([](const DiaryCore&) {});
  // However large, one event goes through when nothing else waits.
  while (!strand.Push("e", 0, 1000)) std::this_thread::yield();
  strand.Stop();
  EXPECT_EQ(core.diary, (std::vector<std::string>{"a", "c", "of no size", "e"}));
}

TEST(StrandTest, BytesOfABatchThatIsOverCountNoLonger) {
  DiaryCore core;
  DiaryStrand strand({.lanes = {{.bytes_max = 100}}}, &core, MonotonicClock(), "wake",
                     [](absl::Time, std::vector<std::string>) {});
  ASSERT_TRUE(strand.Push("large", 0, 90));
  strand.Start();
  // Nothing but this event comes, so no next batch makes room for it.
  const absl::Time give_up = absl::Now() + absl::Seconds(20);
  bool taken = false;
  while (!taken && absl::Now() < give_up) taken = strand.Push("next", 0, 60);
  EXPECT_TRUE(taken);
  strand.Stop();
  EXPECT_EQ(core.diary, (std::vector<std::string>{"large", "next"}));
}

TEST(StrandTest, ADeadlineThatPassesSendsWake) {
  DiaryCore core;
  absl::Notification woken;
  DiaryStrand strand({}, &core, TickingClock(), "wake",
                     [&](absl::Time, std::vector<std::string> effects) {
                       if (effects.back() == "did wake") woken.Notify();
                     });
  strand.Start();
  ASSERT_TRUE(strand.Push("alarm"));
  woken.WaitForNotification();
  strand.Stop();
  EXPECT_EQ(core.diary, (std::vector<std::string>{"alarm", "wake"}));
}

TEST(StrandTest, NothingToDoMeansNoCallOfTheSink) {
  DiaryCore core;
  int calls = 0;
  int batches = 0;
  DiaryStrand strand(
      {}, &core, TickingClock(), "wake", [&](absl::Time, std::vector<std::string>) { ++calls; },
      [&](absl::Time, const DiaryCore&) { ++batches; });
  ASSERT_TRUE(strand.Push("silent"));
  strand.Start();
  strand.Stop();
  EXPECT_EQ(calls, 0);
  EXPECT_EQ(batches, 1);
}

TEST(StrandTest, InspectSeesWhatWasPushedBefore) {
  DiaryCore core;
  DiaryStrand strand({}, &core, MonotonicClock(), "wake",
                     [](absl::Time, std::vector<std::string>) {});
  strand.Start();
  ASSERT_TRUE(strand.Push("a"));
  std::vector<std::string> seen;
  strand.Inspect([&](const DiaryCore& c) { seen = c.diary; });
  EXPECT_EQ(seen, (std::vector<std::string>{"a"}));
  strand.Stop();
  strand.Inspect([&](const DiaryCore& c) { seen = c.diary; });
  EXPECT_EQ(seen.size(), 1u);
}

// Steps an event with a gate for as long as the gate is closed.
struct GatedCore {
  struct Gate {
    absl::Notification reached, open;
  };
  std::map<std::string, Gate> gates;
  std::vector<std::string> diary;

  void Step(absl::Time, const std::string& event, std::vector<std::string>*) {
    if (const auto gate = gates.find(event); gate != gates.end()) {
      gate->second.reached.Notify();
      gate->second.open.WaitForNotification();
    }
    diary.push_back(event);
  }
  absl::Time NextDeadline() const { return absl::InfiniteFuture(); }
};

TEST(StrandTest, InspectWaitsForTheLastBatch) {
  GatedCore core;
  core.gates["before the stop"];
  core.gates["last"];
  Strand<GatedCore, std::string, std::string> strand({}, &core, MonotonicClock(), "wake",
                                                     [](absl::Time, std::vector<std::string>) {});
  strand.Start();
  ASSERT_TRUE(strand.Push("before the stop"));
  core.gates["before the stop"].reached.WaitForNotification();
  ASSERT_TRUE(strand.Push("last"));
  std::thread owner([&] { strand.Stop(); });
  while (strand.PushUrgent("urgent")) std::this_thread::yield();
  core.gates["before the stop"].open.Notify();
  core.gates["last"].reached.WaitForNotification();
  std::thread opener([&] {
    absl::SleepFor(absl::Milliseconds(20));
    core.gates["last"].open.Notify();
  });
  std::string newest;
  strand.Inspect([&](const GatedCore& c) { newest = c.diary.back(); });
  EXPECT_EQ(newest, "last");
  opener.join();
  owner.join();
}

TEST(StrandTest, ManyThreadsLoseNothingAndKeepTheirOrder) {
  DiaryCore core;
  DiaryStrand strand({.lanes = {{.events_max = 1 << 20}}}, &core, MonotonicClock(), "wake",
                     [](absl::Time, std::vector<std::string>) {});
  strand.Start();
  std::vector<std::thread> threads;
  for (char name : {'a', 'b', 'c'}) {
    threads.emplace_back([&strand, name] {
      for (int i = 0; i < 2000; ++i) {
        ASSERT_TRUE(strand.Push(std::string(1, name) + std::to_string(i)));
      }
    });
  }
  for (auto& thread : threads) thread.join();
  strand.Stop();
  ASSERT_EQ(core.diary.size(), 6000u);
  std::map<char, int> next;
  for (const std::string& entry : core.diary) {
    EXPECT_EQ(std::stoi(entry.substr(1)), next[entry[0]]++);
  }
}

TEST(ClockTest, NeverGoesBack) {
  const Clock clock = MonotonicClock();
  absl::Time last = clock();
  for (int i = 0; i < 1000; ++i) {
    const absl::Time now = clock();
    ASSERT_GE(now, last);
    last = now;
  }
  EXPECT_LT(absl::AbsDuration(absl::Now() - last), absl::Minutes(1));
}

}  // namespace
}  // namespace tessera::rpc
