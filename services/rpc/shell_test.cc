#include "services/rpc/shell.h"

#include <glog/logging.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "absl/synchronization/notification.h"
#include "services/rpc/error.h"

namespace tessera::rpc {
namespace {

// ---- A core that says what it is told to say

struct Begin {};
struct Speak {
  std::vector<std::string> words;
};
struct Warn {
  std::string text;
};
struct Wake {};
using Event = std::variant<Begin, Speak, Warn, Wake>;

struct Say {
  std::string word;
};
struct Bow {};
using Effect = std::variant<Say, Bow, base::Note>;

struct StageCore {
  std::vector<std::string> diary;

  void Step(absl::Time, const Event& event, std::vector<Effect>* effects) {
    if (std::holds_alternative<Begin>(event)) {
      diary.push_back("begin");
      effects->push_back(Bow{});
    }
    if (const auto* speak = std::get_if<Speak>(&event)) {
      for (const std::string& word : speak->words) {
        diary.push_back(word);
        effects->push_back(Say{word});
      }
    }
    if (const auto* warn = std::get_if<Warn>(&event)) {
      effects->push_back(base::Note{base::Severity::kWarning, warn->text});
    }
  }
  absl::Time NextDeadline() const { return absl::InfiniteFuture(); }
};

// Writes down what it is asked for.
class Stage {
 public:
  using StageShell = Shell<StageCore, Event, Effect, Stage>;

  // Read it when the shell has stopped.
  const std::vector<std::string>& done() const { return done_; }
  absl::Notification reached, open;

 private:
  friend StageShell;

  void Do(const Bow&) { done_.push_back("bow"); }
  void Do(const Say& say) {
    done_.push_back("say " + say.word);
    if (say.word != "wait") return;
    reached.Notify();
    open.WaitForNotification();
  }
  void Flush() { done_.push_back("flush"); }
  void AfterBatch(absl::Time, const StageCore& core) {
    done_.push_back("after " + std::to_string(core.diary.size()));
  }

  std::vector<std::string> done_;
};
using StageShell = Stage::StageShell;

struct Script {
  explicit Script(StrandOptions options = {.name = "stage"})
      : shell(std::move(options), MonotonicClock(), Wake{}, &stage) {}
  void Start() { shell.Start(std::make_unique<StageCore>(), Begin{}); }

