// Publisher, log and followers without threads: what is told in which order.
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "services/base/rng.h"
#include "services/feed/core/feed_log.h"
#include "services/feed/core/feed_state.h"
#include "services/feed/core/follow_cursor.h"
#include "services/feed/core/random_changes.h"
#include "services/feed/core/recompute.h"
#include "services/rpc/error.h"

namespace tessera::feed {
namespace {

// A follower of the log that takes what it is sent at once, or does not.
class Follower {
 public:
  Follower(uint64_t epoch, uint64_t version) : cursor_(epoch, version) {
    table_.Reset(epoch);
    table_.set_version(version);
  }

  // Takes up to `max` messages. False: the stream has ended, with `end`.
  bool Take(FeedLog* log, int max = 1 << 20, absl::Time now = absl::UnixEpoch()) {
    while (max > 0) {
      StreamStep step = cursor_.Take(log, now);
      switch (step.kind) {
        case StreamStep::Kind::kEnd:
          end = step.end;
          return false;
        case StreamStep::Kind::kLater:
          return true;
        case StreamStep::Kind::kMake:
          step.bytes->MakeUpTo(step.index);
          break;
        case StreamStep::Kind::kDelta:
          Hear(*cursor_.Message(step.delta));
          --max;
          break;
        case StreamStep::Kind::kMessage:
          Hear(*step.message);
          --max;
          break;
      }
    }
    return true;
  }

  std::string Text() const { return Describe(table_.Publish()); }
  uint64_t version() const { return table_.version(); }

  absl::Status end;
  int snapshots = 0;
  std::vector<uint64_t> deltas;
  // Sequence, and the version that was held when it came.
  std::vector<std::pair<uint64_t, uint64_t>> heartbeats;
  absl::Duration age;

 private:
  void Hear(const std::string& bytes) {
    wire::FollowResponse message;
    ASSERT_TRUE(message.ParseFromString(bytes));
    auto piece = Decode(std::move(message));
    ASSERT_TRUE(piece.ok()) << piece.status();
    EXPECT_EQ(piece->malformed, 0u);
    if (auto* part = std::get_if<SnapshotPart>(&piece->kind)) {
      if (part->first) {
        ++snapshots;
        table_ = StateTable();
        table_.Reset(piece->epoch);
      }
      for (Change& change : part->changes) table_.Apply(std::move(change));
      table_.set_version(part->version);
    } else if (auto* delta = std::get_if<Delta>(&piece->kind)) {
      EXPECT_EQ(piece->epoch, table_.epoch());
      EXPECT_EQ(delta->version, table_.version() + 1);
      deltas.push_back(delta->version);
      for (Change& change : delta->changes) table_.Apply(std::move(change));
      table_.set_version(delta->version);
    } else if (auto* told = std::get_if<HeartbeatTold>(&piece->kind)) {
      heartbeats.emplace_back(told->sequence, table_.version());
      age = told->age;
    }
  }

  FollowCursor cursor_;
  StateTable table_;
};

class FeedCoreTest : public testing::Test {
 protected:
  void Start(FeedLogOptions options) { log_ = std::make_unique<FeedLog>(options); }

  void Publish(int changes, bool reset = false) {
    if (reset) version_ = 0;
    Delta delta{++version_, {}};
    for (int i = 0; i < changes; ++i) delta.changes.push_back(RandomChange(rng_));
    state_.Publish(epoch_, reset, std::move(delta), &effects_);
  }
  void Flush() {
    state_.Flush(&effects_);
    for (FeedEffect& effect : std::exchange(effects_, {})) log_->Take(std::move(effect));
  }
  std::string Text() {
    Flush();
    return Describe(log_->snapshot());
  }

  base::Rng rng_{7};
  uint64_t epoch_ = 3;
  uint64_t version_ = 0;
  FeedState state_;
  FeedEffects effects_;
  std::unique_ptr<FeedLog> log_ = std::make_unique<FeedLog>(FeedLogOptions{.chunk_changes = 7});
};

TEST_F(FeedCoreTest, AFollowerGetsASnapshotAndEveryDeltaAfterIt) {
  Publish(300, true);
  for (int i = 0; i < 5; ++i) Publish(10);
  Flush();
  Follower follower(0, 0);
  ASSERT_TRUE(follower.Take(log_.get(), 3));
  // Deltas that come while the snapshot is on its way.
  Publish(10);
  Publish(10);
  const std::string expected = Text();
  ASSERT_TRUE(follower.Take(log_.get()));
  EXPECT_EQ(follower.Text(), expected);
  EXPECT_EQ(follower.snapshots, 1);
  EXPECT_EQ(follower.deltas, (std::vector<uint64_t>{7, 8}));
}

TEST_F(FeedCoreTest, BeforeThereIsAStateAndAfterItsEndStreamsAreRefused) {
  Follower early(0, 0);
  EXPECT_FALSE(early.Take(log_.get()));
  EXPECT_EQ(early.end.code(), absl::StatusCode::kUnavailable);
  Publish(10, true);
  Flush();
  Follower follower(0, 0);
  ASSERT_TRUE(follower.Take(log_.get()));
  state_.Retire(absl::UnavailableError("another one leads"), &effects_);
  Flush();
  EXPECT_FALSE(follower.Take(log_.get()));
  EXPECT_EQ(follower.end.message(), "another one leads");
  // A delta that goes on where nothing is any more.
  Publish(1);
  Flush();
  EXPECT_EQ(state_.counters().updates_refused, 1u);
  ++epoch_;
  Publish(10, true);
  Flush();
  Follower back(0, 0);
  EXPECT_TRUE(back.Take(log_.get()));
  EXPECT_EQ(back.version(), 1u);
}

TEST_F(FeedCoreTest, EpochsOnlyGrowAndVersionsHaveNoGaps) {
  Publish(50, true);
  Publish(50);
  const std::string expected = Text();
  const auto refused = [&](uint64_t epoch, bool reset, uint64_t version) {
    const uint64_t before = state_.counters().updates_refused;
    state_.Publish(epoch, reset, Delta{version, {RandomChange(rng_)}}, &effects_);
    Flush();
    return state_.counters().updates_refused - before;
  };
  EXPECT_EQ(refused(epoch_ - 1, true, 1), 1u);
  EXPECT_EQ(refused(epoch_ - 1, false, 3), 1u);
  EXPECT_EQ(refused(epoch_ + 1, false, 3), 1u);
  EXPECT_EQ(refused(epoch_, false, 4), 1u);
  // Known already: nothing comes of it, and nobody is to blame.
  EXPECT_EQ(refused(epoch_, false, 2), 0u);
  EXPECT_EQ(Text(), expected);
}

TEST_F(FeedCoreTest, AHeartbeatComesAfterAllThatWasPublishedBeforeIt) {
  Publish(50, true);
  Flush();
  Follower follower(0, 0);
  ASSERT_TRUE(follower.Take(log_.get()));
  Publish(1);
  Publish(1);
  state_.Heartbeat({epoch_, 0, absl::FromUnixSeconds(100)}, &effects_);
  Publish(1);
  Flush();
  ASSERT_TRUE(follower.Take(log_.get(), 1 << 20, absl::FromUnixSeconds(103)));
  ASSERT_EQ(follower.heartbeats.size(), 1u);
  EXPECT_EQ(follower.heartbeats[0], (std::pair<uint64_t, uint64_t>{1, 3}));
  EXPECT_EQ(follower.age, absl::Seconds(3));
  // Of another epoch: it says nothing of this state.
  state_.Heartbeat({epoch_ + 1, 9, absl::FromUnixSeconds(200)}, &effects_);
  Flush();
  EXPECT_EQ(log_->newest_made(), absl::FromUnixSeconds(100));
  // A follower that comes back hears it, too.
  Follower back(epoch_, 2);
  ASSERT_TRUE(back.Take(log_.get()));
  EXPECT_EQ(back.snapshots, 0);
  ASSERT_EQ(back.heartbeats.size(), 1u);
  EXPECT_GE(back.heartbeats[0].second, 3u);
}

TEST_F(FeedCoreTest, WhoFallsOutOfTheLogGetsASnapshotAndIsEndedWhenItHappensAgainAndAgain) {
  Start({.history_bytes_max = 4 << 10, .chunk_changes = 7, .snapshots_in_a_row_max = 2});
  Publish(300, true);
  Flush();
  Follower slow(0, 0);
  ASSERT_TRUE(slow.Take(log_.get()));
  EXPECT_EQ(slow.snapshots, 1);
  const auto overrun = [&] {
    for (int i = 0; i < 20; ++i) Publish(10);
    Flush();
  };
  overrun();
  ASSERT_TRUE(slow.Take(log_.get()));
  EXPECT_EQ(slow.snapshots, 2);
  // It takes a message of each snapshot and falls behind again.
  bool lives = true;
  int rounds = 0;
  while (lives && rounds++ < 10'000) {
    overrun();
    lives = slow.Take(log_.get(), 1);
  }
  EXPECT_FALSE(lives);
  EXPECT_EQ(rpc::ReasonOf(slow.end), model::v1::ErrorDetail::SLOW_CONSUMER);
  EXPECT_EQ(log_->counters().slow_ended, 1u);
}

TEST_F(FeedCoreTest, ASnapshotFromElsewhereReplacesTheStateWhenItIsWhole) {
  Publish(100, true);
  const std::string before = Text();
  StateTable other;
  for (int i = 0; i < 300; ++i) other.Apply(RandomChange(rng_));
  ChangeCursor cursor(other.Publish());
  SnapshotPart part{.version = 77, .first = true};
  while (cursor.Next(20, &part.changes)) {
    state_.PublishPart(epoch_, std::exchange(part, {.version = 77}), &effects_);
    EXPECT_EQ(Text(), before);
  }
  part.last = true;
  state_.PublishPart(epoch_, std::move(part), &effects_);
  EXPECT_EQ(Text(), Describe(other.Publish()));
  EXPECT_EQ(log_->snapshot()->version, 77u);
  // The rest of one whose beginning never came.
  state_.PublishPart(epoch_, SnapshotPart{.version = 90, .last = true}, &effects_);
  Flush();
  EXPECT_EQ(state_.counters().updates_refused, 1u);
  EXPECT_EQ(log_->snapshot()->version, 77u);
}

// The bound of the log is one of all that is kept, and watchers cost only what deltas do not say.
TEST_F(FeedCoreTest, TheLogCountsAllThatItKeeps) {
  state_.KeepScopes();
  Start({.history_bytes_max = 64 << 10});
  Publish(500, true);
  size_t deltas = 0;
  size_t scopes = 0;
  for (int i = 0; i < 200; ++i) {
    Publish(10);
    state_.Flush(&effects_);
    for (const FeedEffect& effect : effects_) {
      const auto* published = std::get_if<StatePublished>(&effect);
      if (published == nullptr) continue;
      for (const LoggedDelta& delta : published->deltas) {
        ++deltas;
        EXPECT_GE(delta.size(), delta.bytes->size());
        if (delta.scopes == nullptr) continue;
        scopes += delta.scopes->size();
        for (const auto& [index, scope] : *delta.scopes) EXPECT_FALSE(scope.agent_id.empty());
      }
    }
    Flush();
  }
  EXPECT_EQ(deltas, 201u);
  EXPECT_GT(scopes, 0u);
  EXPECT_LE(log_->counters().history_bytes, size_t{64} << 10);
  EXPECT_GT(log_->counters().history_bytes, size_t{32} << 10);
}

// Followers that take messages at any pace, whatever else happens, end with the state.
TEST(FeedCoreProperty, FollowersOfAnyPaceHoldTheState) {
  for (uint64_t seed = 1; seed <= 25; ++seed) {
    base::Rng rng(seed);
    FeedState state;
    FeedLog log({.history_bytes_max = size_t{1} << rng.Between(9, 16),
                 .chunk_changes = static_cast<size_t>(rng.Between(1, 60)),
                 .snapshots_in_a_row_max = 1 << 20});
    std::vector<std::unique_ptr<Follower>> followers;
    uint64_t epoch = 1;
    uint64_t version = 0;
    bool reset = true;
    for (int step = 0; step < 400; ++step) {
      FeedEffects effects;
      if (rng.Chance(0.01)) {
        ++epoch;
        version = 0;
        reset = true;
      }
      Delta delta{++version, {}};
      for (uint64_t i = rng.Below(6) + (reset ? 60 : 0); i > 0; --i) {
        delta.changes.push_back(RandomChange(rng));
      }
      state.Publish(epoch, std::exchange(reset, false), std::move(delta), &effects);
      if (rng.Chance(0.1)) state.Heartbeat({epoch, 0, absl::UnixEpoch()}, &effects);
      if (!rng.Chance(0.3)) state.Flush(&effects);
      for (FeedEffect& effect : effects) log.Take(std::move(effect));
      if (log.snapshot() == nullptr) continue;
      if (followers.size() < 6 && rng.Chance(0.1)) {
        followers.push_back(std::make_unique<Follower>(0, 0));
      }
      for (auto& follower : followers) {
        ASSERT_TRUE(follower->Take(&log, static_cast<int>(rng.Below(4)))) << "seed " << seed;
      }
    }
    FeedEffects effects;
    state.Flush(&effects);
    for (FeedEffect& effect : effects) log.Take(std::move(effect));
    const std::string expected = Describe(log.snapshot());
    for (auto& follower : followers) {
      ASSERT_TRUE(follower->Take(&log));
      ASSERT_EQ(follower->Text(), expected) << "seed " << seed;
      ASSERT_EQ(follower->version(), log.snapshot()->version) << "seed " << seed;
    }
  }
}

}  // namespace
}  // namespace tessera::feed