  Stage stage;
  StageShell shell;
};

std::map<std::string_view, uint64_t> ByKind(const std::vector<KindCount>& counts) {
  std::map<std::string_view, uint64_t> by_kind;
  for (const KindCount& one : counts) by_kind[one.kind] = one.count;
  return by_kind;
}

// ---- Who may carry

template <typename Carrier>
constexpr bool kMayCarry = Shell<StageCore, Event, Effect, Carrier>::CarriesAll();

struct Lacks {
  void Do(const Say&);
};
struct TakesWhateverComes {
  void Do(const Say&);
  template <typename Kind>
  void Do(const Kind&);
};
struct LogsForItself {
  void Do(const Say&);
  void Do(const Bow&);
  void Do(const base::Note&);
};
static_assert(kMayCarry<Stage>, "a friend's own functions count");
static_assert(!kMayCarry<Lacks>);
static_assert(!kMayCarry<TakesWhateverComes>);
static_assert(!kMayCarry<LogsForItself>);

// ---- Behaviour

TEST(ShellTest, EffectsAreCarriedOutInTheirOrderWithTheHooksAfterThem) {
  Script script;
  script.Start();
  ASSERT_TRUE(script.shell.Push(Speak{{"wait"}}).ok());
  script.stage.reached.WaitForNotification();
  // These gather meanwhile and are one batch.
  ASSERT_TRUE(script.shell.Push(Speak{{"to", "be"}}).ok());
  ASSERT_TRUE(script.shell.Push(Speak{{"or"}}).ok());
  script.stage.open.Notify();
  script.shell.Stop();
  std::vector<std::string> done = script.stage.done();
  const std::vector<std::string> last_batch = {"say to", "say be", "say or", "flush", "after 5"};
  ASSERT_GE(done.size(), last_batch.size());
  EXPECT_EQ(std::vector<std::string>(done.end() - last_batch.size(), done.end()), last_batch);
}

TEST(ShellTest, ABatchWithoutEffectsIsNotFlushed) {
  Script script;
  script.Start();
  ASSERT_TRUE(script.shell.Inspect([](const StageCore&) {}));
  ASSERT_TRUE(script.shell.Push(Speak{}).ok());
  script.shell.Stop();
  EXPECT_EQ(script.stage.done(), (std::vector<std::string>{"bow", "flush", "after 1", "after 1"}));
}

TEST(ShellTest, TheFirstEventIsFirstWhateverCameBefore) {
  Script script;
  EXPECT_TRUE(script.shell.PushReserved(Speak{{"answer"}})) << "it waits for the start";
  EXPECT_FALSE(script.shell.PushUrgent(Speak{{"urgent"}}));
  EXPECT_EQ(script.shell.Push(Speak{{"call"}}).code(), absl::StatusCode::kUnavailable);
  EXPECT_FALSE(script.shell.Inspect([](const StageCore&) { FAIL() << "there is no core yet"; }));
  script.Start();
  std::vector<std::string> diary;
  ASSERT_TRUE(script.shell.Inspect([&](const StageCore& core) { diary = core.diary; }));
  EXPECT_EQ(diary, (std::vector<std::string>{"begin", "answer"}));
}

TEST(ShellTest, WhatIsUrgentGoesAhead) {
  Script script;
  script.Start();
  ASSERT_TRUE(script.shell.Push(Speak{{"wait"}}).ok());
  script.stage.reached.WaitForNotification();
  ASSERT_TRUE(script.shell.Push(Speak{{"call"}}).ok());
  ASSERT_TRUE(script.shell.PushUrgent(Speak{{"renewed"}}));
  script.stage.open.Notify();
  std::vector<std::string> diary;
  ASSERT_TRUE(script.shell.Inspect([&](const StageCore& core) { diary = core.diary; }));
  EXPECT_EQ(diary, (std::vector<std::string>{"begin", "wait", "renewed", "call"}));
}

TEST(ShellTest, AFullLaneIsOverloadedAndAnswersStillFit) {
  Script script({.name = "stage", .lanes = {{.events_max = 1}}});
  script.Start();
  ASSERT_TRUE(script.shell.Inspect([](const StageCore&) {}));
  ASSERT_TRUE(script.shell.Push(Speak{{"wait"}}).ok());
  script.stage.reached.WaitForNotification();
  EXPECT_TRUE(script.shell.Push(Speak{{"a"}}).ok());
  const absl::Status refused = script.shell.Push(Speak{{"b"}});
  EXPECT_EQ(ReasonOf(refused), model::v1::ErrorDetail::OVERLOADED) << refused;
  EXPECT_TRUE(script.shell.PushReserved(Speak{{"answer"}}));
  EXPECT_EQ(script.shell.metrics().refused_total.load(), 1u);
  script.stage.open.Notify();
}

// Keeps lines of the log.
class Lines : public google::LogSink {
 public:
  Lines() { google::AddLogSink(this); }
  ~Lines() override { google::RemoveLogSink(this); }
  void send(google::LogSeverity severity, const char*, const char*, int, const std::tm*,
            const char* text, size_t size) override {
    lines.push_back(std::string(google::GetLogSeverityName(severity)) + " " +
                    std::string(text, size));
  }
  std::vector<std::string> lines;
};

TEST(ShellTest, NotesAreLogged) {
  Lines log;
  {
    Script script;
    script.Start();
    ASSERT_TRUE(script.shell.Push(Warn{"the disk is nearly full"}).ok());
    script.shell.Stop();
  }
  EXPECT_EQ(log.lines, (std::vector<std::string>{"WARNING the disk is nearly full"}));
}

TEST(ShellTest, CountsByKind) {
  Script script;
  EXPECT_EQ(ByKind(script.shell.EffectCounts()),
            (std::map<std::string_view, uint64_t>{{"say", 0}, {"bow", 0}, {"note", 0}}));
  script.Start();
  ASSERT_TRUE(script.shell.Push(Speak{{"to", "be"}}).ok());
  ASSERT_TRUE(script.shell.Push(Warn{"not"}).ok());
  script.shell.Stop();
  EXPECT_EQ(ByKind(script.shell.EffectCounts()),
            (std::map<std::string_view, uint64_t>{{"say", 2}, {"bow", 1}, {"note", 1}}));
  EXPECT_EQ(
      ByKind(script.shell.StepCounts()),
      (std::map<std::string_view, uint64_t>{{"begin", 1}, {"speak", 1}, {"warn", 1}, {"wake", 0}}));
}

TEST(ShellTest, CloseRefusesCallsAndTakesAnswers) {
  Script script;
  EXPECT_FALSE(script.shell.Close()) << "nothing was taken yet";
  script.Start();
  EXPECT_TRUE(script.shell.Close());
  EXPECT_FALSE(script.shell.Close());
  EXPECT_EQ(script.shell.Push(Speak{{"call"}}).code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(script.shell.PushReserved(Speak{{"answer"}}));
  EXPECT_TRUE(script.shell.PushUrgent(Speak{{"renewed"}}));
  EXPECT_TRUE(script.shell.Inspect([](const StageCore&) {}));
  script.shell.Stop();
  EXPECT_EQ(ByKind(script.shell.EffectCounts())["say"], 2u);
}

TEST(ShellTest, StopCarriesOutWhatWasAcceptedAndTakesNothingMore) {
  Script script;
  script.Start();
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(script.shell.Push(Speak{{"word"}}).ok());
  script.shell.Stop();
  EXPECT_EQ(ByKind(script.shell.EffectCounts())["say"], 100u);
  EXPECT_EQ(script.shell.Push(Speak{}).code(), absl::StatusCode::kUnavailable);
  EXPECT_FALSE(script.shell.PushReserved(Speak{}));
  EXPECT_FALSE(script.shell.PushUrgent(Speak{}));
  EXPECT_FALSE(script.shell.Inspect([](const StageCore&) { FAIL() << "it has stopped"; }));
  script.shell.Stop();
}

TEST(ShellTest, ADoorLeadsNowhereWhenTheShellHasGone) {
  std::shared_ptr<StageShell::Door> door;
  {
    Script script;
    door = script.shell.door();
    script.Start();
    EXPECT_TRUE(door->Push(Speak{{"a"}}).ok());
    EXPECT_TRUE(door->PushReserved(Speak{{"b"}}));
    EXPECT_TRUE(door->PushUrgent(Speak{{"c"}}));
    script.shell.Stop();
    EXPECT_EQ(ByKind(script.shell.EffectCounts())["say"], 3u);
  }
  EXPECT_EQ(door->Push(Speak{}).code(), absl::StatusCode::kUnavailable);
  EXPECT_FALSE(door->PushReserved(Speak{}));
  EXPECT_FALSE(door->PushUrgent(Speak{}));
}

TEST(ShellTest, StopWaitsForNoDoorAndNoDoorForStop) {
  Script script;
  script.Start();
  std::vector<std::thread> callers;
  for (int i = 0; i < 4; ++i) {
    callers.emplace_back([door = script.shell.door()] {
      while (door->PushReserved(Speak{{"word"}})) std::this_thread::yield();
    });
  }
  script.shell.Stop();
  for (std::thread& caller : callers) caller.join();
  const uint64_t steps = ByKind(script.shell.StepCounts())["speak"];
  EXPECT_EQ(ByKind(script.shell.EffectCounts())["say"], steps);
}

}  // namespace
}  // namespace tessera::rpc
